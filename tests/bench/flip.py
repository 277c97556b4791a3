"""The program's failover, timed from outside, and by the program's own notes of when its parts ended."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from lab.pulumi import Pulumi
from lab.world import Lab
from tests.bench import timed
from tests.bench.events import Heard
from tests.bench.timed import Timed

MARKS = "BENCH_MARKS"
_CHANGES = ("create", "update", "replace", "create-replacement")
_FLAG = "aws:s3/bucketObject"


@dataclass(frozen=True, kw_only=True)
class Flip:
    """One `pulumi up` that failed over. `marks` are the program's notes, in seconds since the epoch."""

    ran: Timed
    marks: Mapping[str, float]

    @property
    def first_act(self) -> float | None:
        """When the engine began with the first resource that it changed in the world."""
        return first_act(self.ran.events)

    def overhead(self, floor: float) -> dict[str, float]:
        return overhead(self.ran.began, self.marks, self.ran.events, self.ran.ended, floor)


def first_act(heard: Sequence[Heard]) -> float | None:
    """Components and providers are the engine's own: nothing happens in the world."""
    acts = (
        each.at for each in heard if each.begins and each.operation in _CHANGES and not each.type.startswith(("dr:", "pulumi:"))
    )
    return next(acts, None)


def flag_written(heard: Sequence[Heard]) -> float | None:
    return next((each.at for each in heard if each.ends and each.type.startswith(_FLAG) and each.operation in _CHANGES), None)


def overhead(began: float, marks: Mapping[str, float], heard: Sequence[Heard], ended: float, floor: float) -> dict[str, float]:
    """The seconds of a flip beyond its critical path in the world, by phase. They add up to all of the flip less `floor`.

    `engine` lasts until the program starts, `registration` is what passes before the first act in the world and is no gate,
    `waits` is what the steps in the world took beyond `floor`, and `end` comes after the traffic flag. A phase that is not told
    of has no seconds: they are in the one after it.
    """
    moments = {
        "engine": marks.get("started"),
        "imports": marks.get("imported"),
        "settings": marks.get("settings read"),
        "acts": first_act(heard),
        "flag": flag_written(heard),
    }
    at, lasted = began, dict[str, float]()
    for name, moment in moments.items():
        then = at if moment is None else min(max(moment, at), ended)
        lasted[name], at = then - at, then
    gate = max(0.0, min(marks.get("gate answered", 0.0) - marks.get("gate asked", 0.0), lasted["acts"]))
    found = {
        "engine": lasted["engine"],
        "imports": lasted["imports"],
        "settings": lasted["settings"],
        "registration": lasted["acts"] - gate,
        "gate": gate,
        "waits": lasted["flag"] - floor,
        "end": ended - at,
    }
    return {name: round(seconds, 3) for name, seconds in found.items()}


@contextmanager
def marked(lab: Lab) -> Iterator[tuple[Pulumi, Path]]:
    """The lab's CLI, with a program that notes when its parts end, and the file of its notes. The program itself is as it was."""
    entry, program, marks = (lab.paths.project / "__main__.py", lab.paths.project / "program.py", lab.paths.logs / "marks.jsonl")
    entry.replace(program)
    shutil.copy2(Path(__file__).with_name("marked_program.py"), entry)
    try:
        yield replace(lab.pulumi, environment={**lab.pulumi.environment, MARKS: str(marks)}), marks
    finally:
        program.replace(entry)


def fail_over(lab: Lab) -> Flip:
    """Type the two commands, without the preview."""
    with marked(lab) as (pulumi, file):
        file.unlink(missing_ok=True)
        pulumi.run("config", "set", "active", "secondary", "-s", "secondary")
        ran = timed.run(pulumi, "up", "-s", "secondary", "--yes", "--skip-preview")
        return Flip(ran=ran, marks=read_marks(file.read_text()))


def read_marks(text: str) -> dict[str, float]:
    """The first note of each name."""
    found: dict[str, float] = {}
    for line in text.splitlines():
        note = json.loads(line)
        found.setdefault(str(note["name"]), float(note["at"]))
    return found


def preview(lab: Lab) -> float:
    """The seconds of a preview of the failover. Nothing is changed: the stack's file is as it was."""
    lab.pulumi.run("config", "set", "active", "secondary", "-s", "secondary")
    try:
        return timed.run(lab.pulumi, "preview", "-s", "secondary").seconds
    finally:
        lab.pulumi.run("config", "rm", "active", "-s", "secondary")
