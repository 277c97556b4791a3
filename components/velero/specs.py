"""The Kubernetes objects of a Velero installation, as plain data.

They are what `velero install` of the pinned version creates. A contract test compares them with that binary's own `--dry-run`
output and lists each difference with its reason.
"""

from __future__ import annotations

import re
from typing import Any

from components.iam.permissions import ServiceAccount
from settings.images import Images
from settings.names import Names, fitting
from settings.roles import Role

VELERO_NAMESPACE = "velero"
SERVICE_ACCOUNT = ServiceAccount(namespace=VELERO_NAMESPACE, name="velero")
OWN, PEER = "own", "peer"
"""Names of the two backup locations: that of the region's own backups, and that of the peer's, which S3 replicates."""

COMPONENT = {"component": "velero"}
_LINUX = {
    "nodeAffinity": {
        "requiredDuringSchedulingIgnoredDuringExecution": {
            "nodeSelectorTerms": [{"matchExpressions": [{"key": "kubernetes.io/os", "operator": "NotIn", "values": ["windows"]}]}]
        }
    }
}
_NAMESPACE_OF_POD = {"name": "VELERO_NAMESPACE", "valueFrom": {"fieldRef": {"fieldPath": "metadata.namespace"}}}


def namespace_labels() -> dict[str, str]:
    """Labels that make Pod Security admission allow host paths in the namespace, which Velero's node agent needs."""
    levels = {f"pod-security.kubernetes.io/{mode}": "privileged" for mode in ("enforce", "audit", "warn")}
    return {**COMPONENT, **levels, **{f"{label}-version": "latest" for label in levels}}


def service_account(role_arn: str | None) -> dict[str, Any]:
    annotations = {"annotations": {"eks.amazonaws.com/role-arn": role_arn}} if role_arn else {}
    return {"name": SERVICE_ACCOUNT.name, "namespace": VELERO_NAMESPACE, "labels": COMPONENT, **annotations}


def binding() -> dict[str, Any]:
    """Velero's role: it restores anything, so it may do anything."""
    return {
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
        "subjects": [{"kind": "ServiceAccount", "name": SERVICE_ACCOUNT.name, "namespace": VELERO_NAMESPACE}],
    }


def _static_credentials(static: bool) -> tuple[list[Any], list[Any], list[Any]]:
    """Environment, mounts and volumes of a credentials file. Empty where none is needed: the file would override a role."""
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
                "labels": {**COMPONENT, "deploy": "velero"},
                "annotations": {
                    "prometheus.io/path": "/metrics",
                    "prometheus.io/port": "8085",
                    "prometheus.io/scrape": "true",
                },
            },
            "spec": {
                "serviceAccountName": SERVICE_ACCOUNT.name,
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
            "metadata": {"labels": {**COMPONENT, "name": "node-agent", "role": "node-agent"}},
            "spec": {
                "serviceAccountName": SERVICE_ACCOUNT.name,
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
    """Name of the CRD installer's Job. It has the image's version in it, so that an upgrade runs the Job again. It has no dots,
    because the Job's Pods take it as their host name."""
    tag = image.partition("@")[0].rpartition(":")[2]
    return fitting(f"velero-crds-{re.sub(r'[^a-z0-9]+', '-', tag.lower()).strip('-')}")


def crd_job(image: str) -> dict[str, Any]:
    """Spec of the Job that installs and upgrades Velero's CRDs as the pinned image has them. No Pulumi command deletes them."""
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
            "metadata": {"labels": {**COMPONENT, "job": "crds"}},
            "spec": {"serviceAccountName": SERVICE_ACCOUNT.name, "restartPolicy": "Never", "containers": [installer]},
        },
    }


def location(names: Names, role: Role, bucket: Any, *, endpoint: str | None = None, locked: bool = False) -> dict[str, Any]:
    """Spec of the location of region `role`'s backups in the *local* bucket: its own backups, or the peer's replicated ones.

    `endpoint` is the URL of an S3-compatible store. `locked` says that the bucket has Object Lock.
    """
    config = {"region": names.region}
    if endpoint:
        # Velero finds an S3-compatible store by URL and path.
        config |= {"s3Url": endpoint, "s3ForcePathStyle": "true"}
        # Not every store knows AWS's newer checksums, but a bucket with Object Lock takes nothing without them.
        config |= {} if locked else {"checksumAlgorithm": ""}
    own = role == names.role
    return {
        "provider": "aws",
        "default": own,
        "accessMode": "ReadWrite" if own else "ReadOnly",
        "objectStorage": {"bucket": bucket, "prefix": names.velero_prefix(role)},
        "config": config,
    }
