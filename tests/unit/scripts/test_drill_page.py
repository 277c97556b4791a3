"""The page of the drills: all that a record says, nothing that it could do, and what is overdue."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import botocore.exceptions
import pytest

from report import drills
from report.drills import NoRecordError
from scripts import drill_page
from settings import load
from settings.explain import SECRETS
from settings.model import Settings
from settings.roles import ROLES, Role
from tests.examples import example
from tests.unit.report.test_report_page import Page
from tests.unit.scripts.test_drill_calendar import project

NOW = datetime(2026, 3, 4, 12, 0, tzinfo=UTC)
OF = {"primary": "us-east-1", "secondary": "us-west-2"}
EVIL = '<script>alert(1)</script><img src=x onerror="alert(2)">\x1b[2J&'


def record(kind: str = "integrity", role: str = "primary", **changes: Any) -> dict[str, Any]:
    return {
        "schema": 1,
        "kind": kind,
        "region": OF[role],
        "role": role,
        "run": "0a1b2c3d",
        "started": "2026-03-02T05:30:00Z",
        "ended": "2026-03-02T05:31:00Z",
        "passed": True,
        "skipped": None,
        "reasons": [],
        "used": [{"what": "velero-backup", "name": "hourly-critical-20260302", "time": "2026-03-02T05:00:00Z"}],
        "rpo": {"target": 300, "measured": 120},
        "rto": {"target": 1800, "measured": 2400},
        "counts": {"backups": 2},
        "notes": [],
        "by": "CronJob/drill-integrity",
        "versions": {"program": "abc", "kubernetes": "v1.34.1"},
        **changes,
    }


def key_of(found: Mapping[str, Any]) -> str:
    stamp = re.sub(r"[-:]", "", found["started"])
    return f"drills/{found['role']}/{found['kind']}/{stamp}-{found['run']}.json"


ALL = [record(kind, role) for role in ROLES for kind in ("integrity", "namespace", "database")]


class FakeS3:
    """A region's bucket, with records or without an answer."""

    def __init__(self, records: list[dict[str, Any]], *, dead: bool = False) -> None:
        self.objects = {key_of(each): json.dumps(each).encode() for each in records}
        self.dead = dead

    def get_paginator(self, _: str) -> FakeS3:
        return self

    def paginate(self, *, Bucket: str, Prefix: str) -> list[dict[str, Any]]:  # noqa: N803 - as boto3 calls them
        if self.dead:
            raise botocore.exceptions.ConnectTimeoutError(endpoint_url=Bucket)
        return [{"Contents": [{"Key": key} for key in self.objects if key.startswith(Prefix)]}]

    def get_object(self, *, Bucket: str, Key: str) -> dict[str, Any]:  # noqa: N803
        del Bucket
        return {"ContentLength": len(self.objects[Key]), "Body": io.BytesIO(self.objects[Key])}


def stacks(**changes: Any) -> dict[Role, Settings]:
    return {role: load(role, example(role, {"peerReady": True, **changes}), SECRETS) for role in ROLES}


def known(primary: FakeS3, secondary: FakeS3, now: datetime = NOW, **changes: Any) -> drills.Drills:
    both = {"primary": primary, "secondary": secondary}
    buckets = {role: drill_page.read(found, lambda settings: both[settings.role]) for role, found in stacks(**changes).items()}
    return drill_page.known(stacks(**changes), buckets, now)


def same(records: list[dict[str, Any]] | None = None, **changes: Any) -> drills.Drills:
    """Both buckets have the same records, as S3 copies them."""
    return known(FakeS3(records or ALL), FakeS3(records or ALL), **changes)


def test_the_page_says_all_that_a_record_says() -> None:
    failed = record(passed=False, reasons=["backup a is stale", "b is corrupt"], notes=["deleted a left-over"])
    page = Page(drills.render(same([failed, *ALL[1:]])))
    assert page.open == []
    for said in (
        "1 of 10 drills failed or overdue",
        "The last drill integrity in us-east-1 failed: backup a is stale (and 1 more).",
        "2026-03-02 05:30",
        "b is corrupt",
        "deleted a left-over",
        "velero-backup hourly-critical-20260302 of 2026-03-02T05:00:00Z",
        "2 min 00 s of 5 min 00 s",
        "40 min 00 s of 30 min 00 s missed",
        "kubernetes v1.34.1",
        "CronJob/drill-integrity",
        "acme",
    ):
        assert said in page.text, said


def test_nothing_of_a_record_is_executable() -> None:
    evil = record(
        run="0a",
        reasons=[EVIL],
        passed=False,
        used=[{"what": EVIL, "name": EVIL, EVIL: EVIL}],
        notes=[EVIL],
        by=EVIL,
        region=EVIL,
        counts={EVIL: 1},
        versions={EVIL: EVIL},
        skipped=EVIL,
    )
    html = drills.render(same([evil]))
    assert not re.search(r"<script|<img|\x1b", html)
    page = Page(html)
    assert not [name for _, name, _ in page.attributes if name.startswith("on") or name in {"src", "href"}]
    assert "alert(1)" in page.text, "it is shown as the text that it is"


def test_the_page_needs_nothing_from_anywhere() -> None:
    assert not re.search(r"https?://|url\(|@import|<script|<link|<iframe", drills.render(same()))


def test_one_bucket_is_enough_and_the_other_is_said_not_to_answer() -> None:
    for alone in (known(FakeS3([], dead=True), FakeS3(ALL)), known(FakeS3(ALL), FakeS3([], dead=True))):
        assert len(alone.entries) == 6
        assert sum("did not answer" in line for line in alone.sources) == 1
        assert "did not answer" in Page(drills.render(alone)).text
        assert drills.reasons(alone) == []


def test_a_record_that_is_in_both_buckets_is_one_and_one_that_was_written_over_is_said() -> None:
    assert len(same().entries) == 6
    forged = record(passed=False, reasons=["forged"])
    found = known(FakeS3([*ALL]), FakeS3([forged, *ALL[1:]]))
    assert [each.passed for each in found.entries] == [True] * 6, "the region that wrote it has it at first hand"
    assert "is not the same in the two regions" in drills.reasons(found)[0]


@pytest.mark.parametrize(
    "changes",
    [
        {"schema": 2},
        {"passed": "yes"},
        {"ended": "today"},
        {"rpo": 3},
        {"rto": {"measured": -1}},
        {"reasons": "all"},
        {"started": 1e99},
    ],
)
def test_what_is_no_record_is_told_and_stops_nothing(changes: dict[str, Any]) -> None:
    s3 = FakeS3(ALL)
    s3.objects["drills/primary/integrity/20260303T053000Z-x.json"] = json.dumps(record(**changes)).encode()
    found = known(s3, FakeS3(ALL))
    assert len(found.entries) == 6
    assert "is no record of a drill" in " ".join(drills.reasons(found))


@pytest.mark.parametrize("content", [b"", b"\xff", b"[" * 100_000, b"null", b'{"schema": 1e999}'])
def test_no_content_breaks_the_reading(content: bytes) -> None:
    with pytest.raises(NoRecordError, match="is no record of a drill"):
        drills.entry("drills/primary/integrity/x.json", content)


def test_a_record_is_of_the_place_that_its_key_names() -> None:
    with pytest.raises(NoRecordError, match="says that it is of primary/integrity"):
        drills.entry("drills/secondary/integrity/x.json", json.dumps(record()).encode())


def test_an_object_as_large_as_no_record_is_not_read() -> None:
    s3 = FakeS3(ALL)
    s3.objects["drills/primary/integrity/20260303T053000Z-x.json"] = b" " * 300_000
    assert "has more than 256 KiB" in " ".join(drills.reasons(known(s3, FakeS3(ALL))))


def test_a_drill_is_overdue_after_twice_its_longest_gap_and_one_that_never_ran_too() -> None:
    late = datetime(2026, 3, 17, tzinfo=UTC)
    found = known(FakeS3(ALL), FakeS3(ALL), late)
    assert [each.name for each in found.standings if each.overdue] == ["integrity in us-east-1", "integrity in us-west-2"]
    never = known(FakeS3(ALL[1:]), FakeS3(ALL[1:]), late)
    (one, _) = [each for each in never.standings if each.overdue]
    assert one.last is None
    assert "there was none in 14 d" in (one.overdue or "")


def test_a_pair_without_records_is_overdue_in_nothing() -> None:
    found = known(FakeS3([]), FakeS3([]))
    assert not [each for each in found.standings if each.overdue]
    assert drills.held(found) == ["No drill was due yet, and none has left a record."]
    assert "none yet" in Page(drills.render(found)).text


def test_what_people_did_not_do_is_overdue_a_month_after_its_date() -> None:
    def overdue(now: datetime, *more: dict[str, Any]) -> list[str]:
        regular = [
            record(started=f"{now:%Y-%m-%d}T00:00:00Z", ended=f"{now:%Y-%m-%d}T00:01:00Z", kind=kind, role=role)
            for kind in ("integrity", "namespace", "database")
            for role in ROLES
        ]
        found = known(FakeS3([*ALL, *regular, *more]), FakeS3([]), now)
        return [each.name for each in found.standings if each.overdue]

    assert overdue(datetime(2026, 4, 10, tzinfo=UTC)) == []
    assert overdue(datetime(2026, 4, 20, tzinfo=UTC)) == ["partial"]
    done = record("partial", "secondary", started="2026-03-18T08:00:00Z", ended="2026-03-18T10:00:00Z")
    assert overdue(datetime(2026, 4, 20, tzinfo=UTC), done) == []


def test_a_drill_that_is_switched_off_is_not_waited_for() -> None:
    found = same(drills={"people": {"enabled": False}, "integrity": {"enabled": False}})
    assert {each.kind for each in found.standings} == {"namespace", "database"}


def test_the_json_has_what_the_page_has() -> None:
    found = json.loads(drills.as_json(same()))
    assert found["schema"] == 1
    assert len(found["entries"]) == 6
    assert found["entries"][0]["rto_measured"] == 2400
    assert found["standings"][0]["last"] == key_of(ALL[0])
    assert found["generated"] == "2026-03-04T12:00:00Z"


def test_the_command_writes_both_and_its_end_says_whether_somebody_must_look(tmp_path: Path) -> None:
    folder = project(tmp_path, {"k8s-dr:peerReady": True})
    page, data = tmp_path / "drills.html", tmp_path / "drills.json"
    asked = ["--directory", str(folder), "--html", str(page), "--json", str(data)]
    assert drill_page.main(asked, lambda _: FakeS3(ALL), NOW) == 0
    assert "No drill failed, none is overdue" in page.read_text()
    assert json.loads(data.read_text())["wrong"] == []
    assert drill_page.main(asked, lambda _: FakeS3(ALL), NOW + timedelta(days=20)) == 1
    page.unlink()
    assert drill_page.main(asked, lambda _: FakeS3([], dead=True), NOW) == 2
    assert not page.exists()
