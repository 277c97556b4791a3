"""A segment of WAL that is missing for good fails the drills. They wait a quarter of an hour for one that is on its way, so this
file comes last of those that share their lab: by then what was archived at its beginning is older."""

from __future__ import annotations

from tests.long.drills import Drills


def test_a_missing_segment_of_the_wal_fails_the_drills_by_its_name(drills: Drills) -> None:
    with drills.without_a_segment() as segment:
        for outcome in drills.together(("secondary", "integrity"), ("secondary", "database")):
            outcome.require_failed(f"the WAL segment {segment} is missing")
    drills.require_nothing_left("secondary")
