"""The configuration of a region's containerd and of its pods' network, for the packages of the machine's distribution."""

from __future__ import annotations

import json
import re
from pathlib import Path
from tempfile import TemporaryDirectory

from lab.regions.commands import RegionError, attempt
from lab.regions.layout import CONFIG, CONTAINERD, CONTAINERD_SOCKET
from lab.regions.spec import RegionSpec

PAUSE_IMAGE = "docker.io/local/pause:1"
PLUGIN_DIRECTORIES = (Path("/usr/lib/cni"), Path("/opt/cni/bin"), Path("/usr/libexec/cni"))
NETWORK_CONFIGURATION = CONFIG / "cni"

_COMMON = f"""\
root = "{CONTAINERD}"
state = "/run/containerd"

[grpc]
  address = "{CONTAINERD_SOCKET}"

[plugins."io.containerd.internal.v1.opt"]
  path = "{CONTAINERD}/opt"
"""

# restrict_oom_score_adj: some machines allow namespaces, but not to lower a process's OOM score. Pods would not start there.
_VERSION_2 = """\
version = 2
{common}
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{pause}"
  restrict_oom_score_adj = true
  disable_apparmor = true
  disable_hugetlb_controller = true

  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{plugins}"
    conf_dir = "{networks}"

  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "{snapshotter}"
"""

_VERSION_3 = """\
version = 3
{common}
[plugins."io.containerd.cri.v1.images"]
  snapshotter = "{snapshotter}"

  [plugins."io.containerd.cri.v1.images".pinned_images]
    sandbox = "{pause}"

[plugins."io.containerd.cri.v1.runtime"]
  restrict_oom_score_adj = true
  disable_apparmor = true
  disable_hugetlb_controller = true

  [plugins."io.containerd.cri.v1.runtime".cni]
    bin_dir = "{plugins}"
    conf_dir = "{networks}"
"""


def configuration(version_output: str, plugins: Path, snapshotter: str) -> str:
    """The configuration file for the containerd with this output of `containerd --version`."""
    template = _VERSION_2 if major_version(version_output) < 2 else _VERSION_3
    return template.format(
        common=_COMMON, pause=PAUSE_IMAGE, plugins=plugins, networks=NETWORK_CONFIGURATION, snapshotter=snapshotter
    )


def major_version(version_output: str) -> int:
    """The major version: 1 for "containerd github.com/containerd/containerd 1.6.20~ds1 …", 2 for "… v2.1.4 …"."""
    found = re.search(r"\sv?(\d+)\.\d+", version_output)
    if found is None:
        raise RegionError(f"containerd does not say its version: {version_output.strip()!r}")
    return int(found.group(1))


def network(spec: RegionSpec) -> str:
    """The configuration of the pods' network.

    A point-to-point link connects each pod to its node, so bridge filtering does not matter. Without masquerading, the other
    region sees a pod's own address. Address leases are in /run, so they end together with the region and its pods.
    """
    links = {
        "type": "ptp",
        "ipMasq": False,
        "mtu": 1500,
        "ipam": {
            "type": "host-local",
            "dataDir": "/run/cni-leases",
            "ranges": [[{"subnet": spec.pod_network}]],
            "routes": [{"dst": "0.0.0.0/0"}],
        },
    }
    ports = {"type": "portmap", "capabilities": {"portMappings": True}}
    return json.dumps({"cniVersion": "1.0.0", "name": "lab", "plugins": [links, ports]}, indent=2)


def plugin_directory() -> Path:
    """The directory in which the distribution has the CNI plugins."""
    for directory in PLUGIN_DIRECTORIES:
        if (directory / "ptp").exists():
            return directory
    places = ", ".join(map(str, PLUGIN_DIRECTORIES))
    raise RegionError(f"no CNI plugins in {places}: install the package containernetworking-plugins")


def snapshotter(disk: Path) -> str:
    """The snapshotter for images on `disk`: overlayfs if the disk supports it (an overlay does not), else plain copies."""
    with TemporaryDirectory(dir=disk) as scratch:
        lower, upper, work, merged = (Path(scratch, name) for name in ("lower", "upper", "work", "merged"))
        for directory in (lower, upper, work, merged):
            directory.mkdir()
        options = f"lowerdir={lower},upperdir={upper},workdir={work}"
        if attempt(["mount", "-t", "overlay", "overlay", "-o", options, str(merged)]).returncode != 0:
            return "native"
        attempt(["umount", str(merged)])
        return "overlayfs"
