"""Velero on one cluster, by plain resources, and the two places it reads backups from.

Not by its chart: a chart is resolved on every preview and every `up`, so its repository would be needed at 3 a.m., and a
reviewer should see every object. What stands here is what `velero install` of the pinned version creates; a contract test
holds it against that binary's own `--dry-run` output and lists each difference with its reason.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import pulumi
import pulumi_kubernetes as k8s
from pydantic import SecretStr

from components.access import Access
from settings.images import Images
from settings.model import VeleroSettings
from settings.names import Names, fitting
from settings.roles import Role, peer_of

NAMESPACE = "velero"
ACCOUNT = "velero"
OWN, PEER = "own", "peer"

_COMPONENT = {"component": "velero"}
_LINUX = {
    "nodeAffinity": {
        "requiredDuringSchedulingIgnoredDuringExecution": {
            "nodeSelectorTerms": [{"matchExpressions": [{"key": "kubernetes.io/os", "operator": "NotIn", "values": ["windows"]}]}]
        }
    }
}
_NAMESPACE_OF_POD = {"name": "VELERO_NAMESPACE", "valueFrom": {"fieldRef": {"fieldPath": "metadata.namespace"}}}


@dataclass(frozen=True, kw_only=True)
class VeleroArgs:
    """`repository_password` must be the same in both regions, or neither can read the other's volume backups."""

    names: Names
    settings: VeleroSettings
    images: Images
    bucket: pulumi.Input[str]
    bucket_ready: Sequence[pulumi.Resource]
    repository_password: SecretStr
    access: Access = field(default_factory=Access)
    endpoint: str | None = None
    locked: bool = False
    """The bucket has Object Lock."""


def namespace_labels() -> dict[str, str]:
    """Velero's node agent needs host paths: the namespace says so to Pod Security admission."""
    levels = {f"pod-security.kubernetes.io/{mode}": "privileged" for mode in ("enforce", "audit", "warn")}
    return {**_COMPONENT, **levels, **{f"{label}-version": "latest" for label in levels}}


def service_account(role_arn: str | None) -> dict[str, Any]:
    annotations = {"annotations": {"eks.amazonaws.com/role-arn": role_arn}} if role_arn else {}
    return {"name": ACCOUNT, "namespace": NAMESPACE, "labels": _COMPONENT, **annotations}


def binding() -> dict[str, Any]:
    """Velero restores anything, so it may do anything."""
    return {
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
        "subjects": [{"kind": "ServiceAccount", "name": ACCOUNT, "namespace": NAMESPACE}],
    }


def _static_credentials(static: bool) -> tuple[list[Any], list[Any], list[Any]]:
    """Environment, mounts and volumes of a credentials file; only where it is needed, for it would switch roles off."""
    if not static:
        return [], [], []
    return (
        [{"name": "AWS_SHARED_CREDENTIALS_FILE", "value": "/credentials/cloud"}],
        [{"name": "cloud-credentials", "mountPath": "/credentials"}],
        [{"name": "cloud-credentials", "secret": {"secretName": "cloud-credentials"}}],
    )


def deployment(images: Images, *, static_credentials: bool) -> dict[str, Any]:
    """Spec of the server's Deployment."""
    environment, mounts, volumes = _static_credentials(static_credentials)
    server = {
        "name": "velero",
        "image": images.velero,
        "imagePullPolicy": "IfNotPresent",
        "command": ["/velero"],
        "args": [
            "server",
            "--features=EnableCSI",
            f"--default-backup-storage-location={OWN}",
            "--default-snapshot-move-data=true",
            "--uploader-type=kopia",
        ],
        "env": [
            {"name": "VELERO_SCRATCH_DIR", "value": "/scratch"},
            _NAMESPACE_OF_POD,
            {"name": "LD_LIBRARY_PATH", "value": "/plugins"},
            {"name": "HOME", "value": "/scratch"},
            *environment,
        ],
        "ports": [{"name": "metrics", "containerPort": 8085}],
        "resources": {"requests": {"cpu": "500m", "memory": "128Mi"}, "limits": {"cpu": "1", "memory": "512Mi"}},
        "volumeMounts": [
            {"name": "plugins", "mountPath": "/plugins"},
            {"name": "scratch", "mountPath": "/scratch"},
            {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108 - a path in a container
            *mounts,
        ],
    }
    plugin = {
        "name": "velero-plugin-for-aws",
        "image": images.velero_plugin_for_aws,
        "imagePullPolicy": "IfNotPresent",
        "volumeMounts": [{"name": "plugins", "mountPath": "/target"}],
    }
    return {
        "replicas": 1,
        "selector": {"matchLabels": {"deploy": "velero"}},
        "template": {
            "metadata": {
                "labels": {**_COMPONENT, "deploy": "velero"},
                "annotations": {
                    "prometheus.io/path": "/metrics",
                    "prometheus.io/port": "8085",
                    "prometheus.io/scrape": "true",
                },
            },
            "spec": {
                "serviceAccountName": ACCOUNT,
                "os": {"name": "linux"},
                "affinity": _LINUX,
                "initContainers": [plugin],
                "containers": [server],
                "volumes": [
                    {"name": "plugins", "emptyDir": {}},
                    {"name": "scratch", "emptyDir": {}},
                    {"name": "tmp", "emptyDir": {}},
                    *volumes,
                ],
            },
        },
    }


def node_agent(images: Images, kubelet_root: str, *, static_credentials: bool) -> dict[str, Any]:
    """Spec of the node agent's DaemonSet, which moves volume data."""
    environment, mounts, volumes = _static_credentials(static_credentials)
    agent = {
        "name": "node-agent",
        "image": images.velero,
        "imagePullPolicy": "IfNotPresent",
        "command": ["/velero"],
        "args": ["node-agent", "server", "--features=EnableCSI"],
        "env": [
            {"name": "NODE_NAME", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}},
            _NAMESPACE_OF_POD,
            {"name": "VELERO_SCRATCH_DIR", "value": "/scratch"},
            *environment,
        ],
        "ports": [{"name": "metrics", "containerPort": 8085}],
        "securityContext": {"privileged": False},
        "volumeMounts": [
            {"name": "host-pods", "mountPath": "/host_pods", "mountPropagation": "HostToContainer"},
            {"name": "host-plugins", "mountPath": "/var/lib/kubelet/plugins", "mountPropagation": "HostToContainer"},
            {"name": "scratch", "mountPath": "/scratch"},
            *mounts,
        ],
    }
    return {
        "selector": {"matchLabels": {"name": "node-agent"}},
        "template": {
            "metadata": {"labels": {**_COMPONENT, "name": "node-agent", "role": "node-agent"}},
            "spec": {
                "serviceAccountName": ACCOUNT,
                "os": {"name": "linux"},
                "affinity": _LINUX,
                "securityContext": {"runAsUser": 0},
                "containers": [agent],
                "volumes": [
                    {"name": "host-pods", "hostPath": {"path": f"{kubelet_root}/pods"}},
                    {"name": "host-plugins", "hostPath": {"path": f"{kubelet_root}/plugins"}},
                    {"name": "scratch", "emptyDir": {}},
                    *volumes,
                ],
            },
        },
    }


def crd_job_name(image: str) -> str:
    """The CRD installer's Job carries the version, so that an upgrade runs it again. No dots: its pods take it as a host name."""
    tag = image.partition("@")[0].rpartition(":")[2]
    return fitting(f"velero-crds-{re.sub(r'[^a-z0-9]+', '-', tag.lower()).strip('-')}")


def crd_job(image: str) -> dict[str, Any]:
    """Spec of the Job that installs and upgrades Velero's CRDs as the pinned image brings them. They are nobody's to delete."""
    installer = {
        "name": "crds",
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["/velero"],
        "args": ["install", "--crds-only", "--apply"],
    }
    return {
        "backoffLimit": 3,
        "activeDeadlineSeconds": 300,
        "template": {
            "metadata": {"labels": {**_COMPONENT, "job": "crds"}},
            "spec": {"serviceAccountName": ACCOUNT, "restartPolicy": "Never", "containers": [installer]},
        },
    }


def location(args: VeleroArgs, role: Role) -> dict[str, Any]:
    """Spec of the place where region `role`'s backups are, in the *local* bucket: its own, or the replica of the peer's."""
    names, config = args.names, {"region": args.names.region}
    if args.endpoint:
        # An S3-compatible store: found by URL and path.
        config |= {"s3Url": args.endpoint, "s3ForcePathStyle": "true"}
        # Not every one knows AWS's newer checksums; one that locks takes nothing without.
        config |= {} if args.locked else {"checksumAlgorithm": ""}
    own = role == names.role
    return {
        "provider": "aws",
        "default": own,
        "accessMode": "ReadWrite" if own else "ReadOnly",
        "objectStorage": {"bucket": args.bucket, "prefix": names.velero_prefix(role)},
        "config": config,
    }


class Velero(pulumi.ComponentResource):
    """Velero's server, node agent and CRDs in one cluster, and the locations `own` and `peer` on the region's own bucket.

    For both regions alike and whoever is active: the serving region backs up to `own`, the other reads what S3 replication
    brought to `peer`, which is read-only. Both locations are in the region itself, so a restore asks nothing of a region
    that is dead. `managed: false` leaves the installation to whoever did it and adds the locations alone.
    """

    ready: list[pulumi.Resource]
    """What schedules and restores need: the server and both locations."""

    def __init__(self, name: str, args: VeleroArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("dr:velero:Velero", name, None, opts)
        child = partial(pulumi.ResourceOptions, parent=self)
        self._stem, self._args = name, args
        installed = self._install() if args.settings.managed else []
        locations = [
            k8s.apiextensions.CustomResource(
                f"{name}-{location_name}",
                api_version="velero.io/v1",
                kind="BackupStorageLocation",
                metadata={
                    "name": location_name,
                    "namespace": NAMESPACE,
                    "annotations": {"pulumi.com/waitFor": "jsonpath={.status.phase}=Available"},
                },
                spec=location(args, role),
                opts=child(depends_on=[*installed, *args.bucket_ready], custom_timeouts=pulumi.CustomTimeouts(create="5m")),
            )
            for location_name, role in ((OWN, args.names.role), (PEER, peer_of(args.names.role)))
        ]
        self.ready = [*installed, *locations]
        self.register_outputs({})

    def _install(self) -> list[pulumi.Resource]:
        name, args = self._stem, self._args
        child = partial(pulumi.ResourceOptions, parent=self)
        namespace = k8s.core.v1.Namespace(
            f"{name}-namespace",
            metadata={"name": NAMESPACE, "labels": namespace_labels()},
            opts=child(protect=True, retain_on_delete=True),
        )
        inside = partial(child, depends_on=[namespace])
        account = k8s.core.v1.ServiceAccount(f"{name}-account", metadata=service_account(args.access.role_arn), opts=inside())
        admin = k8s.rbac.v1.ClusterRoleBinding(
            f"{name}-admin",
            metadata={"name": "velero", "labels": _COMPONENT},
            role_ref=binding()["roleRef"],
            subjects=binding()["subjects"],
            opts=inside(),
        )
        # Before the server's first start, which else creates it with a password that everybody knows. Losing it would
        # be losing every volume backup, and it cannot be changed afterwards.
        password = k8s.core.v1.Secret(
            f"{name}-repository-password",
            metadata={"name": "velero-repo-credentials", "namespace": NAMESPACE},
            string_data={"repository-password": pulumi.Output.secret(args.repository_password.get_secret_value())},
            opts=inside(retain_on_delete=True),
        )
        prerequisites: list[pulumi.Resource] = [account, admin, password]
        static = args.access.key is not None
        if key := args.access.key:
            file = (
                f"[default]\naws_access_key_id={key.access_key_id.get_secret_value()}\n"
                f"aws_secret_access_key={key.secret_access_key.get_secret_value()}\n"
            )
            prerequisites.append(
                k8s.core.v1.Secret(
                    f"{name}-credentials",
                    metadata={"name": "cloud-credentials", "namespace": NAMESPACE},
                    string_data={"cloud": pulumi.Output.secret(file)},
                    opts=inside(),
                )
            )
        crds = k8s.batch.v1.Job(
            f"{name}-crds",
            metadata={
                "name": crd_job_name(args.images.velero),
                "namespace": NAMESPACE,
                "labels": _COMPONENT,
                "annotations": {"pulumi.com/replaceUnready": "true"},
            },
            spec=crd_job(args.images.velero),
            opts=child(depends_on=[account, admin]),
        )
        running = partial(child, depends_on=[crds, *prerequisites, *args.access.ready])
        server = k8s.apps.v1.Deployment(
            f"{name}-server",
            metadata={"name": "velero", "namespace": NAMESPACE, "labels": _COMPONENT},
            spec=deployment(args.images, static_credentials=static),
            opts=running(),
        )
        agent = k8s.apps.v1.DaemonSet(
            f"{name}-node-agent",
            metadata={"name": "node-agent", "namespace": NAMESPACE, "labels": _COMPONENT},
            spec=node_agent(args.images, args.settings.kubelet_root, static_credentials=static),
            opts=running(),
        )
        return [server, agent]
