"""Whether a database could be recovered from its archive in this region's bucket: for the drill `integrity`.

The newest base backup is done and has all its files, and no WAL segment is missing from its begin to the newest that is here.
Base backups are judged by their names and sizes, for they may have terabytes; the drill that recovers a database reads them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from heapq import nlargest
from pathlib import Path

from .base_backup import LABEL, missing_files, times_of, unlike
from .drill_fetch import Fetched, Object
from .drill_record import Drill
from .failure import StepFailedError
from .mark import MARK_BYTES, SEGMENT_KEY, Mark, first_gap, is_segment, mark_of, position_of

LABELS = 3
"""Labels of the last base backups that are read: the last may still be taken, and the one before may have failed."""

COMING = timedelta(minutes=15)
"""What was archived within this time may still come: S3 copies in no order."""

LABEL_BYTES = 1024**2
"""The most of a label that is read."""


@dataclass(frozen=True, kw_only=True)
class Archived:
    """A database's archive: `within` is how old its newest base backup may be, `mark_within` its mark."""

    database: str
    server: str
    bucket: str
    archives: str
    marks: str
    within: timedelta
    mark_within: timedelta

    @property
    def bases(self) -> str:
        return f"{self.archives}/{self.server}/base/"

    @property
    def wals(self) -> str:
        return f"{self.archives}/{self.server}/wals/"

    @property
    def mark(self) -> str:
        return f"{self.marks}/{self.server}.json"

    def labels(self, fetched: Fetched) -> list[Object]:
        """The labels of the last base backups, the newest first."""
        found = (each for each in fetched.objects(self.bucket, self.bases) if each.key.endswith(f"/{LABEL}"))
        return nlargest(LABELS, found, key=lambda each: each.key)


def judge_archive(drill: Drill, fetched: Fetched, archived: Archived, now: datetime) -> None:
    """Say what stands against a recovery, and how much it would lose."""
    about, mark = f"database {archived.database}", _mark(fetched, archived)
    sizes: dict[str, dict[str, int]] = {}
    for each in fetched.objects(archived.bucket, archived.bases):
        directory, _, file = each.key.removeprefix(archived.bases).partition("/")
        sizes.setdefault(directory, {})[file] = each.size
    newest = _newest(drill, fetched, archived, sizes)
    if newest is None:
        return
    base, label = newest
    where = f"s3://{archived.bucket}/{archived.bases}{base}/"
    times = times_of(label)
    drill.use("base-backup", base, times.began if times else None, server=archived.server)
    if times is None or not all(is_segment(label.get(key, "")) for key in ("begin_wal", "end_wal")):
        drill.fail(f"{about}: the base backup {where} has a {LABEL} that is not Barman's")
        return
    if now - times.began > archived.within + (times.ended - times.began):
        drill.fail(f"{about}: the newest base backup, {where}, is stale: by backupCron a newer one should be here")
    if missing := _missing(sizes[base], label, (mark.bases.get(base) if mark else None) or {}):
        drill.fail(f"{about}: the base backup {where} has no {missing}, which belongs to it")
    else:
        drill.count("base backups")
    _judge_wal(drill, fetched, archived, label, mark, now)
    if mark is None:
        drill.fail(f"{about}: its mark, s3://{archived.bucket}/{archived.mark}, is not here or cannot be read")
        return
    behind = now - mark.written
    drill.rpo_seconds = max(drill.rpo_seconds or 0.0, behind.total_seconds())
    if behind > archived.mark_within:
        drill.fail(
            f"{about}: its mark is of {mark.written:%Y-%m-%dT%H:%M:%SZ}: what was archived since has not come, or nobody marks it"
        )


def _mark(fetched: Fetched, archived: Archived) -> Mark | None:
    if not fetched.has(archived.bucket, archived.mark):
        return None
    try:
        return mark_of(_text(fetched.file(archived.bucket, archived.mark), MARK_BYTES))
    except Exception:  # noqa: BLE001 - whoever may write to the other region's bucket may have written anything
        return None


def _newest(
    drill: Drill, fetched: Fetched, archived: Archived, sizes: Mapping[str, Mapping[str, int]]
) -> tuple[str, Mapping[str, str]] | None:
    """The newest base backup that is done, which a recovery takes, and its label. One that is still taken is passed over."""
    told: list[str] = []
    for each in archived.labels(fetched):
        base = each.key.removeprefix(archived.bases).partition("/")[0]
        if each.size > LABEL_BYTES:
            told.append(f"{base} has a {LABEL} of {each.size} bytes, as none is that Barman writes")
            continue
        try:
            text = _text(fetched.file(archived.bucket, each.key), LABEL_BYTES)
        except (StepFailedError, ValueError, OSError) as error:
            told.append(f"{base}: {error}")
            continue
        label = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
        if label.get("status") == "DONE":
            return base, label
        told.append(f"{base} is {label.get('status', 'without a status')}")
    if not told and sizes:
        told = [f"{max(sizes)} has no {LABEL}"]
    where = f"s3://{archived.bucket}/{archived.bases}"
    drill.fail(f"database {archived.database}: no base backup in {where} is done: {'; '.join(told) or 'there is none'}")
    return None


def _missing(sizes: Mapping[str, int], label: Mapping[str, str], marked: Mapping[str, int]) -> str | None:
    try:
        lacking = missing_files(sizes, label)
    except Exception:  # noqa: BLE001 - a label may hold anything, and then it is none of Barman's
        return f"{LABEL} that is Barman's"
    return lacking or unlike(sizes, marked)


def _judge_wal(
    drill: Drill, fetched: Fetched, archived: Archived, label: Mapping[str, str], mark: Mark | None, now: datetime
) -> None:
    begin, about, found = label["begin_wal"], f"database {archived.database}", {}
    for each in fetched.objects(archived.bucket, archived.wals):
        if (match := SEGMENT_KEY.search(each.key)) and match[1][8:] >= begin[8:]:
            found[match[1]] = each
    if empty := sorted(name for name, each in found.items() if not each.size):
        drill.fail(f"{about}: the WAL segment {empty[0]} is empty")
    if begin not in found:
        drill.fail(f"{about}: the WAL segment {begin}, with which the newest base backup begins, is missing")
        return
    drill.count("WAL segments", len(found))
    if (gap := first_gap(begin, found)) is not None:
        after = min((each for name, each in found.items() if position_of(name) > gap), key=lambda each: each.modified)
        name = _named(gap, begin, found)
        if now - after.modified > COMING:
            drill.fail(f"{about}: the WAL segment {name} is missing, and what was archived after it cannot be recovered")
        else:
            drill.note(f"{about}: the WAL segment {name} has not come yet")
        return
    marked = mark.segments if mark else {}
    late = sorted(name for name, time in marked.items() if name[8:] >= begin[8:] and name not in found and now - time > COMING)
    if late:
        drill.fail(f"{about}: the WAL segment {late[0]} was archived {marked[late[0]]:%Y-%m-%dT%H:%M:%SZ}, and is missing here")


def _named(position: int, begin: str, found: Mapping[str, Object]) -> str:
    """The name of the segment at a position, on the timeline of the one before it."""
    before = max((name for name in found if position_of(name) < position), key=position_of, default=begin)
    return f"{before[:8]}{position // 256:08X}{position % 256:08X}"


def _text(path: Path, most: int) -> str:
    with path.open("rb") as file:
        content = file.read(most + 1)
    if len(content) > most:
        raise ValueError(f"it has more than {most // 1024} KiB")
    return content.decode()
