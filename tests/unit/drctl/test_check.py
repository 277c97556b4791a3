"""Whether the secondary could take over now, asked without touching anything."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from drctl.project import Project
from drctl.stacks import Heard, StackFailedError
from tests.unit.components.failover.test_gate import BOTH, aged, cluster
from tests.unit.drctl.fake import FakeRegions, FakeStacks, checkout, drctl, outputs
from tests.unit.fakes import FakeFiles
from tests.unit.recorder import run_program


@pytest.fixture
def stacks(tmp_path: Path) -> FakeStacks:
    return FakeStacks(project=Project(directory=checkout(tmp_path)), said={"secondary": outputs("secondary", serves=False)})


def test_it_previews_the_flip_with_a_copy_of_the_stack_file_and_asks_by_day(stacks: FakeStacks) -> None:
    before = stacks.project.file("secondary").read_text()
    ran = drctl(stacks, "check")
    assert ran.exit_code == 0, ran.output
    assert [(each["stack"], each["active"], each["by_day"]) for each in stacks.previews] == [
        ("secondary", None, True),
        ("secondary", "secondary", False),
    ]
    assert stacks.project.file("secondary").read_text() == before
    assert not stacks.previews[1]["file"].exists(), "the copy is left behind"
    assert stacks.ran == []


@pytest.mark.parametrize("written", ["", "  k8s-dr:active: primary\n"])
def test_the_plain_commands_leave_the_stack_file_as_it_is_though_the_gate_refuses(
    stacks: FakeStacks, tmp_path: Path, written: str
) -> None:
    """They are run, with a `pulumi` that writes as the real one does and whose preview fails."""
    file = stacks.project.file("secondary")
    file.write_text(file.read_text().replace("config:\n", f"config:\n{written}", 1))
    before = file.read_text()
    lines = [line.partition("$ ")[2] for line in drctl(stacks, "check").stderr.splitlines() if line.startswith("  $ ")]
    assert lines[0] == "export PULUMI_BACKEND_URL='s3://acme-pulumi-us-west-2?region=us-west-2'"
    bin_ = tmp_path / "bin"
    bin_.mkdir()
    (bin_ / "pulumi").write_text(PULUMI)
    (bin_ / "pulumi").chmod(0o755)
    ran = subprocess.run(
        ["bash", "-c", "\n".join(lines)],
        cwd=stacks.project.directory,
        env={"PATH": f"{bin_}:{os.environ['PATH']}", "ASKED": str(tmp_path / "asked"), "TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert file.read_text() == before, ran.stderr
    asked = (tmp_path / "asked").read_text()
    assert "k8s-dr:active: secondary" in asked, "the gate was not asked of a flip"
    assert not [*tmp_path.glob("**/tmp.*/*")], "the copy is left behind"


PULUMI = """#!/bin/bash
file=Pulumi.secondary.yaml
for given in "$@"; do
    [ "$before" = --config-file ] && file=$given
    [ "$before" = -c ] && set_to=${given#*=}
    before=$given
done
[ "$1 $2" = "config set" ] && set_to=$4
if [ -n "$set_to" ]; then
    sed -i -e '/k8s-dr:active:/d' -e "s/^config:/config:\\n  k8s-dr:active: $set_to/" "$file"
fi
[ "$1 $2" = "config rm" ] && sed -i '/k8s-dr:active:/d' "$file"
if [ "$1" = preview ]; then cat "$file" >> "$ASKED"; exit 255; fi
exit 0
"""


def test_what_is_tried_by_day_is_a_warning(stacks: FakeStacks) -> None:
    stacks.heard = Heard(warnings=["the primary's last mark is 20 min old"])
    ran = drctl(stacks, "check", "--json")
    assert ran.exit_code == 4
    assert json.loads(ran.stdout)["warnings"] == ["the primary's last mark is 20 min old"]


def test_a_flag_that_users_would_not_follow_is_a_warning_also_where_the_gate_refuses(stacks: FakeStacks) -> None:
    def refuse(_: FakeStacks) -> None:
        raise StackFailedError("schedule daily-full has no Completed backup here", refused=True)

    regions = FakeRegions(flag_unseen=lambda: ["Route 53's checkers cannot read the traffic flag"])
    for ups, code in (([], 4), ([lambda _: None, refuse], 3)):
        stacks.ups = [*ups]
        ran = drctl(stacks, "check", "--json", regions=regions)
        assert ran.exit_code == code
        assert json.loads(ran.stdout)["warnings"] == ["Route 53's checkers cannot read the traffic flag"]


def test_route_53_that_cannot_be_asked_is_a_warning_and_no_stack_trace(stacks: FakeStacks) -> None:
    def fail() -> list[str]:
        raise RuntimeError("no answer")

    ran = drctl(stacks, "check", "--json", regions=FakeRegions(flag_unseen=fail))
    assert ran.exit_code == 4
    assert json.loads(ran.stdout)["warnings"] == ["what Route 53's checkers see is not known: no answer"]


def test_what_is_not_deployed_is_a_warning(stacks: FakeStacks) -> None:
    jobs = [f"CronJob drills-{name}" for name in ("namespace-job", "namespace-sweep")]
    stacks.heard = Heard(changes={"update": 2, "create": 1}, changed={"update": jobs, "create": ["Bucket storage-etcd"]})
    ran = drctl(stacks, "check", "--json")
    assert ran.exit_code == 4
    [line] = json.loads(ran.stdout)["warnings"]
    assert line.startswith(
        "stack secondary is not deployed as its files say (1 to create: Bucket storage-etcd; 2 to update: CronJob "
        "drills-namespace-job, CronJob drills-namespace-sweep), and what depends on that was not asked; "
    )


def test_of_hundreds_of_resources_that_are_not_deployed_some_are_named(stacks: FakeStacks) -> None:
    stacks.heard = Heard(changes={"create": 300}, changed={"create": [f"ConfigMap {number}" for number in range(300)]})
    [line] = json.loads(drctl(stacks, "check", "--json").stdout)["warnings"]
    assert "(300 to create: ConfigMap 0, ConfigMap 1," in line
    assert "ConfigMap 7 and 292 more)" in line


@pytest.mark.parametrize(("refused", "code"), [(True, 3), (False, 1)])
def test_what_the_gate_refuses_is_a_failure_with_its_reason(stacks: FakeStacks, refused: bool, code: int) -> None:
    def refuse(_: FakeStacks) -> None:
        raise StackFailedError("schedule daily-full has no Completed backup here", refused=refused, warnings=["late"])

    stacks.ups = [lambda _: None, refuse]
    ran = drctl(stacks, "check", "--json")
    assert ran.exit_code == code
    told = json.loads(ran.stdout)
    assert "no Completed backup" in told["says"]
    assert told["warnings"] == ["late"]


def test_a_secondary_that_serves_has_nothing_to_take_over(stacks: FakeStacks) -> None:
    stacks.said["secondary"] = outputs("secondary", serves=True)
    ran = drctl(stacks, "check")
    assert (ran.exit_code, stacks.previews) == (0, [])


def test_a_preview_asks_by_day_where_whoever_runs_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    monkeypatch.setattr("pulumi.log.warn", lambda text, *_: said.append(text))
    asked = cluster(*(aged(schedule, 300) for schedule in ("hourly-critical-us-east-1", "hourly-critical-us-west-2")))
    for wanted in ("", "true"):
        monkeypatch.setenv("K8S_DR_TRY_BY_DAY", wanted)
        said.clear()
        run_program("secondary", {"backups": BOTH, "peerReady": True}, cluster=asked, preview=True)
        assert bool([text for text in said if "the newest Completed backup" in text]) is bool(wanted)


def test_a_preview_that_asks_by_day_writes_no_inventory(monkeypatch: pytest.MonkeyPatch) -> None:
    for preview in (True, False):
        monkeypatch.setenv("K8S_DR_TRY_BY_DAY", "true")
        files = FakeFiles(needs=None)
        run_program("primary", {"peerReady": True}, preview=preview, files=files)
        assert (files.needs is None) is preview
