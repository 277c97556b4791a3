"""A pause ends when what is waited for has come, and otherwise after its time."""

from __future__ import annotations

import json
import queue
import threading
import time
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest

from components.kube.runner import scale, stand_by
from components.kube.runner.alarm import Alarm, Seen, Worth
from components.kube.runner.api import Api, ApiError
from components.kube.runner.inventory import Namespace
from components.kube.runner.scale import stand_up
from components.kube.runner.stand_by import stand_down
from lab.waiting import until
from tests.unit.components.kube.runner.fake_api import NAMESPACE, FakeApi
from tests.unit.components.kube.runner.steps import entry
from tests.unit.components.kube.runner.streams import Stream, streaming

PATIENCE = 30.0
"""Seconds of a pause that a test does not wait for: if it did, `SOON` would tell."""

SOON = 10.0


class Watched(FakeApi):
    """An API server in memory whose workloads can be watched: each change of the world is told to whoever watches."""

    def __init__(self) -> None:
        super().__init__()
        self.watches: dict[str, queue.SimpleQueue[tuple[str, dict[str, Any]] | None]] = {}
        for path in Namespace(self, NAMESPACE).lists.values():
            self.watches[path] = queue.SimpleQueue()

    def watch(self, path: str, *, seconds: float) -> Iterator[tuple[str, dict[str, Any]]]:
        while (event := self.watches[path].get()) is not None:
            yield event

    def tell(self, name: str, what: str = "MODIFIED") -> None:
        """As in `deployment/web`."""
        kind, _, _ = name.partition("/")
        self.watches[Namespace(self, NAMESPACE).lists[kind]].put((what, self.of(name)))


@pytest.fixture
def api() -> Iterator[Watched]:
    api = Watched()
    yield api
    for watch in api.watches.values():
        watch.put(None)


def alarm(api: Watched) -> Alarm:
    return Alarm(api, Namespace(api, NAMESPACE).lists, PATIENCE)


def available(name: str, number: int) -> Worth:
    def worth(seen: Seen) -> bool:
        workload = seen.get(name)
        return workload is not None and workload.available == number

    return worth


def seconds_of(rest: Any, *arguments: Any) -> float:
    began = time.monotonic()
    rest(*arguments)
    return time.monotonic() - began


def test_a_pause_ends_as_soon_as_what_is_waited_for_is_seen(api: Watched) -> None:
    api.workload("deployment/web", 3)
    api.bring_up()
    rings = alarm(api)
    threading.Timer(0.1, api.tell, ["deployment/web"]).start()
    assert seconds_of(rings.rest, PATIENCE, available("deployment/web", 3)) < SOON


def test_what_came_before_the_pause_began_ends_it_too_for_the_step_may_have_read_before_that(api: Watched) -> None:
    api.workload("deployment/web", 3)
    api.bring_up()
    rings = alarm(api)
    seen = threading.Event()
    threading.Thread(target=lambda: (rings.rest(PATIENCE, available("deployment/web", 3)), seen.set()), daemon=True).start()
    api.tell("deployment/web")
    assert seen.wait(SOON)


def test_what_ended_one_pause_does_not_end_the_next_one(api: Watched) -> None:
    api.workload("deployment/web", 3)
    api.bring_up()
    rings = alarm(api)
    api.tell("deployment/web")
    rings.rest(PATIENCE, available("deployment/web", 3))
    assert seconds_of(rings.rest, 0.2, available("deployment/web", 3)) >= 0.2


def test_a_pause_that_nothing_ends_takes_its_time_and_no_more(api: Watched) -> None:
    api.workload("deployment/web", 3)
    rings = alarm(api)
    api.tell("deployment/web", "ADDED")
    assert seconds_of(rings.rest, 0.2, available("deployment/web", 3)) >= 0.2


def test_a_watch_that_is_refused_leaves_pauses_as_long_as_without_one() -> None:
    class Refusing(FakeApi):
        def watch(self, path: str, *, seconds: float) -> Iterator[Any]:
            raise ApiError(403, "cannot watch")

    rings = Alarm(Refusing(), Namespace(FakeApi(), NAMESPACE).lists, PATIENCE)
    assert seconds_of(rings.rest, 0.2, lambda seen: True) >= 0.2


def test_what_was_deleted_is_seen_to_be_gone(api: Watched) -> None:
    api.workload("deployment/web", 3)
    rings = alarm(api)
    api.tell("deployment/web", "DELETED")
    assert seconds_of(rings.rest, PATIENCE, lambda seen: "deployment/web" in seen and seen["deployment/web"] is None) < SOON


def _task(*entries: dict[str, Any]) -> dict[str, Any]:
    return {"namespace": NAMESPACE, "entries": list(entries), "cronJobs": "suspend", "seconds": PATIENCE}


class Pauses:
    """The pauses of an alarm, each as long as a test may wait; before each of them something happens in the world."""

    def __init__(self, api: Watched, happens: list[Any]) -> None:
        self.rings, self.happens, self.taken = alarm(api), happens, 0

    def rest(self, seconds: float, worth: Worth) -> None:
        self.taken += 1
        self.happens.pop(0)()
        began = time.monotonic()
        self.rings.rest(PATIENCE, worth)
        assert time.monotonic() - began < SOON


def test_a_region_that_serves_ends_its_pause_when_the_last_workload_is_available_and_not_with_each_change(
    api: Watched,
) -> None:
    api.workload("deployment/web", 1)
    api.workload("statefulset/queue", 1)
    api.workload("deployment/reports", 1)
    api.broken |= {"web", "queue", "reports"}

    def comes_up(name: str) -> None:
        api.broken.discard(name.partition("/")[2])
        api.bring_up()
        api.tell(name)

    def come_up_one_after_the_other() -> None:
        comes_up("deployment/web")
        threading.Timer(0.2, comes_up, ["statefulset/queue"]).start()

    pauses = Pauses(api, [come_up_one_after_the_other])
    entries = entry(), entry("deployment/reports", required=False)
    told = stand_up(Namespace(api, NAMESPACE), _task(*entries), rest=pauses.rest)
    assert "deployment/reports is not required and has 0 of 3 available, 2 available" in told
    assert pauses.taken == 1


def test_a_region_that_gives_up_ends_its_pause_when_the_last_pod_is_gone(api: Watched) -> None:
    api.workload("deployment/web", 3)
    api.workload("statefulset/queue", 3)
    api.controllers.clear()
    api.bring_up()

    def ends_first() -> None:
        web = api.of("deployment/web")
        web["status"] = {"observedGeneration": web["metadata"]["generation"], "replicas": 0}
        api.tell("deployment/web")
        threading.Timer(0.2, is_deleted).start()

    def is_deleted() -> None:
        queue = api.of("statefulset/queue")
        del api.objects["/apis/apps/v1/namespaces/production/statefulsets/queue"]
        api.watches["/apis/apps/v1/namespaces/production/statefulsets"].put(("DELETED", queue))

    pauses = Pauses(api, [ends_first])
    assert "deployment/web 3 → 0" in stand_down(Namespace(api, NAMESPACE), _task(entry(replicas=0)), rest=pauses.rest)
    assert pauses.taken == 1


@pytest.mark.parametrize(("step", "before", "replicas"), [(scale, 1, 3), (stand_by, 3, 0)])
def test_a_step_in_its_pod_watches_what_it_waits_for(
    step: ModuleType, before: int, replicas: int, api: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Api, "in_cluster", lambda seconds: api)
    monkeypatch.setattr(step, "_POLL_SECONDS", PATIENCE)
    api.workload("deployment/web", before)
    api.bring_up()
    api.controllers.clear()

    def goes_on() -> None:
        until("the step to ask for them", lambda: api.replicas("deployment/web") == replicas, timeout=PATIENCE, interval=0.01)
        api.bring_up()
        api.tell("deployment/web")

    threading.Thread(target=goes_on).start()
    assert seconds_of(step.run, _task(entry(replicas=replicas))) < SOON
    assert api.replicas("deployment/web") == replicas


# The client's side of it


@pytest.fixture
def stream() -> Iterator[Stream]:
    with streaming() as stream:
        yield stream


def client(stream: Stream) -> Api:
    return Api(stream.url, token=str, answer=SOON)


PATH = "/apis/apps/v1/namespaces/production/deployments"


def test_an_event_is_told_at_once_and_not_when_the_watch_ends(stream: Stream) -> None:
    events = client(stream).watch(PATH, seconds=59.5)
    stream.send("ADDED", {"metadata": {"name": "web"}})
    assert next(events) == ("ADDED", {"metadata": {"name": "web"}})
    stream.send("DELETED", {"metadata": {"name": "web"}})
    assert next(events) == ("DELETED", {"metadata": {"name": "web"}})
    assert stream.asked == [f"{PATH}?watch=true&timeoutSeconds=60"]
    stream.lines.put(None)
    assert list(events) == []


def test_an_event_that_comes_in_parts_is_told_once_it_is_whole(stream: Stream) -> None:
    events = client(stream).watch(PATH, seconds=60)
    whole = json.dumps({"type": "ADDED", "object": {"metadata": {"name": "x" * 20000}}}).encode() + b"\n"
    for first in range(0, len(whole), 7000):
        stream.lines.put(whole[first : first + 7000])
    assert next(events) == ("ADDED", {"metadata": {"name": "x" * 20000}})


def test_an_error_in_a_watch_ends_it_with_the_servers_words(stream: Stream) -> None:
    events = client(stream).watch(PATH, seconds=60)
    stream.send("ERROR", {"code": 410, "message": "too old resource version"})
    with pytest.raises(ApiError, match="too old resource version") as ended:
        next(events)
    assert ended.value.status == 410


@pytest.mark.parametrize("line", [b"<html>Bad Gateway</html>\n", b"[]\n", b"{}\n"])
def test_a_watch_that_answers_with_something_else_is_an_error(line: bytes, stream: Stream) -> None:
    stream.lines.put(line)
    with pytest.raises(ApiError, match="the API server's watch broke off"):
        next(client(stream).watch(PATH, seconds=60))


def test_a_watch_that_is_refused_is_an_error_with_the_servers_words() -> None:
    with streaming(status=403) as stream:
        stream.lines.put(json.dumps({"message": "cannot watch resource"}).encode())
        stream.lines.put(None)
        with pytest.raises(ApiError, match=r"cannot watch resource \(HTTP 403\)") as refused:
            next(client(stream).watch(PATH, seconds=60))
    assert refused.value.status == 403
