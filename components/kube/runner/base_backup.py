"""The label of a base backup, `backup.info` as Barman writes it: when the backup was taken, and which files it must have."""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

_DATA_FILE = re.compile(r"(data|\d+)(?:_(\d{4,}))?\.tar(?:\.\w+)?")
"""A file of a base backup, by its name in the backup's directory: of the data or of a tablespace by oid, and its number."""

LABEL = "backup.info"
"""The file that says what a base backup is, and whether it is done. Barman writes it when a backup begins and when it ends."""

_FULL = 100 * 1024**3
"""Bytes from which Barman goes on with the next file of the data, before it adds the last pieces, which are small."""


@dataclass(frozen=True, kw_only=True)
class BaseBackup:
    """When a base backup began and ended, by its label."""

    began: datetime
    ended: datetime


def times_of(label: Mapping[str, str]) -> BaseBackup | None:
    """The times of a label; None for one without them, or in a form that is not Barman's."""
    try:
        began, ended = (datetime.fromisoformat(label[key]) for key in ("begin_time", "end_time"))
        return BaseBackup(began=began.astimezone(UTC), ended=ended.astimezone(UTC))
    except (KeyError, ValueError, OverflowError):
        return None


def missing_files(sizes: Mapping[str, int], label: Mapping[str, str]) -> str | None:
    """The first file that a base backup lacks by its label and the files that are here; None if it lacks none. `sizes` are the
    bytes of each file. Raises any error for a label that is not Barman's.

    Barman writes `data.tar`, then `data_0001.tar` and so on, and as many for each tablespace, by its oid. The label names the
    tablespaces, and no number of files. So that the last is the last shows in its size: Barman ends each one before it when it is
    full, and adds two small pieces after all data.
    """
    numbers: dict[str, dict[int, int]] = {"data": {}}
    for _, oid, *_ in ast.literal_eval(label.get("tablespaces", "None")) or ():
        numbers[str(oid)] = {}
    for name, size in sizes.items():
        if (match := _DATA_FILE.fullmatch(name)) and match[1] in numbers:
            numbers[match[1]][int(match[2] or 0)] = size
    for name, found in numbers.items():
        first = next(number for number in range(len(found) + 1) if number not in found)
        complete = found and first > max(found) and not (name == "data" and found[max(found)] > _FULL)
        if not complete:
            return f"{name}_{first:04}.tar" if first else f"{name}.tar"
    return None


def unlike(sizes: Mapping[str, int], marked: Mapping[str, int]) -> str | None:
    """The first file that a base backup lacks by its files in the mark of the region that took it; None if it lacks none.

    The mark counts if it was written after the backup was done, when the label had its last size.
    """
    if not marked or marked.get(LABEL) != sizes.get(LABEL):
        return None
    return next((name for name, size in sorted(marked.items()) if sizes.get(name) != size), None)
