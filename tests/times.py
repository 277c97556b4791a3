"""A pytest plugin that records how long each test takes, and what runs now. `tests.run` shows both.

It is active if TEST_TIMES names a directory. At the end it writes `times.json` there, and meanwhile a file `now-<process id>` for
each process that runs a test.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

import pytest

VARIABLE = "TEST_TIMES"
_DOING = {"setup": "setting up", "call": "running", "teardown": "cleaning up after"}


@dataclass(kw_only=True)
class Timed:
    """One test: its node id, its outcome (`passed`, `failed`, `skipped`, …) and the seconds of each phase."""

    test: str
    outcome: str = "passed"
    setup: float = 0.0
    call: float = 0.0
    teardown: float = 0.0

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

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        timed = self.tests.setdefault(report.nodeid, Timed(test=report.nodeid))
        setattr(timed, report.when, getattr(timed, report.when) + report.duration)
        if report.outcome != "passed":
            timed.outcome = report.outcome

    def pytest_sessionfinish(self) -> None:
        if self.collects:
            content = [asdict(timed) for timed in self.tests.values()]
            (self.directory / "times.json").write_text(json.dumps(content, indent=1))

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
    """The tests that have run. Empty if pytest did not get to its end."""
    file = directory / "times.json"
    return [Timed(**entry) for entry in json.loads(file.read_text())] if file.exists() else []


def now(directory: Path) -> list[tuple[str, float]]:
    """What runs at this moment, with the seconds that it has taken so far."""
    found = []
    for file in sorted(directory.glob("now-*")):
        with suppress(OSError, ValueError):  # it may end while it is read
            began, _, what = file.read_text().partition(" ")
            found.append((what, time.time() - float(began)))
    return found
