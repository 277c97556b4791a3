"""What asks a recovered database, with a psql that a test makes up: its last message is what the drill's last step reads."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from components.drills.database_specs import SCRIPT
from components.kube.runner.drill_checks import answers, statements
from tests.unit.components.kube.runner.test_drill_checks import POINT

PSQL = """#!/bin/sh
for each in "$@"; do sql=${each#--command=}; done
if [ -e "$SCRATCH/closed" ]; then echo 'psql: error: connection refused' >&2; exit 2; fi
case $sql in
  "SELECT 1") echo 1 ;;
  *walfile*) echo 000000020000000000000006 ;;
  *pg_class*) echo 7 ;;
  *broken*) echo 'ERROR:  relation "broken" does not exist' >&2; echo 'LINE 1: …' >&2; exit 1 ;;
  *count*) printf 'is 41\\nand more\\n' ;;
  *) echo ok ;;
esac
"""


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "psql").write_text(PSQL)
    (tmp_path / "psql").chmod(0o755)
    return tmp_path


def message(place: Path, *sql: str) -> str:
    asked = statements([{"sql": each, "expect": "42", "within": None} for each in sql], POINT)
    environment = {
        "PATH": f"{place}:{os.environ['PATH']}",
        "SCRATCH": str(place),
        "LAST_MESSAGE": str(place / "message"),
        "SECONDS_TO_TRY": "0",
        "COUNT": str(len(asked)),
        **{f"SQL_{number}": each for number, each in enumerate(asked)},
    }
    done = subprocess.run(["/bin/sh", "-c", SCRIPT], env=environment, check=False, capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stderr
    return (place / "message").read_text()


def test_each_statement_has_its_answer_or_its_error_in_one_line(place: Path) -> None:
    said = message(place, "SELECT count(*) FROM orders", "SELECT max(id) FROM broken", "SELECT 'a'")
    assert said.splitlines() == [
        "0 =ok",
        "1 =000000020000000000000006",
        "2 =7",
        "3 =is 41 and more",
        '4 !ERROR:  relation "broken" does not exist',
        "5 =ok",
    ]


def test_the_drill_reads_what_the_script_writes(place: Path) -> None:
    sql = ["SELECT max(id) FROM broken", "SELECT 'a'"]
    told = answers(message(place, *sql), [{"sql": each, "expect": "42", "within": None} for each in sql])
    assert (told.tables, told.right, told.reached) == (7, 1, "000000020000000000000006")
    assert told.failures == ['SELECT max(id) FROM broken fails: ERROR: relation "broken" does not exist; expected 42']


def test_a_database_that_lets_nobody_in_is_told_with_psqls_words(place: Path) -> None:
    (place / "closed").touch()
    said = message(place)
    assert answers(said, []).failures == ["it cannot be asked: psql: error: connection refused"]


def test_the_last_message_is_no_longer_than_kubernetes_keeps(place: Path) -> None:
    assert len(message(place, *(f"SELECT count(*) + {number} FROM orders" for number in range(400)))) <= 4096
