"""The end of a Restore in one line: which object was refused and what was said, and the ways on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from components.kube.runner.restored import Results, ResultsUnavailableError, failure
from components.velero.outcome import told, ways_on

REFUSED = (
    'error restoring targetgroupbindings.elbv2.k8s.aws/production/web: admission webhook "v.elbv2.k8s.aws" denied the request: '
    "TargetGroup not found"
)
PARTLY: dict[str, Any] = {"phase": "PartiallyFailed", "errors": 1}
COMPLETED: dict[str, Any] = {"phase": "Completed", "warnings": 3, "progress": {"itemsRestored": 40}}


def said(*errors: str, warnings: tuple[str, ...] = ()) -> Callable[[], Results]:
    return lambda: Results(errors=errors, warnings=warnings)


def silent() -> Results:
    raise ResultsUnavailableError("the bucket answered 403")


def test_the_line_names_the_object_and_what_was_said() -> None:
    assert failure("r", PARTLY, said(REFUSED)) == f"Restore r ended PartiallyFailed: 1 error: {REFUSED}"


def test_of_many_errors_the_first_are_told_and_where_the_others_are() -> None:
    line = failure("r", {**PARTLY, "errors": 5}, said(*(f"e{number}" for number in range(5))))
    assert line == ("Restore r ended PartiallyFailed: 5 errors: e0; e1; e2; and 2 more: velero restore describe r --details")


def test_a_text_without_end_is_cut() -> None:
    line = failure("r", PARTLY, said("x" * 5000)) or ""
    assert len(line) < 600
    assert line.endswith("…")


def test_a_text_that_cannot_be_read_is_told_with_the_reason_and_the_command() -> None:
    assert failure("r", PARTLY, silent) == (
        "Restore r ended PartiallyFailed: 1 error, whose text could not be read (the bucket answered 403); see: "
        "velero restore describe r --details"
    )


def test_nothing_is_fetched_where_velero_says_why_in_the_status() -> None:
    def never() -> Results:
        pytest.fail("there is nothing to fetch")

    status = {"phase": "FailedValidation", "validationErrors": ["no backup"]}
    assert failure("r", status, never) == "Restore r ended FailedValidation: no backup"
    assert failure("r", {"phase": "Completed"}, never) is None
    assert told("r", {"phase": "Completed"}, never) is None


def test_the_ways_on_name_the_kinds_that_were_refused_once_each() -> None:
    line = ways_on("r", "PartiallyFailed", "backups[1]", f"{REFUSED}; {REFUSED}; error preparing pods/a/b: no")
    assert "write excludeResources: [targetgroupbindings.elbv2.k8s.aws, pods] to k8s-dr:backups[1] in Pulumi.yaml" in line
    assert "excludeResources" not in ways_on("r", "PartiallyFailed", "backups[1]", "a volume's data did not come")
    assert "write accept: r to k8s-dr:backups[1] in Pulumi.yaml first" in line


def test_what_was_here_already_and_was_left_alone_is_counted() -> None:
    here = 'could not restore, ConfigMap "{}" already exists. Warning: the in-cluster version is different than the backed-up one'
    texts = tuple(f"production: {here.format(name)}" for name in ("kube-root-ca.crt", "settings", "flags"))
    line = told("r", COMPLETED, said(warnings=texts)) or ""
    assert line.startswith(
        "Restore r completed: 40 objects, 3 warnings, 2 of them for objects that were here already and were left"
    )
    assert "settings" in line
    assert "kube-root-ca.crt" not in line


def test_the_certificate_that_every_namespace_has_is_no_news() -> None:
    texts = ('production: could not restore, ConfigMap "kube-root-ca.crt" already exists. Warning: …',)
    assert told("r", COMPLETED, said(warnings=texts)) is None


def test_warnings_that_cannot_be_read_never_fail_a_restore_that_completed() -> None:
    assert "whose text could not be read (the bucket answered 403)" in (told("r", COMPLETED, silent) or "")
