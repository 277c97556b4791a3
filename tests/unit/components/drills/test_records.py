"""The records of drills as an `up` reads them: the last of each kind, what is said of it, and who asks."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import botocore.exceptions
import pytest

from components.drills.records import NOT_ASKED, LiveRecords, Record, RecordsUnreadableError, record_of
from settings.aws import Aws
from settings.names import Names
from settings.roles import Role
from tests.unit.components.database.sides import TOPOLOGY
from tests.unit.fakes import FakeCluster, FakeRecords
from tests.unit.recorder import run_program

KEY = "drills/primary/integrity/20260302T053000Z-0a1b2c3d.json"
JOBS, PODS = "/apis/batch/v1/namespaces/k8s-dr/jobs", "/api/v1/namespaces/k8s-dr/pods"
CRONJOB = "/apis/batch/v1/namespaces/k8s-dr/cronjobs/drill-integrity"
RECORD: dict[str, Any] = {
    "schema": 1,
    "started": "2026-03-02T05:30:00Z",
    "ended": "2026-03-02T05:31:00Z",
    "passed": True,
    "reasons": [],
    "rpo": {"target": 300, "measured": 120},
    "rto": {"target": 1800, "measured": None},
}


def a_record(age: timedelta = timedelta(hours=1), *, passed: bool | None = True, reasons: tuple[str, ...] = ()) -> Record:
    ended = datetime.now(UTC) - age
    return Record(key=KEY, started=ended - timedelta(minutes=1), ended=ended, passed=passed, reasons=reasons, rpo=120.0, rto=None)


def only(**changes: Any) -> dict[str, Any]:
    """A stack that runs the drill `integrity` alone, which comes once a week."""
    return {"drills": {"namespace": {"enabled": False}, "database": {"enabled": False}, **changes}}


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    texts: list[str] = []
    monkeypatch.setattr("pulumi.log.warn", lambda text, *_: texts.append(text))
    return texts


def drills_in(said: list[str]) -> list[str]:
    return [text for text in said if "drill" in text]


class FakeS3:
    """A bucket with records."""

    def __init__(self, objects: dict[str, bytes], error: Exception | None = None) -> None:
        self.objects, self.error = objects, error

    def get_paginator(self, _: str) -> FakeS3:
        return self

    def paginate(self, *, Bucket: str, Prefix: str) -> list[dict[str, Any]]:  # noqa: N803 - as boto3 calls them
        assert Bucket.endswith("velero-us-east-1-123456789012")
        if self.error:
            raise self.error
        return [{"Contents": [{"Key": key}]} for key in self.objects if key.startswith(Prefix)]

    def get_object(self, *, Bucket: str, Key: str) -> dict[str, Any]:  # noqa: N803
        del Bucket
        return {"ContentLength": len(self.objects[Key]), "Body": io.BytesIO(self.objects[Key])}


def live(s3: FakeS3) -> LiveRecords:
    records = LiveRecords(Names(topology=TOPOLOGY, role="primary"), Aws())
    records._connected = s3
    return records


def test_the_last_record_is_the_one_that_began_last() -> None:
    older = KEY.replace("20260302", "20260223")
    s3 = FakeS3({KEY: json.dumps(RECORD).encode(), older: b"not read"})
    found = live(s3).last("integrity")
    assert found is not None
    assert (found.key, found.passed, found.rpo, found.rto) == (KEY, True, 120.0, None)
    assert live(s3).last("database") is None


@pytest.mark.parametrize(
    "content",
    [b"{}", b"[]", b"null", b"no JSON", b"\xff", b'"' * 10, json.dumps({**RECORD, "schema": 2}).encode()]
    + [json.dumps({**RECORD, key: value}).encode() for key, value in (("passed", "yes"), ("ended", "today"), ("rpo", 3))],
)
def test_what_is_no_record_is_said_to_be_none(content: bytes) -> None:
    with pytest.raises(RecordsUnreadableError, match="is no record of a drill of this version"):
        record_of(KEY, content)


def test_an_object_as_large_as_no_record_is_not_read() -> None:
    with pytest.raises(RecordsUnreadableError, match="has more than 256 KiB"):
        live(FakeS3({KEY: b" " * 300_000})).last("integrity")


def test_a_bucket_that_refuses_is_the_reason() -> None:
    refused = botocore.exceptions.ClientError({"Error": {"Code": "AccessDenied", "Message": "no"}}, "ListObjectsV2")
    with pytest.raises(RecordsUnreadableError, match="cannot be read"):
        live(FakeS3({}, refused)).last("integrity")


def test_the_output_names_the_last_of_each_kind_and_nothing_is_wrong_with_a_new_one(said: list[str]) -> None:
    records = FakeRecords(found={"integrity": a_record()})
    outputs = run_program("primary", only(), records=records).outputs
    assert outputs["drills"].startswith("integrity: passed 20")
    assert outputs["drills"].endswith("Z, RPO 120 s") or ", RPO 2 min 0 s" in outputs["drills"]
    assert outputs["details"]["drills"]["integrity"]["passed"] is True
    assert drills_in(said) == []


def test_a_drill_that_failed_is_said_in_every_up_with_its_reason(said: list[str]) -> None:
    reasons = ("backup a is stale", "b\x1b[2J is corrupt")
    outputs = run_program(
        "primary", only(), records=FakeRecords(found={"integrity": a_record(passed=False, reasons=reasons)})
    ).outputs
    (line,) = drills_in(said)
    assert "the last drill integrity FAILED at" in line
    assert "backup a is stale | b [2J is corrupt" in line
    assert "kubectl create job --from=cronjob/drill-integrity drill-integrity-$(date +%s) -n k8s-dr" in line
    assert outputs["drills"].isprintable()
    assert "(backup a is stale)" in outputs["drills"]


@pytest.mark.parametrize(("days", "overdue"), [(13, False), (15, True)])
def test_a_drill_is_overdue_after_twice_its_longest_gap(said: list[str], days: int, overdue: bool) -> None:
    run_program("primary", only(), records=FakeRecords(found={"integrity": a_record(timedelta(days=days))}))
    assert ["is overdue: the last one ended" in text for text in drills_in(said)] == [True] * overdue


@pytest.mark.parametrize(("days", "overdue"), [(None, False), (13, False), (15, True)])
def test_a_stack_that_is_younger_than_that_is_not_overdue(said: list[str], days: int | None, overdue: bool) -> None:
    cluster = FakeCluster()
    if days is not None:
        made = (datetime.now(UTC) - timedelta(days=days)).isoformat()
        cluster.paths[CRONJOB] = {"metadata": {"creationTimestamp": made}}
    outputs = run_program("primary", only(), cluster=cluster).outputs
    assert ["is overdue: there was none" in text for text in drills_in(said)] == [True] * overdue
    assert outputs["drills"] == "integrity: none yet"


def test_a_drill_that_had_nothing_to_do_is_neither_failed_nor_overdue(said: list[str]) -> None:
    outputs = run_program("primary", only(), records=FakeRecords(found={"integrity": a_record(passed=None)})).outputs
    assert outputs["drills"].startswith("integrity: skipped 20")
    assert drills_in(said) == []


def test_records_that_cannot_be_read_are_said_and_end_nothing(said: list[str]) -> None:
    outputs = run_program("primary", only(), records=FakeRecords(found={"integrity": "s3 does not answer"})).outputs
    assert drills_in(said) == ["whether drill integrity passed is not known: s3 does not answer"]
    assert outputs["drills"] == "integrity: not known: s3 does not answer"


def test_a_preview_asks_nothing(said: list[str]) -> None:
    records = FakeRecords(found={"integrity": a_record(passed=False)})
    outputs = run_program("primary", only(), records=records, preview=True).outputs
    assert (outputs["drills"], records.asked, drills_in(said)) == (NOT_ASKED, [], [])


@pytest.mark.parametrize(
    ("stack", "changes"),
    [("secondary", {"active": "secondary"}), ("primary", {"active": "secondary", "handover": "planned"})],
)
def test_a_failover_asks_nothing(said: list[str], stack: Role, changes: dict[str, Any]) -> None:
    records = FakeRecords(found={"integrity": a_record(passed=False)})
    outputs = run_program(
        stack, {**only(), **changes, "peerReady": True, "databases": [], "databasePasswords": {}}, records=records
    )
    assert (outputs.outputs["drills"], records.asked, drills_in(said)) == (NOT_ASKED, [], [])


def test_where_no_drill_runs_nothing_is_asked(said: list[str]) -> None:
    records = FakeRecords()
    outputs = run_program("primary", {"drills": {"enabled": False}}, records=records).outputs
    assert outputs["drills"].startswith("none: ")
    assert (records.asked, drills_in(said)) == ([], [])


def long_ago() -> FakeCluster:
    """A cluster with a drill that is years old."""
    cluster = FakeCluster()
    made = (datetime.now(UTC) - timedelta(days=800)).isoformat()
    cluster.paths[CRONJOB] = {"metadata": {"creationTimestamp": made}}
    return cluster


def weekly(**records: Record | str) -> tuple[str, FakeRecords]:
    """What the secondary says of a full drill that comes every Monday, and who was asked."""
    found = FakeRecords(found={"integrity": a_record(), **records})
    off = {kind: {"enabled": False} for kind in ("tabletop", "partial", "runbookReview")}
    changes = {"peerReady": True, **only(people={"full": {"cron": "0 8 * * 1"}, **off})}
    return str(run_program("secondary", changes, records=found, cluster=long_ago()).outputs["drills"]), found


def test_what_people_have_filed_is_in_the_output_and_a_failure_is_said(said: list[str]) -> None:
    output, _ = weekly(full=a_record(passed=False, reasons=("nobody had the passphrase",)))
    assert "; full: failed 20" in output
    (line,) = drills_in(said)
    assert "the last drill full FAILED at" in line
    assert "nobody had the passphrase" in line
    assert "kubectl" not in line, "no machine can run it"


@pytest.mark.parametrize(("days", "overdue"), [(None, True), (60, True), (20, False)])
def test_what_people_have_not_filed_for_a_month_is_overdue(said: list[str], days: int | None, overdue: bool) -> None:
    output, _ = weekly(**({} if days is None else {"full": a_record(timedelta(days=days))}))
    assert ["drill full is overdue: it was due on 20" in text for text in drills_in(said)] == [True] * overdue
    assert ("full: passed" in output) == (days is not None)


def test_nothing_that_was_due_before_the_drills_were_there_is_overdue(said: list[str]) -> None:
    changes = {"peerReady": True, **only()}
    run_program("secondary", changes, records=FakeRecords(found={"integrity": a_record()}), cluster=FakeCluster())
    assert drills_in(said) == []


def test_a_bucket_that_does_not_answer_is_asked_for_nothing_of_people(said: list[str]) -> None:
    _, records = weekly(integrity="s3 does not answer")
    assert "full" not in records.asked
    assert drills_in(said) == ["whether drill integrity passed is not known: s3 does not answer"]


def test_the_primary_asks_for_nothing_of_people_whose_records_are_in_the_other_region() -> None:
    records = FakeRecords(found={"integrity": a_record()})
    run_program("primary", {"peerReady": True, **only()}, records=records, cluster=long_ago())
    assert records.asked == ["integrity"]


# What died without a record


def a_job(name: str, age: timedelta, how: str = "Failed", **condition: str) -> dict[str, Any]:
    ended = datetime.now(UTC) - age
    said = {"type": how, "status": "True", "lastTransitionTime": ended.isoformat(), **condition}
    began = (ended - timedelta(minutes=5)).isoformat()
    return {"metadata": {"name": name}, "status": {"startTime": began, "conditions": [said]}}


def a_pod(reason: str, message: str) -> dict[str, Any]:
    ended = {"exitCode": 137, "reason": "OOMKilled"}
    upload = {"exitCode": 1, "reason": "Error", "message": message}
    statuses = [{"name": name, "state": {"terminated": each}} for name, each in (("drill-integrity", ended), ("upload", upload))]
    return {"status": {"reason": reason, "containerStatuses": statuses}}


def with_jobs(*jobs: dict[str, Any], pods: tuple[dict[str, Any], ...] = ()) -> FakeCluster:
    cluster = FakeCluster()
    cluster.paths[JOBS], cluster.paths[PODS] = {"items": list(jobs)}, {"items": list(pods)}
    return cluster


@pytest.mark.parametrize("record", [None, a_record(timedelta(days=5)), a_record(timedelta(days=5), passed=False)])
def test_a_drill_that_died_without_a_record_is_said_with_its_reasons(said: list[str], record: Record | None) -> None:
    died = a_job("drill-integrity-2", timedelta(hours=2), reason="DeadlineExceeded", message="Job was active too long")
    cluster = with_jobs(a_job("drill-integrity-1", timedelta(days=3), "Complete"), died, pods=(a_pod("Evicted", "AccessDenied"),))
    run_program("primary", only(), cluster=cluster, records=FakeRecords(found={"integrity": record} if record else {}))
    (line,) = drills_in(said)
    assert "the last drill integrity ended without a record: Job drill-integrity-2 failed at" in line
    assert "DeadlineExceeded: Job was active too long; Evicted; drill-integrity: OOMKilled; AccessDenied" in line
    assert any(f"{JOBS}?labelSelector=k8s-dr/drill=integrity" in each for each in cluster.asked)
    assert any("labelSelector=job-name=drill-integrity-2" in each for each in cluster.asked)


def test_a_job_whose_record_is_there_or_that_passed_since_is_no_death(said: list[str]) -> None:
    own = with_jobs(a_job("drill-integrity-1", timedelta(minutes=59)))
    run_program("primary", only(), cluster=own, records=FakeRecords(found={"integrity": a_record(passed=False)}))
    assert ["FAILED at" in line for line in drills_in(said)] == [True]
    said.clear()
    later = with_jobs(a_job("drill-integrity-1", timedelta(days=2)), a_job("drill-integrity-2", timedelta(hours=1), "Complete"))
    run_program("primary", only(), cluster=later, records=FakeRecords(found={"integrity": a_record()}))
    assert drills_in(said) == []


def test_a_drill_that_runs_is_no_death(said: list[str]) -> None:
    runs = {"metadata": {"name": "drill-integrity-1"}, "status": {"startTime": datetime.now(UTC).isoformat()}}
    run_program("primary", only(), cluster=with_jobs(runs), records=FakeRecords(found={"integrity": a_record()}))
    assert drills_in(said) == []


# What somebody else has written there


def test_a_record_of_the_future_hides_none_that_comes_after_and_is_said(said: list[str]) -> None:
    forged = KEY.replace("20260302", "29990101")
    found = live(FakeS3({KEY: json.dumps(RECORD).encode(), forged: b"not read"})).last("integrity")
    assert found is not None
    assert (found.key, found.ignored) == (KEY, [forged])
    record = replace(a_record(), ignored=[forged])
    run_program("primary", only(), records=FakeRecords(found={"integrity": record}))
    assert drills_in(said) == [
        f"{forged} is among the records of drill integrity, and no drill of that time has begun; ignored: see who wrote it"
    ]


@pytest.mark.parametrize("name", ["29990101T000000Z-0a1b2c3d.json", "zzz", "20261399T000000Z-0a1b2c3d.json", "a\n"])
def test_a_key_that_names_no_drill_that_has_begun_is_no_record(name: str) -> None:
    with pytest.raises(RecordsUnreadableError, match="no record of a drill that has begun"):
        live(FakeS3({f"drills/primary/integrity/{name}": json.dumps(RECORD).encode()})).last("integrity")


def test_a_record_that_says_that_it_ended_in_the_future_is_none() -> None:
    with pytest.raises(RecordsUnreadableError, match="which is to come"):
        live(FakeS3({KEY: json.dumps({**RECORD, "ended": "2999-03-02T05:31:00Z"}).encode()})).last("integrity")


@pytest.mark.parametrize("seconds", ["NaN", "1e400", "-1", "1e10", "Infinity", "1" * 400])
def test_a_time_that_no_recovery_takes_is_no_record(seconds: str) -> None:
    content = json.dumps({**RECORD, "rto": {"measured": "X"}}).replace('"X"', seconds)
    with pytest.raises(RecordsUnreadableError, match="is no record of a drill"):
        record_of(KEY, content.encode())


def test_whatever_a_record_holds_the_up_goes_on(said: list[str]) -> None:
    class Broken(FakeRecords):
        def last(self, kind: str) -> Record | None:
            raise ZeroDivisionError(kind)

    assert (
        run_program("primary", only(), records=Broken()).outputs["drills"] == "integrity: not known: ZeroDivisionError: integrity"
    )
    said.clear()
    record = replace(a_record(), rpo=float("nan"))
    outputs = run_program("primary", only(), records=FakeRecords(found={"integrity": record})).outputs
    assert outputs["drills"].startswith("integrity: not known: ValueError")
