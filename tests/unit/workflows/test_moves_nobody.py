"""A deployment of what was merged never moves users."""

from __future__ import annotations

import json

import pytest

from scripts.moves_nobody import deployed, objection


def state(active: str | None) -> str:
    failover = {"type": "dr:failover:Failover", "inputs": {"active": active}}
    return json.dumps({"deployment": {"resources": [{"type": "pulumi:pulumi:Stack"}, *([failover] if active else [])]}})


@pytest.mark.parametrize(
    ("configured", "serving"),
    [("", "primary"), ("primary", "primary"), ("secondary", "secondary"), ("", None), ("secondary", None)],
)
def test_what_agrees_with_what_is_deployed_is_deployed(configured: str, serving: str | None) -> None:
    assert objection("secondary", configured, serving) is None


@pytest.mark.parametrize(("configured", "serving"), [("", "secondary"), ("primary", "secondary"), ("secondary", "primary")])
def test_what_would_move_users_is_refused_in_either_direction(configured: str, serving: str) -> None:
    reason = objection("secondary", configured, serving)
    assert reason is not None
    assert f"deployed with {serving}" in reason
    assert "Pulumi.secondary.yaml" in reason


def test_who_serves_is_read_from_the_state() -> None:
    assert deployed(state("secondary")) == "secondary"
    assert deployed(state(None)) is None
    assert deployed(json.dumps({"deployment": {}})) is None
