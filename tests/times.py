"""A pytest plugin that records how long each test takes, and what runs now. `tests.run` shows both.

It is active if TEST_TIMES names a directory. There it writes `collected.json`, the tests that were found; a line in `times.jsonl`
when a test begins, fails, and has ended, so that an interrupt leaves what was finished; and a file `now-<process id>` for each
process that runs a test.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import pytest

VARIABLE = "TEST_TIMES"
_DOING = {"setup": "setting up", "call": "running", "teardown": "cleaning up after"}


@dataclass(kw_only=True)
class Timed:
    """One test: its node id, its outcome (`passed`, `failed`, `skipped`, `interrupted`) and the seconds of each phase. A test is
    `ended` once all is cleaned up after it."""

    test: str
    outcome: str = "passed"
    setup: float = 0.0
    call: float = 0.0
    teardown: float = 0.0
    ended: bool = True

    @property
    def file(self) -> str:
        return self.test.partition("::")[0]

    @property
    def seconds(self) -> float:
        return self.setup + self.call + self.teardown


@dataclass(kw_only=True, eq=False)  # pytest keeps plugins in sets
class Times:
    """The plugin. It is registered in each process: the workers say what runs now, the main process collects all reports."""

    directory: Path
    collects: bool
    tests: dict[str, Timed] = field(default_factory=dict)

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Each worker finds all tests, and the process that hands them out finds none."""
        if session.items:
            half = self.directory / f"collected-{os.getpid()}"
            half.write_text(json.dumps([item.nodeid for item in session.items]))
            half.replace(self.directory / "collected.json")

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        self._note(self.tests.setdefault(nodeid, Timed(test=nodeid, ended=False)))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        timed = self.tests.setdefault(report.nodeid, Timed(test=report.nodeid, ended=False))
        phase = str(report.when)
        if phase in _DOING:  # the report of a worker that crashed is of no phase, and the last one of its test
            setattr(timed, phase, getattr(timed, phase) + report.duration)
        if report.outcome != "passed":
            timed.outcome = report.outcome
        timed.ended = phase not in ("setup", "call")
        if timed.ended or timed.outcome == "failed":
            self._note(timed)

    def _note(self, timed: Timed) -> None:
        if self.collects:
            with (self.directory / "times.jsonl").open("a") as file:
                file.write(json.dumps(asdict(timed)) + "\n")

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> Iterator[None]:
        with self._doing("setup", item):
            yield

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Iterator[None]:
        with self._doing("call", item):
            yield

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_teardown(self, item: pytest.Item) -> Iterator[None]:
        with self._doing("teardown", item):
            yield

    @contextmanager
    def _doing(self, phase: str, item: pytest.Item) -> Iterator[None]:
        file = self.directory / f"now-{os.getpid()}"
        file.write_text(f"{time.time()} {_DOING[phase]} {item.nodeid}")
        try:
            yield
        finally:
            file.unlink(missing_ok=True)


def register(config: pytest.Config) -> None:
    """Register the plugin if TEST_TIMES is set."""
    if directory := os.environ.get(VARIABLE):
        config.pluginmanager.register(Times(directory=Path(directory), collects=not hasattr(config, "workerinput")))


def read(directory: Path) -> list[Timed]:
    """The tests that have begun so far. One that has not ended is `interrupted`, if it has not failed already."""
    file = directory / "times.jsonl"
    found: dict[str, Timed] = {}
    for line in file.read_text().splitlines() if file.exists() else ():
        with suppress(ValueError):  # a kill or a full disk can leave half a line
            timed = Timed(**json.loads(line))
            known = timed.ended or timed.outcome == "failed"
            found[timed.test] = timed if known else replace(timed, outcome="interrupted")
    return list(found.values())


def collected(directory: Path) -> list[str]:
    """The node ids of all tests that pytest has found. Empty until then."""
    file = directory / "collected.json"
    return list(json.loads(file.read_text())) if file.exists() else []


def now(directory: Path) -> list[tuple[str, float]]:
    """What runs at this moment, with the seconds that it has taken so far."""
    found = []
    for file in sorted(directory.glob("now-*")):
        with suppress(OSError, ValueError):  # it may end while it is read
            began, _, what = file.read_text().partition(" ")
            found.append((what, time.time() - float(began)))
    return found
