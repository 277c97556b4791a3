"""docs/test-long.md has a row for each file, of the run that ran it last. An interrupt keeps what was finished, and only that."""

from __future__ import annotations

import json
import subprocess
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from lab.waiting import until
from report.machine import Machine
from tests import record, run, times
from tests.record import Record, Recorder, Row
from tests.run import Part, Run

ROOT = Path(__file__).parent.parent.parent
MACHINE = Machine(cpu="Some CPU", cores=2, memory_gib=24.0, kernel="Linux", system="Debian", cgroup="v1")
PART = "in the lab"
ROW = Row(part=PART, file="test_a.py", passed=2, skipped=1, seconds=125.0, day="2026-11-29", commit="abc123", machine=MACHINE)


@pytest.fixture
def kept(tmp_path: Path) -> Record:
    (tmp_path / "docs").mkdir()
    return Record(files={PART: ["test_a.py", "test_b.py", "test_c.py"]}, root=tmp_path)


def recorder(kept: Record, **changes: str) -> Recorder:
    return Recorder(record=kept, commit=changes.get("commit", "new"), machine=MACHINE, today=lambda: "2026-11-30")


def page(kept: Record) -> str:
    return (kept.root / record.PAGE).read_text()


def a_part(tmp_path: Path, **files: str) -> Part:
    """Files of tests with pytest's plugin for times."""
    (tmp_path / "conftest.py").write_text("from tests.times import register as pytest_configure\n")
    for name, code in files.items():
        (tmp_path / f"test_{name}.py").write_text(code)
    return Part(name=PART, tests=(*(str(tmp_path / f"test_{name}.py") for name in files), f"--rootdir={tmp_path}", "-q"))


def test_a_row_says_how_a_file_ended_and_when_where_and_at_which_commit_it_ran(kept: Record) -> None:
    other = replace(MACHINE, cores=8)
    kept.add([ROW, replace(ROW, file="test_b.py", failures=("test_b.py::test_x",), commit="def456-dirty", machine=other)])
    lines = page(kept).splitlines()
    assert f"| **{PART}** | 2 of 3 files have a row | 4 | 2 | 1 | 4:10 |  |  |  |" in lines
    assert "| `test_a.py` | passed | 2 | 1 | 0 | 2:05 | 2026-11-29 | abc123 | 1 |" in lines
    assert "| `test_b.py` | **FAILED** | 2 | 1 | 1 | 2:05 | 2026-11-29 | def456-dirty | 2 |" in lines
    assert "| `test_c.py` | never run |  |  |  |  |  |  |  |" in lines
    assert "Machine 1: Some CPU, 2 cores, 24 GiB, Debian, cgroup v1." in lines
    assert "Machine 2: Some CPU, 8 cores, 24 GiB, Debian, cgroup v1." in lines
    assert "- failed: `test_b.py::test_x`" in lines


def test_a_file_in_which_every_test_was_skipped_has_not_passed() -> None:
    assert replace(ROW, passed=0).result == "skipped"


def test_a_run_replaces_the_rows_of_its_own_files_and_keeps_the_others(kept: Record) -> None:
    kept.add([ROW, replace(ROW, file="test_b.py")])
    kept.add([replace(ROW, commit="new", failures=("test_a.py::test_x",))])
    kept.add([replace(ROW, commit="newer")])
    assert {file: row.commit for (_, file), row in kept.rows().items()} == {"test_a.py": "newer", "test_b.py": "abc123"}
    assert "failed:" not in page(kept)


def test_a_file_that_is_gone_leaves_the_record_with_the_next_row(kept: Record) -> None:
    kept.add([ROW, replace(ROW, file="test_b.py")])
    less = replace(kept, files={PART: ["test_b.py", "test_new.py"]})
    less.write_page()
    assert "test_a.py" not in page(kept) + (kept.root / record.RECORD).read_text()
    assert "| `test_new.py` | never run |" in page(kept)


def test_an_interrupted_file_keeps_the_row_of_a_run_that_got_to_its_end_unless_a_test_failed(kept: Record) -> None:
    kept.add([ROW, replace(ROW, file="test_b.py")])
    cut = replace(ROW, interrupted=True, commit="new")
    kept.add([cut, replace(cut, file="test_b.py", failures=("test_b.py::test_x",)), replace(cut, file="test_c.py")])
    results = {file: (row.commit, row.result) for (_, file), row in kept.rows().items()}
    assert results == {
        "test_a.py": ("abc123", "passed"),
        "test_b.py": ("new", "**FAILED**"),
        "test_c.py": ("new", "**interrupted**"),
    }


@pytest.mark.parametrize("workers", [1, 2])
def test_a_file_is_recorded_when_it_ends_and_an_interrupt_keeps_it(
    tmp_path: Path, kept: Record, monkeypatch: pytest.MonkeyPatch, workers: int
) -> None:
    monkeypatch.setattr(run, "LOOK", 0.1)
    # xdist cannot wake a worker that sleeps long: it would kill it after ten seconds.
    there = f"pathlib.Path({str(tmp_path / 'there')!r}).touch()"
    code = f"{there}\n    for _ in range(3000): time.sleep(0.1)\n"
    waits = f"import pathlib, time\n\ndef test_quick(): pass\ndef test_long():\n    {code}"
    made = replace(a_part(tmp_path, a="def test_one(): pass\ndef test_two(): pass\n", b=waits), workers=workers)
    going = Run(tmp_path, recorder(kept).note)
    ended = threading.Thread(target=going.stages, args=([[[made]]],))
    ended.start()
    until("the first file to be recorded", lambda: (PART, "test_a.py") in kept.rows(), timeout=60)
    until("the second one to run", (tmp_path / "there").exists, timeout=60)
    assert list(kept.rows()) == [(PART, "test_a.py")], "a file whose tests still run has no row"
    going.interrupt()
    ended.join(timeout=60)
    rows = kept.rows()
    assert (rows[PART, "test_a.py"].result, rows[PART, "test_a.py"].passed) == ("passed", 2)
    assert rows[PART, "test_b.py"].result == "**interrupted**"
    assert (rows[PART, "test_a.py"].commit, rows[PART, "test_a.py"].day) == ("new", "2026-11-30")


def test_failures_in_a_test_its_set_up_and_its_clean_up_are_recorded(tmp_path: Path, kept: Record) -> None:
    code = """
import pytest

@pytest.fixture
def bad_start():
    assert 0

@pytest.fixture
def bad_end():
    yield
    assert 0

def test_fails(): assert 0
def test_before(bad_start): pass
def test_after(bad_end): pass
def test_left_out(): pytest.skip("not here")
def test_passes(): pass
"""
    Run(tmp_path, recorder(kept).note).stages([[[a_part(tmp_path, a=code)]]], stop=False)
    row = kept.rows()[PART, "test_a.py"]
    assert [failure.partition("::")[2] for failure in row.failures] == ["test_fails", "test_before", "test_after"]
    assert (row.passed, row.skipped, row.interrupted) == (1, 1, False)


def test_half_a_line_of_a_killed_run_is_no_test_that_passed(tmp_path: Path, kept: Record) -> None:
    begun = {"test": "test_a.py::test_one", "ended": False}
    (tmp_path / "collected.json").write_text(json.dumps(["test_a.py::test_one"]))
    (tmp_path / "times.jsonl").write_text(json.dumps(begun) + '\n{"test": "test_a.py::test_one", "outcome": "pas')
    assert [timed.outcome for timed in times.read(tmp_path)] == ["interrupted"]
    recorder(kept).note(PART, tmp_path, over=True)
    assert kept.rows()[PART, "test_a.py"].result == "**interrupted**"
    assert kept.rows()[PART, "test_a.py"].passed == 0


def test_a_record_that_cannot_be_read_is_told_with_the_way_back(kept: Record) -> None:
    (kept.root / record.RECORD).write_text('[{"part": ')
    with pytest.raises(record.RecordError, match=r"is no record of make test-long .* git checkout docs/test-long.json"):
        kept.rows()


def test_the_commit_is_dirty_by_other_files_than_the_record(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    for name in (record.RECORD, record.PAGE, "other"):
        (tmp_path / name).touch()
    for command in (["init", "-q"], ["add", "-A"], ["-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "x"]):
        subprocess.run(["git", *command], cwd=tmp_path, check=True)
    (tmp_path / record.PAGE).write_text("new")
    clean = record.commit(tmp_path)
    (tmp_path / "other").write_text("new")
    assert len(clean) == 10
    assert record.commit(tmp_path) == f"{clean}-dirty"


def test_the_page_is_made_from_the_record_and_names_every_file_there_is() -> None:
    kept = Record(files=run.long_files())
    fresh = record.page(kept.files, kept.rows())
    assert (ROOT / record.PAGE).read_text() == fresh, "run: .venv/bin/python -m tests.run --page"
