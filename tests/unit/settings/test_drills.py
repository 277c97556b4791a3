"""What a person may write of drills, and what each refusal says."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from settings import load
from settings.drills import DrillsSettings, Question
from settings.load import SECRETS
from settings.model import Settings
from tests.examples import example

TAKEN = [
    "SELECT count(*) FROM orders",
    "select max(created_at) from orders;",
    "WITH paid AS (SELECT * FROM orders) SELECT count(*) FROM paid",
    "SELECT count(*) FROM orders WHERE note = 'delete; drop -- it'",
    'SELECT "update" FROM orders LIMIT 1',
    "SELECT max(updated_at) FROM deletes",
]
REFUSED = {
    "DELETE FROM orders": "is not a SELECT",
    "": "is not a SELECT",
    "SELECT 1; SELECT 2": "holds several statements",
    "SELECT 1 -- and more": "has a comment",
    "SELECT /* it */ 1": "has a comment",
    "WITH gone AS (DELETE FROM orders RETURNING *) SELECT count(*) FROM gone": "has DELETE, and a check only reads",
    "SELECT * INTO copy_of FROM orders": "has INTO, and a check only reads",
    "SELECT nextval('orders_id_seq')": "has nextval, and a check only reads",
}


def settings(**changes: Any) -> Settings:
    return load("secondary", example("secondary", changes), SECRETS)


@pytest.mark.parametrize("sql", TAKEN)
def test_one_select_is_taken(sql: str) -> None:
    assert Question.model_validate({"database": "a", "sql": sql, "expect": "1"}).sql == sql.removesuffix(";")


@pytest.mark.parametrize("sql", REFUSED)
def test_what_is_no_select_is_refused(sql: str) -> None:
    with pytest.raises(ValidationError, match=REFUSED[sql]):
        Question.model_validate({"database": "a", "sql": sql, "expect": "1"})


@pytest.mark.parametrize(
    ("written", "says"),
    [
        ({"database": {"checks": [{"database": "a", "sql": "SELECT 1"}]}}, "has both expect and maxAge, or none of them"),
        (
            {"database": {"checks": [{"database": "a", "sql": "SELECT 1", "expect": "1", "maxAge": "1h"}]}},
            "has both expect and maxAge, or none of them",
        ),
        ({"database": {"pointInTime": "yesterday"}}, "is not a duration"),
        ({"namespace": {"namespace": "velero"}}, "velero belongs to the cluster or to this program"),
        ({"namespace": {"namespace": "k8s-dr-drills"}}, "k8s-dr-drills belongs to the cluster or to this program"),
        ({"namespace": {"probe": {"service": "web"}}}, "asks Pods, and replicas is 0: none runs there; write replicas: 1"),
        ({"namespace": {"replicas": 2}}, "less than or equal to 1"),
        ({"keepDays": 60}, "60 days are shorter than twice the 744h that namespace.cron 30 4 1"),
        ({"keepDays": 3}, "greater than or equal to 31"),
        ({"integrity": {"cron": "*/30 * * * *", "timeout": "1h"}}, "1h is longer than the 30m between two drills"),
        ({"integrity": {"timeout": "1m"}}, "is shorter than 5m, in which no restore ends"),
        ({"integrity": {"every": "week"}}, "Extra inputs are not permitted"),
    ],
)
def test_what_contradicts_is_refused(written: dict[str, Any], says: str) -> None:
    with pytest.raises(ValidationError, match=says.replace("*", r"\*")):
        DrillsSettings.model_validate(written)


@pytest.mark.parametrize(
    ("written", "asked"),
    [({"port": 443}, "https"), ({"port": 8443}, "http"), ({"port": 8443, "scheme": "https"}, "https"), ({}, "http")],
)
def test_a_drill_asks_port_443_by_tls(written: dict[str, Any], asked: str) -> None:
    probe = settings(drills={"namespace": {"replicas": 1, "probe": {"service": "web", **written}}}).drills.namespace.probe
    assert probe is not None
    assert probe.scheme == asked


def test_a_stack_drills_what_there_is() -> None:
    assert settings().drilled == ["integrity", "namespace", "database"]
    assert settings(databases=[], databasePasswords={}).drilled == ["integrity", "namespace"]
    assert settings(workloads=[]).drilled == ["integrity", "database"]
    without = [{"name": "all", "cron": "0 * * * *", "keep": "24h", "restore": False}]
    assert settings(backups=without).drilled == ["integrity", "database"]


def test_one_key_switches_all_off_or_one() -> None:
    off = settings(drills={"enabled": False})
    assert (off.drilled, {"drills", "drill-database"} & {*off.parts}) == ([], set())
    without = settings(drills={"database": {"enabled": False}}).parts
    assert ("drills" in without, "drill-database" in without) == (True, False)
    assert settings(drills={"namespace": {"enabled": False}}).drilled == ["integrity", "database"]
    assert settings(drills={key: {"enabled": False} for key in ("integrity", "namespace", "database")}).parts.count("drills") == 0
