"""The table of faults names tests that exist, and has what they last did."""

from __future__ import annotations

import ast
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pytest

from report.machine import Machine
from tests import reliability
from tests.faults import FAULTS, Fault, Moment, of_test, seen
from tests.reliability import BEGIN, END, Entry, Recorder, Reliability, table
from tests.run import FAULTS as PART

ROOT = Path(__file__).parent.parent.parent
MACHINE = Machine(cpu="AMD EPYC", cores=2, memory_gib=24.0, kernel="Linux 6", system="Debian 12", cgroup="v1")
TEST = FAULTS[0].tests[0]
ENTRY = Entry(
    test=f"{TEST}[seed 1, moment 1]", held=True, seconds=9.0, seed=1, day="2026-11-30", commit="abc1234", machine=MACHINE
)


@pytest.mark.parametrize("test", [*reliability.named_tests()])
def test_every_fault_is_injected_by_a_test_that_exists(test: str) -> None:
    file, *names = test.split("::")
    body: Any = ast.parse((ROOT / file).read_text()).body
    for name in names:
        [found] = [node for node in body if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name == name]
        body = found.body


def test_no_test_is_of_two_faults() -> None:
    tests = [*reliability.named_tests()]
    assert sorted(tests) == sorted(set(tests))
    assert of_test(f"{TEST}[seed 7, moment 3]") == FAULTS[0]
    assert of_test("tests/engine/test_flip.py::test_deploying_again_changes_nothing") is None


def test_every_one_that_is_no_long_test_is_run_with_the_long_ones_too() -> None:
    assert set(PART.tests) - {"-v"} == {test for test in reliability.named_tests() if not test.startswith("tests/long/")}
    assert "tests/engine/test_faults.py" in PART.files
    *kept, option = PART.of(["tests/lab/test_data.py"]).tests
    assert kept
    assert {word.partition("::")[0] for word in kept} == {"tests/lab/test_data.py"}
    assert option == "-v"


def test_a_moment_is_the_same_each_time_and_others_are_others() -> None:
    moment = Moment(of="flip", seed=1, number=1)
    assert moment.of_steps(300) == Moment(of="flip", seed=1, number=1).of_steps(300)
    others = [replace(moment, seed=2), replace(moment, number=2), replace(moment, of="switchover")]
    assert moment.share not in [each.share for each in others]
    assert {Moment(of="flip", seed=seed, number=1).of_steps(3) for seed in range(50)} == {1, 2, 3}


def test_the_page_has_what_the_record_says() -> None:
    with reliability.alone(reliability.PAGE.parent):  # make test may write it meanwhile
        assert table(Reliability().entries()) in reliability.PAGE.read_text(), f"run: {reliability.MAKE}"


def test_a_row_has_what_was_seen_and_one_that_never_ran_says_so() -> None:
    _, what = seen(when="after 7 of 9 calls", happened="it went on", rows_lost=0, seconds_down=12.5, again=1)
    told = table([replace(ENTRY, seen=reliability.Seen(**what))], FAULTS[:1])
    assert "| (seed 1, moment 1) " not in told
    row = "(seed 1, moment 1) | after 7 of 9 calls | it went on | 0 |  | 12.5 | 1 | held, 2026-11-30, abc1234, machine 1 |"
    assert row in told, "where nobody has counted files, nothing is said of them"
    assert told.count("| never run |") == len(FAULTS[0].tests) - 1
    failed = table([replace(ENTRY, held=False)], FAULTS[:1])
    assert "**what must come of it did not**" in failed
    assert "**FAILED**, 2026-11-30" in failed


def test_rows_and_files_lost_are_told_apart_and_in_the_columns_of_their_names() -> None:
    _, what = seen(when="then", happened="it went on", rows_lost=3, files_lost=140)
    lines = table([replace(ENTRY, seen=reliability.Seen(**what))], FAULTS[:1]).splitlines()
    head, row = ([cell.strip() for cell in line.split("|")] for line in lines if "files lost" in line or "it went on" in line)
    assert (row[head.index("rows lost")], row[head.index("files lost")]) == ("3", "140")


def test_every_injection_between_two_real_regions_says_how_many_rows_and_files_it_has_lost() -> None:
    tree = ast.parse((ROOT / "tests/long/test_faults.py").read_text())
    told = [call for call in ast.walk(tree) if isinstance(call, ast.Call) and ast.unparse(call.func) == "seen"]
    assert told
    for call in told:
        names = {keyword.arg or ast.unparse(keyword.value) for keyword in call.keywords}
        assert "cycle.losses" in names or names >= {"rows_lost", "files_lost"}, ast.unparse(call)


def report(test: str, outcome: str = "passed", when: str = "call", told: Any = None) -> Any:
    properties = [("fault", told)] if told else []
    return pytest.TestReport(test, ("", 0, ""), {}, outcome, None, when, user_properties=properties)  # type: ignore[arg-type]


@pytest.fixture
def kept(tmp_path: Path) -> Reliability:
    page = tmp_path / "page.md"
    page.write_text(f"before\n\n{BEGIN}\n{END}\n\nafter\n")
    return Reliability(file=tmp_path / "record.json", page=page)


def test_a_run_replaces_what_its_tests_left_before_and_nothing_else(kept: Reliability) -> None:
    other = FAULTS[1].tests[0]
    kept.add(replace(ENTRY, test=other), first=True)
    kept.add(replace(ENTRY, test=f"{TEST}[seed 0, moment 1]"), first=True)
    recorder = Recorder(reliability=kept, commit="def5678", machine=MACHINE)
    recorder.pytest_runtest_logreport(report(f"{TEST}[seed 1, moment 1]", when="setup"))
    recorder.pytest_runtest_logreport(report(f"{TEST}[seed 1, moment 1]", told=seen(when="then", happened="this")[1]))
    recorder.pytest_runtest_logreport(report(f"{TEST}[seed 1, moment 2]", outcome="failed"))
    recorder.pytest_runtest_logreport(report("tests/engine/test_flip.py::test_deploying_again_changes_nothing"))
    recorder.pytest_runtest_logreport(report(other, outcome="skipped"))
    found = {each.test: each.held for each in kept.entries()}
    assert found == {f"{TEST}[seed 1, moment 1]": True, f"{TEST}[seed 1, moment 2]": False, other: True}
    text = kept.page.read_text()
    assert text.startswith("before\n")
    assert text.endswith("\nafter\n")
    assert "| then | this |" in text


def test_two_runs_side_by_side_lose_no_row_of_each_other(kept: Reliability) -> None:
    """The lab's tests end while those of the engine do, in a process of their own."""
    tests = [*reliability.named_tests()][:24]
    with ProcessPoolExecutor(4, mp_context=get_context("fork")) as pool:
        list(pool.map(partial(kept.add, first=True), [replace(ENTRY, test=test) for test in tests]))
    assert {each.test for each in kept.entries()} == {*tests}


def test_a_test_that_no_fault_names_any_more_is_forgotten(kept: Reliability) -> None:
    kept.add(replace(ENTRY, test="tests/engine/test_gone.py::test_gone"), first=True)
    assert kept.entries() == []


def test_every_fault_says_what_must_come_of_it() -> None:
    assert [fault for fault in FAULTS if not (isinstance(fault, Fault) and fault.must and fault.tests)] == []
