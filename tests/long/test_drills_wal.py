"""WAL that cannot be read, or is missing for good, fails the drills.

They wait a quarter of an hour for a segment that is on its way. So this file comes last of those that share their lab: by then
what was archived at its beginning is older.
"""

from __future__ import annotations

from tests.long.drills import Drills


def test_a_segment_of_the_wal_that_cannot_be_read_fails_the_drill_of_the_database(drills: Drills) -> None:
    """Its own object is there with some bytes, so nothing but a recovery tells."""
    with drills.lab.object_replaced(drills.bucket("secondary", "database"), drills.key_of_the_segment(), "no WAL"):
        outcome = drills.run("secondary", "database")
    outcome.require_failed("the recovery ended in WAL segment", drills.segment[8:], "cannot be read")
    drills.require_nothing_left("secondary")


def test_a_missing_segment_of_the_wal_fails_the_drills_by_its_name(drills: Drills) -> None:
    with drills.without_a_segment():
        for outcome in drills.together(("secondary", "integrity"), ("secondary", "database")):
            outcome.require_failed(f"the WAL segment {drills.segment} is missing")
    drills.require_nothing_left("secondary")
