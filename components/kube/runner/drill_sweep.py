"""The step `drill_sweep`: deletes by day what a drill that was killed has left, for its next run may be a month away.

It does so with the account of that drill, and by its own means: nothing else may touch what a drill makes. A drill that runs
is left alone, and finds this step at work if it begins meanwhile. A Restore that failed stays for a person who wants to see why.
The task is that of the drill.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from typing import Any

from .api import Api, ApiError
from .drill_alone import refuse_beside_another
from .drill_database import DatabaseDrill
from .drill_namespace import NamespaceDrill
from .drill_record import DIRECTORY, Drill, now_in_utc
from .failure import StepFailedError


def run(task: Mapping[str, Any]) -> str:
    """Delete what is left. Returns what was done; raises StepFailedError with what stays."""
    return sweep(Api.in_cluster(), task)


def sweep(
    api: Api,
    task: Mapping[str, Any],
    *,
    environment: Mapping[str, str] = os.environ,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> str:
    """As `run`, by this API server."""
    drill = Drill(kind=task["kind"], run="sweep", started=now_in_utc())
    try:
        refuse_beside_another(api, drill.kind, environment)
    except StepFailedError as failure:
        return f"nothing was deleted: {failure}"
    except ApiError as error:
        raise StepFailedError(f"whether a drill runs cannot be asked: {error}") from None
    own: NamespaceDrill | DatabaseDrill
    if drill.kind == "namespace":
        own = NamespaceDrill(api=api, task=task, drill=drill, clock=clock, sleep=sleep)
    else:
        own = DatabaseDrill(api=api, task=task, directory=DIRECTORY, drill=drill, clock=clock, sleep=sleep)
    try:
        number = own.sweep()
    except ApiError as error:
        raise StepFailedError(f"what is left cannot be asked: {error}") from None
    if drill.reasons:
        raise StepFailedError(" | ".join(drill.reasons))
    return f"deleted {number} objects of a drill that was killed" if number else "no drill has left anything"
