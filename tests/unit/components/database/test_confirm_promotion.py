"""The script that confirms a promotion, with a psql that a test speaks for: what it asks, in what order, and how it ends."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.examples import ROOT

SCRIPT = ROOT / "components" / "database" / "confirm-promotion.sh"
SEGMENT = "000000020000000000000005"
PROMOTED, WRITES, SWITCH, ARCHIVED = "pg_is_in_recovery", "pg_current_xact_id", "pg_switch_wal", "pg_stat_archiver"

# Answers f to a question until it was asked as often as the file of its name says; a file `fails` has the last words.
PSQL = """#!/bin/sh
for argument; do case $argument in --command=*) question=${argument#--command=} ;; esac; done
echo "$question" >> "$TOLD/questions"
for word in pg_is_in_recovery pg_current_xact_id pg_switch_wal pg_stat_archiver; do
  case $question in *$word*) break ;; esac
done
if [ -e "$TOLD/$word.fails" ]; then cat "$TOLD/$word.fails" >&2; exit 2; fi
[ $word = pg_switch_wal ] && echo 000000020000000000000005 && exit
[ "$(grep -c $word "$TOLD/questions")" -gt "$(cat "$TOLD/$word" 2> /dev/null || echo 0)" ] && echo t || echo f
"""


class Database:
    """What the script talks to. `after` says how often a question is answered with no, `fails` what psql says in the end."""

    def __init__(self, directory: Path) -> None:
        self._told = directory
        (directory / "bin").mkdir()
        psql = directory / "bin" / "psql"
        psql.write_text(PSQL)
        psql.chmod(0o755)

    def after(self, question: str, times: int) -> None:
        (self._told / question).write_text(str(times))

    def fails(self, question: str, words: str) -> None:
        (self._told / f"{question}.fails").write_text(words)

    def confirm(self, seconds: int = 30) -> subprocess.CompletedProcess[str]:
        path = f"{self._told / 'bin'}:{os.environ['PATH']}"
        environment = {"PATH": path, "TOLD": str(self._told), "PGUSER": "app", "SECONDS_TO_TRY": str(seconds)}
        return subprocess.run(
            [shutil.which("sh") or "sh", "-c", SCRIPT.read_text()],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    def asked(self) -> list[str]:
        """The words of the questions in their order."""
        words = (PROMOTED, WRITES, SWITCH, ARCHIVED)
        return [next(word for word in words if word in line) for line in (self._told / "questions").read_text().splitlines()]


@pytest.fixture
def database(tmp_path: Path) -> Database:
    return Database(tmp_path)


def test_a_promoted_database_that_writes_and_archives_is_confirmed_in_that_order(database: Database) -> None:
    done = database.confirm()
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"accepts writes; {SEGMENT} is archived\n"
    assert database.asked() == [PROMOTED, WRITES, SWITCH, ARCHIVED]


def test_each_step_is_waited_for_and_the_wal_is_switched_once(database: Database) -> None:
    for question, times in ((PROMOTED, 2), (WRITES, 1), (ARCHIVED, 2)):
        database.after(question, times)
    assert database.confirm().returncode == 0
    assert database.asked() == [PROMOTED] * 3 + [WRITES] * 2 + [SWITCH] + [ARCHIVED] * 3


def test_a_promotion_has_ended_once_the_restart_that_follows_it_is_over_too(database: Database, tmp_path: Path) -> None:
    database.confirm()
    first, *_ = (tmp_path / "questions").read_text().splitlines()
    assert first == "SELECT NOT pg_is_in_recovery() AND current_setting('archive_mode') = 'on'"


def test_it_waits_for_the_segment_that_was_switched(database: Database, tmp_path: Path) -> None:
    database.confirm()
    assert f"last_archived_wal COLLATE \"C\" >= '{SEGMENT}'" in (tmp_path / "questions").read_text()


@pytest.mark.parametrize(
    ("question", "what"),
    [
        (PROMOTED, "the promotion and the restart after it"),
        (WRITES, "the first write"),
        (ARCHIVED, f"WAL segment {SEGMENT} to be archived (see: kubectl get cluster, condition ContinuousArchiving)"),
    ],
)
def test_what_does_not_come_in_time_is_named_with_the_last_words_of_postgresql(
    database: Database, question: str, what: str
) -> None:
    database.fails(question, "psql: error\nconnection refused\n")
    done = database.confirm(seconds=1)
    assert done.returncode == 1
    assert done.stderr == (
        f"timed out waiting for {what}; PostgreSQL's last words: connection refused; the operator's: kubectl describe "
        "cluster.postgresql.cnpg.io -A\n"
    )
    assert done.stdout == ""


def test_an_answer_of_no_for_ever_is_a_timeout_too(database: Database) -> None:
    database.after(PROMOTED, 10**6)
    done = database.confirm(seconds=1)
    assert done.returncode == 1
    assert done.stderr.startswith("timed out waiting for the promotion and the restart after it; ")
    assert set(database.asked()) == {PROMOTED}


def test_an_owner_who_may_not_switch_the_wal_is_told_the_grant(database: Database) -> None:
    database.fails(SWITCH, "ERROR:  permission denied for function pg_switch_wal\n")
    done = database.confirm()
    assert done.returncode == 1
    assert done.stderr == (
        "the WAL could not be switched: ERROR:  permission denied for function pg_switch_wal; as a superuser run in this "
        'database: GRANT EXECUTE ON FUNCTION pg_catalog.pg_switch_wal() TO "app"\n'
    )
    assert ARCHIVED not in database.asked()
