"""Snapshots of a self-managed control plane's etcd, in the region's bucket.

A CronJob runs the programs of official images: `etcdctl` takes the snapshot, `etcdutl` verifies it, the AWS CLI uploads it.
etcd's image holds its programs and nothing else, no shell and no `cp`, so its steps can pass on neither a file's name nor a
result. The snapshot therefore has a fixed name until it is uploaded, and the last step asks the API server for the log of
`etcdutl`, which tells the revision. Its account may read logs in its namespace and nothing else. Other ways were worse. etcd
itself answers with a later revision. A volume of the kubelet's logs has a place and format that differ by cluster. An image of
our own, with a shell in it, would have to be kept up to date.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pulumi
import pulumi_kubernetes as k8s

from components.iam.access import Access, key_environment, own_region
from components.iam.permissions import ServiceAccount
from components.kube.pods import admitted
from settings.durations import parse_duration
from settings.etcd import EtcdSettings
from settings.images import Images
from settings.names import EXCLUDED_FROM_BACKUP, PROGRAM_NAMESPACE, Names
from settings.pods import PodsSettings

NAME = "etcd-backup"
ETCD_NAMESPACE = "kube-system"
SERVICE_ACCOUNT = ServiceAccount(namespace=ETCD_NAMESPACE, name=NAME)
CREDENTIALS = "etcd-backup-credentials"
UPLOAD = (Path(__file__).parent / "etcd-upload.sh").read_text()
SINGLE_PUT = 5 * 1024**3
"""Bytes from which S3 takes an object in parts only. etcd's own limit is 8 GiB."""

_SCRIPT_PATH = "/scripts/etcd-upload.sh"
_PART_BYTES = 64 * 1024**2
_CONTROL_PLANE = "node-role.kubernetes.io/control-plane"
_LABELS = {"app.kubernetes.io/part-of": PROGRAM_NAMESPACE, "app.kubernetes.io/name": NAME, **EXCLUDED_FROM_BACKUP}


@dataclass(frozen=True, kw_only=True)
class EtcdBackupArgs:
    """Without a static key in `access`, the AWS CLI uses the service account's role or, if there is none, the node's."""

    names: Names
    settings: EtcdSettings
    cluster_name: str
    images: Images
    pods: PodsSettings = field(default_factory=PodsSettings)
    bucket: pulumi.Input[str]
    endpoint: str | None = None
    access: Access = field(default_factory=Access)


def metadata(name: str = NAME) -> dict[str, Any]:
    return {"name": name, "namespace": ETCD_NAMESPACE, "labels": _LABELS}


def account(role_arn: str | None) -> dict[str, Any]:
    """Metadata of the Jobs' service account."""
    return metadata() | ({"annotations": {"eks.amazonaws.com/role-arn": role_arn}} if role_arn else {})


def rules() -> list[dict[str, Any]]:
    """What that account may do. It may read the logs of all Pods in its namespace: RBAC cannot name the Job's own Pod, whose
    name is new each time."""
    return [{"apiGroups": [""], "resources": ["pods/log"], "verbs": ["get"]}]


def binding() -> dict[str, Any]:
    return {
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": NAME},
        "subjects": [{"kind": "ServiceAccount", "name": NAME, "namespace": ETCD_NAMESPACE}],
    }


def cron_job(args: EtcdBackupArgs) -> dict[str, Any]:
    """Spec of the CronJob. A step that fails ends its Pod, whose status has the error. The Job fails after three Pods."""
    settings = args.settings
    seconds = int(parse_duration(settings.timeout).total_seconds())
    return {
        "schedule": settings.cron,
        "timeZone": "Etc/UTC",
        "concurrencyPolicy": "Forbid",
        "startingDeadlineSeconds": 3600,
        "successfulJobsHistoryLimit": 3,
        "failedJobsHistoryLimit": 3,
        "jobTemplate": {
            "metadata": {"labels": _LABELS},
            "spec": {
                "backoffLimit": 2,
                "activeDeadlineSeconds": seconds,
                # Its nodes are those of the control plane, whatever nodes the others have.
                "template": admitted({"metadata": {"labels": _LABELS}, "spec": _pod(args, seconds)}, args.pods, nodes=False),
            },
        },
    }


def _pod(args: EtcdBackupArgs, seconds: int) -> dict[str, Any]:
    etcd, directory = args.images.etcd, {"name": "backups", "mountPath": args.settings.directory}
    snapshot = f"{args.settings.directory}/incoming.db"
    script = {"name": "script", "mountPath": "/scripts", "readOnly": True}
    certificates = {"name": "certificates", "mountPath": args.settings.certificates, "readOnly": True}
    # etcd's client retries for ever and buries the cause, so a first step checks that etcd can be reached.
    reach = _etcdctl(args.settings, "10s", "endpoint", "health")
    # The snapshot may take half of the Job's time, so that one that takes too long fails with an error before the Job ends.
    save = _etcdctl(args.settings, f"{seconds // 2}s", "snapshot", "save", snapshot)
    verify = ["etcdutl", "snapshot", "status", snapshot, "--write-out=json"]
    return {
        "serviceAccountName": NAME,
        "automountServiceAccountToken": False,
        "restartPolicy": "Never",
        "hostNetwork": True,
        "nodeSelector": {_CONTROL_PLANE: ""},
        "tolerations": [{"key": _CONTROL_PLANE, "operator": "Exists", "effect": "NoSchedule"}],
        "affinity": {"podAntiAffinity": _one_at_a_time()},
        # Only root may read the keys and the snapshots. Without capabilities root has the rights of their owner and no more.
        "securityContext": {"runAsUser": 0, "runAsGroup": 0, "seccompProfile": {"type": "RuntimeDefault"}},
        "initContainers": [
            _step("reach", etcd, reach, [certificates]),
            {
                **_step("clean", args.images.aws_cli, ["/bin/bash", _SCRIPT_PATH, "clean"], [directory, script]),
                "env": [
                    {"name": "DIRECTORY", "value": args.settings.directory},
                    {"name": "KEEP_SECONDS", "value": _keep_seconds(args)},
                ],
            },
            _step("save", etcd, save, [certificates, directory]),
            _step("verify", etcd, verify, [{**directory, "readOnly": True}]),
        ],
        "containers": [
            {
                **_step(
                    "upload",
                    args.images.aws_cli,
                    ["/bin/bash", _SCRIPT_PATH],
                    [
                        directory,
                        script,
                        {"name": "api", "mountPath": "/var/run/secrets/api", "readOnly": True},
                        {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108 - a path in a container
                    ],
                ),
                "env": _environment(args),
            }
        ],
        "volumes": [
            {"name": "certificates", "hostPath": {"path": args.settings.certificates, "type": "Directory"}},
            {"name": "backups", "hostPath": {"path": args.settings.directory, "type": "DirectoryOrCreate"}},
            {"name": "script", "configMap": {"name": NAME}},
            {"name": "api", "projected": {"sources": _api_access()}},
            {"name": "tmp", "emptyDir": {}},
        ],
    }


def _one_at_a_time() -> dict[str, Any]:
    """Anti-affinity by which a Pod waits until no other Pod of the backup runs, on whichever node. `Forbid` does not count a Job
    that somebody made by hand."""
    term = {"labelSelector": {"matchLabels": {"app.kubernetes.io/name": NAME}}, "topologyKey": "kubernetes.io/os"}
    return {"requiredDuringSchedulingIgnoredDuringExecution": [term]}


def _etcdctl(settings: EtcdSettings, timeout: str, *command: str) -> list[str]:
    return [
        "etcdctl",
        f"--endpoints={settings.endpoint}",
        f"--cacert={settings.certificates}/{settings.ca}",
        f"--cert={settings.certificates}/{settings.certificate}",
        f"--key={settings.certificates}/{settings.key}",
        f"--command-timeout={timeout}",
        *command,
    ]


def _step(name: str, image: str, command: Sequence[str], mounts: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """One container. If it fails, its Pod's status has its error."""
    return {
        "name": name,
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "command": list(command),
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "resources": {"requests": {"cpu": "50m", "memory": "64Mi"}, "limits": {"cpu": "1", "memory": "2Gi"}},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
        },
        "volumeMounts": list(mounts),
    }


def _keep_seconds(args: EtcdBackupArgs) -> str:
    return str(int(parse_duration(args.settings.keep_local).total_seconds()))


def _environment(args: EtcdBackupArgs) -> list[dict[str, Any]]:
    plain: dict[str, pulumi.Input[str]] = {
        "CLUSTER": re.sub(r"[^A-Za-z0-9.]+", "-", args.cluster_name),
        "BUCKET": args.bucket,
        "PREFIX": args.names.etcd_prefix,
        "DIRECTORY": args.settings.directory,
        "KEEP_SECONDS": _keep_seconds(args),
        "SINGLE_PUT": str(SINGLE_PUT),
        "PART": str(_PART_BYTES),
        "HOME": "/tmp",  # noqa: S108 - a path in a container
        **own_region(args.names),
    }
    if args.endpoint:
        plain["AWS_ENDPOINT_URL"] = args.endpoint
    pod_fields = {"POD_NAME": "metadata.name", "POD_NAMESPACE": "metadata.namespace"}
    return [
        *({"name": name, "value": value} for name, value in plain.items()),
        *({"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}} for name, path in pod_fields.items()),
        *(key_environment(CREDENTIALS) if credentials(args) else ()),
    ]


def _api_access() -> list[dict[str, Any]]:
    """Volume sources of the API server's token and CA. A Pod has them by default; here only the step that needs them does."""
    return [
        {"serviceAccountToken": {"path": "token", "expirationSeconds": 3600}},
        {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
    ]


def credentials(args: EtcdBackupArgs) -> dict[str, str] | None:
    """Data of the Secret with the static access key; None if there is no such key."""
    return args.access.key.secret_data() if args.access.key else None


class EtcdBackup(pulumi.ComponentResource):
    """The CronJob that backs up etcd, and what it needs.

    For whoever has to rebuild a control plane: docs/etcd.md. Each region backs up its own etcd, whichever region is active:
    nothing here depends on `active`.
    """

    def __init__(self, name: str, args: EtcdBackupArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("dr:etcd:EtcdBackup", name, None, opts)
        child = partial(pulumi.ResourceOptions, parent=self)
        needed: list[pulumi.Resource] = [
            *args.access.ready,
            k8s.core.v1.ServiceAccount(f"{name}-account", metadata=account(args.access.role_arn), opts=child()),
            k8s.rbac.v1.Role(f"{name}-role", metadata=metadata(), rules=rules(), opts=child()),
            k8s.rbac.v1.RoleBinding(
                f"{name}-binding",
                metadata=metadata(),
                role_ref=binding()["roleRef"],
                subjects=binding()["subjects"],
                opts=child(),
            ),
            k8s.core.v1.ConfigMap(f"{name}-script", metadata=metadata(), data={"etcd-upload.sh": UPLOAD}, opts=child()),
        ]
        if keys := credentials(args):
            secret = {key: pulumi.Output.secret(value) for key, value in keys.items()}
            needed.append(
                k8s.core.v1.Secret(f"{name}-credentials", metadata=metadata(CREDENTIALS), string_data=secret, opts=child())
            )
        k8s.batch.v1.CronJob(f"{name}-backup", metadata=metadata(), spec=cron_job(args), opts=child(depends_on=needed))
        self.register_outputs({})
