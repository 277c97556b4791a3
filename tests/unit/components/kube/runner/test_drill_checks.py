"""What a recovered database is asked, by the statements that a Job puts to it."""

from __future__ import annotations

from datetime import UTC, datetime

from components.kube.runner.drill_checks import answers, statements

POINT = datetime(2026, 3, 2, 12, 0, 0, tzinfo=UTC)


def test_a_question_is_one_value_of_another_statement_and_its_answer_leaves_only_where_it_is_wrong() -> None:
    [*_, asked] = statements([{"sql": "SELECT count(*) FROM orders", "expect": "4'2", "within": None}], POINT)
    assert asked == (
        "SELECT CASE WHEN v IS NOT DISTINCT FROM '4''2' THEN 'ok' ELSE coalesce('is ' || left(v, 80), 'is null') END "
        "FROM (SELECT (SELECT count(*) FROM orders)::text AS v) AS answer"
    )


def test_an_age_is_judged_against_the_point_that_is_recovered() -> None:
    [*_, asked] = statements([{"sql": "SELECT max(at) FROM orders", "expect": None, "within": 3600}], POINT)
    assert "WHEN v >= timestamptz '2026-03-02T12:00:00Z' - interval '3600 seconds' THEN 'ok'" in asked
    assert "((SELECT max(at) FROM orders)::timestamptz" not in asked
    assert "(SELECT max(at) FROM orders)::timestamptz AS v" in asked


def test_a_message_that_was_cut_fails_the_questions_that_it_lacks() -> None:
    check = {"sql": "SELECT 1", "expect": "1", "within": None}
    told = answers("0 =ok\n1 =000000020000000000000006\n2 =7\n3 =ok", [check, check])
    assert told.right == 1
    assert told.failures == ["SELECT 1 fails: no answer: the Job's last message was too long; expected 1"]
