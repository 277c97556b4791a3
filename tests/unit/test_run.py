"""`make test` says where the time went and what it waits for, stops at a part that fails, and lets every part clean up."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from lab.waiting import until
from tests import run, times
from tests.run import Part, Result, Run
from tests.times import Timed

ROOT = Path(__file__).parent.parent.parent


def part(tmp_path: Path, name: str, code: str) -> Part:
    """A part that runs this test file with pytest's plugin for times."""
    file = tmp_path / f"test_{name}.py"
    file.write_text(code)
    (tmp_path / "conftest.py").write_text("from tests.times import register as pytest_configure\n")
    return Part(name=name, tests=(str(file), f"--rootdir={tmp_path}", "-q"))


def waits_for_ever(started: Path, cleaned: Path) -> str:
    """A test that only an interrupt ends, and that cleans up then."""
    return f"""
import pathlib, pytest, signal

@pytest.fixture
def thing():
    yield
    pathlib.Path({str(cleaned)!r}).touch()

def test_long(thing):
    pathlib.Path({str(started)!r}).touch()
    signal.pause()
"""


def until_there(file: Path) -> str:
    return f"while not pathlib.Path({str(file)!r}).exists(): time.sleep(0.02)"


def test_each_part_is_told_with_its_time_its_tests_and_its_longest_files(tmp_path: Path) -> None:
    tests = [
        Timed(test="tests/lab/test_data.py::test_a", setup=100.0, call=25.0),
        Timed(test="tests/lab/test_data.py::test_b", call=5.0, outcome="skipped"),
        Timed(test="tests/lab/test_etcd.py::test_c", call=9.0, outcome="failed"),
    ]
    told = run.table([Result(part=run.LAB, exit_code=1, seconds=150.0, tests=tests)], seconds=155.0)
    assert told.splitlines()[0] == f"Where the time went: 2:35 min on {os.cpu_count()} CPUs"
    assert re.search(r"lab +2:30  3 tests, 1 skipped, 1 FAILED  FAILED \(exit code 1\)", told)
    assert re.search(r"tests/lab/test_data.py +2:10  1:40 of it set-up", told)
    assert "test_etcd" not in told, "files of a few seconds are left out"


def test_a_long_run_goes_on_after_a_failure(tmp_path: Path) -> None:
    failing, passing = (part(tmp_path, name, f"def test(): assert {ok}\n") for name, ok in (("failing", 0), ("passing", 1)))
    results = Run(tmp_path).stages([[[failing]], [[passing]]], stop=False)
    assert [result.exit_code for result in results] == [1, 0]


def test_the_times_of_all_phases_are_recorded_with_their_outcomes(tmp_path: Path) -> None:
    slow = "import pytest, time\n\n@pytest.fixture\ndef slow():\n    time.sleep(0.05)\n"
    code = slow + "\ndef test_one(slow): pass\ndef test_two(): assert 0\n"
    (result,) = Run(tmp_path).stages([[[part(tmp_path, "timed", code)]]])
    one, two = result.tests
    assert (one.outcome, two.outcome) == ("passed", "failed")
    assert one.setup >= 0.05
    assert one.file == two.file == "test_timed.py"


def test_a_folder_with_a_conftest_of_its_own_is_timed_too(tmp_path: Path) -> None:
    made = part(tmp_path, "first", "def test(): pass\n")
    below = tmp_path / "below"
    below.mkdir()
    (below / "conftest.py").touch()
    (below / "test_second.py").write_text("def test(): pass\n")
    (result,) = Run(tmp_path).stages([[[Part(name="both", tests=(str(below), *made.tests))]]])
    assert [timed.outcome for timed in result.tests] == ["passed", "passed"]
    assert result.exit_code == 0


def test_workers_report_their_times_too(tmp_path: Path) -> None:
    made = part(tmp_path, "parallel", "def test_one(): pass\ndef test_two(): pass\n")
    (result,) = Run(tmp_path).stages([[[Part(name="parallel", tests=made.tests, workers=2)]]])
    assert [timed.outcome for timed in result.tests] == ["passed", "passed"]


def test_a_part_that_fails_ends_the_run(tmp_path: Path) -> None:
    failing = part(tmp_path, "failing", "def test(): assert 0\n")
    results = Run(tmp_path).stages([[[failing]], [[part(tmp_path, "never", "def test(): pass\n")]]])
    assert [(result.part.name, result.exit_code) for result in results] == [("failing", 1)]


def test_a_part_that_fails_before_another_ends_what_runs_beside_it_which_cleans_up(tmp_path: Path) -> None:
    started, cleaned = tmp_path / "started", tmp_path / "cleaned"
    failing = part(tmp_path, "failing", f"import pathlib, time\n\n{until_there(started)}\ndef test(): assert 0\n")
    never = part(tmp_path, "never", "def test(): pass\n")
    results = Run(tmp_path).stages([[[failing, never], [part(tmp_path, "beside", waits_for_ever(started, cleaned))]]])
    assert [result.part.name for result in results] == ["failing", "beside"]
    assert all(result.exit_code for result in results)
    assert cleaned.exists()


def test_the_last_part_of_a_chain_fails_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Run, "interrupt", lambda _: pytest.fail("what runs beside it may end"))
    passing, failing, beside = (
        part(tmp_path, name, f"def test(): assert {ok}\n") for name, ok in (("passing", 1), ("failing", 0), ("beside", 1))
    )
    results = Run(tmp_path).stages([[[passing, failing], [beside]]])
    assert [(result.part.name, result.exit_code) for result in results] == [("passing", 0), ("failing", 1), ("beside", 0)]


def test_unit_tests_run_first_where_tools_are_to_be_built_and_beside_the_lab_where_they_are_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    orders = []
    for missing in (["region"], []):
        monkeypatch.setattr(run.toolbox, "missing", lambda _, missing=missing: missing)
        orders.append(run.stages())
        every = {part.name for stage in orders[-1] for chain in stage for part in chain}
        assert every == {"unit", "tools", "contract and engine", "lab"}
    assert [len(stage) for stage in orders[0]] == [1, 1, 2]
    assert orders[0][0] == ((run.UNIT,),)
    assert orders[1][-1] == ((run.UNIT, run.ENGINE), (run.LAB,))


def names(stages: Sequence[run.Stage]) -> list[str]:
    return [part.name for stage in stages for chain in stage for part in chain]


def test_parts_and_files_of_the_long_run_are_chosen_by_name() -> None:
    assert run.chosen([]) == run.LONG_STAGES
    [[[tools]], [[more]], [[long]]] = run.chosen([f"./{run.WITH_LONG_TOOLS}"])
    assert (tools, more) == (run.TOOLS, run.LONG_TOOLS)
    assert (long.name, long.tests) == (run.LONG.name, (run.WITH_LONG_TOOLS, "-v"))
    assert names(run.chosen(["tests/long/test_pair.py"])) == ["tools", run.LONG.name], "nor what only another file needs"
    for words in (run.REAL_CLUSTERS.name.split(), [run.REAL_CLUSTERS.name]):
        assert names(run.chosen(words)) == ["tools", run.REAL_CLUSTERS.name], "what only the other part needs is not built"
    [_, [[long, real]]] = run.chosen(["tests/engine/test_secrets.py", str(ROOT / "tests/engine/test_policy.py")])
    assert long.tests == ("tests/engine/test_policy.py", "tests/engine/test_secrets.py", "-mlong", "-v")
    assert real.tests == ("tests/engine/test_policy.py", "tests/engine/test_secrets.py", "-v")
    assert real.environment == run.REAL_CLUSTERS.environment
    both = run.chosen([*run.REAL_CLUSTERS.name.split(), "tests/long/test_tiers.py"])
    assert names(both) == ["tools", run.LONG.name, run.REAL_CLUSTERS.name]
    [_, [[faults], [_, _]]] = run.chosen(["tests/engine/test_break_glass.py"])
    assert [word.partition("::")[0] for word in faults.tests] == ["tests/engine/test_break_glass.py", "-v"], "its single tests"


@pytest.mark.parametrize("word", ["tests/long/test_gone.py", "tests/long/rates.py", "tools", "engine"])
def test_what_is_no_part_and_no_file_of_the_long_run_is_refused_with_those_that_are(word: str) -> None:
    with pytest.raises(ValueError, match=re.escape(f"{word}: not a part or file of make test-long")) as refused:
        run.chosen([word])
    assert "'engine on real API servers' (tests/engine/" in str(refused.value)


def test_a_name_without_the_long_run_is_refused(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["tests.run", "tests/long/test_pair.py"])
    with pytest.raises(SystemExit):
        run.main()
    assert "tests/long/test_pair.py: parts and files can be named with --long only" in capsys.readouterr().err


def test_what_is_silent_says_what_it_waits_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(run, "SILENCE", 0.2)
    waiting = until_there(tmp_path / "heard")
    code = f"import pathlib, time\n\ndef test_long():\n    {waiting}\n"
    told: list[str] = []

    def say(*text: str, **_: object) -> None:
        told.extend(text)
        if "running test_silent.py::test_long for 0:00" in text[0]:
            (tmp_path / "heard").touch()

    monkeypatch.setattr(run, "print", say, raising=False)
    (result,) = Run(tmp_path).stages([[[part(tmp_path, "silent", code)]]])
    assert result.exit_code == 0
    assert any(re.fullmatch(r"    … silent, 0:0\d so far: running test_silent.py::test_long for 0:00", text) for text in told)


def test_an_interrupted_run_lets_its_tests_clean_up(tmp_path: Path) -> None:
    started, cleaned = tmp_path / "started", tmp_path / "cleaned"
    made = part(tmp_path, "interrupted", waits_for_ever(started, cleaned))
    stages = f"[[[run.Part(name='x', tests={made.tests!r})]]]"
    program = f"from tests import run; run.stages = lambda: {stages}; raise SystemExit(run.main())"
    # As a shell starts what it runs in the background: interrupts are ignored.
    in_background = ["/bin/sh", "-c", 'trap "" INT; exec "$@"', "sh", sys.executable, "-c", program]
    process = subprocess.Popen(in_background, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    until("the test to run", started.exists, timeout=60)
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=60) == 130
    assert cleaned.exists()


def test_without_the_variable_nothing_is_recorded(tmp_path: Path) -> None:
    made = part(tmp_path, "plain", "def test(): pass\n")
    subprocess.run(made.command, cwd=ROOT, check=True, capture_output=True, env={**os.environ, times.VARIABLE: ""})
    assert times.read(tmp_path) == []
