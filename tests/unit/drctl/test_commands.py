"""The commands, as a person or a pipeline meets them: what they run, what they print, and how they end."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import click
import pytest
import yaml

from drctl.project import Project
from drctl.stacks import Heard, StackFailedError, StackLockedError
from settings import ConfigurationError
from settings.handover import Token
from settings.roles import Role
from tests.examples import STATIC
from tests.unit.drctl.fake import LATER, FakeStacks, checkout, drctl, outputs

TOKEN = Token(given_by="primary", databases={}, backups={"hourly-critical": "last"})


@pytest.fixture
def stacks(tmp_path: Path) -> FakeStacks:
    """The primary serves, and the secondary stands by."""
    return FakeStacks(
        project=Project(directory=checkout(tmp_path)),
        said={"primary": outputs("primary", serves=True), "secondary": outputs("secondary", serves=False)},
    )


def gives_up(stacks: FakeStacks) -> None:
    stacks.said["primary"] = outputs("primary", serves=False, handover=TOKEN.text)


def takes_over(stacks: FakeStacks) -> None:
    stacks.said["secondary"] = outputs("secondary", serves=True, handover=TOKEN.receipt, since=LATER)


def refuses(_: FakeStacks) -> None:
    raise StackFailedError("schedule daily-full has no Completed backup here", refused=True)


def fails(_: FakeStacks) -> None:
    raise StackFailedError("Restore ended PartiallyFailed")


def is_locked(_: FakeStacks) -> None:
    raise StackLockedError("stack secondary is locked")


def test_a_switchover_carries_the_token(stacks: FakeStacks) -> None:
    stacks.ups = [gives_up, takes_over]
    ran = drctl(stacks, "switchover", "--to", "secondary", "--yes", "--json")
    assert ran.exit_code == 0, ran.output
    assert stacks.ran == [
        "config set active secondary -s primary",
        "config set handover planned -s primary",
        "up -s primary",
        f"config set handover {TOKEN.text} -s secondary",
        "config set active secondary -s secondary",
        "up -s secondary",
    ]
    told = json.loads(ran.stdout)
    assert [step["step"] for step in told["steps"]] == ["give up", "take over"]
    assert told["steps"][1]["commands"][-1] == "pulumi up -s secondary"


def test_what_failed_is_gone_on_with_by_the_same_command(stacks: FakeStacks) -> None:
    stacks.ups = [gives_up, fails]
    assert drctl(stacks, "switchover", "--to", "secondary", "--yes").exit_code == 1
    stacks.ran.clear()
    stacks.ups = [takes_over]
    ran = drctl(stacks, "switchover", "--to", "secondary", "--yes")
    assert ran.exit_code == 0, ran.output
    assert stacks.ran[-1] == "up -s secondary"
    assert "up -s primary" not in stacks.ran
    stacks.ran.clear()
    again = drctl(stacks, "switchover", "--to", "secondary", "--yes")
    assert (again.exit_code, stacks.ran) == (0, [])


def test_a_failover_asks_the_secondary_alone(stacks: FakeStacks) -> None:
    del stacks.said["primary"]
    stacks.ups = [takes_over]
    ran = drctl(stacks, "failover", "--yes")
    assert ran.exit_code == 0, ran.output
    assert stacks.ran == ["config set active secondary -s secondary", "up -s secondary"]
    assert "$ pulumi config set active secondary -s secondary" in ran.stderr
    assert "$ export PULUMI_BACKEND_URL='s3://acme-pulumi-us-west-2?region=us-west-2'" in ran.stderr


def test_a_refusal_of_the_gate_has_a_code_of_its_own_and_the_reason(stacks: FakeStacks) -> None:
    stacks.ups = [refuses]
    ran = drctl(stacks, "failover", "--yes", "--json")
    assert ran.exit_code == 3
    assert json.loads(ran.stdout)["says"] == "schedule daily-full has no Completed backup here"


@pytest.mark.parametrize("command", [("failover",), ("switchover", "--to", "secondary"), ("rejoin",), ("hold",)])
def test_nothing_is_touched_where_nobody_can_be_asked(stacks: FakeStacks, command: tuple[str, ...]) -> None:
    if command == ("rejoin",):
        takes_over(stacks)
    ran = drctl(stacks, *command)
    assert ran.exit_code == 2
    assert "add --yes" in ran.stderr
    assert stacks.ran == []


GIVEN_UP = (
    "done before: give up (stack primary); nobody can write: type the same command again, or docs/runbook.md, "
    "Take back what was given"
)


def test_a_refusal_after_a_region_has_given_up_says_that_nobody_can_write(stacks: FakeStacks) -> None:
    stacks.ups = [gives_up, refuses]
    ran = drctl(stacks, "switchover", "--to", "secondary", "--yes", "--json")
    assert ran.exit_code == 3
    assert json.loads(ran.stdout)["says"] == f"schedule daily-full has no Completed backup here; {GIVEN_UP}"


@pytest.mark.parametrize("answers", [["n"], ["y", "n"], ["y"], []])
def test_nothing_was_touched_only_where_nothing_was(
    stacks: FakeStacks, answers: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last answer is no, or Ctrl-C where there is none."""
    given = iter(answers)

    def confirm(*_: object, **__: object) -> bool:
        try:
            return next(given) == "y"
        except StopIteration:
            raise click.Abort from None

    monkeypatch.setattr("drctl.show.click.confirm", confirm)
    monkeypatch.setattr("drctl.show.sys", SimpleNamespace(stdin=SimpleNamespace(isatty=lambda: True)))
    stacks.ups = [gives_up]
    ran = drctl(stacks, "switchover", "--to", "secondary")
    assert ran.exit_code == 5
    if "y" in answers:
        assert f"not confirmed; {GIVEN_UP}" in ran.stderr
        assert "nothing was touched" not in ran.stderr
    else:
        assert "not confirmed, and nothing was touched" in ran.stderr
        assert stacks.ran == []


def interrupts(then: Callable[[FakeStacks], None], times: int = 1) -> Callable[[FakeStacks], None]:
    """An `up` during which somebody types Ctrl-C, and how it goes on."""

    def up(stacks: FakeStacks) -> None:
        for _ in range(times):
            signal.raise_signal(signal.SIGINT)
        then(stacks)

    return up


def is_cancelled(_: FakeStacks) -> None:
    raise StackFailedError("update canceled")


def test_ctrl_c_waits_for_pulumi_and_says_what_was_begun_what_was_done_and_how_to_go_on(stacks: FakeStacks) -> None:
    stacks.ups = [gives_up, interrupts(is_cancelled)]
    ran = drctl(stacks, "switchover", "--to", "secondary", "--yes", "--json")
    assert ran.exit_code == 130
    told = json.loads(ran.stdout)
    assert told["exit"] == 130
    assert told["says"] == f"interrupted: take over (stack secondary) was begun, and what it has done stays; {GIVEN_UP}"
    assert "Ctrl-C: pulumi ends what it has begun" in ran.stderr
    assert "Aborted" not in ran.output


def test_after_ctrl_c_in_the_first_step_the_way_on_is_the_same_command(stacks: FakeStacks) -> None:
    stacks.ups = [interrupts(is_cancelled)]
    ran = drctl(stacks, "failover", "--yes")
    assert ran.exit_code == 130
    assert ran.stderr.endswith("was begun, and what it has done stays; type the same command again\n")


def test_a_second_ctrl_c_waits_for_nothing_and_tells_of_the_lock(stacks: FakeStacks) -> None:
    stacks.ups = [interrupts(takes_over, times=2)]
    ran = drctl(stacks, "failover", "--yes")
    assert ran.exit_code == 130
    assert "type the same command again with --unlock, once no pulumi runs any more" in ran.stderr


def test_ctrl_c_that_comes_too_late_for_its_step_begins_no_other(stacks: FakeStacks) -> None:
    stacks.ups = [interrupts(gives_up), takes_over]
    ran = drctl(stacks, "switchover", "--to", "secondary", "--yes")
    assert ran.exit_code == 130
    assert f"interrupted; {GIVEN_UP}" in ran.stderr
    assert stacks.ran[-1] == "up -s primary"
    stacks.ups = [interrupts(takes_over)]
    stacks.said["primary"] = outputs("primary", serves=False, handover=TOKEN.text)
    assert drctl(stacks, "failover", "--yes").exit_code == 0, "there was nothing more to do"


def test_ctrl_c_before_anything_was_begun_says_so(stacks: FakeStacks, monkeypatch: pytest.MonkeyPatch) -> None:
    def read(_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(stacks, "outputs", read)
    for command in (["failover", "--yes"], ["check"]):
        ran = drctl(stacks, *command)
        assert (ran.exit_code, ran.stderr) == (130, "interrupted, and nothing was touched\n")


def test_a_step_that_was_done_is_named_where_the_next_one_fails(stacks: FakeStacks) -> None:
    def stands_by(stacks: FakeStacks) -> None:
        stacks.said["primary"] = outputs(
            "primary", serves=False, databases={"app-database": "replica"}, archives={"app-database": "new"}
        )

    takes_over(stacks)
    stacks.ups = [stands_by, fails]
    ran = drctl(stacks, "rejoin", "--yes")
    assert ran.exit_code == 1
    assert "Restore ended PartiallyFailed; done before: stand by (stack primary): type the same command again" in ran.stderr
    assert "nobody can write" not in ran.stderr


def test_a_lock_is_taken_away_only_where_a_person_says_so(stacks: FakeStacks) -> None:
    stacks.ups = [is_locked]
    assert drctl(stacks, "failover", "--yes").exit_code == 1
    stacks.ran.clear()
    stacks.ups = [is_locked, takes_over]
    assert drctl(stacks, "failover", "--yes", "--unlock").exit_code == 0
    assert stacks.ran[-3:] == ["up -s secondary", "cancel -s secondary", "up -s secondary"]


def test_an_up_that_changes_nothing_of_what_is_said_ends_the_command(stacks: FakeStacks) -> None:
    stacks.ups = [lambda _: None] * 3
    ran = drctl(stacks, "switchover", "--to", "secondary", "--yes")
    assert ran.exit_code == 1
    assert "still say" in ran.stderr


def test_a_rejoin_says_which_generation_a_person_has_to_raise(stacks: FakeStacks) -> None:
    takes_over(stacks)
    stacks.said["primary"] = outputs("primary", serves=False, databases={"app-database": "fenced"})
    ran = drctl(stacks, "rejoin", "--yes", "--json")
    assert ran.exit_code == 5
    assert "app-database: generations: {primary: 2}" in json.loads(ran.stdout)["says"]


def test_warnings_of_an_up_are_shown(stacks: FakeStacks) -> None:
    stacks.heard = Heard(warnings=["the primary's last mark is 20 min old"])
    stacks.ups = [takes_over]
    assert "warning: the primary's last mark is 20 min old" in drctl(stacks, "failover", "--yes").stderr


def test_hold_writes_the_stack_file_and_nothing_else(stacks: FakeStacks) -> None:
    ran = drctl(stacks, "hold", "--yes")
    assert ran.exit_code == 0
    shown = [line.strip() for line in ran.stderr.splitlines()]
    assert shown[:2] == [
        "$ export PULUMI_BACKEND_URL='s3://acme-pulumi-us-west-2?region=us-west-2'",
        "$ pulumi config set hold true -s secondary",
    ]
    assert stacks.ran == ["config set hold true -s secondary"]
    assert drctl(stacks, "hold", "--yes").exit_code == 0
    assert len(stacks.ran) == 1


def test_users_are_held_on_the_way_to_the_secondary_alone(stacks: FakeStacks) -> None:
    assert drctl(stacks, "switchover", "--to", "primary", "--hold", "--yes").exit_code == 2
    assert stacks.ran == []


def test_a_directory_that_is_no_checkout_gets_one_line(tmp_path: Path) -> None:
    ran = drctl(FakeStacks(project=Project(directory=tmp_path)), "failover", "--yes")
    assert ran.exit_code == 1
    assert "Pulumi.yaml: No such file or directory; run this in the checkout" in ran.stderr


@pytest.mark.parametrize("role", ["primary", "secondary"])
def test_settings_are_read_without_the_keys_of_their_secrets(tmp_path: Path, role: Role) -> None:
    project = Project(directory=checkout(tmp_path))
    content = yaml.safe_load(project.file(role).read_text())
    content["encryptionsalt"] = "v1:abc"
    content["config"]["k8s-dr:backupEncryptionPassword"] = {"secure": "v1:abc"}
    content["config"]["k8s-dr:databasePasswords"] = {"app-database": {"secure": "v1:abc"}}
    content["config"]["k8s-dr:receivers"] = {"heartbeats": {"guard": {"secure": "v1:abc"}}}
    project.file(role).write_text(yaml.safe_dump(content))
    assert project.settings(role).topology.region(role) == project.names(role).region
    key = {name: {"secure": "v1:abc"} for name in ("accessKeyId", "secretAccessKey")}
    # `pulumi config set --secret staticCredentials` with a whole object leaves one secret.
    for keys in (dict.fromkeys(STATIC["staticCredentials"], key), {"secure": "v1:abc"}):
        content["config"] |= {"k8s-dr:identity": "static", "k8s-dr:staticCredentials": keys}
        project.file(role).write_text(yaml.safe_dump(content))
        assert project.settings(role).identity_mode == "static"
    content["config"]["k8s-dr:dns"] = {"secure": "v1:abc"}
    project.file(role).write_text(yaml.safe_dump(content))
    with pytest.raises(ConfigurationError, match="k8s-dr:dns: is stored as a secret"):
        project.settings(role)
