"""The report of a real failover: from what the program itself recorded, with what nobody measured said plainly."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from report import __main__ as command
from report import page, takeover, terminal
from report.takeover import NoTakeoverError, of_outputs
from tests.unit.report.reports import REPORT
from tests.unit.report.test_report_page import Page

STEPS = [
    {"name": "preflight", "start": "2026-11-29T03:11:00Z", "end": "2026-11-29T03:11:01Z", "seconds": 1.0},
    {"name": "promote app-database", "start": "2026-11-29T03:11:02Z", "end": "2026-11-29T03:11:20Z", "seconds": 18.0},
    {
        "name": "restore hourly-critical-us-east-1",
        "start": "2026-11-29T03:11:02Z",
        "end": "2026-11-29T03:11:12Z",
        "seconds": 10.0,
    },
    {"name": "traffic", "start": "2026-11-29T03:11:20Z", "end": "2026-11-29T03:11:41Z", "seconds": 21.0},
]
LOCAL = {
    "stack": "secondary",
    "organization": "acme",
    "region": "us-west-2",
    "regions": {"primary": "us-east-1", "secondary": "us-west-2"},
    "names": ["app.example.com"],
    "ttl": 60,
    "targets": {"tier": "pilot-light", "rpoSeconds": 300.0, "rtoSeconds": 1800.0},
    "active": "secondary",
    "commit": "0123456789abcdef0123456789abcdef01234567",
    "steps": STEPS,
}
OUTPUTS = {
    "active": "secondary",
    "serving": "us-west-2 since 2026-11-29T03:11:41Z: app.example.com at lb",
    "details": {
        "serving": {"region": "us-west-2", "since": "2026-11-29T03:11:41Z", "names": ["app.example.com"], "endpoint": "lb"},
        "targets": LOCAL["targets"],
        "failover": {"steps": STEPS[1:], "seconds": 39.0},
    },
}
CONFIG = {
    "k8s-dr:topology": {"value": "…", "objectValue": {"organization": "acme", "regions": LOCAL["regions"]}},
    "k8s-dr:dns": {"value": "…", "objectValue": {"ttl": 60}},
}
FOUND = takeover.takeover(LOCAL, source="secondary.json")


def test_the_page_of_a_local_report_says_who_took_over_and_in_which_time():
    found = Page(page.render(FOUND))
    assert found.open == []
    for said in (
        "us-west-2 took over in 41.0 s",
        "Users are sent to us-west-2 in place of us-east-1 since 29 November 2026, 03:11 UTC.",
        "The steps took 41.0 s of the 30 min 00 s that tier pilot-light promises (RTO).",
        "acme",
        "app.example.com",
        "0123456789abcdef0123456789abcdef01234567",
        "users arrive within 90 s",
        "no row was counted",
        *(step["name"] for step in STEPS),
    ):
        assert said in found.text, said
    assert "What held" in found.text
    assert "requests" not in found.text, "nobody asked anything"


def test_the_text_of_a_local_report_says_the_same_in_a_hundred_columns():
    text = terminal.render(FOUND)
    assert max(map(len, text.splitlines())) <= terminal.WIDTH
    for said in ("us-west-2 took over in 41.0 s", "promote app-database", "acme", "(2% of the target)", "no row was counted"):
        assert said in text, said


def test_an_rto_that_the_steps_alone_have_missed_is_said_and_drawn():
    late = dataclasses.replace(FOUND, targets=dataclasses.replace(FOUND.targets, rto_seconds=20.0))
    text = Page(page.render(late)).text
    assert "RTO missed: the steps alone took 41.0 s, and tier pilot-light promises 20.0 s." in text
    assert "What held" not in text


def test_outputs_tell_the_same_but_for_the_preflight_and_the_commit():
    found = of_outputs(OUTPUTS, CONFIG, "secondary")
    assert found.steps == FOUND.steps[1:]
    assert dataclasses.replace(found, steps=FOUND.steps, commit=FOUND.commit) == FOUND


def test_a_report_of_the_first_release_has_a_page_too():
    old = takeover.takeover({"region": "us-west-2", "active": "secondary", "steps": STEPS}, source="old")
    text = Page(page.render(old)).text
    assert "us-west-2 took over in 41.0 s" in text
    assert "not recorded" in text


def test_a_stack_that_has_not_taken_over_is_told_in_one_line():
    details = {**OUTPUTS["details"], "failover": {"steps": [], "seconds": None}}
    with pytest.raises(
        NoTakeoverError, match="outputs of the stack secondary: steps: there are none; the stack has not taken over"
    ):
        of_outputs({**OUTPUTS, "details": details}, CONFIG, "secondary")
    with pytest.raises(NoTakeoverError, match=r"x\.json: region: field required; this is no local report"):
        takeover.takeover({}, source="x.json")


def test_the_command_shows_a_local_report_and_writes_its_page_beside_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    file = tmp_path / ".failover" / "secondary.json"
    file.parent.mkdir()
    file.write_text(json.dumps(LOCAL))
    command.main([str(file)])
    said = capsys.readouterr().out
    assert "us-west-2 took over in 41.0 s" in said
    assert f"Page: {file.with_suffix('.html')}" in said
    assert file.with_suffix(".html").read_text() == page.render(FOUND)


def test_the_command_shows_a_report_of_the_lab_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    from report import model

    model.write(REPORT, tmp_path / "report.json")
    command.main([str(tmp_path / "report.json"), "--html", str(tmp_path / "page.html")])
    assert "41.2 s without service" in capsys.readouterr().out
    assert (tmp_path / "page.html").read_text() == page.render(REPORT)


PULUMI = """#!/bin/sh
case "$*" in
  "stack output --show-secrets --json --stack secondary --non-interactive") cat "$OUTPUTS" ;;
  "config --json --stack secondary --non-interactive") cat "$CONFIG" ;;
  *) echo "error: no stack named '$5' found" >&2; exit 255 ;;
esac
"""


def test_the_command_reads_a_stacks_outputs_where_no_local_report_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    program = tmp_path / "pulumi"
    program.write_text(PULUMI)
    program.chmod(0o755)
    for name, document in (("OUTPUTS", OUTPUTS), ("CONFIG", CONFIG)):
        (tmp_path / name).write_text(json.dumps(document))
        monkeypatch.setenv(name, str(tmp_path / name))
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.chdir(tmp_path)
    command.main(["--stack", "secondary"])
    assert "us-west-2 took over in 39.0 s" in capsys.readouterr().out
    assert (tmp_path / ".failover" / "secondary.html").exists()
    with pytest.raises(SystemExit, match="no stack named"):
        command.main(["--stack", "tertiary"])


@pytest.mark.parametrize(("content", "said"), [("[]", "no report, but list"), ("{", "not JSON"), (None, "No such file")])
def test_what_is_no_report_is_refused_in_one_line(tmp_path: Path, content: str | None, said: str):
    if content is not None:
        (tmp_path / "x.json").write_text(content)
    with pytest.raises(SystemExit) as refused:
        command.main([str(tmp_path / "x.json")])
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_real_failover_has_a_page_and_no_picture(tmp_path: Path) -> None:
    (tmp_path / "secondary.json").write_text(json.dumps(LOCAL))
    with pytest.raises(SystemExit, match="--picture: only a report of the lab has one"):
        command.main([str(tmp_path / "secondary.json"), "--picture", str(tmp_path)])
