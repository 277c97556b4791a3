"""What a page copies from elsewhere is what stands there."""

from __future__ import annotations

import json
import re

import yaml

from components.iam.permissions import etcd_policy
from settings import load
from settings.load import SECRETS
from settings.names import Names
from tests.examples import ROOT, example
from tests.unit.test_structure import STANDS_ON


def block(page: str, language: str, beginning: str) -> str:
    """The one fenced block of a page that begins so."""
    text = (ROOT / "docs" / page).read_text()
    (found,) = (
        each for each in re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL) if each.startswith(beginning)
    )
    return str(found)


def test_the_folders_in_the_page_on_architecture_are_those_that_the_code_is_held_to() -> None:
    folders: dict[str, set[str]] = {}
    for line in block("architecture.md", "mermaid", "graph TD").splitlines()[1:]:
        folder, _, target = line.strip().partition(" --> ")
        folders.setdefault(folder, set()).update({target} - {""})
        folders.update({target: set()} if target and target not in folders else {})
    assert folders == STANDS_ON


def test_the_policy_in_the_page_on_identity_is_the_one_that_is_made() -> None:
    names = Names(topology=load("primary", example("primary"), SECRETS).topology, role="primary")
    assert json.loads(block("identity.md", "json", "{")) == etcd_policy(names)


def test_the_stack_file_in_the_page_on_the_first_deployment_is_the_committed_one() -> None:
    shown = yaml.safe_load(block("first-deployment.md", "yaml", "config:"))
    assert shown == yaml.safe_load((ROOT / "Pulumi.primary.yaml").read_text())


def test_the_example_in_the_page_on_scaling_is_a_configuration() -> None:
    written = yaml.safe_load(block("scaling.md", "yaml", "workloads:"))["workloads"]["value"]
    settings = load("secondary", example("secondary", {"workloads": written}), SECRETS)
    assert [(each.replicas, each.required) for each in settings.workloads] == [(3, True), (1, True), (1, False)]
