"""One component registered by itself, without the program around it."""

from __future__ import annotations

from collections.abc import Callable

import pulumi
from pulumi.runtime import mocks, settings

from tests.examples import PROJECT
from tests.unit.recorder import Answers, Recorder, _event_loop


def registered(make: Callable[[], object], answers: Answers | None = None) -> Recorder:
    """What `make` registers. Raises what it raises."""
    recorder = Recorder(answers or Answers())

    @pulumi.runtime.test
    def body() -> None:
        make()

    with _event_loop():
        settings.reset_options(project=PROJECT, stack="secondary")
        mocks.set_mocks(recorder.mocks, project=PROJECT, stack="secondary", preview=False, monitor=recorder)
        body()
    return recorder
