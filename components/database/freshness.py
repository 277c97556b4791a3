"""A CronJob that marks how fresh this region's archives are and, in the secondary, when the primary last answered.

The peer's gate judges by both. The CronJob runs `freshness.sh` in the AWS CLI's image, and may write the marks and nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pulumi
import pulumi_kubernetes as k8s

from components.iam.access import Access, key_environment, own_region
from components.iam.permissions import ServiceAccount
from components.kube.pods import CONTAINER_SECURITY, admitted, pod_metadata, pod_security
from components.kube.records import FRESHNESS_RECORD
from settings.names import ARCHIVE_PREFIX, EXCLUDED_FROM_BACKUP, FRESHNESS_PREFIX, PROGRAM_NAMESPACE, Names
from settings.pods import PodsSettings

NAME = "freshness"
SERVICE_ACCOUNT = ServiceAccount(namespace=PROGRAM_NAMESPACE, name=NAME)
CREDENTIALS = "freshness-credentials"
SCRIPT = (Path(__file__).parent / "freshness.sh").read_text()
AT_ONCE = 4
"""Servers that the script marks side by side."""

EVERY = 120
"""Seconds from one round to the next."""

DEADLINE = 110
"""Seconds of one round, so that it ends before the next begins."""

TURN = 618034
"""Millionths of all servers by which each round begins later than the one before, as in the script, which says why."""

_SCRIPT_NAME = "freshness-script"
_USER = 65532
_LABELS = {"app.kubernetes.io/part-of": PROGRAM_NAMESPACE, "app.kubernetes.io/name": NAME, **EXCLUDED_FROM_BACKUP}


@dataclass(frozen=True, kw_only=True)
class FreshnessArgs:
    """`servers` are the names that this region archives under. `probe` is the URL that answers while the primary serves; None in
    the primary. Without a static key in `access`, the AWS CLI uses the service account's role or, without one, the node's."""

    names: Names
    servers: Sequence[str]
    probe: str | None
    image: str
    pods: PodsSettings = field(default_factory=PodsSettings)
    endpoint: str | None = None
    access: Access = field(default_factory=Access)


def metadata(name: str = NAME) -> dict[str, Any]:
    return {"name": name, "namespace": PROGRAM_NAMESPACE, "labels": _LABELS}


def rules() -> list[dict[str, Any]]:
    """What the account may do in the cluster: change the one record."""
    return [{"apiGroups": [""], "resources": ["configmaps"], "resourceNames": [FRESHNESS_RECORD], "verbs": ["get", "patch"]}]


def cron_job(args: FreshnessArgs) -> dict[str, Any]:
    """Spec of the CronJob. A run that fails is not repeated: the next one comes two minutes later."""
    return {
        "schedule": "*/2 * * * *",
        "timeZone": "Etc/UTC",
        "concurrencyPolicy": "Forbid",
        "startingDeadlineSeconds": 60,
        "successfulJobsHistoryLimit": 1,
        "failedJobsHistoryLimit": 1,
        "jobTemplate": {
            "metadata": {"labels": _LABELS},
            "spec": {
                "backoffLimit": 0,
                "activeDeadlineSeconds": DEADLINE,
                "template": admitted({"metadata": pod_metadata(_LABELS), "spec": _pod(args)}, args.pods),
            },
        },
    }


def _pod(args: FreshnessArgs) -> dict[str, Any]:
    mounts = [{"name": "script", "mountPath": "/scripts", "readOnly": True}, {"name": "tmp", "mountPath": "/tmp"}]  # noqa: S108
    volumes: list[dict[str, Any]] = [{"name": "script", "configMap": {"name": _SCRIPT_NAME}}, {"name": "tmp", "emptyDir": {}}]
    if args.probe:
        mounts.append({"name": "api", "mountPath": "/var/run/secrets/api", "readOnly": True})
        sources: list[dict[str, Any]] = [
            {"serviceAccountToken": {"path": "token", "expirationSeconds": 3600}},
            {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
        ]
        volumes.append({"name": "api", "projected": {"sources": sources}})
    container = {
        "name": NAME,
        "image": args.image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["/bin/bash", "/scripts/freshness.sh"],
        "env": _environment(args),
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "resources": {"requests": {"cpu": "20m", "memory": "64Mi"}, "limits": _limits(len(args.servers))},
        "securityContext": {**CONTAINER_SECURITY, "readOnlyRootFilesystem": True},
        "volumeMounts": mounts,
    }
    return {
        "serviceAccountName": NAME,
        "automountServiceAccountToken": False,
        "restartPolicy": "Never",
        "securityContext": {**pod_security(_USER), "runAsGroup": _USER, "fsGroup": _USER},
        "containers": [container],
        "volumes": volumes,
    }


def _limits(servers: int) -> dict[str, str]:
    """Each server that is marked at once may use half a processor and 256 MiB: the AWS CLI is one process of Python a call.

    The quantities are spelt as the API server spells them, or each later preview would show them as a difference.
    """
    at_once = min(max(servers, 1), AT_ONCE)
    memory = max(512, 256 * at_once)
    return {
        "cpu": f"{500 * at_once}m" if at_once % 2 else str(at_once // 2),
        "memory": f"{memory}Mi" if memory % 1024 else f"{memory // 1024}Gi",
    }


def _environment(args: FreshnessArgs) -> list[dict[str, Any]]:
    plain = {
        "BUCKET": args.names.bucket("database"),
        "ARCHIVE": ARCHIVE_PREFIX,
        "MARKS": FRESHNESS_PREFIX,
        "SERVERS": " ".join(args.servers),
        "PROBE": args.probe or "",
        "RECORD": FRESHNESS_RECORD,
        "NAMESPACE": PROGRAM_NAMESPACE,
        "HOME": "/tmp",  # noqa: S108 - a path in a container
        **own_region(args.names),
        **({"AWS_ENDPOINT_URL": args.endpoint} if args.endpoint else {}),
    }
    return [
        # An API server drops empty values, and every later preview would show them as a difference.
        *({"name": name, "value": value} for name, value in plain.items() if value),
        *(key_environment(CREDENTIALS) if args.access.key else ()),
    ]


class Freshness(pulumi.ComponentResource):
    """The CronJob, and what it needs. For the gate of the other region: docs/recovery.md, Freshness.

    Each region marks what it archives itself, whichever region is active: nothing here depends on `active`.
    """

    def __init__(self, name: str, args: FreshnessArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("dr:database:Freshness", name, None, opts)
        child = partial(pulumi.ResourceOptions, parent=self)
        role_arn = args.access.role_arn
        annotations = {"annotations": {"eks.amazonaws.com/role-arn": role_arn}} if role_arn else {}
        needed: list[pulumi.Resource] = [
            *args.access.ready,
            k8s.core.v1.ServiceAccount(f"{name}-account", metadata={**metadata(), **annotations}, opts=child()),
            k8s.core.v1.ConfigMap(f"{name}-script", metadata=metadata(_SCRIPT_NAME), data={"freshness.sh": SCRIPT}, opts=child()),
        ]
        if key := args.access.key:
            secret = {field: pulumi.Output.secret(value) for field, value in key.secret_data().items()}
            needed.append(
                k8s.core.v1.Secret(f"{name}-credentials", metadata=metadata(CREDENTIALS), string_data=secret, opts=child())
            )
        if args.probe:
            needed += self._record(name)
        k8s.batch.v1.CronJob(f"{name}-job", metadata=metadata(), spec=cron_job(args), opts=child(depends_on=needed))
        self.register_outputs({})

    def _record(self, name: str) -> list[pulumi.Resource]:
        """The ConfigMap that the CronJob writes, and its right to do so. The program makes it empty: a right to create one could
        not be limited to a name."""
        child = partial(pulumi.ResourceOptions, parent=self)
        return [
            # The data are the CronJob's, and no drift.
            k8s.core.v1.ConfigMap(f"{name}-record", metadata=metadata(FRESHNESS_RECORD), opts=child(ignore_changes=["data"])),
            k8s.rbac.v1.Role(f"{name}-role", metadata=metadata(), rules=rules(), opts=child()),
            k8s.rbac.v1.RoleBinding(
                f"{name}-binding",
                metadata=metadata(),
                role_ref={"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": NAME},
                subjects=[{"kind": "ServiceAccount", "name": NAME, "namespace": PROGRAM_NAMESPACE}],
                opts=child(),
            ),
        ]
