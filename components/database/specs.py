"""The Kubernetes objects of this region's side of a database, as plain data.

The functions are pure: the program registers what they return, and tests show it to the operator's own webhook. The shapes are
those of CloudNativePG's "distributed topology" with its Barman Cloud plugin.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from components.database.side_role import GIVEN_UP
from components.iam.access import own_region
from components.kube.objects import until_phase
from components.kube.pods import CONTAINER_SECURITY, admitted, pod_metadata, pod_security
from components.kube.runner.fencing import FENCED, HIBERNATION
from settings.database import DatabaseSettings
from settings.durations import parse_duration
from settings.names import EXCLUDED_FROM_BACKUP, Names
from settings.pods import PodsSettings
from settings.roles import ROLES, DatabaseRole, Role, peer_of
from settings.streaming import PRIVATE

PLUGIN = "barman-cloud.cloudnative-pg.io"
HEALTHY = "Cluster in healthy state"
RECOVERED = (HEALTHY, "Waiting for the instances to become active", "Creating a new replica")
"""Phases that a Cluster enters first when its recovery has ended: its first instance is starting, or has started."""

LOST = (
    "Cluster is unrecoverable and needs manual intervention",
    "Invalid cluster definition",
    "Cluster cannot proceed to reconciliation due to an unknown plugin being required",
    "Cluster has incomplete or invalid image catalog",
)
"""Phases that say that something is wrong, whether or not it heals by itself."""

CREDENTIALS = "database-credentials"
_POSTGRES_USER = 26
_SWITCH = 'GRANT EXECUTE ON FUNCTION pg_catalog.pg_switch_wal() TO "{owner}"'
_SCRIPT = Path(__file__).parent / "confirm-promotion.sh"


@dataclass(frozen=True, kw_only=True)
class DatabaseSide:
    """What the objects of this region's side of a database are made from."""

    names: Names
    settings: DatabaseSettings
    database_role: DatabaseRole
    endpoint: str | None = None
    role_arn: str | None = None
    static_credentials: bool = False
    promote_seconds: int = 600
    recover_seconds: int = 14400
    stopped: str | None = None
    """Which stop of the guard this side wakes from, if it serves now: the times of the flag and of the stop."""

    token: str | None = None
    """The other side's demotion token, by which this side is promoted."""

    given_up: bool = False
    """Whether a person gives this side up, with the data that it has."""

    monitor_labels: Mapping[str, str] = field(default_factory=dict)
    """Labels by which Prometheus selects the PodMonitor."""

    pods: PodsSettings = field(default_factory=PodsSettings)
    """What the cluster asks of every Pod."""

    @property
    def begins_by_itself(self) -> bool:
        """Whether this side can be made although the other stack is not known to be deployed."""
        return self.names.role == "primary" or self.database_role == "recovered"

    @property
    def writer(self) -> Role:
        """The region whose side is written to, as this one's Cluster says it. A fenced side keeps what it was: changed, its old
        data would follow the new primary."""
        return peer_of(self.names.role) if self.database_role in ("replica", "demoted") else self.names.role

    @property
    def stem(self) -> str:
        """The end of the names of what belongs to one generation of the side; empty for the first."""
        generation = self.settings.generations.of(self.names.role)
        return f"-g{generation}" if generation > 1 else ""


def _seconds(duration: str) -> str:
    """A duration in seconds, as PostgreSQL reads it: 300s."""
    return f"{int(parse_duration(duration).total_seconds())}s"


def object_store(side: DatabaseSide, role: Role, *, secret: str = CREDENTIALS) -> dict[str, Any]:
    """Spec of the ObjectStore of region `role`'s archive, as this region reaches it; `secret` has a static key, if any.

    It names no encryption: S3 encrypts a request that names nothing with the bucket's key, but one that names aws:kms without a
    key with AWS's own key. Only the archive that this region writes has a retention: no region deletes from the peer's archive.
    """
    settings, names = side.settings, side.names
    own = role == names.role
    remote = not own and settings.source == "primary-bucket"
    s3: dict[str, Any] = {"inheritFromIAMRole": True}
    if side.static_credentials:
        s3 = {key: {"name": secret, "key": key} for key in ("accessKeyId", "secretAccessKey", "region")}
    # A source that does not answer must not delay a promotion, so attempts to fetch WAL are few and short.
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
                *({"name": name, "value": value} for name, value in own_region(names).items()),
                # This holds for the whole sidecar, base backups too: so few only where the source may be in a dead region.
                {"name": "AWS_MAX_ATTEMPTS", "value": "2" if settings.source == "primary-bucket" else "5"},
                {"name": "AWS_RETRY_MODE", "value": "standard"},
                # botocore then gives up a connection after 3 s; without this, it tries for a minute.
                {"name": "AWS_DEFAULTS_MODE", "value": "standard"},
            ],
            "resources": {"requests": {"cpu": "100m", "memory": "128Mi"}, "limits": {"memory": "1Gi"}},
        },
    }


def external_cluster(settings: DatabaseSettings, role: Role) -> dict[str, Any]:
    """Where the peer finds region `role`'s side: its archive and, for streaming, its connection."""
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


def bootstrap(side: DatabaseSide) -> dict[str, Any]:
    """How a side begins: the first of all empty, any other from the other region's backup. The operator reads this once, when it
    makes the Cluster.

    The owner may switch the WAL, because the confirmation of a promotion does so as the owner.
    """
    settings, role = side.settings, side.names.role
    owner = {"database": settings.database, "owner": settings.owner, "secret": {"name": owner_secret(settings)}}
    if role == "secondary" or side.database_role in ("replica", "recovered"):
        return {"recovery": {"source": settings.member(peer_of(role)), **owner}}
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


def memory(settings: DatabaseSettings) -> dict[str, str]:
    """A quarter of the memory, as PostgreSQL advises; its default of 128 MB is for small machines."""
    return {"shared_buffers": f"{settings.resources.mebibytes // 4}MB"}


def volumes(settings: DatabaseSettings) -> dict[str, Any]:
    """The volumes of each instance, and its share of a node, as a Cluster's spec has them."""
    volume, resources = {"storageClass": settings.storage_class}, settings.resources
    return {
        "storage": {**volume, "size": settings.storage},
        **({"walStorage": {**volume, "size": settings.wal_storage}} if settings.wal_storage else {}),
        "resources": {"requests": {"cpu": resources.cpu, "memory": resources.memory}, "limits": {"memory": resources.memory}},
    }


def _postgresql(side: DatabaseSide) -> dict[str, Any]:
    settings = side.settings
    several = settings.instances > 1
    # In a planned switchover users wait for the last segment. The new value is read at once, and wakes the replay.
    retry = "1s" if side.token else settings.wal_retrieve_retry_interval
    streaming = {"wal_sender_timeout": "30s", "wal_receiver_timeout": "30s"} if settings.streaming else {}
    return {
        "parameters": {
            **memory(settings),
            **streaming,
            **settings.parameters,
            "archive_timeout": _seconds(settings.archive_timeout),
            "checkpoint_timeout": _seconds(settings.checkpoint_timeout),
            "wal_retrieve_retry_interval": _seconds(retry),
        },
        # Synchronous within the region only. Without it the peer can be ahead of this region's own replicas, and its timeline
        # diverges from theirs when one of them takes over here.
        **({"synchronous": {"method": "any", "number": 1, "dataDurability": "preferred"}} if several else {}),
    }


def chosen_nodes(settings: DatabaseSettings, pods: PodsSettings) -> dict[str, Any]:
    """The nodes of the instances, as a Cluster's `affinity` names them: the database's own, or those of all Pods of the program,
    and the taints that either tolerates.

    Nothing where nobody has chosen any: the operator restarts instances whose Pods would be placed otherwise.
    """
    nodes = pods.node_selector if settings.node_selector is None else settings.node_selector
    tolerations = pods.tolerated(settings.tolerations)
    return {**({"nodeSelector": nodes} if nodes else {}), **({"tolerations": tolerations} if tolerations else {})}


def pulled_by(pods: PodsSettings) -> dict[str, Any]:
    """The pull secrets of a Cluster, which the operator gives to its instances' account."""
    return {"imagePullSecrets": pods.pull_secrets()} if pods.image_pull_secrets else {}


def _placement(settings: DatabaseSettings, pods: PodsSettings) -> dict[str, Any]:
    chosen = chosen_nodes(settings, pods)
    if settings.instances == 1:
        return {"affinity": {"enablePodAntiAffinity": False, **chosen}}
    required = settings.anti_affinity == "required"
    instances = {"cnpg.io/cluster": settings.name, "cnpg.io/podRole": "instance"}
    return {
        "affinity": {
            "enablePodAntiAffinity": True,
            "podAntiAffinityType": settings.anti_affinity,
            "topologyKey": "kubernetes.io/hostname",
            **chosen,
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
    """What the peer needs to stream from this side: certificates that it knows, and a load balancer to connect to."""
    if settings.streaming is None:
        return {}
    certificates = settings.streaming.certificates
    service = {
        "metadata": {
            "name": f"{settings.name}-replication",
            "annotations": {**settings.streaming.service_annotations, **PRIVATE},
        },
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
    """Spec of the Cluster. A promotion changes `replica` and nothing else, but for how often a planned one asks for WAL. A
    recovered Cluster is made as if it had been promoted: it restores from the other side's archive, and follows nobody.
    """
    settings, role = side.settings, side.names.role
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
        **volumes(settings),
        **pulled_by(side.pods),
        **_placement(settings, side.pods),
        "postgresql": _postgresql(side),
        "inheritedMetadata": {"labels": {**EXCLUDED_FROM_BACKUP, **side.pods.labels}},
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
        "bootstrap": bootstrap(side),
        "replica": {
            "self": settings.member(role),
            "primary": settings.member(side.writer),
            "source": settings.member(peer_of(role)),
            **({"promotionToken": side.token} if side.token else {}),
        },
        "externalClusters": [external_cluster(settings, each) for each in ROLES],
    }


def cluster_annotations(side: DatabaseSide) -> dict[str, str]:
    """Annotations: what the engine waits for, whether the Cluster hibernates or is fenced, and whether it is given up.

    Without patchForce a promotion would end in a conflict if somebody else had changed the field, and the standby would stay one.
    A side that serves again after the guard has `stopped` it is unfenced: to the operator an empty list is none. To leave the
    annotation out would not do, for it is the guard's.
    """
    role, server = side.database_role, side.settings.server(side.names.role)
    always = {"pulumi.com/patchForce": "true", **({GIVEN_UP: server} if side.given_up else {})}
    if role == "fenced":
        # The engine does not wait: a Cluster that the guard has fenced may never hibernate. The program waits, for either.
        return {HIBERNATION: "on", **always}
    if side.stopped:
        always |= {FENCED: "[]", "k8s-dr/unfenced-after": side.stopped}
    if role == "demoted":
        # The operator writes it once the database has shut down and archived its last WAL.
        return {**always, "pulumi.com/waitFor": "jsonpath={.status.demotionToken}"}
    if role == "promoted":
        # The engine does not wait: the confirmation Job waits for what matters, and a missing replica must not delay a failover.
        return always
    # A recovered Cluster is ready with its first instance: the others are copied from it, and must not delay a failover.
    ended = (*RECOVERED, *LOST) if role == "recovered" else (HEALTHY, *LOST)
    return {**always, **until_phase(ended)}


def backup_spec(settings: DatabaseSettings) -> dict[str, Any]:
    return {"cluster": {"name": settings.name}, "method": "plugin", "pluginConfiguration": {"name": PLUGIN}}


def pod_monitor_spec(settings: DatabaseSettings) -> dict[str, Any]:
    return {
        "selector": {"matchLabels": {"cnpg.io/cluster": settings.name, "cnpg.io/podRole": "instance"}},
        "podMetricsEndpoints": [{"port": "metrics"}],
    }


def first_backup_spec(settings: DatabaseSettings) -> dict[str, Any]:
    """Spec of the schedule that takes one base backup, at once. Its next time is the next 29 February, for a schedule that has
    no next time takes no backup at all, and one that is suspended takes none either.

    A schedule, and not a Backup: the plugin deletes each Backup once its retention is over, and then a refreshed stack would
    take it again. The operator never deletes a schedule. Its Backups are its own, and go with it.
    """
    return {
        "schedule": "0 0 0 29 2 *",
        "immediate": True,
        "backupOwnerReference": "self",
        "target": "primary",
        **backup_spec(settings),
    }


def scheduled_backup_spec(side: DatabaseSide) -> dict[str, Any]:
    """Spec of the schedule of base backups. Both regions back up their own side, so that each side can be recovered to a point in
    time, and the other side be made anew from it.

    The first backup of a side that follows is immediate. `Database` makes the primary's first backup and waits for it.
    """
    return {
        "schedule": side.settings.backup_cron,
        "backupOwnerReference": "self",
        "immediate": side.names.role == "secondary" or bool(side.stem),
        "suspend": side.database_role == "fenced",
        **backup_spec(side.settings),
    }


def confirmation_job(side: DatabaseSide) -> dict[str, Any]:
    """Spec of the Job that succeeds when the promoted database accepts writes and archives them."""
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
        "resources": {"requests": {"cpu": "10m", "memory": "32Mi"}, "limits": {"cpu": "500m", "memory": "128Mi"}},
        "securityContext": {**CONTAINER_SECURITY, "readOnlyRootFilesystem": True},
        "volumeMounts": [{"name": "scratch", "mountPath": "/tmp"}],  # noqa: S108 - a path in the Pod
    }
    template = {
        "metadata": pod_metadata(),
        "spec": {
            "automountServiceAccountToken": False,
            "restartPolicy": "Never",
            "securityContext": pod_security(_POSTGRES_USER),
            "containers": [container],
            "volumes": [{"name": "scratch", "emptyDir": {"sizeLimit": "1Mi"}}],
        },
    }
    return {
        "backoffLimit": 1,
        "activeDeadlineSeconds": side.promote_seconds + 30,
        "template": admitted(template, side.pods),
    }
