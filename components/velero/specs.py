"""The Kubernetes objects of a Velero installation, as plain data.

They are what `velero install` of the pinned version creates. A contract test compares them with that binary's own `--dry-run`
output and lists each difference with its reason.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from hashlib import sha256
from typing import Any

from components.iam.access import own_region
from components.iam.permissions import ServiceAccount
from components.kube.pods import CONTAINER_SECURITY, admitted, pod_metadata, pod_security
from settings.images import Images
from settings.names import Names, fitting
from settings.pods import PodsSettings
from settings.roles import Role
from settings.velero import VeleroSettings
from settings.volumes import DataMovers, SnapshotClass, Toleration

VELERO_NAMESPACE = "velero"
SERVICE_ACCOUNT = ServiceAccount(namespace=VELERO_NAMESPACE, name="velero")
OWN, PEER = "own", "peer"
"""Names of the two backup locations: that of the region's own backups, and that of the peer's, which S3 replicates."""

PEER_READ = "30s"
"""How long ago the peer's location must have been read at least, for Velero to read it again.

Velero looks once a minute whether it is time (backup_sync_controller.go), and no shorter period makes it look more often. But by
its default of a minute it looks too early by the time that the reading took, skips that minute, and reads every second one: a
planned switchover would wait up to two minutes for the last backups. A reading is one LIST of the bucket."""

NODE_AGENT_CONFIG = "node-agent-config"
"""ConfigMap of the node agent's configuration."""

REPOSITORY_PASSWORD = "velero-repo-credentials"  # noqa: S105 - the name of a Secret
"""Secret of the password by which the repositories of volumes are encrypted."""

COMPONENT = {"component": "velero"}
_VELERO_USER = 65532
_LINUX = {
    "nodeAffinity": {
        "requiredDuringSchedulingIgnoredDuringExecution": {
            "nodeSelectorTerms": [{"matchExpressions": [{"key": "kubernetes.io/os", "operator": "NotIn", "values": ["windows"]}]}]
        }
    }
}
_NAMESPACE_OF_POD = {"name": "VELERO_NAMESPACE", "valueFrom": {"fieldRef": {"fieldPath": "metadata.namespace"}}}


def namespace_labels(pods: PodsSettings) -> dict[str, str]:
    """Labels of the namespace: those of all namespaces of the program, and such as make Pod Security admission allow host paths,
    which Velero's node agent needs."""
    levels = {f"pod-security.kubernetes.io/{mode}": "privileged" for mode in ("enforce", "audit", "warn")}
    return {**pods.namespace_labels, **COMPONENT, **levels, **{f"{label}-version": "latest" for label in levels}}


def service_account(role_arn: str | None) -> dict[str, Any]:
    annotations = {"annotations": {"eks.amazonaws.com/role-arn": role_arn}} if role_arn else {}
    return {"name": SERVICE_ACCOUNT.name, "namespace": VELERO_NAMESPACE, "labels": COMPONENT, **annotations}


def binding() -> dict[str, Any]:
    """Velero's role: it restores anything, so it may do anything."""
    return {
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
        "subjects": [{"kind": "ServiceAccount", "name": SERVICE_ACCOUNT.name, "namespace": VELERO_NAMESPACE}],
    }


def _aws(names: Names, *, static: bool) -> tuple[list[Any], list[Any], list[Any]]:
    """Environment, mounts and volumes by which the SDK reaches AWS. There is a credentials file only where one is needed: it
    would override a role. The node agent's Pods that move data get its environment."""
    environment = [{"name": name, "value": value} for name, value in own_region(names).items()]
    if not static:
        return environment, [], []
    return (
        [*environment, {"name": "AWS_SHARED_CREDENTIALS_FILE", "value": "/credentials/cloud"}],
        [{"name": "cloud-credentials", "mountPath": "/credentials"}],
        [{"name": "cloud-credentials", "secret": {"secretName": "cloud-credentials"}}],
    )


def deployment(
    names: Names, images: Images, settings: VeleroSettings, *, static_credentials: bool, pods: PodsSettings
) -> dict[str, Any]:
    """Spec of the server's Deployment."""
    resources = settings.resources
    environment, mounts, volumes = _aws(names, static=static_credentials)
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
            f"--default-item-operation-timeout={settings.move_timeout}",
            f"--client-qps={settings.client_qps}",
            f"--client-burst={settings.client_qps}",
        ],
        "env": [
            {"name": "VELERO_SCRATCH_DIR", "value": "/scratch"},
            _NAMESPACE_OF_POD,
            {"name": "LD_LIBRARY_PATH", "value": "/plugins"},
            {"name": "HOME", "value": "/scratch"},
            *environment,
        ],
        "ports": [{"name": "metrics", "containerPort": 8085}],
        "resources": {
            "requests": {"cpu": resources.cpu, "memory": resources.memory},
            "limits": {"cpu": resources.cpu_limit, "memory": resources.memory_limit},
        },
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
    template = {
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
            **({"nodeSelector": pods.node_selector} if pods.node_selector else {}),
            "initContainers": [plugin],
            "containers": [server],
            "volumes": [
                {"name": "plugins", "emptyDir": {}},
                {"name": "scratch", "emptyDir": {}},
                {"name": "tmp", "emptyDir": {}},
                *volumes,
            ],
        },
    }
    return {
        "replicas": 1,
        "selector": {"matchLabels": {"deploy": "velero"}},
        # The affinity says already that the node has Linux.
        "template": admitted(template, pods, more=settings.tolerations, nodes=False),
    }


def node_agent_config(movers: DataMovers) -> dict[str, str]:
    """Data of the node agent's ConfigMap. It reads one key, whatever its name."""
    return {"node-agent.json": json.dumps(movers.as_node_agent_reads_it())}


def node_agent(
    names: Names, images: Images, settings: VeleroSettings, *, static_credentials: bool, pods: PodsSettings
) -> dict[str, Any]:
    """Spec of the node agent's DaemonSet, whose data movers carry volumes' data. It runs on every node that has volumes, whatever
    nodes the other Pods have."""
    environment, mounts, volumes = _aws(names, static=static_credentials)
    agent = {
        "name": "node-agent",
        "image": images.velero,
        "imagePullPolicy": "IfNotPresent",
        "command": ["/velero"],
        "args": [
            "node-agent",
            "server",
            "--features=EnableCSI",
            f"--node-agent-configmap={NODE_AGENT_CONFIG}",
            f"--data-mover-prepare-timeout={settings.prepare_timeout}",
        ],
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
    template = {
        "metadata": {
            "labels": {**COMPONENT, "name": "node-agent", "role": "node-agent"},
            # The node agent reads its configuration when it starts, so a changed one must start it anew.
            "annotations": {"k8s-dr/configuration": digest(node_agent_config(settings.data_movers))},
        },
        "spec": {
            "serviceAccountName": SERVICE_ACCOUNT.name,
            "os": {"name": "linux"},
            "affinity": _LINUX,
            "securityContext": {"runAsUser": 0},
            "containers": [agent],
            "volumes": [
                {"name": "host-pods", "hostPath": {"path": f"{settings.kubelet_root}/pods"}},
                {"name": "host-plugins", "hostPath": {"path": f"{settings.kubelet_root}/plugins"}},
                {"name": "scratch", "emptyDir": {}},
                *volumes,
            ],
        },
    }
    return {
        "selector": {"matchLabels": {"name": "node-agent"}},
        "template": admitted(template, pods, more=settings.tolerations, nodes=False),
    }


def digest(data: dict[str, str]) -> str:
    """A short text that changes with the data of a ConfigMap."""
    return sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()[:12]


def snapshot_class(settings: SnapshotClass) -> dict[str, Any]:
    """The VolumeSnapshotClass that Velero finds by its label. A snapshot lives until its data are in S3, and no longer."""
    return {
        "apiVersion": "snapshot.storage.k8s.io/v1",
        "kind": "VolumeSnapshotClass",
        "metadata": {"name": "k8s-dr", "labels": {**COMPONENT, "velero.io/csi-volumesnapshot-class": "true"}},
        "driver": settings.driver,
        "deletionPolicy": "Delete",
    }


def network_policy() -> dict[str, Any]:
    """Spec of the policy that lets every Pod of Velero's namespace reach everything. It says nothing about who may reach them."""
    return {"podSelector": {}, "policyTypes": ["Egress"], "egress": [{}]}


def crd_job_name(image: str) -> str:
    """Name of the CRD installer's Job. It has the image's version in it, so that an upgrade runs the Job again. It has no dots,
    because the Job's Pods take it as their host name."""
    tag = image.partition("@")[0].rpartition(":")[2]
    return fitting(f"velero-crds-{re.sub(r'[^a-z0-9]+', '-', tag.lower()).strip('-')}")


def crd_job(image: str, tolerations: Sequence[Toleration] = (), pods: PodsSettings | None = None) -> dict[str, Any]:
    """Spec of the Job that installs and upgrades Velero's CRDs as the pinned image has them. No Pulumi command deletes them."""
    installer = {
        "name": "crds",
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["/velero"],
        "args": ["install", "--crds-only", "--apply"],
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "resources": {"requests": {"cpu": "50m", "memory": "128Mi"}, "limits": {"cpu": "1", "memory": "256Mi"}},
        "securityContext": CONTAINER_SECURITY,
    }
    template = {
        "metadata": pod_metadata({**COMPONENT, "job": "crds"}),
        "spec": {
            "serviceAccountName": SERVICE_ACCOUNT.name,
            "restartPolicy": "Never",
            "securityContext": pod_security(_VELERO_USER),
            "containers": [installer],
        },
    }
    return {
        "backoffLimit": 3,
        "activeDeadlineSeconds": 300,
        "template": admitted(template, pods or PodsSettings(), more=tolerations),
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
        **({} if own else {"backupSyncPeriod": PEER_READ}),
        "default": own,
        "accessMode": "ReadWrite" if own else "ReadOnly",
        "objectStorage": {"bucket": bucket, "prefix": names.velero_prefix(role)},
        "config": config,
    }
