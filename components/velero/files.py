"""The small files that Velero writes beside each backup: what failed, which volumes were skipped, what it holds.

They are read from the region's own bucket, each by its name. A DownloadRequest would need no right at AWS, but whoever may make
one may download all that is in a backup, Secrets too; it would also need a Velero that runs.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import boto3
import botocore.config
import botocore.exceptions

from components.iam.errors import explain
from components.kube.runner.restored import Results, ResultsUnavailableError, parsed
from components.storage.bounded import TooLargeError, read_at_most, unzip_at_most
from components.velero.inventory import Inventory, inventory_of
from settings.aws import Aws
from settings.names import BACKUP_HOLDS, BACKUP_RESULTS, BACKUP_VOLUMES, Names
from settings.roles import Role
from settings.velero import VeleroSettings

_PACKED, _LARGEST = 16 * 1024**2, 64 * 1024**2
"""Bytes of the largest file that Velero may have written, compressed and not: a list of some hundred thousand objects."""

_RECORD, _RECORD_MOST = "velero-backup.json", 1024**2
"""The file of the Backup itself, which has some KB, and as many bytes as an object of Kubernetes may have."""

_WHOLE = (".tar.gz", f"-{BACKUP_VOLUMES}", f"-{BACKUP_HOLDS}", f"-{BACKUP_RESULTS}", "-podvolumebackups.json.gz")
"""How the names of the files end that a restore reads, and the gate before it."""

_INVENTORY = 4 * 1024**2
"""Bytes of the largest inventory. It has some KB."""

_VERSION = re.compile(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?(/v\w+)?", re.ASCII)
_VERSIONS = 500
"""API versions that a cluster may have, and more: CRDs of many operators make a hundred."""

_NOT_VELEROS = "the bucket's answer is not what Velero writes"


@dataclass(frozen=True, kw_only=True)
class Volume:
    """A volume whose data a backup does not have, and why. Its claim is a namespace and a name, or empty where it has none."""

    claim: tuple[str, str]
    name: str
    reason: str

    @property
    def by_a_rule(self) -> bool:
        """Whether a rule of velero.volumes left it out, in Velero's words (item_backupper.go, `trackSkippedPV`)."""
        return "due to resource policy" in self.reason

    def __str__(self) -> str:
        where = f"claim {'/'.join(self.claim)}" if self.claim[1] else f"volume {self.name}"
        return f"{where} ({self.reason})"


class BackupFiles(Protocol):
    """What the program asks of a region's backups. Each method raises ResultsUnavailableError with the reason."""

    def results(self, backup: str) -> Results:
        """What Velero said, object by object."""

    def skipped(self, backup: str) -> list[Volume]:
        """The volumes whose data the backup does not have."""

    def arrived(self, backup: str) -> dict[str, Any] | None:
        """What Velero wrote of a backup that is Completed, is here as a whole, and has no data of volumes; None of any other."""

    def inventory(self) -> Inventory | None:
        """What the region whose backups these are last wrote of what its workloads need; None if nothing has come."""

    def keep_inventory(self, inventory: Inventory) -> None:
        """Write it down, in place of the last one."""

    def holds(self, backup: str) -> dict[str, list[str]]:
        """The objects that the backup has, by API version and kind as in `apps/v1/Deployment`: a name, or namespace/name."""


class LiveBackupFiles:
    """`BackupFiles` in this region's bucket. Connects at the first question."""

    def __init__(self, names: Names, settings: Aws, role: Role) -> None:
        """`role` is whose backups: the region's own, or those of its peer, which S3 has copied here."""
        self._names, self._prefix, self._settings = names, names.velero_prefix(role), settings
        self._inventory = names.inventory_key(role)
        self._connected: Any = None

    @property
    def _s3(self) -> Any:
        if self._connected is None:
            timeouts = botocore.config.Config(connect_timeout=3, read_timeout=5, retries={"total_max_attempts": 2})
            session = boto3.session.Session(profile_name=self._settings.profile, region_name=self._names.region)
            self._connected = session.client("s3", endpoint_url=self._settings.endpoint, config=timeouts)
        return self._connected

    def _read(self, backup: str, file: str) -> bytes:
        return self._get(f"{backup}/{backup}-{file}", f"*/*-{file}", _PACKED)

    def _get(self, file: str, files: str, most: int) -> bytes:
        """What one file has. `files` is how a policy names all of its kind."""
        bucket, key = self._names.bucket("velero"), f"{self._prefix}/backups/{file}"
        try:
            return read_at_most(self._s3, bucket, key, most)
        except TooLargeError as error:
            raise ResultsUnavailableError(str(error)) from None
        except (botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError) as error:
            why = explain(error, f"s3:GetObject on s3://{bucket}/{self._prefix}/backups/{files}")
            raise ResultsUnavailableError(f"s3://{bucket}/{key} cannot be read: {why}") from None

    def results(self, backup: str) -> Results:
        return parsed(self._read(backup, BACKUP_RESULTS))

    def skipped(self, backup: str) -> list[Volume]:
        return skipped_volumes(self._read(backup, BACKUP_VOLUMES))

    def arrived(self, backup: str) -> dict[str, Any] | None:
        bucket, place = self._names.bucket("velero"), f"{self._prefix}/backups/{backup}/"
        try:
            listed = self._s3.list_objects_v2(Bucket=bucket, Prefix=place).get("Contents") or ()
        except (botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError) as error:
            raise ResultsUnavailableError(f"{place} cannot be listed: {explain(error, f's3:ListBucket on {bucket}')}") from None
        here = {each["Key"].removeprefix(place) for each in listed}
        # S3 keeps no order: the file that Velero writes last may come first.
        if not {_RECORD, *(f"{backup}{file}" for file in _WHOLE)} <= here:
            return None
        found = _record_of(self._get(f"{backup}/{_RECORD}", f"*/{_RECORD}", _RECORD_MOST), backup)
        if found is None or _has_data(self._read(backup, BACKUP_VOLUMES)):
            return None
        return found

    def holds(self, backup: str) -> dict[str, list[str]]:
        found = _unpacked(self._read(backup, BACKUP_HOLDS))
        # Each version becomes a path at which the API server is asked.
        versions = {str(key).rpartition("/")[0] for key in found} if isinstance(found, dict) else {""}
        if len(versions) > _VERSIONS or not all(map(_VERSION.fullmatch, versions)):
            raise ResultsUnavailableError(_NOT_VELEROS)
        try:
            return {str(kind): [str(name) for name in names or ()] for kind, names in found.items()}
        except TypeError:
            raise ResultsUnavailableError(_NOT_VELEROS) from None

    def inventory(self) -> Inventory | None:
        bucket = self._names.bucket("database")
        try:
            return inventory_of(json.loads(read_at_most(self._s3, bucket, self._inventory, _INVENTORY)))
        except (botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError) as error:
            if isinstance(error, botocore.exceptions.ClientError) and error.response["Error"]["Code"] == "NoSuchKey":
                return None
            why = explain(error, f"s3:ListBucket and s3:GetObject on s3://{bucket}/{self._inventory}")
            raise ResultsUnavailableError(f"s3://{bucket}/{self._inventory} cannot be read: {why}") from None
        except TooLargeError as error:
            raise ResultsUnavailableError(str(error)) from None
        except (ValueError, KeyError, TypeError, AttributeError, ArithmeticError, RecursionError):
            raise ResultsUnavailableError(f"s3://{bucket}/{self._inventory} is no inventory of this version") from None

    def keep_inventory(self, inventory: Inventory) -> None:
        bucket, body = self._names.bucket("database"), json.dumps(inventory.document()).encode()
        try:
            self._s3.put_object(Bucket=bucket, Key=self._inventory, Body=body, ContentType="application/json")
        except (botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError) as error:
            why = explain(error, f"s3:PutObject on s3://{bucket}/{self._inventory}, and kms:GenerateDataKey on its key")
            raise ResultsUnavailableError(f"s3://{bucket}/{self._inventory} cannot be written: {why}") from None


def without_data(files: BackupFiles, settings: VeleroSettings, last: str | None) -> set[tuple[str, str]]:
    """Claims that keep the disk that they have here in a planned takeover, because a rule of velero.volumes leaves their data out
    of the peer's `last` Backup. The other region's list alone does not count: a forged one would keep old data in place. Where it
    cannot be read, they are set aside like the others, and nothing is lost."""
    if last is None or not any(rule.action == "skip" for rule in settings.volumes):
        return set()
    try:
        return {volume.claim for volume in files.skipped(last) if volume.by_a_rule}
    except ResultsUnavailableError:
        return set()


def skipped_volumes(content: bytes) -> list[Volume]:
    """Of a file of volumes, those that have no data in the backup: Velero passed them over, or their snapshot or upload failed.

    What somebody has labelled `velero.io/exclude-from-backup` is left out on purpose.
    """
    found = _unpacked(content)
    try:
        volumes = [
            Volume(
                claim=(str(each.get("pvcNamespace", "")), str(each.get("pvcName", ""))),
                name=str(each.get("pvName", "")),
                reason=_reason(each),
            )
            for each in found
            if each.get("skipped") or each.get("result") == "failed"
        ]
    except (AttributeError, TypeError):
        raise ResultsUnavailableError(_NOT_VELEROS) from None
    return [each for each in volumes if "exclude-from-backup" not in each.reason]


def _record_of(content: bytes, backup: str) -> dict[str, Any] | None:
    """The Backup that a file has; None unless it is Completed, and this one.

    Of one with operations of plugins, as moving a volume is, the archive is written once more after that.
    """
    try:
        found = json.loads(content)
        metadata = found["metadata"]
        parts = [found["spec"], found["status"], *(metadata.get(key) or {} for key in ("labels", "annotations"))]
        written_once = not found["status"].get("backupItemOperationsAttempted")
        named = (found["kind"], metadata["name"], found["status"]["phase"]) == ("Backup", backup, "Completed")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise ResultsUnavailableError(_NOT_VELEROS) from None
    return found if named and written_once and all(isinstance(part, dict) for part in parts) else None


def _has_data(content: bytes) -> bool:
    """Whether a backup has data of volumes, or may have: what was not passed over, by a snapshot or through a Pod."""
    try:
        return any(not each.get("skipped") for each in _unpacked(content) or ())
    except (AttributeError, TypeError):
        raise ResultsUnavailableError(_NOT_VELEROS) from None


def _reason(volume: Mapping[str, Any]) -> str:
    """Velero's own words for it, as in `csiSnapshot: skipped b/c it's not a CSI volume`."""
    if volume.get("skipped"):
        reasons = [each.strip() for each in str(volume.get("skippedReason", "")).split(";") if each.strip()]
        return "; ".join(reasons) or "skipped without a reason"
    return f"{volume.get('backupMethod', 'its backup')} failed"


def _unpacked(content: bytes) -> Any:
    try:
        return json.loads(unzip_at_most(content, _LARGEST))
    except TooLargeError as error:
        raise ResultsUnavailableError(f"{_NOT_VELEROS}: {error}") from None
    except (ValueError, RecursionError):
        raise ResultsUnavailableError(_NOT_VELEROS) from None
