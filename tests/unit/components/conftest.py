"""The program in its four combinations, run once and read by many tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache

import botocore.session
import pytest

from components.failover import gate, preflight
from components.velero import arrival, downloads
from settings.roles import Role
from tests.unit.recorder import COMBINATIONS, Recorder, deployed, run_program

Program = Callable[[Role, Role], Recorder]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "combination" in metafunc.fixturenames:
        ids = [f"{stack}-while-{active}-is-active" for stack, active in COMBINATIONS]
        metafunc.parametrize("combination", COMBINATIONS, ids=ids)


@pytest.fixture(scope="package", autouse=True)
def _models_are_read_once() -> Iterator[None]:
    """Each session of AWS's SDK reads its models anew, which takes most of the time in which a client is made.

    For these tests alone: the SDK takes the bucket out of S3's paths as soon as a client is made, and the lab reads them.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(botocore.session, "create_loader", cache(botocore.session.create_loader))
        yield


@pytest.fixture(scope="session")
def program() -> Program:
    """Stack and the region that serves to what the program registers once set-up is complete. Shared: read, change nothing."""
    runs: dict[tuple[Role, Role], Recorder] = {}

    def run(stack: Role, serving: Role) -> Recorder:
        if (stack, serving) not in runs:
            runs[stack, serving] = run_program(stack, {**deployed(serving), "peerReady": True})
        return runs[stack, serving]

    return run


@pytest.fixture
def recorder(combination: tuple[Role, Role], program: Program) -> Recorder:
    """The program in each of its four combinations, one after the other."""
    return program(*combination)


@pytest.fixture
def takeover(program: Program) -> Recorder:
    return program("secondary", "secondary")


@pytest.fixture
def standby(program: Program) -> Recorder:
    return program("secondary", "primary")


class Clock:
    """A monotonic clock that only sleeping moves."""

    def __init__(self) -> None:
        self.now, self.naps = 100.0, list[float]()

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.naps.append(seconds)
        self.now += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    for module in (gate, preflight, downloads, arrival):
        monkeypatch.setattr(module, "time", clock)
    return clock
