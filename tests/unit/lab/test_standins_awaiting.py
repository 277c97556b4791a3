"""The Kubernetes stand-in ends its wait as the real provider does: when the object changes, and not a moment later."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import kubernetes
import pytest

from lab.standins.kubernetes_provider import awaiting
from lab.standins.kubernetes_provider.awaiting import NotReadyError, until_ready
from lab.standins.kubernetes_provider.cluster import Cluster
from lab.standins.recorded_cluster.server import RecordedCluster
from tests.unit.components.kube.runner.streams import Stream, streaming

SOON = 10.0
JOBS = "/apis/batch/v1/namespaces/k8s-dr/jobs"


def job(version: int, **status: Any) -> dict[str, Any]:
    metadata = {"name": "scale", "namespace": "k8s-dr", "resourceVersion": str(version)}
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": {}, "status": status}


RUNS = job(1, startTime="t", active=1)
COMPLETE = job(2, startTime="t", conditions=[{"type": "Complete", "status": "True"}])


@pytest.fixture
def stream() -> Iterator[Stream]:
    with streaming() as stream:
        yield stream


def connected(stream: Stream) -> Cluster:
    stream.documents = {
        "/version": {"major": "1"},
        "/apis/batch/v1": {"resources": [{"kind": "Job", "name": "jobs", "namespaced": True}]},
        f"{JOBS}/scale": COMPLETE,
    }
    return cluster_at(stream.url)


def cluster_at(url: str) -> Cluster:
    configuration = kubernetes.client.Configuration()
    configuration.host = url
    return Cluster(kubernetes.client.ApiClient(configuration))


def test_an_object_that_changes_is_known_at_once(stream: Stream, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(awaiting, "_QUIET_SECONDS", 60.0)
    cluster, began = connected(stream), time.monotonic()
    stream.send("MODIFIED", COMPLETE)
    assert until_ready(cluster, RUNS, RUNS, timeout=60) == COMPLETE
    assert time.monotonic() - began < SOON
    asked = f"{JOBS}?watch=true&fieldSelector=metadata.name%3Dscale&resourceVersion=1&timeoutSeconds=60"
    assert asked in stream.asked


def test_a_watch_that_tells_nothing_is_no_reason_not_to_look(stream: Stream) -> None:
    stream.lines.put(None)
    assert until_ready(connected(stream), RUNS, RUNS, timeout=60) == COMPLETE


def test_an_object_that_cannot_be_watched_is_read_again_and_not_asked_to_be_watched_twice() -> None:
    with streaming(status=405) as stream:
        stream.lines.put(None)
        cluster = connected(stream)
        assert until_ready(cluster, RUNS, RUNS, timeout=60) == COMPLETE
        assert until_ready(cluster, RUNS, RUNS, timeout=60) == COMPLETE
    assert len([path for path in stream.asked if "watch" in path]) == 1


def test_the_recorded_cluster_says_at_once_that_it_cannot_be_watched() -> None:
    with RecordedCluster() as recorded:
        made = recorded.put({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "k8s-dr"}})
        assert not cluster_at(recorded.url).changed(made, 60)


class World:
    """A cluster in which the object becomes what `told` says, each time somebody waits for a change of it."""

    def __init__(self, changed: Callable[[float], bool], told: list[dict[str, Any]]) -> None:
        self.waits, self.told, self._changed = list[float](), told, changed

    def changed(self, obj: dict[str, Any], seconds: float) -> bool:
        self.waits.append(seconds)
        return self._changed(seconds)

    def find(self, obj: dict[str, Any]) -> dict[str, Any]:
        return self.told.pop(0) if len(self.told) > 1 else self.told[0]

    def pods(self, namespace: str, selector: str) -> list[Any]:
        return []


def test_what_changes_often_is_read_each_time_until_it_is_ready() -> None:
    world = World(lambda _: True, [RUNS, RUNS, RUNS, COMPLETE])
    assert until_ready(world, RUNS, RUNS, timeout=60) == COMPLETE
    assert len(world.waits) == 4


def test_the_time_is_over_also_for_what_changes_all_the_time() -> None:
    with pytest.raises(NotReadyError, match="timed out waiting"):
        until_ready(World(lambda _: True, [RUNS]), RUNS, RUNS, timeout=0.2)
