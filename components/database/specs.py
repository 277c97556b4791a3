"""The Kubernetes objects of one region's side of a database, as plain data.

Pure functions: what is registered, tested and shown to the operator's own webhook is made here. The shapes, and why they are so,
are CloudNativePG's "distributed topology" with its Barman Cloud plugin.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components.kube.objects import until_phase
from components.kube.pods import CONTAINER_SECURITY, pod_security
from settings.database import DatabaseSettings
from settings.durations import parse_duration
from settings.names import EXCLUDED_FROM_BACKUP, Names
from settings.roles import ROLES, DatabaseRole, Role, peer_of

PLUGIN = "barman-cloud.cloudnative-pg.io"
HEALTHY = "Cluster in healthy state"
RECOVERED = (HEALTHY, "Waiting for the instances to become active", "Creating a new replica")
"""Phases that a Cluster is first in when its recovery has ended: its first instance starts, or has."""

LOST = (
    "Cluster is unrecoverable and needs manual intervention",
    "Invalid cluster definition",
    "Cluster cannot proceed to reconciliation due to an unknown plugin being required",
    "Cluster has incomplete or invalid image catalog",
)
"""Phases that say at once that something is wrong, whether or not it heals by itself."""

CREDENTIALS = "database-credentials"
_POSTGRES_USER = 26
_SWITCH = 'GRANT EXECUTE ON FUNCTION pg_catalog.pg_switch_wal() TO "{owner}"'
_SCRIPT = Path(__file__).parent / "confirm-promotion.sh"


@dataclass(frozen=True, kw_only=True)
class DatabaseSide:
    """One region's side of a database, as its objects are made from it."""

    names: Names
    settings: DatabaseSettings
    role: DatabaseRole
    endpoint: str | None = None
    role_arn: str | None = None
    static_credentials: bool = False
    promote_seconds: int = 600
    recover_seconds: int = 14400

    @property
    def begins_by_itself(self) -> bool:
        """Whether the database is made here without anything that a running primary would bring first."""
        return self.names.role == "primary" or self.role == "recovered"


def _seconds(duration: str) -> str:
    """A duration as PostgreSQL reads it."""
    return f"{int(parse_duration(duration).total_seconds())}s"


def object_store(side: DatabaseSide, role: Role) -> dict[str, Any]:
    """Spec of the ObjectStore of region `role`'s archive, as this region reaches it.

    No encryption here: a request that names aws:kms without a key is encrypted with AWS's own key, one that names nothing with
    the bucket's. Retention only where it is written: nobody deletes from the other's archive.
    """
    settings, names = side.settings, side.names
    own = role == names.role
    remote = not own and settings.source == "primary-bucket"
    s3: dict[str, Any] = {"inheritFromIAMRole": True}
    if side.static_credentials:
        s3 = {key: {"name": CREDENTIALS, "key": key} for key in ("accessKeyId", "secretAccessKey", "region")}
    # A source that is silent must not hold a promotion: few tries, and none of them long.
    wal: dict[str, Any] = {"maxParallel": 4, "restoreAdditionalCommandArgs": ["--read-timeout=3"]}
    data = {"compression": "lz4", "jobs": 4, "immediateCheckpoint": True}
    return {
        **({"retentionPolicy": settings.retention} if own else {}),
        "configuration": {
            "destinationPath": names.peer_archive if remote else names.archive,
            **({"endpointURL": side.endpoint} if side.endpoint else {}),
            "s3Credentials": s3,
            "wal": {"compression": "zstd", **wal} if own else wal,
            **({"data": data} if own else {}),
        },
        "instanceSidecarConfiguration": {
            "env": [
                # Of the whole sidecar, base backups too: so few only where a source may be in the region that is dead.
                {"name": "AWS_MAX_ATTEMPTS", "value": "2" if settings.source == "primary-bucket" else "5"},
                {"name": "AWS_RETRY_MODE", "value": "standard"},
                # Connects within 3 s or gives up; without it botocore tries for a minute.
                {"name": "AWS_DEFAULTS_MODE", "value": "standard"},
            ],
            "resources": {"requests": {"cpu": "100m", "memory": "128Mi"}, "limits": {"memory": "1Gi"}},
        },
    }


def external_cluster(settings: DatabaseSettings, role: Role) -> dict[str, Any]:
    """Where region `role`'s side is found by the other: its archive and, for streaming, its connection."""
    member = settings.member(role)
    plugin = {"name": PLUGIN, "parameters": {"barmanObjectName": member, "serverName": settings.server(role)}}
    if settings.streaming is None:
        return {"name": member, "plugin": plugin}
    certificates = settings.streaming.certificates
    return {
        "name": member,
        "connectionParameters": {
            "host": settings.streaming.hosts.of(role),
            "user": "streaming_replica",
            "dbname": "postgres",
            "sslmode": "verify-full",
            "application_name": settings.member(peer_of(role)),
        },
        "sslKey": {"name": certificates.replication, "key": "tls.key"},
        "sslCert": {"name": certificates.replication, "key": "tls.crt"},
        "sslRootCert": {"name": certificates.server_ca, "key": "ca.crt"},
        "plugin": plugin,
    }


def bootstrap(settings: DatabaseSettings, role: Role) -> dict[str, Any]:
    """The primary region's side begins empty, the secondary's from the other's backup. Read once, when a Cluster is made.

    The owner's right to switch the WAL is what the confirmation of a promotion needs, and no more than that.
    """
    owner = {"database": settings.database, "owner": settings.owner, "secret": {"name": owner_secret(settings)}}
    if role == "secondary":
        return {"recovery": {"source": settings.member("primary"), **owner}}
    return {
        "initdb": {
            **owner,
            "dataChecksums": True,
            "localeCollate": "C.UTF-8",
            "localeCType": "C.UTF-8",
            "postInitApplicationSQL": [_SWITCH.format(owner=settings.owner)],
        }
    }


def owner_secret(settings: DatabaseSettings) -> str:
    return f"{settings.name}-owner"


def _postgresql(settings: DatabaseSettings) -> dict[str, Any]:
    several = settings.instances > 1
    streaming = {"wal_sender_timeout": "30s", "wal_receiver_timeout": "30s"} if settings.streaming else {}
    return {
        "parameters": {
            # A quarter of the memory, as PostgreSQL advises; its own default is of another age.
            "shared_buffers": f"{settings.resources.mebibytes // 4}MB",
            **streaming,
            **settings.parameters,
            "archive_timeout": _seconds(settings.archive_timeout),
            "checkpoint_timeout": _seconds(settings.checkpoint_timeout),
            "wal_retrieve_retry_interval": _seconds(settings.wal_retrieve_retry_interval),
        },
        # Within the region only. Without it the other region can be ahead of this region's own replicas, and part ways with them
        # when one of those takes over here.
        **({"synchronous": {"method": "any", "number": 1, "dataDurability": "preferred"}} if several else {}),
    }


def _placement(settings: DatabaseSettings) -> dict[str, Any]:
    if settings.instances == 1:
        return {"affinity": {"enablePodAntiAffinity": False}}
    required = settings.anti_affinity == "required"
    instances = {"cnpg.io/cluster": settings.name, "cnpg.io/podRole": "instance"}
    return {
        "affinity": {
            "enablePodAntiAffinity": True,
            "podAntiAffinityType": settings.anti_affinity,
            "topologyKey": "kubernetes.io/hostname",
        },
        "topologySpreadConstraints": [
            {
                "maxSkew": 1,
                "topologyKey": "topology.kubernetes.io/zone",
                "whenUnsatisfiable": "DoNotSchedule" if required else "ScheduleAnyway",
                "labelSelector": {"matchLabels": instances},
            }
        ],
    }


def _streaming(settings: DatabaseSettings) -> dict[str, Any]:
    """What the other region streams from: certificates that it knows, and a way in."""
    if settings.streaming is None:
        return {}
    certificates = settings.streaming.certificates
    service = {
        "metadata": {"name": f"{settings.name}-replication", "annotations": settings.streaming.service_annotations},
        "spec": {"type": "LoadBalancer"},
    }
    return {
        "certificates": {
            "serverTLSSecret": certificates.server,
            "serverCASecret": certificates.server_ca,
            "clientCASecret": certificates.client_ca,
            "replicationTLSSecret": certificates.replication,
        },
        "managed": {"services": {"additional": [{"selectorType": "rw", "serviceTemplate": service}]}},
    }


def cluster_spec(side: DatabaseSide) -> dict[str, Any]:
    """Spec of the Cluster. Whom `replica.primary` names is all that a promotion changes. One that is recovered is made as if it
    had been promoted: it restores from the archive of the side that is dead, and follows nobody.

    A fenced side keeps saying that it is the primary: it is hibernated, and so that its data stays what it was, nothing of it is
    made to follow the other side.
    """
    settings, role = side.settings, side.names.role
    primary: Role = "secondary" if side.role in ("promoted", "recovered") else "primary"
    volume = {"storageClass": settings.storage_class}
    memory, cpu = settings.resources.memory, settings.resources.cpu
    return {
        "instances": settings.instances,
        "imageName": settings.image,
        "primaryUpdateStrategy": "unsupervised",
        "primaryUpdateMethod": "restart",
        # A promotion restarts PostgreSQL. By default that first waits three minutes for sessions to end by themselves, and the
        # sessions of applications that run beside a standby never do.
        "smartShutdownTimeout": 0,
        "enableSuperuserAccess": False,
        "enablePDB": settings.instances > 1,
        "storage": {**volume, "size": settings.storage},
        **({"walStorage": {**volume, "size": settings.wal_storage}} if settings.wal_storage else {}),
        "resources": {"requests": {"cpu": cpu, "memory": memory}, "limits": {"memory": memory}},
        **_placement(settings),
        "postgresql": _postgresql(settings),
        "inheritedMetadata": {"labels": EXCLUDED_FROM_BACKUP},
        **(
            {"serviceAccountTemplate": {"metadata": {"annotations": {"eks.amazonaws.com/role-arn": side.role_arn}}}}
            if side.role_arn
            else {}
        ),
        **_streaming(settings),
        "plugins": [
            {
                "name": PLUGIN,
                "isWALArchiver": True,
                "parameters": {"barmanObjectName": settings.member(role), "serverName": settings.server(role)},
            }
        ],
        "bootstrap": bootstrap(settings, role),
        "replica": {
            "self": settings.member(role),
            "primary": settings.member(primary),
            "source": settings.member(peer_of(role)),
        },
        "externalClusters": [external_cluster(settings, each) for each in ROLES],
    }


def cluster_annotations(role: DatabaseRole) -> dict[str, str]:
    """What the engine waits for, and whether the Cluster sleeps.

    patchForce: without it a promotion whose field somebody else has touched would be a conflict, and the standby stay one.
    """
    if role == "fenced":
        hibernated = "jsonpath={.status.conditions[?@.type == 'cnpg.io/hibernation' && @.status == 'True']}"
        return {"cnpg.io/hibernation": "on", "pulumi.com/patchForce": "true", "pulumi.com/waitFor": hibernated}
    if role == "promoted":
        # Not waited for: its Job waits for what matters, and a replica that is missing must not hold a failover.
        return {"pulumi.com/patchForce": "true"}
    # Of what is recovered, the first instance: the others are copied from it, and must not hold a failover.
    ended = (*RECOVERED, *LOST) if role == "recovered" else (HEALTHY, *LOST)
    return {"pulumi.com/patchForce": "true", **until_phase(ended)}


def backup_spec(settings: DatabaseSettings) -> dict[str, Any]:
    return {"cluster": {"name": settings.name}, "method": "plugin", "pluginConfiguration": {"name": PLUGIN}}


def pod_monitor_spec(settings: DatabaseSettings) -> dict[str, Any]:
    return {
        "selector": {"matchLabels": {"cnpg.io/cluster": settings.name, "cnpg.io/podRole": "instance"}},
        "podMetricsEndpoints": [{"port": "metrics"}],
    }


def scheduled_backup_spec(side: DatabaseSide) -> dict[str, Any]:
    """Both regions take base backups of their own side, so that each can be recovered to a point in time, and the other re-made.

    At once in the secondary, whose archive has no backup yet; the primary's first one is made and waited for by `Database`.
    """
    return {
        "schedule": side.settings.backup_cron,
        "backupOwnerReference": "self",
        "immediate": side.names.role == "secondary",
        "suspend": side.role == "fenced",
        **backup_spec(side.settings),
    }


def confirmation_job(side: DatabaseSide) -> dict[str, Any]:
    """Spec of the Job that ends when the promoted database accepts writes and archives them."""
    settings, secret = side.settings, owner_secret(side.settings)
    environment = {
        "PGHOST": f"{settings.name}-rw",
        "PGDATABASE": settings.database,
        "PGCONNECT_TIMEOUT": "3",
        "SECONDS_TO_TRY": str(side.promote_seconds),
    }
    login = {"PGUSER": "username", "PGPASSWORD": "password"}
    container = {
        "name": "confirm",
        "image": settings.image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["/bin/sh", "-c", _SCRIPT.read_text()],
        "env": [
            *({"name": name, "value": value} for name, value in environment.items()),
            *({"name": name, "valueFrom": {"secretKeyRef": {"name": secret, "key": key}}} for name, key in login.items()),
        ],
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "resources": {"requests": {"cpu": "10m", "memory": "32Mi"}},
        "securityContext": CONTAINER_SECURITY,
    }
    return {
        "backoffLimit": 1,
        "activeDeadlineSeconds": side.promote_seconds + 30,
        "template": {
            "metadata": {"labels": EXCLUDED_FROM_BACKUP},
            "spec": {
                "automountServiceAccountToken": False,
                "restartPolicy": "Never",
                "securityContext": pod_security(_POSTGRES_USER),
                "containers": [container],
            },
        },
    }
