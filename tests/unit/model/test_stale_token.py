"""A token that the primary has taken back, in the hands of somebody who has not heard of it."""

from __future__ import annotations

from tests.unit.model.machine import Pair


def test_a_token_that_was_taken_back_promotes_nothing_once_s3_has_copied_what_was_archived_since() -> None:
    pair = Pair()
    pair.deploy()
    pair.gives_up_by_plan(0, "primary", None, True)
    pair.world.replicate("primary")
    token = pair.world.states["primary"].handover
    pair.takes_back_what_was_given(0, "primary")
    pair.world.write("primary")
    pair.world.replicate("primary")
    theirs = pair.people[1].files["secondary"]
    theirs.active, theirs.handover = "secondary", token
    pair.world.up("secondary", pair.people[1])
    assert pair.world.writers == ["primary"]
