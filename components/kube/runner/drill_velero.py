"""Whether Velero's backups in this region's bucket are whole: for the drill `integrity`, by what was fetched of them.

A backup is judged by its own list: what it says that it holds must be in its archive. The volumes' data are in kopia's
repositories, which hold them encrypted and in pieces that many backups share. So of these only a listing is judged; that a volume
can be read is proved by the drill that restores a namespace.
"""

from __future__ import annotations

import gzip
import json
import zlib
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any

from .api import Object
from .drill_archive import COMING
from .drill_fetch import Fetched
from .drill_fetch import Object as Stored
from .drill_record import Drill, moment
from .drill_tar import files
from .failure import StepFailedError

OF_SCHEDULE = "velero.io/schedule-name"
BY_FILES = "PodVolumeBackup"
"""How Velero names what it reads through the Pod that mounts it."""

_FILES = ("{}.tar.gz", "{}-logs.gz", "{}-resource-list.json.gz", "{}-volumeinfo.json.gz", "{}-results.gz")
"""What Velero writes beside velero-backup.json for every backup (object_store_layout.go)."""

_SHOWN = 3
_CLOCKS = timedelta(minutes=1)
"""How far the clocks of the nodes and of S3 may differ."""

_PIECE = 1 << 20
_JSON = 64 * 1024**2
"""Bytes of the largest JSON that is read into memory, and of all names in an archive: those of half a million objects."""

_UNPACKED = 16 * 1024**3
"""Bytes to which a file of a backup may unpack: some megabytes of zeros are a thousand times as many."""

_MOST_FILES = 64
"""Files of one backup. Velero writes about a dozen."""

_BLOBS = ("kopia.repository", "kopia.blobcfg")
"""What kopia needs to open a repository (kopia, repo/format)."""


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a region's backups are in this region's bucket."""

    bucket: str
    prefix: str

    def directory(self, backup: str) -> str:
        return f"{self.prefix}/backups/{backup}/"

    def files(self, fetched: Fetched, backup: str) -> list[Stored]:
        """What is below a backup's prefix. Raises StepFailedError for more than Velero writes: each is fetched on its own."""
        found = list(islice(fetched.objects(self.bucket, self.directory(backup)), _MOST_FILES + 1))
        if len(found) > _MOST_FILES:
            raise StepFailedError(
                f"backup {backup} has more than {_MOST_FILES} objects below s3://{self.bucket}/{self.directory(backup)}, and "
                "Velero writes about a dozen: see who wrote them"
            )
        return found

    @property
    def repositories(self) -> str:
        return f"{self.prefix}/kopia/"

    def repository(self, namespace: str) -> list[str]:
        """Prefixes of what is listed of a namespace's repository: its format, its indexes and its packs of metadata. The packs
        of data are many, and say nothing by their names."""
        return [f"{self.repositories}{namespace}/{start}" for start in ("kopia.", "x", "n", "q")]


def newest_completed(backups: list[Object], schedule: str) -> Object | None:
    """Of Backup objects the newest Completed one of a schedule."""
    done = [each for each in backups if _of(each, schedule) and _status(each).get("phase") == "Completed" and _began(each)]
    return max(done, key=lambda each: str(_began(each)), default=None)


def still_coming(backups: list[Object], schedule: str, now: datetime) -> list[str]:
    """By name, the Completed ones of a schedule that S3 may still be copying. None if there is no older one to take instead: of
    Velero's objects nothing says which come last."""
    done = [each for each in backups if _of(each, schedule) and _status(each).get("phase") == "Completed"]
    coming = [each for each in done if (ended := _time(each, "completionTimestamp")) is None or now - ended <= COMING]
    older = [each for each in done if each not in coming and (_time(each, "expiration") or now + COMING) > now]
    return [str(each["metadata"]["name"]) for each in coming] if older else []


def judge_schedule(
    drill: Drill, backups: list[Object], schedule: str, within: timedelta, now: datetime, coming: Collection[str] = ()
) -> Object | None:
    """The backup that is judged, if the newest is new enough and this one has not expired. One of those that are `coming` may be
    the newest; the one before it is judged. `within` is how old the newest may be beside the time that it took."""
    found = newest_completed(backups, schedule)
    if found is None:
        phases = sorted({str(_status(each).get("phase", "New")) for each in backups if _of(each, schedule)})
        seen = f"only {', '.join(phases)}" if phases else "none at all"
        drill.fail(f"schedule {schedule} has no Completed backup here: {seen}")
        return None
    if stale := _stale(found, within, now):
        drill.fail(f"backup {stale}, and a newer one of {schedule} should be here")
    if coming and (older := newest_completed([each for each in backups if each["metadata"]["name"] not in coming], schedule)):
        drill.note(f"backup {found['metadata']['name']} may still be copied, so the one before it is taken")
        found = older
    name, began = str(found["metadata"]["name"]), _began(found)
    assert began is not None
    drill.use("velero-backup", name, began)
    if (expires := _time(found, "expiration")) and expires <= now:
        drill.fail(f"backup {name} has expired at {expires:%Y-%m-%dT%H:%M:%SZ}, and there is no newer one of schedule {schedule}")
    return found


def _stale(backup: Object, within: timedelta, now: datetime) -> str | None:
    began, ended, expires = (_time(backup, key) for key in ("startTimestamp", "completionTimestamp", "expiration"))
    if began is None or (expires and expires <= now) or now - began <= within + ((ended - began) if ended else timedelta(0)):
        return None
    return f"{backup['metadata']['name']} is stale: it began {began:%Y-%m-%dT%H:%M:%SZ}"


def judge_backup(drill: Drill, fetched: Fetched, place: Place, backup: Object) -> Mapping[str, datetime]:
    """Whether its objects are here and whole. Returns the namespaces whose volumes it has in a repository, and when the last of
    their snapshots began."""
    name = str(backup["metadata"]["name"])
    directory = place.directory(name)
    found = {each.key.removeprefix(directory): each for each in place.files(fetched, name)}
    if missing := [file for file in ("velero-backup.json", *(each.format(name) for each in _FILES)) if file not in found]:
        what = "is not in the bucket" if not found else f"lacks {', '.join(missing)}"
        drill.fail(f"backup {name} {what}, below s3://{place.bucket}/{directory}: deleted, or not copied yet")
    whole: dict[str, Path] = {}
    for file, stored in sorted(found.items()):
        try:
            whole[file] = intact(fetched, place.bucket, stored)
        except StepFailedError as failure:
            drill.fail(f"backup {name}: {failure}")
        else:
            drill.count("objects of backups")
    if told := _against_its_list(name, backup, whole):
        drill.fail(told)
    elif not missing and len(whole) == len(found):
        drill.count("backups")
    try:
        return _moved(whole.get(f"{name}-volumeinfo.json.gz"), _began(backup))
    except (StepFailedError, ValueError, AttributeError, TypeError, KeyError) as error:
        drill.fail(f"backup {name}: {name}-volumeinfo.json.gz is not what Velero writes: {error}")
        return {}


def intact(fetched: Fetched, bucket: str, stored: Stored) -> Path:
    """The file of an object that came as the listing says, and that gzip opens to its end, with the checksum there."""
    path = fetched.file(bucket, stored.key)
    name = stored.key.rpartition("/")[2]
    if (size := path.stat().st_size) != stored.size:
        raise StepFailedError(f"{name} has {size} bytes, and the bucket lists {stored.size}")
    if not size:
        raise StepFailedError(f"{name} is empty")
    try:
        if name.endswith(".gz"):
            _unpacks(path)
        elif name.endswith(".json"):
            _read(path)
    except (OSError, EOFError, zlib.error, ValueError) as error:
        raise StepFailedError(f"{name} is corrupt: {error or type(error).__name__}") from None
    return path


def _unpacks(path: Path) -> None:
    size = 0
    with gzip.open(path) as unpacked:
        while piece := unpacked.read(_PIECE):
            size += len(piece)
            if size > _UNPACKED:
                raise ValueError(f"it unpacks to more than {_UNPACKED // 1024**3} GiB")


def _against_its_list(name: str, backup: Object, whole: Mapping[str, Path]) -> str | None:
    """What the backup says that it holds and its archive does not; None if nothing, or if one of the two is not whole."""
    archive, listed = whole.get(f"{name}.tar.gz"), whole.get(f"{name}-resource-list.json.gz")
    if archive is None or listed is None:
        return None
    try:
        held = Counter(_held(archive))
    except (ValueError, OSError, EOFError, zlib.error) as error:
        return f"backup {name}: {name}.tar.gz is corrupt: {error}"
    try:
        said = Counter(str(each) for names in _read(listed, packed=True).values() for each in names or ())
    except (ValueError, AttributeError, TypeError) as error:
        return f"backup {name}: {name}-resource-list.json.gz is not what Velero writes: {error}"
    if lacking := sorted((said - held).elements()):
        more = f" and {len(lacking) - _SHOWN} more" if len(lacking) > _SHOWN else ""
        return f"backup {name} lists objects that its archive does not hold: {', '.join(lacking[:_SHOWN])}{more}"
    saved = int((_status(backup).get("progress") or {}).get("itemsBackedUp") or 0)  # the API server knows it as a number
    if saved > held.total():
        return f"backup {name} has saved {saved} objects, and its archive holds {held.total()}"
    return None


def _held(archive: Path) -> Iterator[str]:
    """The objects of an archive, `namespace/name` or a name: `resources/KIND/namespaces/NAMESPACE/NAME.json`, and
    `resources/KIND/cluster/NAME.json`. Velero adds each a second time by its API version, which is passed over."""
    names = 0
    for name in files(archive):
        names += len(name)
        if names > _JSON:
            raise ValueError(f"the names in it are more than {_JSON // 1024**2} MiB")
        match name.removeprefix("./").split("/"):
            case ["resources", _, "namespaces", namespace, file] if file.endswith(".json"):
                yield f"{namespace}/{file.removesuffix('.json')}"
            case ["resources", _, "cluster", file] if file.endswith(".json"):
                yield file.removesuffix(".json")


def _moved(path: Path | None, backup_began: datetime | None) -> dict[str, datetime]:
    """As `judge_backup` returns it. Velero writes the list before a data mover has begun, and then without its time: that
    snapshot began no earlier than its backup."""
    found: dict[str, datetime] = {}
    for each in moved_volumes(_read(path, packed=True)) if path else ():
        began = moment(each["startTimestamp"]) if each.get("startTimestamp") else backup_began
        if began is not None:
            namespace = namespace_of(each)
            found[namespace] = max(began, found.get(namespace, began))
    return found


def _read(path: Path, *, packed: bool = False) -> Any:
    """The JSON in a file of a backup. Raises ValueError for what is none, or larger or deeper than what Velero writes."""
    with gzip.open(path) if packed else path.open("rb") as content:
        text = content.read(_JSON + 1)
    if len(text) > _JSON:
        raise ValueError(f"it is larger than {_JSON // 1024**2} MiB, as no such file is")
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("it is nested deeper than anything that Velero writes") from None


def moved_volumes(listed: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Of Velero's list of a backup's volumes those whose data are in a repository (internal/volume, BackupVolumeInfo)."""
    return [
        each
        for each in listed
        if (each.get("snapshotDataMoved") or each.get("backupMethod") == BY_FILES)
        and not each.get("skipped")
        and each.get("result") != "failed"
    ]


def namespace_of(volume: Mapping[str, Any]) -> str:
    """Whose namespace's repository it is in. What no claim stands for, as an emptyDir, is a Pod's alone."""
    return str(volume.get("pvcNamespace") or volume["pvbInfo"]["podNamespace"])


def judge_repository(drill: Drill, fetched: Fetched, place: Place, namespace: str, began: datetime, backup: str) -> None:
    """Whether the repository of a namespace's volumes can hold what a backup has put there, whose last snapshot began then.

    Each snapshot adds at least an index and a pack of metadata; kopia's maintenance merges them into newer ones. So without one
    that is as new as the snapshot, the repository is a copy that was not copied to its end.
    """
    since, where = began - _CLOCKS, f"the repository of volumes of namespace {namespace}"
    there, new = set(), set()
    for each in (each for prefix in place.repository(namespace) for each in fetched.objects(place.bucket, prefix)):
        name = each.key.rpartition("/")[2]
        if each.size and name in _BLOBS:
            there.add(name)
        if each.size and each.modified >= since:
            new.add(name[:1])
    if missing := [blob for blob in _BLOBS if blob not in there]:
        drill.fail(
            f"{where} cannot be opened: {' and '.join(missing)} not in s3://{place.bucket}/{place.repositories}{namespace}/"
        )
        return
    lacks = [what for what, there in (("index", new & {"x", "n"}), ("metadata", "q" in new)) if not there]
    if lacks:
        drill.fail(
            f"{where} is half replicated: backup {backup} put a snapshot there at {began:%Y-%m-%dT%H:%M:%SZ}, and no "
            f"{' and no '.join(lacks)} as new as that is here"
        )
        return
    drill.count("repositories of volumes")


def judge_cluster_repositories(drill: Drill, repositories: list[Object], location: str) -> None:
    """What Velero says of the repositories that it opens itself: it does so with the password, and in each maintenance."""
    for each in repositories:
        if (each.get("spec") or {}).get("backupStorageLocation") != location:
            continue
        status, namespace = each.get("status") or {}, each["spec"].get("volumeNamespace")
        if status.get("phase") == "NotReady":
            told = status.get("message") or "it gives no reason"
            drill.fail(f"Velero cannot open the repository of volumes of namespace {namespace}: {told}")
        recent = [run for run in status.get("recentMaintenance") or () if run.get("completeTimestamp")]
        last = max(recent, key=lambda run: str(run["completeTimestamp"]), default=None)
        if last and last.get("result") == "Failed":
            told = last.get("message") or "it gives no reason"
            drill.fail(f"the last maintenance of the repository of volumes of namespace {namespace} failed: {told}")


def _of(backup: Object, schedule: str) -> bool:
    return bool((backup["metadata"].get("labels") or {}).get(OF_SCHEDULE) == schedule)


def _status(backup: Object) -> Mapping[str, Any]:
    return backup.get("status") or {}


def _began(backup: Object) -> datetime | None:
    return _time(backup, "startTimestamp")


def _time(backup: Object, key: str) -> datetime | None:
    text = _status(backup).get(key)
    return moment(str(text)) if text else None
