"""The drill `integrity` as plain data: what it looks at, what it may do, and its Pod."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from components.database.lost import MARK_SLACK, QUIET, base_allowed
from components.drills.pods import (
    WORK,
    DrillsArgs,
    base_task,
    cron_job,
    fetch,
    judge,
    pod,
    seconds_of,
    upload,
)
from components.kube.pods import CONTAINER_SECURITY
from components.kube.records import SERVING_RECORD
from components.kube.runner.drill_ask import FIRST
from components.kube.runner.drill_choose import SECOND
from components.kube.runner.drill_etcd import FILE
from components.kube.runner.drill_integrity import OPENS
from components.kube.runner.rights import Right
from components.velero.age import allowed
from components.velero.specs import REPOSITORY_PASSWORD, VELERO_NAMESPACE
from settings.drills import Kind
from settings.durations import longest_gap
from settings.names import ARCHIVE_PREFIX, FRESHNESS_PREFIX, PROGRAM_NAMESPACE
from settings.roles import Role, peer_of

KIND: Kind = "integrity"
_GIB = 1024**3
_ROOM, _ROOM_WITH_ETCD = 4, 12
"""GiB on the node's disk: for the objects of the newest backups, and for a snapshot of etcd, which has 8 GiB at the most."""

_LISTS = 512 * 1024**2
"""Bytes of that for the first listings; as many are for the last ones, and for what else the Pod writes."""


def task(args: DrillsArgs) -> dict[str, Any]:
    """The task of the drill's steps. Each age is the one by which `pulumi up` warns by day."""
    settings, names, peer = args.settings, args.names, peer_of(args.names.role)
    rpo = timedelta(seconds=settings.objectives.rpo_seconds)
    secret = f"/api/v1/namespaces/{VELERO_NAMESPACE}/secrets/{REPOSITORY_PASSWORD}"
    etcd = {
        "bucket": names.bucket("etcd"),
        "prefix": names.etcd_prefix,
        "within": _seconds(longest_gap(settings.etcd.cron)) + seconds_of(settings.etcd.timeout),
    }
    return {
        **base_task(args, KIND),
        "velero": {
            "bucket": names.bucket("velero"),
            "own": _backups(args, names.role, rpo),
            "peer": _backups(args, peer, rpo),
            "secret": secret if settings.velero.managed else None,
        },
        "databases": [
            {
                "name": database.name,
                "own": database.server(names.role),
                "peer": database.server(peer),
                "within": _seconds(base_allowed(database, rpo)),
                "mark_within": _seconds(max(rpo, QUIET) + MARK_SLACK),
            }
            for database in settings.databases
        ],
        "archive": {"bucket": names.bucket("database"), "archives": ARCHIVE_PREFIX, "marks": FRESHNESS_PREFIX},
        "inventory": names.inventory_key(peer),
        "etcd": etcd if settings.backs_up_etcd else None,
        "peer_ready": settings.peer_ready,
        "room": _room(args) * _GIB - 2 * _LISTS,
    }


def _backups(args: DrillsArgs, role: Role, rpo: timedelta) -> dict[str, Any]:
    schedules = [
        {"name": args.names.schedule(backup.name, role), "within": _seconds(allowed(backup.cron, rpo))}
        for backup in args.settings.backups
    ]
    return {"prefix": args.names.velero_prefix(role), "schedules": schedules}


def _seconds(span: timedelta) -> int:
    return int(span.total_seconds())


def _room(args: DrillsArgs) -> int:
    return _ROOM_WITH_ETCD if args.settings.backs_up_etcd else _ROOM


def rights(args: DrillsArgs) -> dict[str, list[Right]]:
    """What the account may do in the cluster, by namespace. It only reads. Kubernetes can give no right on the drill's own Pod
    alone, whose name is new each time."""
    own = [Right(verb="get", group="", resource="configmaps", namespace=PROGRAM_NAMESPACE, name=SERVING_RECORD)]
    if args.settings.backs_up_etcd:
        own.append(Right(verb="get", group="", resource="pods", namespace=PROGRAM_NAMESPACE))
    velero = [
        Right(verb="list", group="velero.io", resource=kind, namespace=VELERO_NAMESPACE)
        for kind in ("backups", "backuprepositories")
    ]
    if args.settings.velero.managed:
        secret = Right(verb="get", group="", resource="secrets", namespace=VELERO_NAMESPACE, name=REPOSITORY_PASSWORD)
        velero.append(secret)
    return {PROGRAM_NAMESPACE: own, VELERO_NAMESPACE: velero}


def spec(args: DrillsArgs) -> dict[str, Any]:
    """Spec of the CronJob."""
    told, drill = task(args), args.settings.drills.integrity
    steps = [
        judge(args, "drill_ask", told, KIND, token=True),
        fetch(args, "fetch-lists", FIRST, _LISTS),
        judge(args, "drill_choose", told, KIND, token=False),
        fetch(args, "fetch-objects", SECOND, _room(args) * _GIB - _LISTS - _LISTS // 4),
    ]
    verdict, last = judge(args, "drill_integrity", told, KIND, token=True), upload(args, KIND, seconds_of(drill.timeout))
    # What may be killed by what it reads is not one of the first containers, and so is what has no shell that could go on where
    # it fails, as etcd's image: the Pod would end there, without a record.
    beside = [*([_opens(args)] if args.settings.backs_up_etcd else []), verdict, last]
    return cron_job(
        args,
        KIND,
        cron=drill.cron,
        timeout=drill.timeout,
        does="verifies that the backups in this region's buckets are whole and new; changes nothing",
        spec=pod(args, KIND, before=steps, last=beside, room=f"{_room(args)}Gi"),
    )


def _opens(args: DrillsArgs) -> dict[str, Any]:
    return {
        "name": OPENS,
        "image": args.settings.images.etcd,
        "imagePullPolicy": "IfNotPresent",
        "command": ["etcdutl", "snapshot", "status", f"/work/{FILE}", "--write-out=json"],
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "resources": {"requests": {"cpu": "50m", "memory": "64Mi"}, "limits": {"cpu": "1", "memory": "2Gi"}},
        "securityContext": {**CONTAINER_SECURITY, "readOnlyRootFilesystem": True},
        "volumeMounts": [{**WORK, "readOnly": True}],
    }
