"""What must hold before a region takes over, asked before anything is touched, and asked in a preview too.

Pure decisions on what the cluster and the flag say; `failover` hangs them on the engine's hooks.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

import boto3
import botocore.config
import botocore.exceptions

from components.aws_errors import explain
from components.cluster_api import ClusterApi
from components.velero import PEER
from settings.model import Aws
from settings.names import FLAG_KEY, Names
from settings.roles import ROLES, Role

FIRST = "deploy the standby first: pulumi config rm active -s secondary && pulumi up -s secondary"

STALE = timedelta(minutes=10)
"""Velero reads a location once a minute; one that it has not read for so long is not looked after."""


class FlagUnreadableError(Exception):
    """Whether the other region has taken over cannot be known; the message says why."""


class GateClosedError(Exception):
    """The region must not take over now; the message says why, and what to do."""


def objections(cluster: ClusterApi, schedules: Sequence[str]) -> list[str]:
    """Why the newest Backups of `schedules` could not be restored here now; nothing if they could."""
    locations = cluster.list_velero("backupstoragelocations")
    if locations is None:
        return [f"Velero is not installed in this cluster; {FIRST}"]
    peer = next((place for place in locations if place["metadata"]["name"] == PEER), None)
    if peer is None:
        return [f"there is no location of the peer's backups; {FIRST}"]
    status = peer.get("status") or {}
    if status.get("phase") != "Available":
        reason = status.get("message") or "Velero has not looked yet"
        return [
            f"the location of the peer's backups is {status.get('phase', 'unchecked')}: {reason}; see: velero backup-location get"
        ]
    synced = status.get("lastSyncedTime")
    if not synced or datetime.now(UTC) - datetime.fromisoformat(synced.replace("Z", "+00:00")) > STALE:
        return [f"the peer's backups were last read {synced or 'never'}; see: kubectl logs -n velero deploy/velero"]
    return [problem for schedule in schedules if (problem := _no_backup(cluster, schedule))]


def _no_backup(cluster: ClusterApi, schedule: str) -> str | None:
    backups = cluster.list_velero("backups", f"velero.io/schedule-name={schedule}") or []
    phases = sorted({(backup.get("status") or {}).get("phase", "New") for backup in backups})
    if "Completed" in phases:
        return None
    seen = f"only {', '.join(phases)}" if phases else "none at all"
    if "PartiallyFailed" in phases:
        seen += "; a namespace that it includes and that does not exist is enough for that"
    return (
        f"schedule {schedule} has no Completed backup here ({seen}); see: kubectl get backup.velero.io -n velero "
        f"-l velero.io/schedule-name={schedule}; if nothing has to be restored set restore: false for it in k8s-dr:backups"
    )


def wait_until_open(probe: Callable[[], list[str]], *, seconds: float, interval: float = 5.0) -> None:
    """Ask until nothing stands against it. Raises GateClosedError with what still does after `seconds`.

    Velero reads the peer's location once a minute, so the first answer need not be the last.
    """
    deadline = time.monotonic() + seconds
    while problems := probe():
        if time.monotonic() >= deadline:
            raise GateClosedError("; ".join(problems))
        time.sleep(interval)


def read_flag(names: Names, settings: Aws) -> Role | None:
    """What the traffic flag says; None where there is none yet, or its region does not answer: a dead region must not block
    this one. Raises FlagUnreadableError where it could be read and this operator may not.
    """
    region = names.topology.regions.secondary
    patience = botocore.config.Config(connect_timeout=3, read_timeout=5, retries={"total_max_attempts": 1})
    try:
        session = boto3.session.Session(profile_name=settings.profile, region_name=region)
        client = session.client("s3", endpoint_url=settings.endpoint, config=patience)
        content = client.get_object(Bucket=names.flag_bucket, Key=FLAG_KEY)["Body"].read().decode()
    except (botocore.exceptions.HTTPClientError, botocore.exceptions.ConnectionError):
        return None
    except botocore.exceptions.ClientError as error:
        # A region that is half dead answers with 5xx.
        if (
            error.response["Error"]["Code"] in ("NoSuchBucket", "NoSuchKey")
            or error.response["ResponseMetadata"]["HTTPStatusCode"] >= 500
        ):
            return None
        raise FlagUnreadableError(_unreadable(names, error)) from None
    except botocore.exceptions.BotoCoreError as error:
        raise FlagUnreadableError(_unreadable(names, error)) from None
    return next((role for role in ROLES if f'"{role}"' in content), None)


def _unreadable(names: Names, error: Exception) -> str:
    flag = f"s3://{names.flag_bucket}/{FLAG_KEY}"
    return f"the traffic flag {flag} cannot be read: {explain(error, 's3:GetObject on it, and s3:ListBucket on its bucket')}"
