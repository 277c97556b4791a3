"""The programs that the lab builds. They are grouped into Go modules, so that programs of a group share compiled packages.

To add a group, add a row to GROUPS and a directory with a go.mod. To change a version, change it in go.mod and in versions.py,
run `go mod tidy -e` in the directory (-e ignores packages that only tests of dependencies import), and commit go.mod and go.sum.
"""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lab.tools import versions

MODULES = Path(__file__).parent / "modules"
APPLICATION = Path(__file__).parent.parent / "application"

# Build static programs, because some images have no libraries. GOGC=400: the compiler spends memory to save time.
BUILD_ENVIRONMENT = {"CGO_ENABLED": "0", "GOGC": "400"}

# What makes a build cheaper; docs/performance.md has the measurements. All groups have the same flags, so that they share what is
# compiled. `-dwarf=false`: the linker drops debugging data anyway. `-l`: no inlining. `-pgo=off`: with a profile, all packages of
# a program would be compiled again.
COMPILER_FLAGS = ("-gcflags=all=-l -dwarf=false", "-pgo=off")


@dataclass(frozen=True, kw_only=True)
class Program:
    """One program, built by one `go build`.

    `package` is the Go package, `name` the file. A program that acts by the name of its call has these names as `links`.
    `variables` are set by the linker, as `path/of/package.name=value`. They give the program its version, like its project's
    release builds do. `tags` are build tags, by which a project lets one leave out what is not needed.
    """

    package: str
    name: str
    links: tuple[str, ...] = ()
    variables: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()

    @property
    def tools(self) -> tuple[str, ...]:
        return self.links or (self.name,)

    def build_command(self, output: str) -> list[str]:
        # -s -w leaves out the symbol table and debugging data, which makes a program a third smaller.
        linker = " ".join(["-s", "-w", *(f"-X {variable}" for variable in self.variables)])
        return ["go", "build", "-v", *COMPILER_FLAGS, *self.tag_flags, "-ldflags", linker, "-o", output, self.package]

    @property
    def tag_flags(self) -> tuple[str, ...]:
        return ("-tags", ",".join(self.tags)) if self.tags else ()


@dataclass(frozen=True, kw_only=True)
class SharedFile:
    """A file in a pinned module that the lab needs later, after Go's cache is deleted.

    `module` is the module's name in go.mod, `path` the file's path in it, and `name` its name in the group's `share` directory.
    """

    module: str
    path: str
    name: str


@dataclass(frozen=True, kw_only=True)
class Group:
    """One Go module, the programs built from it, and the files copied from the modules that it pins.

    `cold_seconds` is how long a build after the groups before it took on 2 cores, with downloads. It only serves for a first
    estimate of the time left, so it need not be exact. `build_gigabytes` is what Go's caches take meanwhile.
    """

    name: str
    module: Path
    programs: tuple[Program, ...]
    cold_seconds: int
    build_gigabytes: float = 0.0
    files: tuple[SharedFile, ...] = ()

    @property
    def tools(self) -> tuple[str, ...]:
        return tuple(tool for program in self.programs for tool in program.tools)

    @property
    def key(self) -> str:
        """A key that changes with the sources, pinned versions, build commands and platform of the programs and files."""
        digest = hashlib.sha256()
        recipe: dict[str, Any] = {
            "commands": [[*program.build_command(program.name), *program.links] for program in self.programs],
            "environment": BUILD_ENVIRONMENT,
            "platform": [platform.system(), platform.machine()],
        }
        if self.files:  # a group without files keeps the key that it had before files existed
            recipe["files"] = [[file.module, file.path, file.name] for file in self.files]
        digest.update(json.dumps(recipe, sort_keys=True).encode())
        sources = [path for path in self.module.rglob("*") if path.suffix == ".go" or path.name in ("go.mod", "go.sum")]
        for path in sorted(sources):
            content = path.read_bytes()
            digest.update(f"\n{path.relative_to(self.module).as_posix()} {len(content)}\n".encode() + content)
        return digest.hexdigest()[:12]


# Without these, a server reports version v0.0.0-master, which Helm charts and clients refuse.
_KUBERNETES_VERSION = tuple(
    f"k8s.io/component-base/version.{name}={value}"
    for name, value in (
        ("gitVersion", versions.KUBERNETES),
        ("gitMajor", versions.KUBERNETES.lstrip("v").split(".")[0]),
        ("gitMinor", versions.KUBERNETES.split(".")[1]),
    )
)
_VELERO = "github.com/vmware-tanzu/velero/cmd/velero"
_VELERO_VERSION = "github.com/vmware-tanzu/velero/pkg/buildinfo.Version"
_AWS_PLUGIN = "github.com/vmware-tanzu/velero-plugin-for-aws"
_SNAPSHOTTER = "github.com/kubernetes-csi/external-snapshotter"
_PROVISIONER = "github.com/kubernetes-csi/external-provisioner/v5"
_CLOUDNATIVE_PG = "github.com/cloudnative-pg/cloudnative-pg"
_BARMAN_CLOUD = "github.com/cloudnative-pg/plugin-barman-cloud"
_CLOUDNATIVE_PG_MANIFEST = f"releases/cnpg-{versions.CLOUDNATIVE_PG.removeprefix('v')}.yaml"

# In the order of their builds. The rehearsal and the engine's tests need the first one, the lab those of LAB.
GROUPS: Mapping[str, Group] = {
    group.name: group
    for group in (
        Group(
            name="pulumi",
            module=MODULES / "pulumi",
            cold_seconds=160,
            build_gigabytes=3.1,
            programs=(
                Program(
                    package="github.com/pulumi/pulumi/pkg/v3/cmd/pulumi",
                    name="pulumi",
                    variables=(f"github.com/pulumi/pulumi/sdk/v3/go/common/version.Version={versions.PULUMI}",),
                ),
            ),
        ),
        Group(
            name="region",
            module=MODULES / "region",
            cold_seconds=240,
            build_gigabytes=2.6,
            programs=(
                Program(package="go.etcd.io/etcd/server/v3", name="etcd"),
                Program(
                    package="./kube",
                    name="kube",
                    links=("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy"),
                    variables=_KUBERNETES_VERSION,
                ),
                Program(package="k8s.io/kubernetes/cmd/kubectl", name="kubectl", variables=_KUBERNETES_VERSION),
                Program(package="./coredns", name="coredns"),
                Program(package="go.etcd.io/etcd/etcdctl/v3", name="etcdctl"),
                Program(package="go.etcd.io/etcd/etcdutl/v3", name="etcdutl"),
                Program(package="github.com/rancher/local-path-provisioner", name="local-path-provisioner"),
            ),
        ),
        # A separate module, so that what a region is built from stays as it is. It pins the region's libraries, to compile them
        # only once.
        Group(
            name="storage",
            module=MODULES / "storage",
            cold_seconds=40,
            build_gigabytes=0.3,
            programs=(
                Program(package="./disks", name="disks"),
                Program(package=f"{_PROVISIONER}/cmd/csi-provisioner", name="csi-provisioner"),
                Program(package=f"{_SNAPSHOTTER}/v8/cmd/csi-snapshotter", name="csi-snapshotter"),
                Program(package=f"{_SNAPSHOTTER}/v8/cmd/snapshot-controller", name="snapshot-controller"),
            ),
            files=tuple(
                SharedFile(
                    module=f"{_SNAPSHOTTER}/client/v8",
                    path=f"config/crd/snapshot.storage.k8s.io_{kind}.yaml",
                    name=f"{kind}.yaml",
                )
                for kind in ("volumesnapshotclasses", "volumesnapshotcontents", "volumesnapshots")
            ),
        ),
        Group(
            name="velero",
            module=MODULES / "velero",
            cold_seconds=110,
            build_gigabytes=1.9,
            programs=(
                Program(package=_VELERO, name="velero", variables=(f"{_VELERO_VERSION}={versions.VELERO}",)),
                Program(package=f"{_AWS_PLUGIN}/velero-plugin-for-aws", name="velero-plugin-for-aws"),
                Program(package=f"{_AWS_PLUGIN}/hack/cp-plugin", name="cp-plugin"),
            ),
        ),
        # A group of its own, so that the servers need not be built again. It imports nothing but Go's own packages.
        Group(
            name="velero-restore-helper",
            module=MODULES / "velero",
            cold_seconds=5,
            build_gigabytes=0.1,
            programs=(Program(package="github.com/vmware-tanzu/velero/cmd/velero-restore-helper", name="velero-restore-helper"),),
        ),
        # Only for the test of an upgrade. Its module pins the same libraries as the newer one, so that only Velero itself is
        # compiled again.
        Group(
            name="velero-previous",
            module=MODULES / "velero-previous",
            cold_seconds=110,
            build_gigabytes=3.5,
            programs=(
                Program(
                    package=_VELERO,
                    name="velero-previous",
                    variables=(f"{_VELERO_VERSION}={versions.VELERO_PREVIOUS}",),
                ),
            ),
        ),
        # A separate module, because it does not compile with the libraries of the regions' Kubernetes version.
        Group(
            name="cnpg",
            module=MODULES / "cnpg",
            cold_seconds=30,
            build_gigabytes=0.6,
            programs=(
                Program(package=f"{_CLOUDNATIVE_PG}/cmd/manager", name="cnpg-manager"),
                Program(package=f"{_BARMAN_CLOUD}/cmd/manager", name="barman-cloud-manager"),
            ),
            files=(
                SharedFile(module=_CLOUDNATIVE_PG, path=_CLOUDNATIVE_PG_MANIFEST, name="cloudnative-pg.yaml"),
                SharedFile(module=_CLOUDNATIVE_PG, path="config/webhook/manifests.yaml", name="cloudnative-pg-webhooks.yaml"),
                SharedFile(module=_BARMAN_CLOUD, path="manifest.yaml", name="plugin-barman-cloud.yaml"),
            ),
        ),
        # Only for tests of charts; the lab does not run it. Its module pins the region's libraries, to compile them only once.
        Group(
            name="helm",
            module=MODULES / "helm",
            cold_seconds=70,
            build_gigabytes=2.0,
            programs=(
                Program(
                    package="helm.sh/helm/v3/cmd/helm",
                    name="helm",
                    variables=(f"helm.sh/helm/v3/internal/version.version={versions.HELM}",),
                ),
            ),
        ),
        # Only for tests of the alerts; the lab does not run it. Its module pins the libraries of the groups before it, to compile
        # them only once. The tag leaves out the service discovery of a score of clouds, which a test of rules asks nothing.
        Group(
            name="prometheus",
            module=MODULES / "prometheus",
            cold_seconds=100,
            build_gigabytes=2.0,
            programs=(
                Program(
                    package="github.com/prometheus/prometheus/cmd/promtool",
                    name="promtool",
                    variables=(f"github.com/prometheus/common/version.Version={versions.PROMTOOL}",),
                    tags=("remove_all_sd",),
                ),
            ),
        ),
        # Only for the check of the workflows.
        Group(
            name="actionlint",
            module=MODULES / "actionlint",
            cold_seconds=15,
            build_gigabytes=0.3,
            programs=(
                Program(
                    package="github.com/rhysd/actionlint/cmd/actionlint",
                    name="actionlint",
                    variables=(f"github.com/rhysd/actionlint.version={versions.ACTIONLINT.removeprefix('v')}",),
                ),
            ),
        ),
        Group(
            name="images",
            module=MODULES / "images",
            cold_seconds=5,
            build_gigabytes=0.1,
            programs=(
                Program(package="./pause", name="pause"),
                Program(package="./storage-helper", name="storage-helper"),
            ),
        ),
        Group(
            name="application",
            module=APPLICATION,
            cold_seconds=10,
            build_gigabytes=0.2,
            programs=(Program(package=".", name="shop"),),
        ),
    )
}

LONG = ("velero-previous",)
"""The groups that only `make test-long` needs. They are built when they are asked for by name."""

LAB = ("pulumi", "region", "storage", "cnpg", "velero", "velero-restore-helper", "images", "application")
"""The groups that the lab needs. `cnpg` is for the databases."""
