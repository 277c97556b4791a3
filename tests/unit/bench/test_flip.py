"""A failover's seconds beyond its critical path, by phase, from the engine's events and the program's own notes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from tests.bench import flip, measures
from tests.bench.events import FAILOVER, REGION, Heard
from tests.bench.rows import ROOT

RESTORE, OBJECT = "kubernetes:velero.io/v1:Restore", "aws:s3/bucketObjectv2:BucketObjectv2"
MARKS = {"started": 2, "imported": 5, "settings read": 5.5, "gate asked": 6, "gate answered": 9, "registered": 7}


def heard(at: float, kind: str, operation: str = "create", *, ends: bool = False) -> Heard:
    return Heard(at=at, what="resOutputsEvent" if ends else "resourcePreEvent", type=kind, operation=operation)


COURSE = [
    heard(5.6, REGION, "same"),
    heard(6, FAILOVER, "update"),
    heard(6.2, "kubernetes:core/v1:Namespace", "same"),
    heard(10, RESTORE),
    heard(12, OBJECT, "same", ends=True),
    heard(30, OBJECT, "update", ends=True),
]


def test_the_phases_add_up_to_the_seconds_beyond_the_critical_path() -> None:
    found = flip.overhead(0, MARKS, COURSE, 33, floor=12)
    assert found == {
        "engine": 2,
        "imports": 3,
        "settings": 0.5,
        "registration": 1.5,
        "gate": 3,
        "waits": 8,
        "end": 3,
    }
    assert sum(found.values()) == 33 - 12
    assert tuple(found) == measures.PHASES


def test_the_first_act_is_neither_a_component_nor_a_resource_that_stays_the_same() -> None:
    assert flip.first_act(COURSE) == 10
    assert flip.first_act(COURSE[:3]) is None


def test_the_flag_is_written_where_its_object_is_updated() -> None:
    assert flip.flag_written(COURSE) == 30


def test_a_note_that_is_missing_leaves_its_seconds_to_the_next_phase() -> None:
    found = flip.overhead(0, {"started": 2}, COURSE, 33, floor=12)
    assert (found["imports"], found["settings"], found["gate"]) == (0, 0, 0)
    assert sum(found.values()) == 33 - 12


def test_the_first_note_of_a_name_counts() -> None:
    assert flip.read_marks('{"at": 1.5, "name": "started"}\n{"at": 9, "name": "started"}\n') == {"started": 1.5}


def test_the_program_runs_as_it_is_behind_its_notes(tmp_path: Path) -> None:
    """What is noted is called as before, and what it returns or raises comes through."""
    (tmp_path / "__main__.py").write_text((ROOT / "tests" / "bench" / "marked_program.py").read_text())
    program = (
        "from components.failover.failover import Failover\n"
        "from components.region import Region\n"
        "assert __name__ == '__main__'\n"
        "for call in (Region.__init__, Failover._ask_gate):\n"
        "    try:\n"
        "        call(object())\n"
        "    except TypeError as error:\n"
        "        print(error)\n"
    )
    (tmp_path / "program.py").write_text(program)
    marks = tmp_path / "marks"
    environment = {"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin", flip.MARKS: str(marks)}
    ran = subprocess.run([sys.executable, str(tmp_path)], env=environment, capture_output=True, text=True, check=True)
    assert len(ran.stdout.splitlines()) == 2, ran.stdout
    names = [json.loads(line)["name"] for line in marks.read_text().splitlines()]
    assert names == ["started", "imported", "settings read", "registered", "gate asked", "gate answered"]
