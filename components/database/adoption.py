"""A Cluster that an `up` began to make and did not live to record: the next `up` goes on with it.

To make a Cluster takes as long as its recovery, hours where there is much to recover. If the CLI is killed meanwhile, the cluster
has the Cluster and the engine's state has none, and the API server answers the next creation with "already exists".
"""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping
from typing import Any

import pulumi

from components.database import specs
from components.database.specs import DatabaseSide
from components.kube.cluster_api import ClusterApi, ClusterUnreachableError
from components.kube.records import CREATING_RECORD

_BEGUN, _ENDED = "begun", "ended"
_CREATED = ("primary", "replica", "recovered")
"""Roles in which a Cluster is made. In the others the engine changes the one that it has, and must see every difference."""

_WHOLE = ["metadata", "spec"]
_PAUSE_SECONDS = 5.0


class Adoption:
    """What the live cluster remembers of the creation of one side's Cluster.

    A ConfigMap says that it has begun, and later that it has ended. Where it has begun only, and the Cluster that is there is
    exactly the one that the side makes, the engine imports it instead of creating it.
    """

    def __init__(self, cluster: ClusterApi, side: DatabaseSide, begun: Collection[str]) -> None:
        """`begun` are the databases whose Cluster an `up` began to make, as `begun` knows them."""
        self._cluster, self._side, self._name = cluster, side, side.settings.name
        self.left_behind = self._name in begun and side.database_role in _CREATED and self._is_there()
        """Whether an `up` has left the Cluster behind."""

    def begin(self) -> None:
        """Before the Cluster is created."""
        self._cluster.write_record(CREATING_RECORD, {self._name: _BEGUN})

    def end(self) -> None:
        """Once the engine has it."""
        self._cluster.write_record(CREATING_RECORD, {self._name: _ENDED})

    @property
    def options(self) -> pulumi.ResourceOptions | None:
        """Options by which the engine takes the Cluster as it is. The next `up` changes what differs by then."""
        if not self.left_behind:
            return None
        return pulumi.ResourceOptions(import_=f"{self._side.settings.namespace}/{self._name}", ignore_changes=_WHOLE)

    def wait(self, seconds: float) -> Mapping[str, Any]:
        """The status of the Cluster that was left behind, once its recovery has ended or failed, or after `seconds`."""
        deadline = time.monotonic() + seconds
        while True:
            found = self._cluster.read_database(self._side.settings.namespace, self._name) or {}
            status: Mapping[str, Any] = found.get("status") or {}
            if status.get("phase") in (*specs.RECOVERED, *specs.LOST) or time.monotonic() >= deadline:
                return status
            time.sleep(_PAUSE_SECONDS)

    def _is_there(self) -> bool:
        try:
            found = self._cluster.read_database(self._side.settings.namespace, self._name)
        except ClusterUnreachableError:
            return False
        return found is not None and _is_of(found, self._side)


def begun(cluster: ClusterApi) -> set[str]:
    """The databases whose Cluster an `up` began to make and did not end to. Empty where the cluster does not answer: an `up` asks
    it before all else, and a preview changes nothing."""
    try:
        record = cluster.read_record(CREATING_RECORD) or {}
    except ClusterUnreachableError:
        return set()
    return {name for name, state in record.items() if state == _BEGUN}


def _is_of(found: Mapping[str, Any], side: DatabaseSide) -> bool:
    """Whether a live Cluster is the one that the side makes, by what says whose data it has and where they go."""
    live, ours = found.get("spec") or {}, specs.cluster_spec(side)
    return all(_has(live.get(key), ours[key]) for key in ("bootstrap", "replica", "plugins"))


def _has(live: Any, ours: Any) -> bool:
    """Whether `live` says all that `ours` says. An operator adds defaults, and changes nothing of this."""
    if isinstance(ours, Mapping):
        return isinstance(live, Mapping) and all(_has(live.get(key), value) for key, value in ours.items())
    if isinstance(ours, list):
        return isinstance(live, list) and len(live) == len(ours) and all(map(_has, live, ours))
    return bool(live == ours)
