"""The lab's own copy of the Pulumi program, with stack files of its own: a committed file is never changed.

Only the configuration differs from what a person would deploy: contexts of the lab's clusters, images that the lab made, and
an AWS-compatible endpoint. The program, byte for byte, is the one in the checkout.
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

PROGRAM = ("__main__.py", "settings", "components", "charts", "requirements.txt")
NAME = "app.example.com"
ZONE = "example.com"


def load_balancer(role: str) -> str:
    """The DNS name of a region's load balancer, which the lab's name server knows by itself."""
    return f"lb-{role}.lab.internal"


def names(role: Role) -> Names:
    """Of the committed topology, which the copy keeps."""
    project = yaml.safe_load((CHECKOUT / "Pulumi.yaml").read_text())
    return Names(topology=Topology.model_validate(project["config"]["topology"]["value"]), role=role)


@dataclass(frozen=True, kw_only=True)
class ProjectFiles:
    """What the copy is configured with."""

    endpoint: str
    """URL of the AWS-compatible endpoint, for the engine and for pods alike."""

    zone_id: str
    kubeconfig: Path
    images: Mapping[str, str] | None = None
    """The settings' image keys and references; None keeps the official ones (where nothing pulls them)."""

    kubelet_roots: Mapping[str, str] | None = None
    ttl: int = 60
    mode: str | None = None
    """How the traffic moves: `dns.mode` of the settings; None leaves it to the tier."""

    check: Mapping[str, Any] | None = None
    """What a region's endpoint is asked: `dns.check` of the settings."""

    databases: tuple[Mapping[str, Any], ...] = ()
    """In place of the committed ones; see `lab_database`."""

    tier: str | None = None
    targets: Mapping[str, str] | None = None
    probe: str | None = None
    """`failover.probe` of the settings: what answers while the primary region serves."""

    etcd: Mapping[str, Any] = field(default_factory=lambda: {"enabled": False})
    """Off by itself: the images that take snapshots, and an etcd to take them of, are only where real clusters run."""

    @property
    def parts(self) -> tuple[Part, ...]:
        """What asks AWS for something from within the clusters."""
        used: dict[Part, bool] = {"velero": True, "database": bool(self.databases), "etcd": self.etcd.get("enabled") is not False}
        return tuple(part for part, wanted in used.items() if wanted)


def lab_database(**changes: Any) -> dict[str, Any]:
    """The database of the lab as Pulumi.yaml would have it: one small instance, `changes` over that.

    Without a PodMonitor, for the lab's clusters have no Prometheus operator.
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
    """Make the copy anew. Stacks, state and secrets live in the backend and in the stack files, so it may be repeated."""
    directory.mkdir(parents=True, exist_ok=True)
    for name in PROGRAM:
        source, target = CHECKOUT / name, directory / name
        if source.is_dir():
            shutil.rmtree(target, ignore_errors=True)
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy2(source, target)
    (directory / "Pulumi.yaml").write_text(_dump(_project_file(files)))
    for role in ("primary", "secondary"):
        (directory / f"Pulumi.{role}.yaml").write_text(_dump({"config": _stack_file(role, files)}))


def _project_file(files: ProjectFiles) -> dict[str, Any]:
    project: dict[str, Any] = yaml.safe_load((CHECKOUT / "Pulumi.yaml").read_text())
    # The environment that runs the lab has the program's requirements too, at the same pinned versions.
    project["runtime"]["options"]["virtualenv"] = sys.prefix
    config = project["config"]
    own = {"mode": files.mode, "check": files.check}
    config["dns"]["value"] |= {"zoneId": files.zone_id, "ttl": files.ttl, **{key: value for key, value in own.items() if value}}
    for workload in config["workloads"]["value"]:
        # Ready is what can write; healthy what runs.
        workload["check"] = {"service": "shop", "path": "/readyz" if files.databases else "/healthz"}
    config["databases"]["value"] = [dict(database) for database in files.databases]
    config["etcd"] = {"value": dict(files.etcd)}
    if files.images:
        config["images"] = {"value": dict(files.images)}
    if files.tier:
        config["tier"] = {"value": files.tier}
    if files.targets:
        config["targets"] = {"value": dict(files.targets)}
    if files.probe:
        config["failover"] = {"value": {"probe": files.probe}}
    return project


def _stack_file(role: str, files: ProjectFiles) -> dict[str, Any]:
    committed = yaml.safe_load((CHECKOUT / f"Pulumi.{role}.yaml").read_text())["config"]
    own: dict[str, Any] = {
        # What is Pulumi's own holds here as it does for users.
        **{key: value for key, value in committed.items() if key.startswith("pulumi:")},
        "k8s-dr:cluster": {
            "context": f"lab-{role}",
            "name": f"lab-{role}",
            "distribution": "self-managed",
            "kubeconfig": str(files.kubeconfig),
        },
        "k8s-dr:endpoint": load_balancer(role),
        "k8s-dr:peerReady": False,
        # Clusters that are nowhere near AWS have no roles: their pods bring access keys of IAM users.
        "k8s-dr:identity": "static",
        # How an S3-compatible, AWS-compatible endpoint is configured: this one key, for the engine and for Velero.
        "k8s-dr:aws": {"endpoint": files.endpoint},
    }
    if files.kubelet_roots:
        own["k8s-dr:velero"] = {"kubeletRoot": files.kubelet_roots[role]}
    return own


def _dump(document: Mapping[str, Any]) -> str:
    return yaml.safe_dump(dict(document), sort_keys=False, width=120)
