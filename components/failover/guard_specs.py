"""The guard's objects as plain data: what it may do, what its Pods are told, and when they look."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pulumi

from components.iam.access import Access, key_environment, own_region
from components.iam.permissions import ServiceAccount
from components.kube.pods import CONTAINER_SECURITY, LABELS, Runner, admitted, pod_metadata, pod_security, runner_pod
from components.kube.records import GUARD_RECORD, SERVING_RECORD
from components.kube.runner.rights import NEEDED, Right
from components.velero.specs import VELERO_NAMESPACE
from settings.durations import longest_gap
from settings.model import Settings
from settings.names import FLAG_KEY, PROGRAM_NAMESPACE, Names
from settings.roles import peer_of
from settings.workloads import by_namespace, cron_jobs_of

NAME = "guard"
AT_START = "guard-at-start"
SERVICE_ACCOUNT = ServiceAccount(namespace=PROGRAM_NAMESPACE, name=NAME)
CREDENTIALS = "guard-credentials"
SCRIPT = (Path(__file__).parent / "guard.sh").read_text()

_LABELS = {**LABELS, "app.kubernetes.io/name": NAME}
_AT_START_LABELS = {**LABELS, "app.kubernetes.io/name": AT_START}
_USER = 65532
_SECONDS = 55
"""How long one look may take. The step ends by itself before, and says what it could not do."""

_PATIENCE, _PATIENCE_AT_START = 8, 45
"""For how many seconds the flag is tried: as a node starts, until its network is there."""

_TRIES, _TRIES_AT_START, _LOOKS_AT_START = 25, 60, 5
"""For how many seconds what is refused is tried, and how often with a flag fetched anew: as a node starts, until CloudNativePG's
operator is back too. A kubelet runs an init container that failed again, and none before it, so each look has its own fetch."""

_REST = "import signal; signal.signal(signal.SIGTERM, lambda *_: exit(0)); signal.pause()"


@dataclass(frozen=True, kw_only=True)
class GuardArgs:
    """`after` must exist before the guard: the namespaces of databases and of Velero, and the flag that it reads. Without a
    static key in `access`, the AWS CLI uses the service account's role or, without one, the node's."""

    names: Names
    settings: Settings
    runner: Runner
    access: Access = field(default_factory=Access)
    after: Sequence[pulumi.Resource] = ()


def rights(names: Names, settings: Settings) -> dict[str, list[Right]]:
    """What the account may do beside the rights of `stand_by`, by namespace: each on objects of a name, as far as Kubernetes can
    tell them apart. A creation has no name yet."""
    own = partial(Right, group="", resource="configmaps", namespace=PROGRAM_NAMESPACE)
    found = {
        PROGRAM_NAMESPACE: [
            own(verb="get", name=SERVING_RECORD),
            *(own(verb=verb, name=GUARD_RECORD) for verb in ("get", "patch")),
            Right(verb="create", group="", resource="events", namespace=PROGRAM_NAMESPACE),
        ],
        VELERO_NAMESPACE: [
            Right(verb=verb, group="velero.io", resource="schedules", namespace=VELERO_NAMESPACE, name=name)
            for name in _schedules(names, settings)
            for verb in ("get", "patch")
        ],
    }
    for database in settings.databases:
        found.setdefault(database.namespace, []).extend(
            Right(verb=verb, group="postgresql.cnpg.io", resource="clusters", namespace=database.namespace, name=database.name)
            for verb in ("get", "patch")
        )
    return found


def task(names: Names, settings: Settings, *, at_start: bool, asks: bool = False) -> dict[str, Any]:
    """The task of the runner's step `guard`. Nothing in it depends on `active`, so a failover changes nothing of the guard.
    `asks` says whether it asks for its rights."""
    role, peer = names.role, peer_of(names.role)
    asked = [*NEEDED, *(right for each in rights(names, settings).values() for right in each)] if asks else []
    return {
        "role": role,
        "databases": [{"namespace": database.namespace, "name": database.name} for database in settings.databases],
        "schedules": _schedules(names, settings),
        "workloads": [
            {
                "namespace": namespace,
                "entries": [{"names": entry.names, "replicas": entry.standby_replicas, "required": True} for entry in entries],
                "cronJobs": cron_jobs_of(entries),
            }
            for namespace, entries in by_namespace(settings.workloads).items()
        ],
        "advice": settings.topology.for_stack(role, f"pulumi config set active {peer} -s {role} && pulumi up -s {role}"),
        "anew": settings.topology.for_stack(role, f"pulumi up --refresh --run-program -s {role}"),
        "rights": [asdict(right) for right in asked],
        "once": at_start,
        "seconds": _TRIES_AT_START if at_start else _TRIES,
    }


def _schedules(names: Names, settings: Settings) -> list[str]:
    return [names.schedule(backup.name, names.role) for backup in settings.backups]


def in_words(names: Names) -> str:
    """What the guard does, as a reviewer reads it in the plan."""
    return (
        f"stops the workloads, databases and backup schedules of {names.region} if the traffic flag names "
        f"{names.peer_region} while this region still serves by its own record; starts nothing"
    )


def cron_job(args: GuardArgs) -> dict[str, Any]:
    """Spec of the CronJob.

    A run that was missed while the controller manager was away begins as soon as that is back, if it is no older than the
    deadline. One that hangs, as on a node that is gone, makes way for the next: with `Forbid` it would hold that up until
    somebody deletes its Pod.
    """
    schedule = args.settings.guard.schedule
    return {
        "schedule": schedule,
        "timeZone": "Etc/UTC",
        "concurrencyPolicy": "Replace",
        "startingDeadlineSeconds": int(longest_gap(schedule).total_seconds()) + 10,
        "successfulJobsHistoryLimit": 1,
        "failedJobsHistoryLimit": 1,
        "jobTemplate": {
            "metadata": {"labels": _LABELS, "annotations": {"k8s-dr/does": in_words(args.names)}},
            "spec": {
                "backoffLimit": 0,
                "activeDeadlineSeconds": _SECONDS,
                "template": _template(args, _LABELS, at_start=False),
            },
        },
    }


def deployment(args: GuardArgs) -> dict[str, Any]:
    """Spec of the Deployment whose one Pod looks as it starts, and then rests. A kubelet that comes back makes the Pod's
    containers anew, the init containers first, as soon as it reaches the API server."""
    return {
        "replicas": 1,
        "selector": {"matchLabels": {"app.kubernetes.io/name": AT_START}},
        "template": _template(args, _AT_START_LABELS, at_start=True),
    }


def _template(args: GuardArgs, labels: Mapping[str, str], *, at_start: bool) -> dict[str, Any]:
    return admitted({"metadata": pod_metadata(labels), "spec": pod(args, at_start=at_start)}, args.settings.pods)


def pod(args: GuardArgs, *, at_start: bool) -> dict[str, Any]:
    """The Pod: one container fetches the flag, with the identity at AWS; another judges it, with the account's token. As a node
    starts, the two take turns for some minutes, if something refuses to be stopped: what is judged is never an old flag."""
    turns = range(1, _LOOKS_AT_START + 1) if at_start else range(1, 2)
    looking: list[dict[str, Any]] = []
    for turn in turns:
        told = task(args.names, args.settings, at_start=at_start, asks=at_start and turn == _LOOKS_AT_START)
        spec: dict[str, Any] = runner_pod(args.runner, NAME, told, NAME)["spec"]
        [judge] = spec["containers"]
        judge["volumeMounts"] += [
            {"name": "flag", "mountPath": "/flag", "readOnly": True},
            {"name": "api", "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount", "readOnly": True},
        ]
        fetch = _fetch(args, _PATIENCE_AT_START if at_start and turn == 1 else _PATIENCE)
        looking += [each if turn == 1 else {**each, "name": f"{each['name']}-{turn}"} for each in (fetch, judge)]
    sources: list[dict[str, Any]] = [
        {"serviceAccountToken": {"path": "token", "expirationSeconds": 3600}},
        {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
    ]
    return {
        **spec,
        # The token is the judge's alone.
        "automountServiceAccountToken": False,
        "restartPolicy": "Always" if at_start else "Never",
        "securityContext": {**pod_security(_USER), "runAsGroup": _USER, "fsGroup": _USER},
        "initContainers": looking if at_start else looking[:1],
        "containers": [_rest(args)] if at_start else looking[1:],
        "volumes": [
            *spec["volumes"],
            {"name": "flag", "emptyDir": {"sizeLimit": "1Mi"}},
            {"name": "api", "projected": {"sources": sources}},
        ],
    }


def _fetch(args: GuardArgs, patience: int) -> dict[str, Any]:
    plain = {
        "BUCKET": args.names.flag_bucket,
        "KEY": FLAG_KEY,
        "REGION": args.names.topology.regions.secondary,
        "PATIENCE": str(patience),
        "HOME": "/flag",
        **own_region(args.names),
        **({"AWS_ENDPOINT_URL": args.settings.aws.endpoint} if args.settings.aws.endpoint else {}),
    }
    return {
        "name": "fetch",
        "image": args.settings.images.aws_cli,
        "imagePullPolicy": "IfNotPresent",
        "command": ["/bin/bash", "-c", SCRIPT],
        "env": [
            *({"name": name, "value": value} for name, value in plain.items()),
            *(key_environment(CREDENTIALS) if args.access.key else ()),
        ],
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "resources": {"requests": {"cpu": "20m", "memory": "64Mi"}, "limits": {"cpu": "500m", "memory": "512Mi"}},
        "securityContext": {**CONTAINER_SECURITY, "readOnlyRootFilesystem": True},
        "volumeMounts": [{"name": "flag", "mountPath": "/flag"}],
    }


def _rest(args: GuardArgs) -> dict[str, Any]:
    return {
        "name": "rest",
        "image": args.runner.image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["python3", "-c", _REST],
        "resources": {"requests": {"cpu": "5m", "memory": "16Mi"}, "limits": {"cpu": "100m", "memory": "64Mi"}},
        "securityContext": {**CONTAINER_SECURITY, "readOnlyRootFilesystem": True},
    }


def metadata(name: str) -> dict[str, Any]:
    return {"name": name, "namespace": PROGRAM_NAMESPACE, "labels": _LABELS}
