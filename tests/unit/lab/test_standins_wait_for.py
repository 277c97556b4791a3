"""The conditions of pulumi.com/waitFor, as the program writes them."""

import pytest

from lab.standins.kubernetes_provider.wait_for import parse
from lab.standins.provider import NotCoveredError, RefusedError

ENDED = "jsonpath={.status[?@ == 'Completed' || @ == 'PartiallyFailed' || @ == 'Failed' || @ == 'FailedValidation']}"
HIBERNATED = "jsonpath={.status.conditions[?@.type == 'cnpg.io/hibernation' && @.status == 'True']}"
IS_A = "jsonpath={.status.conditions[?@.type == 'A' && @.status == 'True']}"
LOCATION = '["jsonpath={.status.phase}=Available", "jsonpath={.status.lastSyncedTime}"]'


def holds(annotation, obj):
    return all(wait.holds(obj) for wait in parse(annotation))


@pytest.mark.parametrize("phase", ["Completed", "PartiallyFailed", "Failed", "FailedValidation"])
def test_a_filter_of_phases_holds_in_each_of_them(phase):
    assert holds(ENDED, {"status": {"startTimestamp": "now", "phase": phase}})


@pytest.mark.parametrize(
    "obj", [{}, {"status": {}}, {"status": {"phase": "InProgress"}}, {"status": {"nested": {"phase": "Failed"}}}]
)
def test_a_filter_of_phases_does_not_hold_before_the_end(obj):
    assert not holds(ENDED, obj)


def test_an_array_holds_only_when_all_of_it_does():
    assert not holds(LOCATION, {"status": {"phase": "Available"}})
    assert not holds(LOCATION, {"status": {"phase": "Unavailable", "lastSyncedTime": "now"}})
    assert holds(LOCATION, {"status": {"phase": "Available", "lastSyncedTime": "now"}})


@pytest.mark.parametrize(
    ("annotation", "status", "expected"),
    [
        ("condition=Ready", {"conditions": [{"type": "Ready", "status": "True"}]}, True),
        ("condition=Ready", {"conditions": [{"type": "Ready", "status": "False"}]}, False),
        ("condition=Ready=False", {"conditions": [{"type": "Ready", "status": "False"}]}, True),
        ("condition=Ready", {}, False),
        ("jsonpath={.status.count}=2", {"count": 2}, True),
        ("jsonpath={.status.ready}=true", {"ready": True}, True),
        ("jsonpath={$.status.list[1].name}=b", {"list": [{"name": "a"}, {"name": "b"}]}, True),
        ("jsonpath={.status.list[1].name}=b", {"list": [{"name": "b"}]}, False),
        (IS_A, {"conditions": [{"type": "A", "status": "True"}]}, True),
        (IS_A, {"conditions": [{"type": "A", "status": "False"}]}, False),
        (HIBERNATED, {"conditions": [{"type": "Ready", "status": "True"}]}, False),
        (HIBERNATED, {"conditions": [{"type": "Ready"}, {"type": "cnpg.io/hibernation", "status": "True"}]}, True),
        (HIBERNATED, {"conditions": [{"type": "Ready", "status": "True"}, {"type": "cnpg.io/hibernation"}]}, False),
        ("jsonpath={.status['odd key']}", {"odd key": 1}, True),
        ("jsonpath={.status}=x", {"phase": "x"}, False),
    ],
)
def test_conditions_and_paths_are_judged_as_the_real_provider_does(annotation, status, expected):
    assert holds(annotation, {"status": status}) is expected


@pytest.mark.parametrize("annotation", ["Ready", "jsonpath=.status.phase", "jsonpath={.a}=", "[]", "[1]", "[nonsense"])
def test_what_is_malformed_is_refused(annotation):
    with pytest.raises(RefusedError):
        parse(annotation)


@pytest.mark.parametrize("path", ["{..phase}", "{.status.*}", "{.a[?@.b]}", "{.a[?@ > 3]}", "{.a[?length(@) == 3]}", "{.a[0:2]}"])
def test_a_path_that_is_not_evaluated_here_is_refused_and_not_guessed(path):
    with pytest.raises(NotCoveredError, match="does not cover"):
        parse(f"jsonpath={path}")
