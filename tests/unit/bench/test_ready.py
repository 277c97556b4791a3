"""What is ready, since when, and what only the world takes, by what a lab's API servers and logs say."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
import yaml

from lab.cloud.access_log import Request
from lab.regions import network
from settings.names import FLAG_KEY
from tests.bench import guide, load, measures, page, plot, probe, ready, world
from tests.bench.probe import Archived, Watch, ready_since
from tests.documented import blocks
from tests.long.by_hand import PAGE
from tests.unit.bench.rows import row

BEGAN = datetime(2026, 12, 1, 10, 0, tzinfo=UTC).timestamp()


def at(seconds: float) -> str:
    return datetime.fromtimestamp(BEGAN + seconds, UTC).isoformat().replace("+00:00", "Z")


def test_ready_is_the_last_moment_from_which_each_condition_held() -> None:
    watches = {"database": Watch(), "check": Watch()}
    watches["check"].saw(holds=True, at=10)
    assert ready_since(watches) is None
    watches["database"].saw(holds=True, at=15)
    assert ready_since(watches) == 15
    watches["check"].saw(holds=False, at=16)
    assert ready_since(watches) is None, "a check that was answered once is not answered now"
    watches["check"].saw(holds=True, at=20)
    watches["check"].saw(holds=True, at=25)
    assert ready_since(watches) == 20


def test_a_database_is_ready_once_its_archive_has_what_was_written() -> None:
    answers = iter(["f", "t", "", "00000002000000000000000A", "", "f", "t"])
    asked: list[str] = []

    def query(sql: str) -> str:
        asked.append(sql)
        return next(answers)

    database = Archived(query=query)
    assert [database.holds() for _ in range(4)] == [False, False, True, True]
    assert "archive_mode" in asked[0]
    assert "'00000002000000000000000A'" in asked[-1]
    assert len(asked) == 7, "what was seen once is not asked again"


def test_a_write_whose_segment_could_not_be_switched_is_written_again() -> None:
    answers = iter(["t", "", "00000002000000000000000A", OSError(), "t", "", "00000002000000000000000B", "", "t"])

    def query(sql: str) -> str:
        answer = next(answers)
        if isinstance(answer, OSError):
            raise answer
        return answer

    database = Archived(query=query)
    with pytest.raises(OSError):  # noqa: PT011 - whatever kubectl meets
        database.holds()
    assert database.holds()


def deployment(namespace: str, name: str, available: int | None) -> dict[str, Any]:
    status = {} if available is None else {"availableReplicas": available}
    return {"metadata": {"namespace": namespace, "name": name}, "status": status}


def test_every_deployment_that_is_wanted_must_be_available() -> None:
    listed = json.dumps({"items": [deployment("production", "shop", 3), deployment("load-0", "load", None)]})
    assert probe.available(listed, {("production", "shop"): 3})
    assert not probe.available(listed, {("production", "shop"): 4})
    assert not probe.available(listed, {("load-0", "load"): 1})
    assert not probe.available(listed, {("load-1", "load"): 1})


def test_the_world_alone_takes_the_longer_of_two_ways() -> None:
    assert world.Floor(restore=5, promotion=20, pods=4).seconds == 20
    assert world.Floor(restore=60, promotion=20, pods=4).seconds == 64


def test_a_restore_lasts_from_the_first_start_to_the_last_end() -> None:
    def restore(made: float, begins: float, ends: float | None) -> dict[str, Any]:
        status = {"startTimestamp": at(begins), **({"completionTimestamp": at(ends)} if ends is not None else {})}
        return {"metadata": {"creationTimestamp": at(made)}, "status": status}

    assert world.restored_in([restore(-500, -500, -400), restore(2, 2, 6), restore(3, 6, 10)], BEGAN) == 8
    assert world.restored_in([restore(-500, -500, -400)], BEGAN) == 0


def test_the_slowest_pod_counts_of_those_that_were_made_in_the_failover() -> None:
    def pod(made: float, ready_at: float, status: str = "True") -> dict[str, Any]:
        condition = {"type": "Ready", "status": status, "lastTransitionTime": at(ready_at)}
        return {"metadata": {"creationTimestamp": at(made)}, "status": {"conditions": [condition]}}

    assert world.started_in([pod(-100, 50), pod(5, 7), pod(6, 9), pod(6, 60, "False")], BEGAN) == 3


def change(seconds: float, **changes: Any) -> str:
    event = {
        "verb": "patch",
        "requestURI": "/apis/postgresql.cnpg.io/v1/namespaces/databases/clusters/app-database?fieldManager=x",
        "objectRef": {"resource": "clusters", "apiGroup": "postgresql.cnpg.io"},
        "sourceIPs": [network.OPS_ADDRESS],
        "requestReceivedTimestamp": at(seconds),
    }
    return json.dumps({**event, **changes})


def test_a_promotion_begins_with_the_change_of_the_cluster_and_not_with_its_dry_run() -> None:
    operator, dry_run = {"sourceIPs": ["10.12.0.5"]}, {"requestURI": "/apis/x?dryRun=All"}
    log = [change(-60), change(1, **dry_run), change(2, **operator), change(3, verb="get"), change(4.25), change(9)]
    assert world.promoted_at(log, BEGAN) == BEGAN + 4.25
    assert world.promoted_at(log[:4], BEGAN) is None


def request(seconds: float, method: str = "PUT", key: str = "dr/active.json", bucket: str = ready._FLAG_BUCKET) -> Request:
    return Request(
        time=at(seconds),
        source="172.30.0.2",
        agent="aws-cli",
        service="s3",
        region="us-west-2",
        regions=["us-west-2"],
        bucket=bucket,
        method=method,
        path=f"/{bucket}/{key}",
        operation=None,
        status=200,
    )


def test_the_flag_is_written_with_its_first_put_after_the_clock_has_started() -> None:
    log = [request(-30), request(1, method="GET"), request(2, key="dr/serving.json"), request(3, bucket="other"), request(4)]
    since = datetime.fromtimestamp(BEGAN, UTC)
    assert ready.flag_put(log, since) == BEGAN + 4
    with pytest.raises(ready.NoFlagError, match=FLAG_KEY.replace(".", r"\.")):
        ready.flag_put(log[:4], since)


def test_the_name_has_moved_where_it_leads_to_the_secondary() -> None:
    changes = [
        {"time": at(-90), "kind": "name", "id": "app.example.com CNAME", "to": "lb-secondary.lab.internal"},
        {"time": at(5), "kind": "health-check", "id": "x", "to": "unhealthy"},
        {"time": at(6), "kind": "name", "id": "app.example.com CNAME", "to": "lb-secondary.lab.internal"},
    ]
    assert ready.name_moved(changes, BEGAN) == BEGAN + 6
    assert ready.name_moved(changes[:2], BEGAN) is None


def test_a_namespace_has_as_many_objects_as_were_asked_for() -> None:
    made = [*load.documents("load-0", 100)]
    namespace, *objects = made
    assert namespace["kind"] == "Namespace"
    assert len(objects) == 100
    names = {(each["kind"], each["metadata"]["name"]) for each in objects}
    assert len(names) == 100
    assert {each["metadata"]["namespace"] for each in objects} == {"load-0"}


def test_a_larger_lab_restores_its_namespaces_and_starts_their_workloads() -> None:
    before = {
        "config": {
            "backups": {"value": [{"name": "daily-full"}, {"name": "hourly-critical", "include": ["production", "databases"]}]},
            "workloads": {"value": [{"namespace": "production", "replicas": 3}]},
        }
    }
    config = yaml.safe_load(load.enlarged(yaml.safe_dump(before), ("load-0", "load-1")))["config"]
    assert config["backups"]["value"][1]["include"] == ["production", "databases", "load-0", "load-1"]
    assert [each["namespace"] for each in config["workloads"]["value"]] == ["production", "load-0", "load-1"]


def test_the_guides_restore_has_the_flags_of_the_runbook() -> None:
    """The two commands differ in the Restore's name alone."""

    def restore(text: str) -> list[str]:
        joined = text.replace(",\\\n", ",").replace("\\\n", " ")
        (found,) = (line for line in joined.splitlines() if "restore create" in line and "--from-schedule" in line)
        return sorted(found.replace(", ", ",").split())

    (documented,) = (block.commands for block in blocks(PAGE) if "restore create --from-schedule" in block.commands)
    assert [word for word in restore(guide.COMMANDS) if word != "dr-restore"] == restore(documented)


def test_the_measures_of_a_failover_are_of_its_own_names() -> None:
    one = row("ready", "demo", guide_ready=[10.0, 20.0], program_ready=[20.0, 30.0], program_flag=[30.0], guide_flag=[4.0])
    found = measures.of([one])
    assert found["ready_ratio_to_guide"] == {"demo": {"median": 1.75, "least": 1.5, "most": 2.0}}
    assert found["guide_head_start_seconds"]["demo"]["median"] == 26.0


def test_the_page_has_a_line_for_each_size() -> None:
    phases = {f"program_overhead__{phase}": [1.0] for phase in page.PHASES}
    figures = {"guide_ready": [14.0], "program_ready": [41.0], "program_floor": [12.0], "program_overhead": [29.0], **phases}
    sized = row("ready", "objects", facts={"objects": 1000, "namespaces": 10, "segments": 0}, **figures)
    restored = row(
        "velero", "1,000 objects, --log-level=warning", facts={"items": 1004}, seconds=[20.0], objects_in_a_second=[50.2]
    )
    said = page.section([sized, restored])
    assert "| objects: 1,000 more objects, 10 namespaces | 14.0 (14.0–14.0) | 41.0 (41.0–41.0) | 2.93 (2.93–2.93) | 12.0 " in said
    assert "| objects | 29.0 (29.0–29.0) | 1.00 (1.00–1.00) |" in said
    assert "| 1,000 objects, --log-level=warning | 1,004 | 20.0 (20.0–20.0) | 50.2 (50.2–50.2) |" in said
    assert {name.rpartition("-")[0] for name in plot.pictures([sized, restored])} == {"ready", "velero"}
