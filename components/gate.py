"""What must hold before a region takes over, asked before anything is touched, and asked in a preview too.

Pure decisions on what the cluster and the flag say; `failover` hangs them on the engine's hooks.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import get_args

import boto3
import botocore.config
import botocore.exceptions

from components.cluster_api import ClusterApi
from components.velero import PEER
from settings.model import Aws
from settings.names import FLAG_KEY, Names
from settings.roles import Role


class GateClosedError(Exception):
    """The region must not take over now; the message says why, and what to do."""


def objections(cluster: ClusterApi, schedules: Sequence[str]) -> list[str]:
    """Why the newest Backups of `schedules` could not be restored here now; nothing if they could."""
    locations = cluster.list_velero("backupstoragelocations")
    if locations is None:
        return [
            "Velero is not installed in this cluster; deploy the standby first: pulumi config set active primary && pulumi up"
        ]
    peer = next((place for place in locations if place["metadata"]["name"] == PEER), None)
    if peer is None:
        return [
            "there is no location of the peer's backups; deploy the standby first: pulumi config set active primary && pulumi up"
        ]
    status = peer.get("status") or {}
    if status.get("phase") != "Available":
        reason = status.get("message") or "Velero has not looked yet"
        return [
            f"the location of the peer's backups is {status.get('phase', 'unchecked')}: {reason}; see: velero backup-location get"
        ]
    if not status.get("lastSyncedTime"):
        return ["the peer's backups have not been read yet (Velero does it once a minute); try again"]
    return [problem for schedule in schedules if (problem := _no_backup(cluster, schedule))]


def _no_backup(cluster: ClusterApi, schedule: str) -> str | None:
    backups = cluster.list_velero("backups", f"velero.io/schedule-name={schedule}") or []
    phases = sorted({(backup.get("status") or {}).get("phase", "New") for backup in backups})
    if "Completed" in phases:
        return None
    seen = f"only {', '.join(phases)}" if phases else "none at all"
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
    """What the traffic flag says; None where it does not exist or cannot be read (a dead region must not block this one)."""
    region = names.topology.regions.secondary
    patience = botocore.config.Config(connect_timeout=3, read_timeout=5, retries={"total_max_attempts": 1})
    try:
        session = boto3.session.Session(profile_name=settings.profile, region_name=region)
        client = session.client("s3", endpoint_url=settings.endpoint, config=patience)
        content = client.get_object(Bucket=names.flag_bucket, Key=FLAG_KEY)["Body"].read().decode()
    except (botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError):
        return None
    return next((role for role in get_args(Role) if f'"{role}"' in content), None)
