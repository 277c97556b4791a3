"""A drill that is run now, and what drills and failovers have left, collected."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from components.drills.records import Record
from components.kube.runner.drill_record import SCHEMA
from components.kube.runner.flag import Flag
from drctl.__main__ import main
from drctl.commands import drill as drilling
from drctl.project import Project
from drctl.regions import BucketUnreadableError, LiveBucket
from lab.collector import Kept, listening
from tests.examples import ROOT
from tests.unit.drctl.fake import FakeBucket, FakeRegions, FakeStacks, checkout, drctl, outputs
from tests.unit.fakes import FakeCluster, FakeRecords

CRONJOB: dict[str, Any] = {
    "metadata": {"name": "drill-integrity", "namespace": "k8s-dr", "uid": "uid-1"},
    "spec": {
        "schedule": "30 5 * * 1",
        "jobTemplate": {"metadata": {"labels": {"app.kubernetes.io/name": "drill"}}, "spec": {"backoffLimit": 0}},
    },
}
JOBS = "/apis/batch/v1/namespaces/k8s-dr"


class Jobs(FakeCluster):
    """A cluster in which a Job ends at once, and leaves a record."""

    ends: str = "Complete"
    records: FakeRecords | None = None
    leaves: Record | str | None = None

    def create(self, path: str, body: dict[str, Any]) -> dict[str, Any] | None:
        if self.records and self.leaves:
            self.records.found["integrity"] = self.leaves
        return super().create(path, {**body, "status": {"conditions": [{"type": self.ends, "status": "True"}]}})


@pytest.fixture
def stacks(tmp_path: Path) -> FakeStacks:
    return FakeStacks(
        project=Project(directory=checkout(tmp_path)),
        said={"primary": outputs("primary", serves=True), "secondary": outputs("secondary", serves=False)},
    )


def recorded(key: str, *, passed: bool | None = True, reasons: tuple[str, ...] = ()) -> Record:
    now = datetime.now(UTC)
    return Record(key=key, started=now, ended=now, passed=passed, reasons=reasons, rpo=None, rto=None)


BEFORE, NEW = recorded("drills/secondary/integrity/1.json"), recorded("drills/secondary/integrity/2.json")


def regions(ends: str = "Complete", said: str = "", leaves: Record | str | None = NEW) -> FakeRegions:
    cluster = Jobs(paths={f"{JOBS}/cronjobs/drill-integrity": CRONJOB})
    cluster.ends = ends
    state = {"terminated": {"message": said}}
    cluster.paths["/api/v1/namespaces/k8s-dr/pods"] = {"items": [{"status": {"containerStatuses": [{"state": state}]}}]}
    found = FakeRegions()
    found.clusters["secondary"] = cluster
    found.records["secondary"].found["integrity"] = BEFORE
    cluster.records, cluster.leaves = found.records["secondary"], leaves
    return found


def test_a_drill_is_the_job_of_its_cronjob(stacks: FakeStacks) -> None:
    found = regions()
    ran = drctl(stacks, "drill", "integrity", "--yes", "--json", regions=found)
    assert ran.exit_code == 0, ran.output
    [path] = [path for path in found.clusters["secondary"].paths if path.startswith(f"{JOBS}/jobs/drill-integrity-")]
    job = found.clusters["secondary"].paths[path]
    assert job["spec"] == {"backoffLimit": 0}
    assert job["metadata"]["annotations"] == {"cronjob.kubernetes.io/instantiate": "manual"}
    assert job["metadata"]["ownerReferences"][0]["uid"] == "uid-1"
    assert "$ kubectl --context prod-usw2 create job" in ran.stderr


def test_a_drill_that_fails_says_why(stacks: FakeStacks) -> None:
    ran = drctl(stacks, "drill", "integrity", "--yes", regions=regions("Failed", "the backup lacks 3 volumes"))
    assert ran.exit_code == 1
    assert "drill integrity has failed: the backup lacks 3 volumes" in ran.stdout


SAID = "skipped: there is no database"
"""What the drill's last container says: a record of what was skipped has no reasons."""

SKIPPED = recorded("drills/secondary/integrity/2.json", passed=None)


@pytest.mark.parametrize(
    ("leaves", "code", "passed", "said"),
    [
        (NEW, 0, True, "drill integrity has passed"),
        (SKIPPED, 4, None, "drill integrity was skipped: skipped: there is no database"),
        (recorded("2.json", passed=False, reasons=("a volume is missing",)), 1, False, "has failed: a volume is missing"),
        (None, 4, None, "how is not known: it has left no record"),
        ("s3://… cannot be read", 4, None, "how is not known: s3://… cannot be read"),
    ],
)
def test_how_a_drill_went_is_what_its_record_says(
    stacks: FakeStacks, leaves: Record | str | None, code: int, passed: bool | None, said: str
) -> None:
    ran = drctl(stacks, "drill", "integrity", "--yes", "--json", regions=regions(said=SAID, leaves=leaves))
    told = json.loads(ran.stdout)
    assert (ran.exit_code, told["passed"]) == (code, passed)
    assert said in told["says"]


def test_a_record_is_not_taken_for_that_of_this_run_where_the_one_before_could_not_be_read(stacks: FakeStacks) -> None:
    found = regions()
    found.records["secondary"].found["integrity"] = "s3://… did not answer"
    ran = drctl(stacks, "drill", "integrity", "--yes", regions=found)
    assert (ran.exit_code, "how is not known: s3://… did not answer" in ran.stdout) == (4, True)


def test_a_drill_that_is_off_is_told_and_one_that_nobody_agreed_to_is_not_run(stacks: FakeStacks) -> None:
    found = regions()
    ran = drctl(stacks, "drill", "namespace", "--yes", regions=found)
    assert ran.exit_code == 1
    assert "there is no CronJob drill-namespace in k8s-dr of the secondary" in ran.stdout
    assert drctl(stacks, "drill", "integrity", regions=found).exit_code == 2
    assert not [path for path in found.clusters["secondary"].paths if "/jobs/" in path]


def test_a_job_keeps_a_name_that_kubernetes_takes() -> None:
    assert len(drilling.job_of(CRONJOB, "drill-integrity-20260301000000")["metadata"]["name"]) <= 63


def record(ended: datetime, kind: str = "database", **changes: Any) -> dict[str, Any]:
    times = {"started": ended.isoformat(), "ended": ended.isoformat()}
    measured = {"rpo": {"measured": None}, "rto": {"measured": 42.0}}
    own = {"schema": SCHEMA, "kind": kind, "region": "us-west-2", "passed": True, "reasons": []}
    return {**own, **times, **measured, **changes}


def test_reports_of_both_regions_are_collected_and_a_copy_goes_to_the_region_that_serves(stacks: FakeStacks) -> None:
    now = datetime.now(UTC)
    found = FakeRegions(flag=lambda: Flag(active="secondary"))
    found.buckets["primary"] = FakeBucket(objects={"drills/primary/integrity/1.json": record(now, "integrity")})
    found.buckets["secondary"] = FakeBucket(
        objects={"drills/secondary/database/1.json": record(now - timedelta(days=40)), "drills/primary/x.json": record(now)}
    )
    step = {"name": "restore production", "start": now.isoformat(), "end": now.isoformat(), "seconds": 1}
    details = {"failover": {"steps": [step], "seconds": 1}}
    stacks.said["secondary"] = outputs("secondary", serves=True, **details)
    local = stacks.project.directory / ".failover"
    local.mkdir()
    (local / "secondary.json").write_text(json.dumps({"region": "secondary", "active": "secondary", "steps": [step]}))
    (local / "spoilt.json").write_text("{")
    ran = drctl(stacks, "report", "--yes", "--json", regions=found)
    assert ran.exit_code == 0, ran.output
    told = json.loads(ran.stdout)
    assert [each["kind"] for each in told["report"]["drills"]] == ["database", "integrity"]
    assert len(told["report"]["takeovers"]) == 1, "a local report and a stack tell of the same one"
    [copy] = [key for key in found.buckets["secondary"].objects if key.startswith("reports/")]
    assert told["copy"] == f"s3://bucket/{copy}"
    assert not [key for key in found.buckets["primary"].objects if key.startswith("reports/")]
    recent = drctl(stacks, "report", "--since", "24h", "--no-copy", "--json", regions=found)
    assert [each["kind"] for each in json.loads(recent.stdout)["report"]["drills"]] == ["integrity"]


@pytest.mark.parametrize(
    "spoils",
    [{"rpo": "none"}, {"rto": {"measured": "soon"}}, {"passed": []}, {"reasons": 7}, {"started": None}, {"schema": "other/v9"}],
)
def test_a_foreign_record_is_a_line_and_no_stack_trace(stacks: FakeStacks, spoils: dict[str, Any]) -> None:
    found, now = FakeRegions(), datetime.now(UTC)
    found.buckets["primary"].objects = {
        "drills/primary/1.json": record(now, **spoils),
        "drills/primary/2.json": record(now, rto={"measured": "42"}),
    }
    ran = drctl(stacks, "report", "--no-copy", "--json", regions=found)
    assert ran.exit_code == 4, ran.output
    told = json.loads(ran.stdout)["report"]
    [line] = told["silent"]
    assert line.startswith("drills primary: drills/primary/1.json is no record of a drill of this version")
    assert len(told["drills"]) == 1
    shown = drctl(stacks, "report", "--no-copy", regions=found)
    assert (shown.exit_code, "RTO 0:00:42" in shown.stdout) == (4, True)


@pytest.mark.parametrize("spoils", [{"steps": 7}, {"region": ["us-west-2"]}, {"steps": [{"end": "soon"}]}])
def test_a_foreign_takeover_is_a_line_and_no_stack_trace(stacks: FakeStacks, spoils: dict[str, Any]) -> None:
    moment = datetime.now(UTC).isoformat()
    step = {"name": "restore production", "start": moment, "end": moment, "seconds": 1}
    local = stacks.project.directory / ".failover"
    local.mkdir()
    spoilt = {"region": "us-west-2", "active": "secondary", "steps": [step], **spoils}
    (local / "secondary.json").write_text(json.dumps(spoilt))
    stacks.said["primary"] = outputs("primary", serves=True, failover={"steps": [{"end": 7}]})
    ran = drctl(stacks, "report", "--no-copy", "--json")
    assert ran.exit_code == 4, ran.output
    told = json.loads(ran.stdout)["report"]
    assert [line.partition(":")[0] for line in told["silent"]] == [".failover/secondary.json", "state primary"]
    assert told["takeovers"] == []


def test_a_region_that_does_not_answer_is_named_and_the_rest_is_collected(stacks: FakeStacks) -> None:
    found = FakeRegions()
    found.buckets["primary"].error = BucketUnreadableError("s3://… cannot be read")
    found.buckets["secondary"].objects["drills/secondary/1.json"] = record(datetime.now(UTC))
    ran = drctl(stacks, "report", "--no-copy", "--json", regions=found)
    assert ran.exit_code == 4
    told = json.loads(ran.stdout)["report"]
    assert told["silent"] == ["drills primary: s3://… cannot be read"]
    assert len(told["drills"]) == 1


@pytest.mark.parametrize("ask", ["documents", "last", "keep"])
def test_an_aws_profile_that_is_not_there_is_a_line_and_no_stack_trace(stacks: FakeStacks, ask: str) -> None:
    settings = stacks.project.settings("primary")
    settings = settings.model_copy(update={"aws": settings.aws.model_copy(update={"profile": "nobody"})})
    bucket = LiveBucket("acme-velero", "us-east-1", settings)
    asked: dict[str, Callable[[], object]] = {
        "documents": lambda: [*bucket.documents("drills/")],
        "last": lambda: bucket.last("traces/"),
        "keep": lambda: bucket.keep("reports/1.json", {}),
    }
    with pytest.raises(BucketUnreadableError, match="nobody"):
        asked[ask]()


def test_a_time_that_is_none_is_refused(stacks: FakeStacks) -> None:
    ran = drctl(stacks, "report", "--since", "soon", "--no-copy", regions=FakeRegions())
    assert ran.exit_code == 2
    assert "--since: soon is not a duration" in ran.stderr


def test_the_calendar_is_that_of_the_script(stacks: FakeStacks) -> None:
    ran = drctl(stacks, "calendar", "--days", "31", "--people")
    assert ran.exit_code == 0, ran.output
    assert ran.stdout_bytes.startswith(b"BEGIN:VCALENDAR\r\n")
    assert b"integrity" not in ran.stdout_bytes
    assert b"integrity" in drctl(stacks, "calendar", "--days", "31").stdout_bytes
    assert "$ python -m scripts.drill_calendar --days 31 --people --directory" in ran.stderr
    wrong = drctl(stacks, "calendar", "--days", "0")
    assert (wrong.exit_code, "--days: 0 is not from 1 to" in wrong.stderr) == (2, True)


def test_the_calendar_is_a_list_of_events_for_programs(stacks: FakeStacks) -> None:
    ran = drctl(stacks, "calendar", "--days", "31", "--json")
    found = json.loads(ran.stdout)
    assert (ran.exit_code, found["says"]) == (0, f"{len(found['events'])} events")
    event = next(each for each in found["events"] if each["uid"].startswith("integrity-primary-"))
    assert event["summary"].startswith("Drill integrity in us-east-1")
    assert datetime.fromisoformat(event["begin"]).tzinfo is not None
    assert event["lasts"] > 0


def test_a_calendar_of_no_checkout_is_one_line(tmp_path: Path) -> None:
    ran = drctl(FakeStacks(project=Project(directory=tmp_path)), "calendar", "--json")
    assert ran.exit_code == 1
    assert "run this in the checkout" in json.loads(ran.stdout)["says"]


def test_the_page_names_each_command_and_what_it_takes() -> None:
    """Each command has its row; what all take, and what is self-evident in a loop, stands below or in --help."""
    rows = {
        line.split("`")[1].split()[0]: line for line in (ROOT / "docs" / "drctl.md").read_text().splitlines() if "| `" in line
    }
    assert main.commands.keys() <= rows.keys()
    for wanted in ("--region", "--no-wait"):
        assert wanted in rows["drill"]


# Drills as traces


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[Kept]:
    with listening() as (url, kept):
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", url)
        yield kept


def whole(ended: datetime, kind: str, run: str, **changes: Any) -> dict[str, Any]:
    """A record as a drill leaves it."""
    measured = {"rpo": {"target": 300, "measured": 61.0}, "rto": {"target": 1800, "measured": 42.0}}
    return record(ended, kind, role="secondary", run=run, by="CronJob", **{**measured, **changes})


def drilled(*runs: str) -> FakeRegions:
    now = datetime.now(UTC)
    found = FakeRegions(flag=lambda: Flag(active="secondary"))
    for run in runs:
        found.buckets["secondary"].objects[f"drills/secondary/database/{run}.json"] = whole(now, "database", run)
    return found


def memories(found: FakeRegions) -> list[list[str]]:
    objects = found.buckets["secondary"].objects
    return [objects[key]["sent"] for key in sorted(objects) if key.startswith("traces/")]


def test_each_drill_is_sent_once_whichever_machine_collects_them(stacks: FakeStacks, collector: Kept) -> None:
    found = drilled("1", "2")
    ran = drctl(stacks, "report", "--yes", "--json", regions=found)
    assert (ran.exit_code, len(collector.spans)) == (0, 2), ran.output
    assert {span.name for span in collector.spans} == {"drill database"}
    assert {each.name: each.sum for each in collector.measured} == {"dr.recovery.time": 42.0, "dr.data.loss": 61.0}
    assert "2 drills were sent as traces" in ran.stderr
    key = "drills/secondary/database/3.json"
    found.buckets["secondary"].objects[key] = whole(datetime.now(UTC), "database", "3", passed=False, reasons=["no room"])
    assert drctl(stacks, "report", "--yes", regions=found).exit_code == 0
    assert [span.failed for span in collector.spans] == [None, None, "no room"]
    assert memories(found)[-1] == [f"drills/secondary/database/{run}.json" for run in "123"]
    drctl(stacks, "report", "--yes", regions=found)
    assert (len(collector.spans), len(memories(found))) == (3, 2), "there was nothing new"


def test_what_was_sent_is_known_from_either_bucket_and_forgotten_once_the_record_has_expired(
    stacks: FakeStacks, collector: Kept
) -> None:
    found = drilled("1", "2")
    sent = ["drills/primary/etcd/7.json", "drills/secondary/database/0.json", "drills/secondary/database/1.json"]
    found.buckets["primary"].objects["traces/1.json"] = {"sent": sent}
    found.buckets["secondary"].objects["traces/1.json"] = {"sent": "spoilt"}
    drctl(stacks, "report", "--yes", regions=found)
    assert [span.attributes["dr.drill.run"] for span in collector.spans] == ["2"]
    assert memories(found)[-1] == [f"drills/secondary/database/{run}.json" for run in "12"]


def test_a_dead_region_is_no_reason_to_send_twice_nor_to_forget(stacks: FakeStacks, collector: Kept) -> None:
    found = drilled("1")
    found.buckets["primary"].error = BucketUnreadableError("s3://… cannot be read")
    found.buckets["secondary"].objects["traces/1.json"] = {"sent": ["drills/primary/etcd/7.json"]}
    assert drctl(stacks, "report", "--yes", regions=found).exit_code == 4
    assert len(collector.spans) == 1
    assert memories(found)[-1] == ["drills/primary/etcd/7.json", "drills/secondary/database/1.json"]


def test_a_collector_that_refuses_gets_them_the_next_time(stacks: FakeStacks, monkeypatch: pytest.MonkeyPatch) -> None:
    found = drilled("1")
    with listening(answer=lambda handler: handler.send_error(401)) as (url, _):
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", url)
        ran = drctl(stacks, "report", "--yes", "--json", regions=found)
    assert ran.exit_code == 4
    assert "drills were not sent: traces: the collector answered 401" in json.loads(ran.stdout)["report"]["silent"]
    assert memories(found) == []


def test_nothing_is_sent_without_a_copy_nor_of_what_is_no_whole_record(stacks: FakeStacks, collector: Kept) -> None:
    found = drilled("1")
    found.buckets["secondary"].objects["drills/secondary/database/2.json"] = record(datetime.now(UTC))
    assert drctl(stacks, "report", "--no-copy", regions=found).exit_code == 0
    assert collector.requests == []
    ran = drctl(stacks, "report", "--yes", "--json", regions=found)
    assert (ran.exit_code, len(collector.spans)) == (4, 1)
    [line] = json.loads(ran.stdout)["report"]["silent"]
    assert line.startswith("not sent: drills/secondary/database/2.json is no record of a drill: role: ")


@pytest.mark.parametrize(
    "spoils",
    [
        {"started": "0001-01-01T00:00:00Z"},
        {"ended": "9999-12-31T00:00:00Z"},
        {"started": "9999-12-30T00:00:00Z", "ended": "9999-12-31T00:00:00Z"},
        {"started": "2026-03-01T12:00:00Z", "ended": "2026-03-01T11:00:00Z"},
    ],
)
def test_a_record_of_an_impossible_time_keeps_no_other_from_being_sent(
    stacks: FakeStacks, collector: Kept, spoils: dict[str, str]
) -> None:
    """Whoever may write into one region's bucket could have written it."""
    found = drilled("1")
    key = "drills/secondary/database/2.json"
    found.buckets["secondary"].objects[key] = {**whole(datetime.now(UTC), "database", "2"), **spoils}
    ran = drctl(stacks, "report", "--yes", "--json", regions=found)
    assert [span.attributes["dr.drill.run"] for span in collector.spans] == ["1"]
    assert memories(found) == [["drills/secondary/database/1.json"]]
    assert [line for line in json.loads(ran.stdout)["report"]["silent"] if line.startswith(f"not sent: {key} says that")]


def test_without_a_collector_nobody_is_asked_what_was_sent(stacks: FakeStacks) -> None:
    found = drilled("1")
    assert drctl(stacks, "report", "--yes", regions=found).exit_code == 0
    assert memories(found) == []
