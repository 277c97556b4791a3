"""The step `guard` against an API server in memory: when it stops a region, what it stops, and when it leaves all as it is."""

from __future__ import annotations

import json
import threading
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from components.kube.runner import guard as module
from components.kube.runner import stop
from components.kube.runner.api import ApiError
from components.kube.runner.failure import StepFailedError
from components.kube.runner.fencing import EVERY_INSTANCE, FENCED
from components.kube.runner.flag import Flag
from components.kube.runner.guard import Fetched, fetched, guard
from components.kube.runner.rights import Right
from tests.unit.components.kube.runner.fake_api import NAMESPACE, FakeApi
from tests.unit.components.kube.runner.steps import Clock, entry

T = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)
NOW = datetime(2026, 3, 1, 12, 30, 0, tzinfo=UTC)
TAKEN_OVER = Fetched(flag=Flag(active="secondary"), written=T)
RECORD = "/api/v1/namespaces/k8s-dr/configmaps/guard"
SERVING = "/api/v1/namespaces/k8s-dr/configmaps/serving"
CLUSTER = "/apis/postgresql.cnpg.io/v1/namespaces/databases/clusters/app-database"
SCHEDULE = "/apis/velero.io/v1/namespaces/velero/schedules/daily-full-use1"
EVENTS = "/api/v1/namespaces/k8s-dr/events"


def a_region(role: str = "primary", *, serves: bool = True, **record: str) -> FakeApi:
    """A region that serves by its own record, with something of everything that the guard stops; or one that stands by."""
    api = FakeApi()
    if serves:
        api.add("configmap", "serving")
    api.add("configmap", "guard")["data"] = dict(record)
    primary = f"app-database-{role if serves else 'other'}"
    replica = {"self": f"app-database-{role}", "primary": primary, "source": "app-database-other"}
    api.add("cluster", "app-database", {"replica": replica})["status"] = {"readyInstances": 1}
    api.add("schedule", "daily-full-use1", {"schedule": "0 2 * * *", "paused": False})
    api.workload("deployment/web", 3)
    api.add("cronjob", "report", {"schedule": "0 * * * *"})
    return api


def task(role: str = "primary", *, once: bool = False, **changes: Any) -> dict[str, Any]:
    return {
        "role": role,
        "databases": [{"namespace": "databases", "name": "app-database"}],
        "schedules": ["daily-full-use1"],
        "workloads": [{"namespace": NAMESPACE, "entries": [entry(replicas=0)], "cronJobs": "suspend"}],
        "advice": "pulumi up -s primary",
        "anew": "pulumi up --refresh --run-program -s primary",
        "rights": [],
        "once": once,
        "seconds": 0,
        **changes,
    }


def look(
    api: FakeApi, seen: Fetched | StepFailedError = TAKEN_OVER, *, clock: Clock | None = None, now: datetime = NOW, **changes: Any
) -> str:
    """What the guard says, whether it fails or not."""
    clock = clock or Clock()

    def fetch() -> Fetched:
        if isinstance(seen, StepFailedError):
            raise seen
        return seen

    try:
        return guard(api, task(**changes), fetch, clock=clock, sleep=clock.sleep, now=lambda: now)  # type: ignore[arg-type]
    except StepFailedError as failure:
        return f"FAILED {failure}"


def stopped(api: FakeApi) -> bool:
    states = {
        (api.objects[CLUSTER]["metadata"].get("annotations") or {}).get(FENCED) == EVERY_INSTANCE,
        bool(api.objects[SCHEDULE]["spec"]["paused"]),
        api.replicas("deployment/web") == 0,
        bool(api.of("cronjob/report")["spec"].get("suspend")),
    }
    assert len(states) == 1, "all of it or nothing"
    return states.pop()


def test_a_region_that_was_replaced_stops_all_that_writes_and_serves() -> None:
    api = a_region()
    told = look(api)
    assert stopped(api)
    assert told.startswith("FAILED the other region has taken over (the traffic flag of 2026-03-01T12:00:00Z), and this one was")
    for what in ("database/app-database fenced", "schedule/daily-full-use1 paused", "deployment/web 3 → 0", "cronjob/report"):
        assert what in told
    assert told.endswith("nothing starts again by itself; run: pulumi up -s primary")
    assert api.annotations("deployment/web")["k8s-dr/ran"] == "3", "the way back is that of every region that gives up"


def test_the_database_is_fenced_first_for_what_it_takes_is_lost() -> None:
    api = a_region()
    look(api)
    changed = [path.rsplit("/", 2)[-2] for path, _ in api.patches if "configmaps" not in path]
    assert changed[0] == "clusters"


def test_whoever_wakes_the_region_knows_that_it_was_stopped_wherever_the_guard_dies() -> None:
    api = a_region()
    api.refused[CLUSTER] = ApiError(500, "etcd is down")
    look(api)
    assert api.objects[RECORD]["data"] == {
        "seen": "2026-03-01T12:00:00Z",
        "stopped": "2026-03-01T12:00:00Z",
        "at": "2026-03-01T12:30:00Z",
    }


def test_a_stop_is_recorded_before_its_first_change() -> None:
    api = a_region()
    look(api)
    paths = [path for path, _ in api.patches]
    assert [path for path, body in api.patches if "stopped" in body.get("data", {})] == [RECORD]
    assert paths[:2] == [RECORD, RECORD], "what was seen, and that it is stopped"


def test_two_stops_by_the_same_flag_are_told_apart_and_a_look_that_stops_nothing_is_no_stop() -> None:
    api = a_region()
    look(api)
    look(api, now=NOW + timedelta(minutes=1))
    assert api.objects[RECORD]["data"]["at"] == "2026-03-01T12:30:00Z"
    api.of("deployment/web")["spec"]["replicas"] = 3  # somebody has woken it
    look(api, now=NOW + timedelta(minutes=2))
    assert api.replicas("deployment/web") == 0
    assert api.objects[RECORD]["data"]["at"] == "2026-03-01T12:32:00Z"
    assert api.objects[RECORD]["data"]["stopped"] == "2026-03-01T12:00:00Z"


def test_a_second_look_finds_all_stopped_and_changes_nothing() -> None:
    api = a_region()
    look(api)
    api.objects[CLUSTER]["status"] = {}
    api.patches.clear()
    told = look(api)
    assert api.patches == []
    assert "all was stopped before" in told
    assert "still ending" not in told


def test_what_is_stopped_later_in_the_same_run_is_a_stop_of_its_own() -> None:
    """An `up` may have woken the region in between, by the time of the first."""
    api, times = a_region(), iter(range(1000))
    api.refused[CLUSTER] = ApiError(500, "failed calling webhook: connection refused")
    seen: list[str] = []

    def operator_comes_back() -> None:
        seen.append(api.objects[RECORD]["data"]["at"])
        api.refused.clear()

    clock = Clock(operator_comes_back)
    with pytest.raises(StepFailedError):
        guard(
            api,  # type: ignore[arg-type]
            task(seconds=25),
            lambda: TAKEN_OVER,
            clock=clock,
            sleep=clock.sleep,
            now=lambda: NOW + timedelta(seconds=next(times)),
        )
    assert stopped(api)
    assert api.objects[RECORD]["data"]["at"] > seen[0]


def test_what_still_ends_is_told() -> None:
    api = a_region()
    api.controllers.clear()
    api.of("deployment/web")["status"] = {"observedGeneration": 1, "replicas": 3}
    assert "still ending: database/app-database, deployment/web" in look(api)


def test_an_event_says_it_once_and_not_every_minute() -> None:
    api = a_region()
    look(api)
    look(api)
    [(path, event)] = api.created
    assert path == EVENTS
    assert (event["type"], event["reason"], event["involvedObject"]["name"]) == ("Warning", "RegionStopped", "guard")
    assert "deployment/web 3 → 0" in event["message"]


def test_an_event_that_is_refused_keeps_nothing_from_being_stopped() -> None:
    api = a_region()
    api.refused[EVENTS] = ApiError(403, "forbidden")
    assert "deployment/web 3 → 0" in look(api)
    assert stopped(api)


@pytest.mark.parametrize("role", ["primary", "secondary"])
def test_either_region_stops_when_the_flag_names_the_other(role: str) -> None:
    flag = Flag(active="secondary" if role == "primary" else "primary")
    api = a_region(role)
    look(api, Fetched(flag=flag, written=T), role=role)
    assert stopped(api)


@pytest.mark.parametrize("role", ["primary", "secondary"])
def test_a_region_that_the_flag_names_goes_on(role: Any) -> None:
    api = a_region(role)
    told = look(api, Fetched(flag=Flag(active=role), written=T), role=role)
    assert told == "this region serves, as the traffic flag of 2026-03-01T12:00:00Z says"
    assert not stopped(api)
    assert "stopped" not in api.objects[RECORD]["data"]


def test_a_region_to_which_the_other_hands_over_goes_on() -> None:
    api = a_region()
    told = look(api, Fetched(flag=Flag(active="secondary", handover="primary"), written=T))
    assert "the other region hands over to this one, so nothing is stopped" in told
    assert not stopped(api)


def test_a_region_that_hands_over_stops_nothing_by_the_guard_for_the_flag_still_names_it() -> None:
    api = a_region("secondary")
    look(api, Fetched(flag=Flag(active="secondary", handover="primary"), written=T), role="secondary")
    assert not stopped(api)


@pytest.mark.parametrize(
    "state",
    [
        {},
        {"spec": {"replica": {"enabled": True, "source": "other"}}},
        {"annotations": {FENCED: EVERY_INSTANCE}, "spec": {}},
        {"annotations": {"cnpg.io/hibernation": "on"}, "spec": {}},
        None,
    ],
    ids=["follows", "follows as before 1.24", "fenced", "hibernates", "no database"],
)
def test_a_region_that_stands_by_has_nothing_to_stop_whatever_the_flag_is(state: dict[str, Any] | None) -> None:
    api = a_region(serves=False)
    if state is None:
        del api.objects[CLUSTER]
    elif state:
        api.objects[CLUSTER]["spec"] = state["spec"]
        api.objects[CLUSTER]["metadata"]["annotations"] = state.get("annotations", {})
    for seen in (TAKEN_OVER, StepFailedError("the traffic flag could not be fetched")):
        assert look(api, seen) == "this region stands by, so there is nothing to stop"
    assert api.patches == []


def test_a_region_that_the_flag_names_and_that_has_lost_its_record_is_told_how_to_make_it_anew() -> None:
    api = a_region()
    del api.objects[SERVING]
    told = look(api, Fetched(flag=Flag(active="primary"), written=T))
    assert told.startswith("the traffic flag of 2026-03-01T12:00:00Z names this region, which has no record that it serves")
    assert told.endswith("run: pulumi up --refresh --run-program -s primary")


@pytest.mark.parametrize("role", ["primary", "secondary"])
def test_a_database_that_takes_writes_without_a_record_is_told_loudly_and_not_stopped_for_it_may_be_a_promotion(
    role: Any,
) -> None:
    """So it is in a region that takes over, from its promotion on until its flag and its record are written."""
    api = a_region(role)
    del api.objects[SERVING]
    other: Any = "secondary" if role == "primary" else "primary"
    told = look(api, Fetched(flag=Flag(active=other), written=T), role=role)
    assert told.startswith("FAILED the traffic flag of 2026-03-01T12:00:00Z names the other region")
    assert "database/app-database in databases takes writes in this one" in told
    assert not stopped(api)
    assert api.patches == []


def test_without_record_and_flag_a_database_that_takes_writes_is_no_reason_for_silence() -> None:
    api = a_region()
    del api.objects[SERVING]
    assert look(api, StepFailedError("could not be fetched: timeout")) == "FAILED could not be fetched: timeout"
    handover = Fetched(flag=Flag(active="secondary", handover="primary"), written=T)
    assert look(api, handover) == "this region stands by, so there is nothing to stop"


def test_a_flag_that_nobody_could_fetch_stops_nothing_and_is_told() -> None:
    api = a_region()
    assert look(api, StepFailedError("could not be fetched: timeout")) == "FAILED could not be fetched: timeout"
    assert not stopped(api)
    assert api.patches == []


def test_a_flag_older_than_one_that_was_seen_stops_nothing() -> None:
    api = a_region(seen="2026-03-01T12:00:01Z")
    told = look(api)
    assert "the traffic flag is of 2026-03-01T12:00:00Z, and one of 2026-03-01T12:00:01Z was here before" in told
    assert not stopped(api)
    assert api.objects[RECORD]["data"] == {"seen": "2026-03-01T12:00:01Z"}, "the newest stays remembered"


def test_every_flag_is_remembered_also_one_by_which_nothing_is_stopped() -> None:
    api = a_region(seen="2026-03-01T11:00:00Z")
    look(api, Fetched(flag=Flag(active="primary"), written=T))
    assert api.objects[RECORD]["data"]["seen"] == "2026-03-01T12:00:00Z"
    assert "was here before" in look(api, Fetched(flag=Flag(active="secondary"), written=T - timedelta(minutes=1)))


def test_a_flag_that_was_seen_already_still_counts() -> None:
    api = a_region(seen="2026-03-01T12:00:00Z")
    look(api)
    assert stopped(api)


@pytest.mark.parametrize("record", [{"seen": "yesterday"}, {"overruled": "yesterday"}])
def test_a_record_that_nobody_can_read_stops_nothing_and_says_what_to_do(record: dict[str, str]) -> None:
    api = a_region(**record)
    assert "'yesterday', which is no time" in look(api)
    assert not stopped(api)


def test_without_its_own_record_it_stops_the_region_all_the_same_and_tells_that_nobody_can_know() -> None:
    api = a_region()
    del api.objects[RECORD]
    told = look(api)
    assert stopped(api)
    assert "deployment/web 3 → 0" in told
    assert "not recorded, so that an up may not know what to wake: the ConfigMap guard is gone" in told


def test_a_record_that_refuses_to_be_written_keeps_no_replaced_region_running() -> None:
    api = a_region()
    api.refused[RECORD] = ApiError(403, "configmaps is forbidden")
    told = look(api)
    assert stopped(api)
    assert told.count("the ConfigMap guard cannot be changed: configmaps is forbidden") == 1


def test_a_region_that_serves_by_the_flag_says_that_its_record_is_gone() -> None:
    api = a_region()
    del api.objects[RECORD]
    told = look(api, Fetched(flag=Flag(active="primary"), written=T))
    assert told.startswith(
        "FAILED this region serves, as the traffic flag of 2026-03-01T12:00:00Z says, but the ConfigMap guard is"
    )
    assert not stopped(api)


def test_a_record_that_cannot_be_read_is_no_reason_to_believe_anything(monkeypatch: pytest.MonkeyPatch) -> None:
    api = a_region()
    find = api.find

    def refuse(path: str) -> Any:
        if path == RECORD:
            raise ApiError(403, "configmaps is forbidden")
        return find(path)

    monkeypatch.setattr(api, "find", refuse)
    assert "is not known, or it is not stopped: configmaps is forbidden" in look(api)
    assert not stopped(api)


def test_a_record_of_a_time_to_come_is_wrong_and_not_the_flag() -> None:
    api = a_region(seen="2027-03-01T12:00:00Z")
    told = look(api)
    assert "seen: 2027-03-01T12:00:00Z, which is still to come" in told
    assert """kubectl patch configmap guard -n k8s-dr --type merge -p '{"data":{"seen":null}}'""" in told
    assert "an old version back" not in told
    assert not stopped(api)
    assert "an old version back" in look(a_region(seen="2026-03-01T13:29:00Z")), "within what clocks may differ"


@pytest.mark.parametrize(("overruled", "stops"), [("2026-03-01T12:00:00Z", False), ("2026-03-01T11:59:59Z", True)])
def test_a_flag_that_a_person_has_overruled_stops_nothing_and_a_newer_one_does(overruled: str, stops: bool) -> None:
    api = a_region(seen="2026-03-01T12:00:00Z", stopped="2026-03-01T12:00:00Z", overruled=overruled)
    told = look(api)
    assert stopped(api) is stops
    assert ("somebody has made this one serve with force, so nothing is stopped" in told) is not stops


def test_what_refuses_is_told_and_keeps_nothing_else_running() -> None:
    api = a_region()
    api.refused[CLUSTER] = ApiError(422, "the webhook of another operator refuses")
    told = look(api)
    assert "not stopped: database/app-database: the webhook of another operator refuses" in told
    assert api.objects[SCHEDULE]["spec"]["paused"] is True
    assert api.replicas("deployment/web") == 0


def test_what_refuses_at_first_is_tried_again_while_the_rest_is_stopped_already() -> None:
    """The API server of a region that comes back is up before the operator's webhook, which admits each change of a Cluster."""
    api = a_region()
    api.refused[CLUSTER] = ApiError(500, "failed calling webhook: connection refused")
    seen: list[int] = []

    def operator_comes_back() -> None:
        seen.append(api.replicas("deployment/web"))
        if len(seen) == 3:
            del api.refused[CLUSTER]

    clock = Clock(operator_comes_back)
    told = look(api, clock=clock, seconds=25)
    assert stopped(api)
    assert seen == [0, 0, 0]
    assert clock.now < 5, "a fence that comes late is rows that are lost"
    assert "deployment/web 3 → 0" in told
    assert "database/app-database fenced" in told
    assert "not stopped" not in told
    assert len(api.created) == 2, "an Event for what was stopped first, and one for what was stopped then"


def test_what_hangs_keeps_nothing_else_running_and_the_look_ends_in_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    api, released = a_region(), threading.Event()
    databases = [{"namespace": "databases", "name": "app-database"}]
    find = api.find

    def hang(path: str) -> Any:
        if path == CLUSTER:
            released.wait(30)
        return find(path)

    monkeypatch.setattr(api, "find", hang)
    monkeypatch.setattr(stop, "_HEAD_START_SECONDS", 0.1)
    monkeypatch.setattr(module, "_LEAST_SECONDS", 0.5)
    told = look(api, databases=databases * 5)
    assert api.replicas("deployment/web") == 0
    assert api.objects[SCHEDULE]["spec"]["paused"] is True
    assert told.count("database/app-database in databases: no answer within 0 s") == 5
    released.set()


def test_a_part_that_breaks_is_told_and_does_not_pass_for_stopped() -> None:
    api = a_region()
    del api.objects[CLUSTER]["spec"]
    assert "not stopped: database/app-database: KeyError('spec')" in look(api)
    assert api.replicas("deployment/web") == 0


def test_what_goes_on_refusing_ends_the_look_in_its_time() -> None:
    api = a_region()
    api.refused[CLUSTER] = ApiError(500, "failed calling webhook")
    clock = Clock()
    assert "not stopped: database/app-database: failed calling webhook" in look(api, clock=clock, seconds=25)
    assert 24 <= clock.now <= 26


def test_a_flag_that_did_not_come_is_not_waited_for_there_is_nobody_to_fetch_it() -> None:
    clock = Clock()
    look(a_region(), StepFailedError("could not be fetched"), clock=clock, seconds=25)
    assert clock.now == 0


def test_a_database_that_follows_the_other_region_goes_on_following() -> None:
    api = a_region()
    api.objects[CLUSTER]["spec"]["replica"]["primary"] = "app-database-secondary"
    look(api)
    assert FENCED not in (api.objects[CLUSTER]["metadata"].get("annotations") or {})
    assert api.replicas("deployment/web") == 0


@pytest.mark.parametrize("annotation", ['["app-database-1"]', "[]", "nonsense", '"*"'])
def test_a_fence_of_less_than_all_instances_is_made_one_of_all(annotation: str) -> None:
    api = a_region()
    api.objects[CLUSTER]["metadata"]["annotations"] = {FENCED: annotation}
    look(api)
    assert stopped(api)


def test_a_database_that_was_never_made_and_a_schedule_that_is_gone_are_nothing_to_stop() -> None:
    api = a_region()
    del api.objects[CLUSTER], api.objects[SCHEDULE]
    assert "not stopped" not in look(api)
    assert api.replicas("deployment/web") == 0


def test_a_pod_that_looks_once_ends_well_after_it_has_stopped_the_region() -> None:
    api = a_region()
    assert look(api, once=True).startswith("the other region has taken over")
    assert stopped(api)


def test_a_pod_that_looks_once_does_not_try_for_ever_with_a_flag_that_did_not_come() -> None:
    assert look(a_region(), StepFailedError("could not be fetched"), once=True) == "could not be fetched"


def test_a_right_that_is_missing_is_told_after_everything_was_stopped() -> None:
    api = a_region()
    api.denied.add("patch")
    asked = Right(verb="patch", group="velero.io", resource="schedules", namespace="velero", name="daily-full-use1")
    told = look(api, once=True, rights=[asdict(asked)])
    assert told.startswith("FAILED the account of this Pod may not patch schedules.velero.io daily-full-use1 in velero")
    assert stopped(api)


# What the init container leaves


def left(directory: Path, body: str | None, answer: Any = None, error: str = "") -> Path:
    if body is not None:
        (directory / "active.json").write_text(body)
        (directory / "answer.json").write_text(json.dumps(answer or {"LastModified": "2026-03-01T12:00:00+00:00"}))
    (directory / "error").write_text(error)
    return directory


@pytest.mark.parametrize("time", ["2026-03-01T12:00:00+00:00", "2026-03-01T12:00:00Z", "Sun, 01 Mar 2026 12:00:00 GMT"])
def test_the_flag_is_read_with_its_time_as_either_version_of_the_aws_cli_writes_it(tmp_path: Path, time: str) -> None:
    assert fetched(left(tmp_path, '{"active":"secondary"}', {"LastModified": time})) == TAKEN_OVER


def test_a_flag_that_did_not_come_is_told_with_the_words_of_the_aws_cli(tmp_path: Path) -> None:
    said = "An error occurred (AccessDenied) when calling\n the GetObject operation: Access Denied\n"
    with pytest.raises(
        StepFailedError, match=r"could not be fetched: An error occurred .AccessDenied. when calling the GetObject"
    ):
        fetched(left(tmp_path, None, error=said))


def test_a_directory_without_anything_is_no_flag(tmp_path: Path) -> None:
    with pytest.raises(StepFailedError, match="the AWS CLI gives no reason; nothing was stopped"):
        fetched(tmp_path)


@pytest.mark.parametrize("answer", ["nonsense", {"ETag": "1"}, {"LastModified": "never"}, {"LastModified": 7}, []])
def test_a_flag_whose_age_nobody_knows_stops_nothing(tmp_path: Path, answer: Any) -> None:
    left(tmp_path, '{"active":"secondary"}')
    (tmp_path / "answer.json").write_text(answer if isinstance(answer, str) else json.dumps(answer))
    with pytest.raises(StepFailedError, match="nothing was stopped"):
        fetched(tmp_path)


@pytest.mark.parametrize(
    "body", ["", "secondary", '{"active":"both"}', '{"active":"secondary","since":1}', '{"active":"secondary"}' + " " * 6000]
)
def test_a_flag_that_is_malformed_stops_nothing(tmp_path: Path, body: str) -> None:
    with pytest.raises(StepFailedError, match=r"the traffic flag .*; nothing was stopped"):
        fetched(left(tmp_path, body))


def test_the_steps_task_is_all_that_the_pod_needs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    api = a_region()
    asked: dict[str, float] = {}
    monkeypatch.setattr(module.Api, "in_cluster", lambda **how: asked.update(how) or api)
    monkeypatch.setattr(module, "_DIRECTORY", left(tmp_path, '{"active":"primary"}'))
    assert module.run(json.loads(json.dumps(task()))).startswith("this region serves")
    assert asked == {"patience": 2.0, "answer": 5.0}, "a webhook that hangs must not take all the time"
