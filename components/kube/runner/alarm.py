"""Ends the pauses of a step that waits for workloads, as soon as one of them has changed in the way that is waited for.

A watch decides nothing. A step judges by what it reads itself, as often as it would without a watch. So one that is refused, that
breaks off, or that a proxy holds back costs the rest of a pause, and nothing else.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from contextlib import suppress

from .api import Api, ApiError, Object
from .inventory import Workload

Seen = Mapping[str, Workload | None]
"""By name, as in `deployment/web`: a workload as it was when it changed last, by its numbers alone. None: it was deleted."""

Worth = Callable[[Seen], bool]
"""Whether it is worth looking again, by what was seen."""

Rest = Callable[[float, Worth], None]
"""Pauses for so many seconds, or until something new is worth looking again."""


class Alarm:
    """Watches lists of workloads, each in a thread that ends with the process."""

    def __init__(self, api: Api, lists: Mapping[str, str], seconds: float) -> None:
        """`lists` are the API server's paths by the kind of their objects, as in `deployment`. They are watched for `seconds`."""
        self._changed = threading.Condition()
        self._seen: dict[str, Workload | None] = {}
        self._news = 0
        self._heard = 0
        for kind, path in lists.items():
            threading.Thread(target=self._watch, args=(api, kind, path, seconds), daemon=True).start()

    def rest(self, seconds: float, worth: Worth) -> None:
        """As `Rest`. What came while the step looked is new: it may not have been there yet when the step read it."""
        with self._changed:
            self._changed.wait_for(lambda: self._news != self._heard and worth(self._seen), timeout=seconds)
            self._heard = self._news

    def _watch(self, api: Api, kind: str, path: str, seconds: float) -> None:
        with suppress(ApiError):
            for what, body in api.watch(path, seconds=seconds):
                name = f"{kind}/{body['metadata']['name']}"
                workload = None if what == "DELETED" else Workload(kind=kind, path=path, body=_numbers(body))
                with self._changed:
                    self._seen[name] = workload
                    self._news += 1
                    self._changed.notify_all()


def _numbers(body: Object) -> Object:
    """What says how many replicas there are. The rest of thousands of workloads would need more memory than the Pod has."""
    return {
        "metadata": {"name": body["metadata"]["name"], "generation": body["metadata"]["generation"]},
        "spec": {"replicas": body["spec"].get("replicas", 1)},
        "status": body.get("status", {}),
    }
