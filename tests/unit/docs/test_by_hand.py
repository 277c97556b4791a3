"""The way by hand in the runbook: the lab finds each of its blocks, and a shell goes through them with programs that only answer.

What the commands do is seen in the lab (tests/long/test_by_hand.py). Here it is that no block waits for ever, that one hands its
variables to the next, and that nothing of the page's own names is left.
"""

from __future__ import annotations

import base64
import json
import re
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from lab.world import Lab
from settings.kinds import NOT_FOR_ANOTHER_REGION
from tests.documented import blocks
from tests.examples import ROOT
from tests.long.by_hand import EXCHANGED, INDENTED, PAGE, RENAMED, STEPS, Person, documented, exchanged, renamed

SEGMENT = "000000020000000000000007"
TOKEN = base64.b64encode(json.dumps({"redoWalFile": SEGMENT, "timeline": 2}, separators=(",", ":")).encode()).decode()

# Answers as the clusters and S3 do: a token, a name in the archive, `t` for a database that is promoted.
PROGRAM = f"""#!/bin/bash
echo "$(basename "$0") $*" >> "$LOG"
case "$*" in
  *demotionToken*jsonpath*|*get*demotionToken*) echo -n '{TOKEN}' ;;
  *serverName*get*|*get*serverName*) echo -n app-database-primary-g2 ;;
  *pg_is_in_recovery*) echo t ;;
  *"get cronjobs"*) echo cronjob.batch/nightly ;;
  *"s3 ls"*base/*) echo "2026-03-02 14:00:00 1 base/20260302T140000/backup.info" ;;
  *"s3 ls"*wals/*) echo "2026-03-02 14:00:00 1 {SEGMENT}.partial.zst" ;;
  *--wait*) echo "Restore completed with status: $STATUS. You may check" ;;
esac
"""
PROGRAMS = ("kubectl", "velero", "aws", "dig")


@pytest.fixture
def person(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Person:
    (tmp_path / "bin").mkdir()
    for name in PROGRAMS:
        file = tmp_path / "bin" / name
        file.write_text(PROGRAM)
        file.chmod(0o755)
    monkeypatch.setenv("LOG", str(tmp_path / "log"))
    monkeypatch.setenv("STATUS", "Completed")
    lab: Any = SimpleNamespace(paths=SimpleNamespace(bin=tmp_path / "bin"), cloud=SimpleNamespace(endpoint_url="http://nowhere"))
    return Person(lab=cast("Lab", lab), directory=tmp_path, patience=20)


def typed(person: Person) -> list[str]:
    return (person.directory / "log").read_text().splitlines()


def section() -> str:
    text = PAGE.read_text()
    return text.split("\n## By hand\n")[1].split("\n## ")[0]


def test_every_block_of_the_way_by_hand_is_a_step_that_the_lab_runs() -> None:
    by_hand = {block.commands for block in blocks(PAGE) if block.commands in section()}
    assert by_hand == {documented(step) for step in STEPS if step != "who am I"}


def test_a_restore_by_hand_leaves_out_what_the_program_leaves_out() -> None:
    """Kinds that every region's controllers make are in no backup of the program's, but for what a Velero of one's own saves."""
    restores = re.findall(r"--exclude-resources ((?:\S+\\\n)*\S+)", section())
    assert len(restores) == 2
    for kinds in restores:
        assert {*NOT_FOR_ANOTHER_REGION} <= {*kinds.replace("\\\n", "").split(",")}


def test_a_block_that_only_the_lab_runs_says_which_test_does() -> None:
    for block in blocks(PAGE):
        if block.excuse and block.commands in section():
            assert block.excuse == "tests/long/test_by_hand.py"
            assert (ROOT / block.excuse).exists()


def test_nothing_of_the_pages_own_application_is_left_for_the_lab() -> None:
    text = "".join(map(documented, STEPS))
    for theirs in RENAMED:
        assert theirs in text
    assert "web" not in renamed(text)


@pytest.mark.parametrize("step", ["give up", "take over", "start", "resume"])
def test_what_is_exchanged_on_the_way_home_is_what_the_page_says(step: str) -> None:
    there, back = documented(step), exchanged(documented(step))
    assert back != there
    assert exchanged(back) == there
    told = section().split("**From B to A**")[1].split("```sh")[0]
    for pair in EXCHANGED:
        assert all(f"`{name}`" in told for name in pair)


def test_a_switchover_hands_token_segment_server_and_backup_from_block_to_block(person: Person) -> None:
    person.types("give up", "take over", "start", "resume")
    ran = typed(person)
    (made,) = (line.split()[5] for line in ran if "backup create" in line)
    assert [line for line in ran if f"restore create --from-backup {made} " in line]
    assert [line for line in ran if f'"promotionToken": "{TOKEN}"' in line]
    assert [line for line in ran if "cnpg/app-database-primary-g2/wals/" in line]
    assert "kubectl --context prod-usw2 wait deployment/shop" in "\n".join(ran)


def test_on_the_way_home_every_command_is_for_the_other_region(person: Person) -> None:
    person.types("give up", exchange=True)
    assert not [line for line in typed(person) if "prod-use1" in line or "us-east-1" in line]


@pytest.mark.parametrize("step", sorted({*STEPS, *INDENTED} - {"take over", "afterwards"}))
def test_a_block_ends_where_all_is_well(person: Person, step: str) -> None:
    person.types(step)
    assert typed(person)


def test_a_restore_that_failed_ends_the_way_although_velero_says_nothing(person: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STATUS", "PartiallyFailed")
    with pytest.raises(AssertionError, match="PartiallyFailed"):
        person.types("fail over")


def test_a_command_that_fails_ends_the_block(person: Person) -> None:
    (person.directory / "bin" / "kubectl").write_text("#!/bin/sh\nexit 1\n")
    with pytest.raises(AssertionError):
        person.types("stop")


@pytest.mark.parametrize("step", [*STEPS, *INDENTED])
def test_a_shell_can_read_a_step(step: str) -> None:
    for commands in (documented(step), exchanged(documented(step))):
        ran = subprocess.run(["bash", "-n"], input=renamed(commands), capture_output=True, text=True, check=False)
        assert (ran.returncode, ran.stderr) == (0, "")
