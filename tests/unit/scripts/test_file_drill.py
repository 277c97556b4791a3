"""What people practised becomes a record like the others: from what the failovers recorded, and never twice."""

from __future__ import annotations

import dataclasses
import json
import shlex
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import botocore.exceptions
import pytest
from moto import mock_aws

from components.failover.report import REPORTS
from report import drills
from report.takeover import Takeover, takeover
from scripts import drill_page, file_drill
from scripts.drill_issues import Due, _filing
from scripts.file_drill import NotFiledError, record
from settings import load
from settings.explain import SECRETS
from settings.model import Settings
from tests.examples import ROOT, example
from tests.unit.report.test_takeover import CONFIG, LOCAL, OUTPUTS
from tests.unit.scripts.test_drill_calendar import project

NOW = datetime(2026, 11, 29, 12, 0, tzinfo=UTC)
THERE = takeover(LOCAL, source="x")
BACK = dataclasses.replace(
    THERE,
    region="us-east-1",
    steps=tuple(
        dataclasses.replace(step, start=step.start + timedelta(hours=2), end=step.end + timedelta(hours=2))
        for step in THERE.steps
    ),
)


class FakeS3:
    """A bucket in which S3 refuses to write over what is there."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}

    def put_object(self, *, Bucket: str, Key: str, Body: bytes, IfNoneMatch: str, **_: Any) -> None:  # noqa: N803 - as boto3
        assert Bucket == "acme-velero-us-west-2-123456789012"
        assert IfNoneMatch == "*"
        if Key in self.objects:
            raise botocore.exceptions.ClientError({"Error": {"Code": "PreconditionFailed", "Message": "no"}}, "PutObject")
        self.objects[Key] = Body


def settings() -> Settings:
    return load("secondary", example("secondary", {"peerReady": True}), SECRETS)


def made(*ways: Takeover, **changes: Any) -> tuple[str, dict[str, Any]]:
    given: dict[str, Any] = {"by": "A. Turner", "failed": (), "ended": NOW, **changes}
    return record("full", settings(), ways, **given)


def test_the_record_of_a_circle_is_one_that_the_page_reads() -> None:
    key, found = made(BACK, THERE, rpo=timedelta(0), rto=timedelta(minutes=4), notes=["a bell rang"])
    entry = drills.entry(key, json.dumps(found).encode())
    assert entry.key.startswith("drills/secondary/full/20261129T031100Z-")
    assert (entry.passed, entry.rpo_measured, entry.rto_measured, entry.rto_target) == (True, 0.0, 240.0, 1800.0)
    assert (entry.started, entry.ended) == (THERE.began, BACK.ended)
    assert entry.counts == {"steps": 8, "takeovers": 2}
    assert entry.by == "A. Turner"
    assert entry.versions["commit"] == THERE.commit
    assert "us-west-2 took over in 41 s" in entry.notes[0]
    assert "us-east-1 took over in 41 s" in entry.notes[1]
    assert entry.notes[-1] == "a bell rang"


def test_without_a_persons_time_the_rto_is_that_of_the_steps_and_says_so() -> None:
    _, found = made(THERE)
    assert found["rto"]["measured"] == 41.0
    assert found["rpo"]["measured"] is None
    assert "nobody has said how long users waited" in found["notes"][-1]


def test_a_time_beyond_its_target_fails_it_whatever_people_say() -> None:
    _, found = made(THERE, rto=timedelta(hours=1), rpo=timedelta(minutes=6))
    assert found["passed"] is False
    assert found["reasons"] == [
        "its RPO is 6 min 0 s, and tier pilot-light promises 5 min 0 s",
        "its RTO is 60 min 0 s, and tier pilot-light promises 30 min 0 s",
    ]


def test_what_has_no_report_needs_the_time_at_which_it_began() -> None:
    with pytest.raises(NotFiledError, match="--began: is missing"):
        made()
    with pytest.raises(NotFiledError, match="is after"):
        made(began=NOW + timedelta(hours=1))
    assert made(began=NOW - timedelta(hours=1))[1]["passed"] is True


def run(folder: Path, s3: FakeS3, *arguments: str, kind: str = "full") -> int:
    asked = [kind, "--by", "A. Turner", "--directory", str(folder), *arguments]
    return file_drill.main(asked, lambda _: s3, lambda stack, _: {"secondary": THERE, "primary": BACK}[stack], NOW)


def test_a_drill_is_filed_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    s3, folder = FakeS3(), project(tmp_path, {"k8s-dr:peerReady": True})
    circle = ("--passed", "--outputs", "secondary", "--outputs", "primary", "--rpo", "0s", "--rto", "4m")
    assert run(folder, s3, *circle) == 0
    assert (
        "Filed as passed: s3://acme-velero-us-west-2-123456789012/drills/secondary/full/20261129T031100Z-"
        in capsys.readouterr().out
    )
    ((_, before),) = s3.objects.items()
    assert run(folder, s3, "--failed", "another one says so", *circle[1:]) == 1
    assert "is there already: this drill was filed, and no record is written over" in capsys.readouterr().err
    assert [*s3.objects.values()] == [before]


def test_a_local_report_does_as_well(tmp_path: Path) -> None:
    s3, folder, report = FakeS3(), project(tmp_path, {}), tmp_path / "secondary.json"
    report.write_text(json.dumps(LOCAL))
    assert run(folder, s3, "--failed", "two Pods found no image", "--report", str(report)) == 0
    ((_, content),) = s3.objects.items()
    assert json.loads(content)["reasons"] == ["two Pods found no image"]


def test_the_command_of_the_issue_files_both_ways_from_the_reports_that_the_program_leaves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After the way back the secondary has given up, and its outputs have no steps: they are asked for nothing."""
    s3, folder = FakeS3(), project(tmp_path, {"k8s-dr:peerReady": True})
    (folder / REPORTS).mkdir()
    back = [{"name": step.name, "start": f"{step.start}", "end": f"{step.end}", "seconds": 1} for step in BACK.steps]
    (folder / REPORTS / "secondary.json").write_text(json.dumps(LOCAL))
    (folder / REPORTS / "primary.json").write_text(
        json.dumps({**LOCAL, "stack": "primary", "region": "us-east-1", "steps": back})
    )
    monkeypatch.chdir(folder)
    _, _, typed = _filing(Due(kind="full", day=NOW.date())).partition("scripts.file_drill ")
    typed = typed.replace("LOST", "0s").replace("WAITED", "4m")
    reports, _, _ = typed.partition("--report")[2].partition(" --rpo")
    assert f"--report{reports}" in (ROOT / "docs" / "drills.md").read_text()

    def never(stack: str, _: str | None) -> Takeover:
        raise AssertionError(stack)

    assert file_drill.main(shlex.split(typed), lambda _: s3, never, NOW) == 0
    ((_, content),) = s3.objects.items()
    assert json.loads(content)["counts"]["takeovers"] == 2


def test_outputs_are_read_in_the_backend_of_their_stack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, str]] = []

    def ran(command: list[str], *, env: dict[str, str], **_: Any) -> subprocess.CompletedProcess[str]:
        asked.append((command[command.index("--stack") + 1], env["PULUMI_BACKEND_URL"]))
        return subprocess.CompletedProcess(command, 0, json.dumps(OUTPUTS if "output" in command else CONFIG), "")

    monkeypatch.setattr(subprocess, "run", ran)
    monkeypatch.setenv("PULUMI_BACKEND_URL", "s3://of-this-shell")
    folder = project(tmp_path, {"k8s-dr:peerReady": True})
    given = ["full", "--by", "A", "--passed", "--directory", str(folder), "--outputs", "secondary", "--outputs", "primary"]
    assert file_drill.main(given, lambda _: FakeS3(), now=NOW) == 0
    assert {*asked} == {
        ("secondary", "s3://acme-pulumi-us-west-2?region=us-west-2"),
        ("primary", "s3://acme-pulumi-us-east-1?region=us-east-1"),
    }


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--passed", "--report", "nowhere.json"), "nowhere.json: No such file"),
        (("--passed", "--outputs", "secondary", "--rto", "soon"), "--rto: soon is not a duration"),
        (("--passed", "--began", "yesterday"), "--began: yesterday is no time"),
    ],
)
def test_what_cannot_be_filed_is_one_line_and_files_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], says: str
) -> None:
    s3 = FakeS3()
    assert run(project(tmp_path, {}), s3, *arguments) == 1
    assert says in capsys.readouterr().err
    assert not s3.objects


def test_to_print_files_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    s3 = FakeS3()
    assert run(project(tmp_path, {}), s3, "--passed", "--began", "2026-11-20T09:00:00Z", "--print", kind="tabletop") == 0
    assert json.loads(capsys.readouterr().out)["kind"] == "tabletop"
    assert not s3.objects


def test_s3_itself_keeps_the_first_record_and_the_page_finds_it_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With moto in the place of S3, and boto3 as it is."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    folder, page = project(tmp_path, {"k8s-dr:peerReady": True}), tmp_path / "drills.html"
    with mock_aws():
        where = {"us-east-1": {}, "us-west-2": {"CreateBucketConfiguration": {"LocationConstraint": "us-west-2"}}}
        for region, more in where.items():
            boto3.client("s3", region_name=region).create_bucket(Bucket=f"acme-velero-{region}-123456789012", **more)
        asked = ["full", "--by", "A. Turner", "--directory", str(folder), "--outputs", "secondary"]
        assert file_drill.main([*asked, "--passed"], asked=lambda *_: THERE, now=NOW) == 0
        assert file_drill.main([*asked, "--failed", "no"], asked=lambda *_: THERE, now=NOW) == 1
        assert "no record is written over" in capsys.readouterr().err
        assert drill_page.main(["--directory", str(folder), "--html", str(page)], now=NOW) == 0
    assert "A. Turner" in page.read_text()
