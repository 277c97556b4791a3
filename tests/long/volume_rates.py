"""`python -m tests.long.volume_rates`: seconds, bytes and memory of volumes on their way through the lab's two regions.

    .venv/bin/python -m tests.long.volume_rates

It needs root, like the lab, and takes about ten minutes; the machine should have nothing else to do. It records what it saw in
docs/volume-rates.json, and writes the tables of docs/performance.md and docs/volumes.md from it. An interrupt takes the lab down
too.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from components.velero.choice import Choice
from components.velero.specs import VELERO_NAMESPACE
from lab import project
from lab.console import say, step, warn
from lab.regions.spec import RegionSpec, named
from lab.tools.go import ToolError
from lab.waiting import until
from lab.world import Lab, LabError
from report.machine import machine_facts
from settings.backup import Backup
from tests.lab.volumes import backed_up, claim_and_pod, contents, disk, items, mounted, restored
from tests.long.rates import GIB, LARGE, MANY, MIB, RECORD, ROOM, Measured, Move, write_pages

FILES, SMALL, IN_A_DIRECTORY = 10_000, 10 << 10, 100
"""How many small files there are, the bytes of each, and how many are in one directory."""

LOOKS = 0.5
"""Seconds between two looks at the processes' memory."""


def one_large_file(directory: Path) -> None:
    with (directory / "large").open("wb") as file:
        for _ in range(GIB // (16 * MIB)):
            file.write(os.urandom(16 * MIB))


def change_the_large_file(directory: Path) -> None:
    with (directory / "large").open("r+b") as file:
        file.seek(GIB // 2)
        file.write(os.urandom(10 * MIB))


def many_files(directory: Path) -> None:
    for number in range(FILES):
        folder = directory / f"{number // IN_A_DIRECTORY:03}"
        folder.mkdir(exist_ok=True)
        (folder / f"{number:05}").write_bytes(os.urandom(SMALL))


def change_some_files(directory: Path) -> None:
    for number in range(0, FILES, IN_A_DIRECTORY):
        (directory / f"{number // IN_A_DIRECTORY:03}" / f"{number:05}").write_bytes(os.urandom(SMALL))


@dataclass(frozen=True, kw_only=True)
class Volume:
    """A volume that is measured, in a namespace of its own with the same name."""

    name: str
    words: str
    files: int
    size: int
    fill: Callable[[Path], None]
    change: Callable[[Path], None]

    @property
    def backup(self) -> Backup:
        return Backup.model_validate({"name": self.name, "cron": "0 * * * *", "keep": "24h", "include": [self.name]})

    @property
    def schedule(self) -> str:
        return f"{self.name}-{named('primary').aws_region}"


VOLUMES = (
    Volume(name="large", words=LARGE, files=1, size=GIB, fill=one_large_file, change=change_the_large_file),
    Volume(name="many", words=MANY, files=FILES, size=FILES * SMALL, fill=many_files, change=change_some_files),
)


@dataclass(kw_only=True)
class Peaks:
    """The highest resident size, in bytes, of a data mover and of the node agent."""

    mover: int = 0
    agent: int = 0
    _ended: threading.Event = field(default_factory=threading.Event)

    def look(self, spec: RegionSpec) -> None:
        while not self._ended.wait(LOOKS):
            for program, peak in _velero(spec):
                if program == "data-mover":
                    self.mover = max(self.mover, peak)
                elif program == "node-agent":
                    self.agent = max(self.agent, peak)


@contextmanager
def watched(spec: RegionSpec) -> Iterator[Peaks]:
    """Look at a region's processes until the block ends. The node agent's peak since its start is what counts for it."""
    peaks = Peaks()
    thread = threading.Thread(target=peaks.look, args=(spec,), daemon=True)
    thread.start()
    try:
        yield peaks
    finally:
        peaks._ended.set()
        thread.join()


def _velero(spec: RegionSpec) -> Iterator[tuple[str, int]]:
    """What each of Velero's processes in a region does, and its highest resident size so far. The region has a cgroup."""
    for process in Path("/proc").iterdir():
        with suppress(OSError):  # it has ended
            command = (process / "cmdline").read_bytes().split(b"\0") if process.name.isdigit() else []
            if command[:1] == [b"/velero"] and f"/{spec.namespace}/" in (process / "cgroup").read_text():
                found = re.search(r"^VmHWM:\s+(\d+) kB", (process / "status").read_text(), re.MULTILINE)
                yield command[1].decode(), int(found[1]) << 10 if found else 0


def seconds(status: dict[str, Any]) -> float:
    """Between `startTimestamp` and `completionTimestamp`, in whole seconds, as Velero notes them."""
    times = (str(status[key]).replace("Z", "+00:00") for key in ("startTimestamp", "completionTimestamp"))
    began, ended = map(datetime.fromisoformat, times)
    return (ended - began).total_seconds()


class Run:
    """One run, on a lab whose two regions are deployed."""

    def __init__(self, lab: Lab) -> None:
        self._lab, self.moves = lab, list[Move]()

    def measure(self, volume: Volume) -> None:
        """Two backups in the primary, and the restore of the second in the secondary, which must have the same files."""
        lab, home = self._lab, named("primary")
        namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": volume.name}}
        documents = [namespace, *claim_and_pod(volume.name, home.storage_class, {}, namespace=volume.name, size="2Gi")]
        files = mounted(lab, home.name, documents, volume.name, volume.name)
        with step(f"{volume.words}: written"):
            volume.fill(files)
        self._back_up(volume, f"{volume.name}-first", "first backup")
        volume.change(files)
        self._back_up(volume, f"{volume.name}-later", "later backup")
        with step(f"{volume.words}: the backup is replicated and seen by the secondary's Velero"):
            until("replication to have nothing left to copy", self._replicated, timeout=240)
            until("the backup to be seen", lambda: self._seen(f"{volume.name}-later"), timeout=180, interval=1)
        self._restore(volume, f"{volume.name}-later")
        if contents(disk(lab, "secondary", volume.name, volume.name)) != contents(files):
            raise SystemExit(f"{volume.words}: the restored files are not those of the primary, so nothing was recorded")
        for spec in ("primary", "secondary"):
            lab.kubectl(spec, "delete", "namespace", volume.name, "--wait=false")

    def _replicated(self) -> bool:
        return bool(self._lab.cloud.replication()["pending"] == 0)

    def _seen(self, backup: str) -> bool:
        found = items(self._lab, "secondary", "backups.velero.io", "-n", VELERO_NAMESPACE)
        return backup in {each["metadata"]["name"] for each in found}

    def _back_up(self, volume: Volume, name: str, what: str) -> None:
        before = self._stored(volume)
        with step(f"{volume.words}: {what}"), watched(named("primary")) as peaks:
            phase = backed_up(self._lab, "primary", name, volume.backup, volume.schedule, seconds=600)
        self._note(
            volume, what, "primary", f"backups.velero.io/{name}", phase, "datauploads", peaks, self._stored(volume) - before
        )

    def _restore(self, volume: Volume, name: str) -> None:
        with step(f"{volume.words}: restore"), watched(named("secondary")) as peaks:
            choice = Choice(schedule=volume.schedule, backup=name)
            phase = restored(self._lab, "secondary", name, volume.backup, choice, seconds=600)
        self._note(volume, "restore", "secondary", f"restores.velero.io/{name}", phase, "datadownloads", peaks, volume.size)

    def _stored(self, volume: Volume) -> int:
        """The bytes of the volume's repository in the primary's bucket."""
        prefix = f"{project.names('primary').velero_prefix('primary')}/kopia/{volume.name}/"
        return sum(self._lab.objects(project.names("primary").bucket("velero"), prefix).values())

    def _note(self, volume: Volume, what: str, region: str, made: str, phase: str, movers: str, peaks: Peaks, moved: int) -> None:
        kind, _, name = made.partition("/")
        if phase != "Completed":
            raise SystemExit(f"{volume.words}: {what} ended {phase}; see: velero {kind.split('s.')[0]} describe {name} --details")
        (whole,) = [each for each in items(self._lab, region, kind, "-n", VELERO_NAMESPACE) if each["metadata"]["name"] == name]
        label = f"velero.io/{kind.split('s.')[0]}-name={name}"
        (mover,) = items(self._lab, region, f"{movers}.velero.io", "-n", VELERO_NAMESPACE, "-l", label)
        move = Move(
            what=what,
            volume=volume.words,
            size=volume.size,
            files=volume.files,
            seconds=seconds(whole["status"]),
            mover_seconds=seconds(mover["status"]),
            moved=moved,
            mover_memory=peaks.mover,
            agent_memory=peaks.agent,
        )
        say(f"    {move.seconds:.0f} s, of them the data mover {move.mover_seconds:.0f} s; {move.moved / MIB:.1f} MiB")
        self.moves.append(move)


def main() -> int:
    lab = Lab(files=True)
    try:
        lab.set_up()
    except (LabError, ToolError) as error:
        warn(str(error))
        return 1
    if (free := shutil.disk_usage(lab.paths.root).free) < ROOM:
        warn(f"{lab.paths.root}: {free / 1e9:.0f} GB are free, and this takes {ROOM / 1e9:.0f} GB; make room")
        return 1
    lab.down()
    lab.forget()
    run = Run(lab)
    try:
        lab.up(fresh=True)
        lab.deploy()
        for volume in VOLUMES:
            run.measure(volume)
    finally:
        with step("everything stopped"):
            lab.down()
    lab.forget()  # several gigabytes; after a failure they stay, with the logs
    day, commit = f"{datetime.now(UTC):%Y-%m-%d}", ["git", "describe", "--always", "--dirty"]
    of = subprocess.run(commit, capture_output=True, text=True, check=False).stdout.strip() or "unknown"
    measured = Measured(day=day, commit=of, machine=machine_facts(), moves=run.moves)
    measured.write()
    write_pages(measured)
    say(f"recorded in {RECORD}; docs/performance.md and docs/volumes.md have the tables")
    return 0


if __name__ == "__main__":
    sys.exit(main())
