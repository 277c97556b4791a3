"""What an organization's policies (SCPs) demand of whatever is made: tags of its own, and a boundary on every role."""

from __future__ import annotations

import json
from typing import Any

import pytest

from settings.roles import ROLES, Role
from tests.unit.components.iam.test_delivery import delivery
from tests.unit.recorder import Recorder, Seen, run_program

BOUNDARY = "arn:aws:iam::123456789012:policy/platform/boundary"
DEMANDED = {"aws": {"tags": {"CostCenter": "4711"}, "permissionsBoundary": BOUNDARY}, "peerReady": True}


def bounded(stack: Role, **changes: Any) -> Recorder:
    return run_program(stack, {**DEMANDED, **delivery(stack), **changes})


def of_iam(role: Seen) -> bool:
    """Kubernetes has roles too."""
    return "assumeRolePolicy" in role.inputs


def may(recorder: Recorder, action: str) -> list[dict[str, Any]]:
    policies = [json.loads(seen.inputs["policy"]) for seen in recorder.custom() if seen.kind in ("Policy", "RolePolicy")]
    return [each for policy in policies for each in policy["Statement"] if action in each["Action"]]


@pytest.mark.parametrize("stack", ROLES)
def test_every_role_has_the_boundary(stack: Role) -> None:
    roles = {seen.name: seen.inputs.get("permissionsBoundary") for seen in bounded(stack).of("Role") if of_iam(seen)}
    assert {"storage-replication", "identity-velero-role", "delivery-deploy", "delivery-preview"} <= set(roles)
    assert set(roles.values()) == {BOUNDARY}


@pytest.mark.parametrize("stack", ROLES)
def test_every_resource_has_the_tags_beside_the_programs_own(stack: Role) -> None:
    tags = {"CostCenter": "4711", "stack": f"k8s-dr-{stack}", "role": stack, "owner": "acme"}
    assert json.loads(bounded(stack)["aws"].inputs["defaultTags"])["tags"] == tags


def test_a_deployment_may_put_that_boundary_on_its_roles_and_no_other() -> None:
    [statement] = may(bounded("secondary"), "iam:PutRolePermissionsBoundary")
    assert statement["Condition"] == {"StringEquals": {"iam:PermissionsBoundary": BOUNDARY}}
    assert not may(bounded("secondary"), "iam:DeleteRolePermissionsBoundary")


def test_where_nothing_is_demanded_no_role_has_a_boundary_and_nobody_may_put_one() -> None:
    recorder = run_program("secondary", {**delivery("secondary"), "peerReady": True})
    assert not [seen.name for seen in recorder.of("Role") if of_iam(seen) and "permissionsBoundary" in seen.inputs]
    assert not may(recorder, "iam:PutRolePermissionsBoundary")
