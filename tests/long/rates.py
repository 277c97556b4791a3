"""What volumes cost in the lab, as measured: the record in docs/volume-rates.json, and the parts of two pages made from it.

.venv/bin/python -m tests.long.rates          # makes these parts anew, from the record
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import timedelta
from pathlib import Path

from report.machine import Machine
from settings.durations import spoken

ROOT = Path(__file__).resolve().parents[2]
RECORD = ROOT / "docs" / "volume-rates.json"
MEASURE = ".venv/bin/python -m tests.long.volume_rates"
BEGIN, END = f"<!-- measured: {MEASURE} -->", "<!-- end of what was measured -->"
PERFORMANCE, VOLUMES = ROOT / "docs" / "performance.md", ROOT / "docs" / "volumes.md"
PLACES = {PERFORMANCE: "## What a newcomer sees when", VOLUMES: "A first backup reads every file and sends what is new."}
"""Before which text a page gets its part for the first time."""

MIB = 1 << 20
GIB = 1 << 30
ROOM = 12 * 10**9
"""Bytes of disk that a run takes: the volume, its snapshot, the snapshot's copy, both buckets, the restored volume."""


@dataclass(frozen=True, kw_only=True)
class Move:
    """One backup or one restore of one volume.

    `seconds` are of the whole Backup or Restore, `mover_seconds` those of its data mover. `size` and `files` are the volume's.
    `moved` are the bytes that came into S3 in a backup, and those that a restore wrote. Memory is the most that was used, in
    bytes.
    """

    what: str
    volume: str
    size: int
    files: int
    seconds: float
    mover_seconds: float
    moved: int
    mover_memory: int
    agent_memory: int

    @property
    def rate(self) -> float:
        """Bytes of the volume in a second of the data mover. Velero notes whole seconds."""
        return self.size / max(self.mover_seconds, 1)


@dataclass(frozen=True, kw_only=True)
class Measured:
    """All moves of one run, on one machine. Each volume's restore is its last move."""

    day: str
    commit: str
    machine: Machine
    moves: Sequence[Move]

    def restore_of(self, volume: str) -> Move:
        return next(move for move in reversed(self.moves) if move.volume == volume)

    def write(self, file: Path = RECORD) -> None:
        file.write_text(json.dumps(asdict(self), indent=1, ensure_ascii=False) + "\n")


def read(file: Path = RECORD) -> Measured | None:
    """The record; None where nothing was measured yet."""
    if not file.exists():
        return None
    found = json.loads(file.read_text())
    return Measured(
        day=found["day"],
        commit=found["commit"],
        machine=Machine(**found["machine"]),
        moves=[Move(**move) for move in found["moves"]],
    )


LARGE, MANY = "one file of 1 GiB", "10,000 files"


def seconds_of_a_restore(measured: Measured, size: float) -> float:
    """Seconds of a restore with one large volume of `size` bytes: what the Restore took beside its data mover, and the size by
    the data mover's rate."""
    restore = measured.restore_of(LARGE)
    return (restore.seconds - restore.mover_seconds) + size / restore.rate


def seconds_of_files(measured: Measured, files: int) -> float:
    """The same of a volume of small files, by how many of them the data mover wrote in a second."""
    restore = measured.restore_of(MANY)
    return (restore.seconds - restore.mover_seconds) + files / (restore.files / max(restore.mover_seconds, 1))


def performance(measured: Measured) -> str:
    """The section of docs/performance.md."""
    machine = measured.machine
    lines = [
        BEGIN,
        "",
        "## Volumes",
        "",
        f"One volume after the other, through the lab's two regions: {measured.day}, commit {measured.commit}; {machine.cpu}, "
        f"{machine.cores} cores, {machine.memory_gib:g} GiB, {machine.system}, cgroup {machine.cgroup}. S3 is moto and a disk "
        "is a directory, both on this machine, with its page cache.",
        "",
        "| | seconds in all | of them the data mover | into S3, or written | its rate | its memory | the node agent's |",
        "|---|---:|---:|---:|---:|---:|---:|",
        *(_row(move) for move in measured.moves),
        "",
        "A later backup follows a change of 10 MiB within the one file, or of 100 of the small ones (10 KiB each). A rate is the "
        "whole volume's size by the data mover's seconds. Memory is the highest resident size of the process. The rest of the "
        "seconds: the snapshot, the data mover's Pod, the volumes that it mounts, and Velero's looking every ten seconds.",
        "",
        f"To measure again, in about ten minutes, with {ROOM / 1e9:.0f} GB of disk: `{MEASURE}`. It writes "
        "`docs/volume-rates.json`, this section and its counterpart in [volumes](volumes.md#how-long-a-restore-takes).",
        "",
        END,
    ]
    return "\n".join(lines)


def _row(move: Move) -> str:
    cells = (
        f"{move.volume}: {move.what}",
        f"{move.seconds:.0f}",
        f"{move.mover_seconds:.0f}",
        _amount(move.moved),
        f"{move.rate / MIB:.0f} MiB/s",
        _amount(move.mover_memory),
        _amount(move.agent_memory),
    )
    return f"| {' | '.join(cells)} |"


def volumes(measured: Measured) -> str:
    """The part of docs/volumes.md."""
    large, many = measured.restore_of(LARGE), measured.restore_of(MANY)
    beside = large.seconds - large.mover_seconds
    return "\n".join(
        [
            BEGIN,
            "",
            "**Computed from what the lab measured** ([performance](performance.md#volumes)). There one data mover filled 1 GiB "
            f"at {large.rate / MIB:.0f} MiB/s, and wrote {many.files / max(many.mover_seconds, 1):.0f} small files in a second; "
            f"the Restore took {beside:.0f} s more than its data mover. So a restore takes {beside:.0f} s, and the volume's size "
            "by that rate:",
            "",
            "| one volume of | one data mover at the measured rate |",
            "|---|---:|",
            *(f"| {name} | {spoken(timedelta(seconds=seconds))} |" for name, seconds in _sizes(measured)),
            "",
            "A rate of your own is in the DataDownloads of a drill: `status.progress.totalBytes` by the seconds between "
            "`startTimestamp` and `completionTimestamp`. The slower of disk and data mover counts; two nodes with a volume each "
            "take the time of one.",
            "",
            END,
        ]
    )


def _sizes(measured: Measured) -> Iterator[tuple[str, float]]:
    yield "100 GiB", seconds_of_a_restore(measured, 100 * GIB)
    yield "1 TiB", seconds_of_a_restore(measured, 1024 * GIB)
    yield "a million small files", seconds_of_files(measured, 1_000_000)


def _amount(size: float) -> str:
    return f"{size / GIB:.2f} GiB" if size >= GIB else f"{size / MIB:.1f} MiB"


def with_part(page: str, part: str, before: str) -> str:
    """The page with `part` in the place of the last one; for the first time, before the text `before`. Raises ValueError for a
    page that has neither."""
    if BEGIN in page:
        start, end = page.index(BEGIN), page.index(END) + len(END)
        return page[:start] + part + page[end:]
    place = page.index(before)
    return f"{page[:place]}{part}\n\n{page[place:]}"


def parts(measured: Measured) -> dict[Path, str]:
    return {PERFORMANCE: performance(measured), VOLUMES: volumes(measured)}


def write_pages(measured: Measured) -> None:
    for page, part in parts(measured).items():
        page.write_text(with_part(page.read_text(), part, PLACES[page]))


if __name__ == "__main__":
    found = read()
    if found is None:
        raise SystemExit(f"nothing was measured yet; measure with: {MEASURE}")
    write_pages(found)
