"""No command deletes a resource that holds data, or a resource that one of those depends on."""

from __future__ import annotations

import copy
import json
from collections.abc import Sequence
from typing import Any

import pytest

from lab.pulumi import touched
from settings.model import OperatorsSettings
from tests.engine.conftest import Pair, told_plainly
from tests.unit.components.operators import installed as operators
from tests.unit.recorder import Seen


def test_destroy_refuses_what_is_protected(pair: Pair) -> None:
    before = pair.pulumi.resources("secondary")
    refused = pair.pulumi.run("destroy", "-s", "secondary", "--yes", check=False)
    assert told_plainly(refused, "protect"), refused.output
    assert touched(before, pair.pulumi.resources("secondary")) == []


def test_moving_a_bucket_to_another_name_is_refused_in_the_preview(pair: Pair) -> None:
    file = pair.pulumi.directory / "Pulumi.yaml"
    file.write_text(file.read_text().replace("organization: acme", "organization: other"))
    preview = pair.pulumi.run("preview", "-s", "secondary", check=False)
    assert told_plainly(preview, "unable to replace resource"), preview.output


@pytest.mark.parametrize(
    ("stray", "provider"),
    [
        ('import pulumi_aws; pulumi_aws.s3.Bucket("stray")', "aws"),
        ('import pulumi_kubernetes; pulumi_kubernetes.core.v1.ConfigMap("stray")', "kubernetes"),
    ],
    ids=["aws", "kubernetes"],
)
def test_a_resource_without_a_provider_of_its_own_is_refused(pair: Pair, stray: str, provider: str) -> None:
    program = pair.pulumi.directory / "__main__.py"
    program.write_text(f"{program.read_text()}\n{stray}\n")
    preview = pair.pulumi.run("preview", "-s", "secondary", check=False)
    assert told_plainly(preview, f"Default provider for '{provider}' disabled"), preview.output


# The program installed an operator and then forgets it. No stand-in covers Helm releases, so the tests write one into the state,
# as the program registers it.


def installed() -> list[Seen]:
    """The operator's namespace and release as the program registers them."""
    return operators.installed(OperatorsSettings(cloudnative_pg=True)).custom()


def with_operator(state: dict[str, Any], *, retained: bool | None = None) -> dict[str, Any]:
    """The exported state, with the operator in it as if an `up` had installed it. `retained` overrides the program's option."""
    changed = copy.deepcopy(state)
    resources = changed["deployment"]["resources"]
    (parent,) = [resource for resource in resources if resource["type"] == "dr:operators:Operators"]
    sibling = next(resource for resource in resources if resource["type"] == "kubernetes:core/v1:Namespace")
    stack, _, _name = parent["urn"].rpartition("::")
    for seen in installed():
        resources.append(
            {
                "urn": f"{stack}${seen.type}::{seen.name}",
                "custom": True,
                "id": "/".join(seen.inputs[key] for key in ("namespace", "name") if key in seen.inputs) or "cnpg-system",
                "type": seen.type,
                "inputs": seen.inputs,
                "outputs": seen.inputs,
                "parent": parent["urn"],
                "provider": sibling["provider"],
                "protect": seen.protect,
                "retainOnDelete": seen.retain_on_delete if retained is None else retained,
            }
        )
    return changed


def add_operator(pair: Pair, **changes: Any) -> None:
    """Write the operator into the secondary's state; `changes` as in `with_operator`."""
    state = json.loads(pair.pulumi.run("stack", "export", "-s", "secondary").output)
    pair.pulumi.run("stack", "import", "-s", "secondary", stdin=json.dumps(with_operator(state, **changes)))


@pytest.mark.long
@pytest.mark.parametrize(
    "command", [("up",), ("destroy", "--target", "**operators-cloudnative-pg*")], ids=lambda command: command[0]
)
def test_an_operator_that_goes_from_the_stack_is_forgotten_and_not_uninstalled(pair: Pair, command: Sequence[str]) -> None:
    add_operator(pair)
    known = len(pair.calls())
    ran = pair.pulumi.run(*command, "-s", "secondary", "--yes", "--skip-preview", check=False)
    assert ran.exit_code == 0, ran.output
    assert not asked_to_delete(pair, known)
    left = {resource["urn"].rpartition("::")[2] for resource in pair.pulumi.resources("secondary")}
    assert not left & {seen.name for seen in installed()}


@pytest.mark.long
def test_without_that_the_provider_would_be_told_to_uninstall_it(pair: Pair) -> None:
    add_operator(pair, retained=False)
    known = len(pair.calls())
    pair.pulumi.up("secondary", check=False)
    assert "kubernetes:helm.sh/v3:Release" in asked_to_delete(pair, known)


def asked_to_delete(pair: Pair, known: int) -> set[str]:
    """Types of the resources that the engine told providers to delete, after the first `known` calls."""
    return {str(call["type"]) for call in pair.calls(known) if call["method"].lower() == "delete"}
