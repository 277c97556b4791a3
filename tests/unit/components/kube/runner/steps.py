"""The steps `scale` and `stand_by` against an API server in memory, by a clock that only waiting moves."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from components.kube.runner.alarm import Worth
from components.kube.runner.inventory import Namespace
from components.kube.runner.scale import stand_up
from components.kube.runner.stand_by import stand_down
from tests.unit.components.kube.runner.fake_api import NAMESPACE, FakeApi

SECONDS = 600


def entry(*names: str, replicas: int = 3, required: bool = True) -> dict[str, Any]:
    return {"names": list(names), "replicas": replicas, "required": required}


class Clock:
    """`meanwhile` is what happens in the world each time somebody waits."""

    def __init__(self, meanwhile: Callable[[], None] = lambda: None) -> None:
        self.now, self.meanwhile = 0.0, meanwhile

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.meanwhile()

    def rest(self, seconds: float, worth: Worth) -> None:
        """As where no watch ends a pause."""
        self.sleep(seconds)


def _task(entries: tuple[dict[str, Any], ...], cron_jobs: str) -> dict[str, Any]:
    return {"namespace": NAMESPACE, "entries": list(entries), "cronJobs": cron_jobs, "seconds": SECONDS}


def standing_up(api: FakeApi, *entries: dict[str, Any], cron_jobs: str = "suspend", clock: Clock | None = None) -> str:
    clock = clock or Clock()
    return stand_up(Namespace(api, NAMESPACE), _task(entries or (entry(),), cron_jobs), clock=clock, rest=clock.rest)


def standing_by(api: FakeApi, *entries: dict[str, Any], cron_jobs: str = "suspend", clock: Clock | None = None) -> str:
    clock = clock or Clock()
    task = _task(entries or (entry(replicas=0),), cron_jobs)
    return stand_down(Namespace(api, NAMESPACE), task, clock=clock, rest=clock.rest)
