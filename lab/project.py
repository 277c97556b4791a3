"""The lab's own copy of the Pulumi project, with its own stack files. The lab never changes a committed file.

The program in the copy is byte for byte the one in the checkout. Only the configuration differs from a real deployment: it names
the contexts of the lab's clusters, images that the lab built, and an AWS-compatible endpoint.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from lab.paths import CHECKOUT
from settings.names import Names
from settings.parts import Part
from settings.roles import Role
from settings.topology import Topology

PROGRAM = ("__main__.py", "settings", "components", "charts", "docs/runbook.md", "requirements.txt")
NAME = "app.example.com"
ZONE = "example.com"
OFF: Mapping[str, Any] = {"enabled": False}
"""Of a part of the settings that can be switched off."""


def load_balancer(role: str) -> str:
    """The DNS name of a region's load balancer. The lab's name server answers for it without a Route 53 record."""
    return f"lb-{role}.lab.internal"


def names(role: Role) -> Names:
    """The resource names of a region, from the committed topology: the copy keeps that topology."""
    project = yaml.safe_load((CHECKOUT / "Pulumi.yaml").read_text())
    return Names(topology=Topology.model_validate(project["config"]["topology"]["value"]), role=role)


@dataclass(frozen=True, kw_only=True)
class ProjectFiles:
    """The configuration of the copy."""

    endpoint: str
    """URL of the AWS-compatible endpoint. The engine and the pods both use it."""

    zone_id: str
    kubeconfig: Path
    virtual_environment: str = sys.prefix
    """The Python environment that runs the program. The lab's has the program's requirements too, at the same pinned versions."""

    images: Mapping[str, str] | None = None
    """Image references by their key in the settings. None keeps the official images, for clusters that pull nothing."""

    kubelet_roots: Mapping[str, str] | None = None
    ttl: int = 60
    mode: str | None = None
    """`dns.mode` of the settings: how traffic moves to the other region. None leaves it to the tier."""

    check: Mapping[str, Any] | None = None
    """`dns.check` of the settings: the health check of a region's endpoint."""

    databases: tuple[Mapping[str, Any], ...] = ()
    """The databases that replace the committed ones; see `lab_database`."""

    tier: str | None = None
    targets: Mapping[str, str] | None = None
    probe: str | None = None
    """`failover.probe` of the settings: a URL that answers as long as the primary region serves."""

    workloads: tuple[Mapping[str, Any], ...] = ()
    """The workloads that replace the committed ones. The first one's check asks the application."""

    excluded: tuple[str, ...] = ()
    """Kinds that every backup leaves out, beside those of the program."""

    velero: Mapping[str, Any] = field(default_factory=dict)
    """Further keys of `velero` of the settings."""

    guard: bool = True
    """Whether the guard runs: it needs the image of the AWS CLI."""

    drills: Mapping[str, Any] = field(default_factory=lambda: OFF)
    """`drills` of the settings. Off by default: they need the images of the AWS CLI and of Python."""

    etcd: Mapping[str, Any] = field(default_factory=lambda: OFF)
    """Off by default: only real clusters have an etcd, and the images that take its snapshots."""

    @property
    def parts(self) -> tuple[Part, ...]:
        """The parts that call AWS from inside the clusters. Each needs an access key."""
        databases, etcd = bool(self.databases), self.etcd.get("enabled") is not False
        used: dict[Part, bool] = {
            "velero": True,
            "database": databases,
            "etcd": etcd,
            "freshness": databases,
            "guard": self.guard,
            "drills": self.drills.get("enabled") is not False,
            "drill-database": databases and self.drills.get("enabled") is not False,
        }
        return tuple(part for part, wanted in used.items() if wanted)


def lab_database(**changes: Any) -> dict[str, Any]:
    """The lab's database, as an entry of `databases` in Pulumi.yaml: one small instance. `changes` override its keys.

    It has no PodMonitor, because the lab's clusters have no Prometheus operator.
    """
    return {
        "name": "app-database",
        "namespace": "databases",
        "instances": 1,
        "image": "docker.io/local/postgresql:15.18",
        "storage": "1Gi",
        "walStorage": None,
        "storageClass": "gp3-encrypted",
        "resources": {"cpu": "100m", "memory": "256Mi"},
        "podMonitor": False,
        **changes,
    }


def create(directory: Path, files: ProjectFiles) -> None:
    """Write the copy into `directory`, and replace an older one. The stack files are replaced too, without their secrets."""
    directory.mkdir(parents=True, exist_ok=True)
    for name in PROGRAM:
        source, target = CHECKOUT / name, directory / name
        if source.is_dir():
            shutil.rmtree(target, ignore_errors=True)
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            target.parent.mkdir(exist_ok=True)
            shutil.copy2(source, target)
    (directory / "Pulumi.yaml").write_text(_dump(_project_file(files)))
    for role in ("primary", "secondary"):
        (directory / f"Pulumi.{role}.yaml").write_text(_dump({"config": _stack_file(role, files)}))


def _project_file(files: ProjectFiles) -> dict[str, Any]:
    project: dict[str, Any] = yaml.safe_load((CHECKOUT / "Pulumi.yaml").read_text())
    project["runtime"]["options"]["virtualenv"] = files.virtual_environment
    config = project["config"]
    # Both stacks of the lab have one backend, which the environment names.
    del config["topology"]["value"]["backends"]
    own = {"mode": files.mode, "check": files.check}
    config["dns"]["value"] |= {"zoneId": files.zone_id, "ttl": files.ttl, **{key: value for key, value in own.items() if value}}
    for backup in config["backups"]["value"] if files.excluded else ():
        backup["excludeResources"] = list(files.excluded)
    if files.workloads:
        config["workloads"]["value"] = [dict(workload) for workload in files.workloads]
    # With a database, a workload passes its check once it can write (/readyz); without one, as soon as it runs (/healthz).
    config["workloads"]["value"][0]["check"] = {"service": "shop", "path": "/readyz" if files.databases else "/healthz"}
    config["databases"]["value"] = [dict(database) for database in files.databases]
    config["etcd"] = {"value": dict(files.etcd)}
    config["guard"] = {"value": {"enabled": files.guard}}
    config["drills"] = {"value": dict(files.drills)}
    if files.images:
        config["images"] = {"value": dict(files.images)}
    if files.tier:
        config["tier"] = {"value": files.tier}
    if files.targets:
        config["targets"] = {"value": dict(files.targets)}
    if files.probe:
        # While nothing runs behind it, the lab's load balancer does not answer: it is a Service, and no machine of its own.
        config["failover"] = {"value": {"probe": files.probe, "control": f"{files.endpoint}/_lab/state"}}
    return project


def _stack_file(role: str, files: ProjectFiles) -> dict[str, Any]:
    committed = yaml.safe_load((CHECKOUT / f"Pulumi.{role}.yaml").read_text())["config"]
    own: dict[str, Any] = {
        # Pulumi's own settings of the committed stack file apply in the lab as well.
        **{key: value for key, value in committed.items() if key.startswith("pulumi:")},
        "k8s-dr:cluster": {
            "context": f"lab-{role}",
            "name": f"lab-{role}",
            "distribution": "self-managed",
            "kubeconfig": str(files.kubeconfig),
        },
        "k8s-dr:endpoint": load_balancer(role),
        "k8s-dr:peerReady": False,
        # Pods can assume IAM roles only on AWS. In the lab's clusters, they use access keys of IAM users.
        "k8s-dr:identity": "static",
        # This one key configures an AWS-compatible endpoint for the engine and for Velero.
        "k8s-dr:aws": {"endpoint": files.endpoint},
    }
    if files.kubelet_roots:
        own["k8s-dr:velero"] = {"kubeletRoot": files.kubelet_roots[role], **files.velero}
    return own


def _dump(document: Mapping[str, Any]) -> str:
    return yaml.safe_dump(dict(document), sort_keys=False, width=120)
