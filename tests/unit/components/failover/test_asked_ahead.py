"""What the gate asks is asked while the program registers: it takes as long, and on the night users wait for both."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from components.failover import ahead
from components.failover.ahead import FRESH, Ahead
from components.kube.cluster_api import ClusterUnreachableError
from components.kube.runner.ask import Answer, Question
from tests.unit.components.conftest import Clock
from tests.unit.components.failover.test_gate import READY, cluster, location, seen
from tests.unit.components.failover.test_gate_of_databases import ANSWERS, PROBE
from tests.unit.fakes import FakeCluster
from tests.unit.recorder import Recorder, run_program

OURS = {"bucket": "acme-velero-us-west-2-123456789012", "prefix": "velero/secondary"}
PEERS = {"bucket": "acme-velero-us-east-1-123456789012", "prefix": "velero/primary"}


@pytest.fixture(autouse=True)
def _clock(clock: Clock) -> None:
    """Nothing waits in earnest."""


def standby(place: dict[str, str] | None = None, *, backups: Sequence[dict[str, Any]] = READY) -> FakeCluster:
    """A cluster that is ready to take over, and whose Velero writes to `place`, by default this region's own."""
    own = {**location("own", phase="Available"), "spec": {"objectStorage": place or OURS}}
    return cluster(*backups, places=[own, location(**seen())])


class Watched(FakeCluster):
    """Notes of each question whether it was asked ahead."""

    early: list[bool]

    def ask(self, name: str, questions: Sequence[Question]) -> list[Answer]:
        self.early.append(threading.current_thread().name.startswith("asked-ahead"))
        return super().ask(name, questions)


def watched(place: dict[str, str]) -> Watched:
    ready = standby(place)
    asked = Watched(velero=ready.velero, databases=ready.databases)
    asked.early = []
    return asked


def take_over(asked: FakeCluster, **changes: Any) -> Recorder:
    return run_program("secondary", {"active": "secondary", **changes}, cluster=asked)


def test_a_takeover_asks_the_primary_once_and_the_gate_finds_the_answer() -> None:
    asked = watched(OURS)
    run_program("secondary", {"active": "secondary"}, cluster=asked, run_hooks={"failover-gate"})
    assert asked.early == [True]


def test_a_preview_asks_the_primary_nothing_ahead_either() -> None:
    asked = watched(OURS)
    run_program("secondary", {"active": "secondary"}, cluster=asked, preview=True, run_hooks={"failover-gate"})
    assert asked.early == []


@pytest.mark.parametrize("place", [PEERS, {"bucket": "another-pair", "prefix": "velero/secondary"}])
def test_nothing_is_asked_ahead_in_a_cluster_that_may_be_another(place: dict[str, str]) -> None:
    asked = watched(place)
    run_program("secondary", {"active": "secondary"}, cluster=asked, run_hooks={"failover-gate"})
    assert asked.early == [False], "the gate asks itself, once the engine has compared the cluster"


def test_what_the_primary_answers_closes_the_gate_as_if_it_was_asked_then() -> None:
    asked = standby()
    asked.reached = {PROBE: 200}
    region = take_over(asked)
    assert region.call_hook("failover-gate") == ANSWERS


def test_what_was_missing_is_asked_again_before_the_gate_gives_up(clock: Clock) -> None:
    asked = standby(backups=())
    region = take_over(asked)
    asked.velero["backups"] = list(READY)
    assert region.call_hook("failover-gate") == ""
    assert clock.naps == [5.0], "the first answers were those of before"


def test_a_question_that_went_wrong_is_asked_again_by_whoever_has_words_for_it() -> None:
    def fails() -> str:
        raise ClusterUnreachableError("cluster prod-usw2 does not answer")

    assert Ahead(fails, own=lambda: True).take() is None
    assert Ahead(lambda: "here", own=fails).take() is None  # type: ignore[arg-type]


def test_an_answer_is_taken_once() -> None:
    here = Ahead(lambda: "here", own=lambda: True)
    assert (here.take(), here.take()) == ("here", None)


def test_an_answer_that_has_waited_for_long_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """A program of many resources registers for minutes, in which a primary may come back."""
    moves = Clock()
    monkeypatch.setattr(ahead, "time", moves)
    asked = [Ahead(lambda: "silent", own=lambda: True) for _ in range(2)]
    moves.sleep(FRESH)
    assert asked[0].take() == "silent"
    moves.sleep(1)
    assert asked[1].take() is None


def test_a_gate_that_has_waited_for_long_asks_the_primary_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ahead, "FRESH", -1.0)
    asked = watched(OURS)
    run_program("secondary", {"active": "secondary"}, cluster=asked, run_hooks={"failover-gate"})
    assert asked.early == [True, False]


# Ends as a program does that was refused, while its question waits for what only the test could give it, on its standard input.
REFUSED = """
import os, sys, threading
from components.failover.ahead import Ahead
asked = threading.Event()
def ask():
    asked.set()
    {then}
Ahead(ask, own=lambda: True)
asked.wait()
sys.exit("the gate is closed")
"""


@pytest.mark.parametrize(
    "then",
    ["os.read(0, 1)", "threading.main_thread().join(); raise OSError('nobody wants to know')"],
    ids=["the question hangs", "the question fails as the program ends"],
)
def test_a_program_that_was_refused_waits_for_no_answer_and_says_nothing_of_it(then: str) -> None:
    program = subprocess.Popen(
        [sys.executable, "-c", REFUSED.format(then=then)],
        cwd=Path(__file__).parents[4],
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        # The question's own patience has no end: whoever waits for it waits until this is over.
        assert program.wait(timeout=60) == 1
        assert program.stderr is not None
        assert program.stderr.read() == "the gate is closed\n"
    finally:
        program.kill()
        program.communicate()
