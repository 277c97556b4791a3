"""The demo of the whole way round: a region dies, the other takes over, the old one comes back and follows, and both hand over to
each other by plan. One report has all of it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from lab import circle, demo, kept_volume, late_writer
from lab.circle import User
from lab.console import say, step
from lab.waiting import TimedOutError
from lab.world import Lab
from report.legs import Legs
from report.model import Report
from settings.roles import ROLES, Role

RETURN = "the old primary follows again"
SWITCHOVERS: tuple[tuple[str, Role], ...] = (
    ("switchover to the primary", "primary"),
    ("switchover to the secondary", "secondary"),
    ("switchover back to the primary", "primary"),
)


def go(lab: Lab) -> Report:
    """All legs, in a lab that is deployed."""
    late_writer.install(lab.kubectl)
    report = demo.fail(lab)
    with circle.user(lab, cache=True) as user:
        user.wait_served("secondary")
        with user.leg(RETURN, "secondary") as record:
            switched_on = datetime.now(UTC)
            circle.come_back(lab, record)
            made = late_writer.attempts(lab.kubectl)
            late_writer.remove(lab.kubectl)
            circle.rejoin(lab, record)
        for name, to in SWITCHOVERS:
            with step(f"the database of the {to} has every row so far"):
                circle.wait_for_rows(lab, to, user.must_be_there())
            with user.leg(name, to) as record:
                circle.switch(lab, to, record)
        user.stop()
        legs = circle.legs_of(report, user, _missing(lab, user))
        if lab.files:
            legs = replace(legs, documents=len(user.documents_due()), documents_missing=len(user.missing_documents("primary")))
    split = late_writer.split_brain(made, switched_on)
    return replace(report, split_brain=split, legs=_with_what_is_kept(lab, legs, split.rows))


def _missing(lab: Lab, user: User) -> dict[Role, set[int]]:
    """The rows that each database lacks, once the one that follows has had time for the last of them."""
    with step("every acknowledged row looked up in both databases"):
        try:
            circle.wait_for_rows(lab, "secondary", user.must_be_there())
        except TimedOutError as error:
            say(f"  {error}")
        return {role: user.missing(role) for role in ROLES}


def _with_what_is_kept(lab: Lab, legs: Legs, rows: int) -> Legs:
    """The legs, with how many of the old primary's own `rows` are on its kept volume."""
    if not rows:
        return replace(legs, rows_kept_apart=0)
    with step("the old primary's own rows looked up on its kept volume"):
        (claim,) = kept_volume.claims(lab, circle.old_server())
        return replace(legs, rows_kept_apart=int(kept_volume.read(lab, claim["metadata"]["name"], "select count(*) from late")))
