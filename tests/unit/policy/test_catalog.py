"""The pack as a whole: its names, its configuration, its pins."""

import json
import re

import pytest

from checks.catalog import POLICIES
from checks.model import UNKNOWN, Resource, Stack, dig, texts
from tests.examples import ROOT

DOCUMENTED = (ROOT / "docs" / "policy.md").read_text()
NAMES = [policy.name for policy in POLICIES]


def test_every_policy_checks_one_thing_under_a_name_of_its_own():
    assert len(set(NAMES)) == len(NAMES)
    for policy in POLICIES:
        assert (policy.resource is None) != (policy.stack is None), policy.name
        assert policy.description.endswith(".")


def test_what_is_configured_comes_over_the_defaults():
    (policy,) = [policy for policy in POLICIES if policy.name == "dns-failover"]
    assert policy.config(None) == {"maximumTtl": 60}
    assert policy.config({"maximumTtl": 30.0}) == {"maximumTtl": 30.0}


@pytest.mark.parametrize("file", sorted((ROOT / "policy").glob("*.json")), ids=lambda file: file.name)
def test_a_configuration_that_comes_with_the_pack_names_policies_of_it(file):
    assert set(json.loads(file.read_text())) <= set(NAMES)


def test_an_empty_stack_violates_nothing():
    for policy in POLICIES:
        if policy.stack:
            assert list(policy.stack(Stack(name="primary", resources=[]), policy.config(None))) == []


def test_a_resource_of_which_nothing_is_known_violates_nothing_that_it_could_not_help():
    for policy in POLICIES:
        if policy.resource:
            unknown = Resource(type="kubernetes:core/v1:Secret", props={"data": UNKNOWN, "stringData": {"a": UNKNOWN}})
            assert list(policy.resource(unknown, policy.config(None))) == []


def test_what_is_inside_of_something_unknown_is_unknown():
    assert dig({"spec": UNKNOWN}, "spec", "template", "ttl") is UNKNOWN
    assert dig({"spec": None}, "spec", "template") is None
    assert list(texts({"a": [{"b": "text"}, UNKNOWN], "c": 1})) == [("a[0].b", "text")]


def test_the_pack_runs_with_the_sdk_that_the_program_has():
    def pin(file):
        return re.search(r"^\W*pulumi==([\d.]+)", (ROOT / file).read_text(), re.MULTILINE)[1]

    assert pin("policy/requirements.in") == pin("policy/requirements.txt") == pin("requirements.txt")


def test_the_documentation_lists_every_policy_with_its_level_and_its_configuration():
    rows = re.findall(r"^\| `([\w-]+)` \| (\w+) \| .*? \| ?([^|]*(?:\\\|[^|]*)*) ?\|$", DOCUMENTED, re.MULTILINE)
    assert [(name, level) for name, level, _ in rows] == [(policy.name, policy.level) for policy in POLICIES]
    for policy, (_, _, configuration) in zip(POLICIES, rows, strict=True):
        assert set(re.findall(r"`([a-z][A-Za-z]+)`", configuration)) == set(policy.schema), policy.name
