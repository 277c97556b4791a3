"""The drill `database` as plain data: the throw-away Cluster, what asks it, what the drill may do, and its Pod.

The Cluster has the name of its ServiceAccount, which is made beforehand and reads archives alone: the Barman Cloud plugin gives
its rights to the account that is called as the Cluster is (its specs/role.go), and CloudNativePG makes none where one is named.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from components.database.specs import LOST, PLUGIN, DatabaseSide, chosen_nodes, memory, object_store, volumes
from components.drills import integrity_specs
from components.drills.pods import (
    CLUSTER_CREDENTIALS,
    DrillsArgs,
    base_task,
    cron_job,
    fetch,
    judge,
    labels,
    name_of,
    pod,
    seconds_of,
    upload,
)
from components.drills.scratch_rules import PRIORITY_CLASS
from components.kube.pods import CONTAINER_SECURITY, admitted, pod_metadata, pod_security
from components.kube.records import SERVING_RECORD
from components.kube.runner.drill_ask import FIRST
from components.kube.runner.drill_choose import SECOND
from components.kube.runner.drill_database import CHECKS
from components.kube.runner.drill_record import LABEL
from components.kube.runner.drill_space import CLEANING_SECONDS
from components.kube.runner.rights import Right
from settings.database import DatabaseSettings
from settings.drills import LATEST, Kind
from settings.durations import parse_duration
from settings.names import DRILLS_NAMESPACE, EXCLUDED_FROM_BACKUP, PROGRAM_NAMESPACE
from settings.pods import PodsSettings
from settings.roles import peer_of

KIND: Kind = "database"
CLUSTER = name_of(KIND)
"""Name of the throw-away Cluster, of its account and of its ObjectStore."""

SCRIPT = (Path(__file__).parent / "drill-checks.sh").read_text()

_MIB = 1024**2
_POSTGRES_USER = 26
_POSTGRESQL = 5432
_STATUS = 8000
"""The port at which the operator asks an instance how it is."""

_PATIENCE_SECONDS = 600
"""How long an autoscaler may take to add a node."""

_START_SECONDS = 600
"""For images, and for what is fetched before the first Cluster is made."""

_STATEMENT_SECONDS, _CONNECT_SECONDS = 600, 60
_READ_ONLY = (
    f"-c default_transaction_read_only=on -c statement_timeout={_STATEMENT_SECONDS}s -c standard_conforming_strings=on "
    "-c TimeZone=UTC -c DateStyle=ISO"
)


def archive(args: DrillsArgs) -> dict[str, Any]:
    """Spec of the ObjectStore from which it recovers: the archives of both sides, in this region's bucket, and only to be read.

    All databases archive below one prefix, so one store does for all. It has no retention, by which the plugin would delete.
    """
    any_database = args.settings.databases[0].model_copy(update={"source": "replica-bucket"})
    side = DatabaseSide(
        names=args.names,
        settings=any_database,
        database_role="replica",
        endpoint=args.settings.aws.endpoint,
        static_credentials=args.cluster_access.key is not None,
    )
    return object_store(side, peer_of(args.names.role), secret=CLUSTER_CREDENTIALS)


def cluster(database: DatabaseSettings, pods: PodsSettings) -> dict[str, Any]:
    """Spec of the throw-away Cluster, but for whose archive it reads and up to when. Without `plugins` it archives nothing, and
    without `replica` it follows nobody. No subscription of the database reaches its publisher."""
    return {
        "instances": 1,
        "imageName": database.image,
        "serviceAccountName": CLUSTER,
        "smartShutdownTimeout": 0,
        "stopDelay": 60,
        "enableSuperuserAccess": False,
        "enablePDB": False,
        "priorityClassName": PRIORITY_CLASS,
        **volumes(database),
        "affinity": {"enablePodAntiAffinity": False, **chosen_nodes(database, pods)},
        "postgresql": {"parameters": {**memory(database), **database.parameters, "max_logical_replication_workers": "0"}},
        "inheritedMetadata": {"labels": {**EXCLUDED_FROM_BACKUP, **pods.labels, LABEL: KIND}},
        # The operator makes a new password for the owner, who is the database's own.
        "bootstrap": {"recovery": {"source": CLUSTER, "database": database.database, "owner": database.owner}},
        "externalClusters": [{"name": CLUSTER, "plugin": {"name": PLUGIN, "parameters": {"barmanObjectName": CLUSTER}}}],
    }


def checks_labels() -> dict[str, str]:
    return {**labels(KIND), "app.kubernetes.io/name": f"{CLUSTER}-{CHECKS}"}


def checks_job(database: DatabaseSettings, pods: PodsSettings) -> dict[str, Any]:
    """Spec of the Job that asks the recovered database, but for the statements: as its owner, in transactions that only read."""
    environment = {
        "PGHOST": f"{CLUSTER}-rw",
        "PGDATABASE": database.database,
        "PGCONNECT_TIMEOUT": "5",
        "PGOPTIONS": _READ_ONLY,
        "SECONDS_TO_TRY": str(_CONNECT_SECONDS),
    }
    login = {"PGUSER": "username", "PGPASSWORD": "password"}
    container = {
        "name": CHECKS,
        "image": database.image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["/bin/sh", "-c", SCRIPT],
        "env": [
            *({"name": name, "value": value} for name, value in environment.items()),
            *(
                {"name": name, "valueFrom": {"secretKeyRef": {"name": f"{CLUSTER}-app", "key": key}}}
                for name, key in login.items()
            ),
        ],
        "terminationMessagePolicy": "File",
        "resources": {"requests": {"cpu": "10m", "memory": "32Mi"}, "limits": {"cpu": "500m", "memory": "128Mi"}},
        "securityContext": {**CONTAINER_SECURITY, "readOnlyRootFilesystem": True},
        "volumeMounts": [{"name": "scratch", "mountPath": "/tmp"}],  # noqa: S108 - a path in the Pod
    }
    template = {
        "metadata": pod_metadata(checks_labels()),
        "spec": {
            "automountServiceAccountToken": False,
            "restartPolicy": "Never",
            "priorityClassName": PRIORITY_CLASS,
            "securityContext": pod_security(_POSTGRES_USER),
            "containers": [container],
            "volumes": [{"name": "scratch", "emptyDir": {"sizeLimit": "1Mi"}}],
        },
    }
    return {"backoffLimit": 0, "template": admitted(template, pods)}


def task(args: DrillsArgs) -> dict[str, Any]:
    """The task of the drill's steps: what the archive holds is asked as the drill `integrity` asks it, and nothing else is."""
    drill, found = args.settings.drills.database, integrity_specs.task(args)
    asked = {each["name"]: each for each in found["databases"]}
    no_backups = {side: {**found["velero"][side], "schedules": []} for side in ("own", "peer")}
    back = drill.point_in_time
    return {
        **found,
        **base_task(args, KIND),
        "velero": {**found["velero"], **no_backups, "secret": None},
        "etcd": None,
        "room": 0,
        "databases": [
            {
                **asked[each.name],
                "cluster": cluster(each, args.settings.pods),
                "job": checks_job(each, args.settings.pods),
                "checks": [
                    {"sql": check.sql, "expect": check.expect, "within": seconds_of(check.max_age) if check.max_age else None}
                    for check in drill.checks
                    if check.database == each.name
                ],
            }
            for each in args.settings.drilled_databases
        ],
        "cluster": CLUSTER,
        "space": DRILLS_NAMESPACE,
        "back": None if back == LATEST else int(parse_duration(back).total_seconds()),
        "lost": list(LOST),
        "patience": _PATIENCE_SECONDS,
        "seconds": seconds_of(drill.timeout),
    }


def rights(args: DrillsArgs) -> dict[str, list[Right]]:
    """What the account may do, by namespace: on objects of these names, as far as Kubernetes can tell them apart."""
    del args

    def inside(verbs: str, kind: str, group: str = "", *, name: str = "", subresource: str = "") -> list[Right]:
        return [
            Right(verb=verb, group=group, resource=kind, subresource=subresource, namespace=DRILLS_NAMESPACE, name=name)
            for verb in verbs.split()
        ]

    return {
        PROGRAM_NAMESPACE: [
            Right(verb="get", group="", resource="configmaps", namespace=PROGRAM_NAMESPACE, name=SERVING_RECORD),
            Right(verb="list", group="", resource="pods", namespace=PROGRAM_NAMESPACE),
        ],
        DRILLS_NAMESPACE: [
            *inside("create", "clusters", "postgresql.cnpg.io"),
            *inside("get delete", "clusters", "postgresql.cnpg.io", name=CLUSTER),
            *inside("create", "jobs", "batch"),
            *inside("get delete", "jobs", "batch", name=f"{CLUSTER}-{CHECKS}"),
            *inside("list delete", "pods"),
            *inside("get", "pods", subresource="log"),
            *inside("list delete", "persistentvolumeclaims"),
            *inside("list", "events"),
        ],
    }


def instance_policy() -> dict[str, Any]:
    """Spec of the policy of the Cluster's instances: they reach everything but another PostgreSQL, and only who asks them and the
    operator reach them."""
    other_ports = [
        {"protocol": "TCP", "port": 1, "endPort": _POSTGRESQL - 1},
        {"protocol": "TCP", "port": _POSTGRESQL + 1, "endPort": 65535},
        {"protocol": "UDP", "port": 53},
    ]
    inside: dict[str, Any] = {"podSelector": {}}
    return {
        "podSelector": {"matchLabels": {"cnpg.io/cluster": CLUSTER}},
        "policyTypes": ["Ingress", "Egress"],
        "ingress": [{"from": [inside]}, {"ports": [{"protocol": "TCP", "port": _STATUS}]}],
        "egress": [{"to": [inside]}, {"ports": other_ports}],
    }


def checks_policy() -> dict[str, Any]:
    """Spec of the policy that lets the Job reach the Cluster, beside the DNS."""
    return {
        "podSelector": {"matchLabels": {"app.kubernetes.io/name": f"{CLUSTER}-{CHECKS}"}},
        "policyTypes": ["Egress"],
        "egress": [
            {"to": [{"podSelector": {"matchLabels": {"cnpg.io/cluster": CLUSTER}}}]},
            {"ports": [{"protocol": each, "port": 53} for each in ("UDP", "TCP")]},
        ],
    }


def spec(args: DrillsArgs) -> dict[str, Any]:
    """Spec of the CronJob."""
    told, drill = task(args), args.settings.drills.database
    each = seconds_of(drill.timeout) + int(CLEANING_SECONDS) + 2 * _CONNECT_SECONDS
    seconds = len(told["databases"]) * each + int(CLEANING_SECONDS) + _START_SECONDS
    return cron_job(
        args,
        KIND,
        cron=drill.cron,
        timeout=f"{seconds}s",
        does="recovers each database from the archive in this region's bucket into a throw-away Cluster, asks it, and deletes it",
        spec=pod(
            args,
            KIND,
            before=[
                judge(args, "drill_ask", told, KIND, token=True),
                fetch(args, "fetch-lists", FIRST, 768 * _MIB),
                judge(args, "drill_choose", told, KIND, token=False),
                fetch(args, "fetch-labels", SECOND, 192 * _MIB),
            ],
            last=[judge(args, "drill_database", told, KIND, token=True), upload(args, KIND, seconds)],
            room="1Gi",
            cleaning=CLEANING_SECONDS,
        ),
    )
