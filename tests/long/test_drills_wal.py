"""WAL that cannot be read, or is missing for good, fails the drills; and so does a corrupt backup the restore of its namespace.

They wait a quarter of an hour for a segment that is on its way. So this file comes last of those that share their lab: by then
what was archived at its beginning is older. Of a corrupt backup Velero waits ten minutes for volumes that do not come
(`--resource-timeout`), so that is the very last.
"""

from __future__ import annotations

import pytest

from tests.long.drills import BACKUPS, Drills


def test_a_segment_of_the_wal_that_cannot_be_read_fails_the_drill_of_the_database(drills: Drills) -> None:
    """Its own object is there with some bytes, so nothing but a recovery tells."""
    with drills.lab.object_replaced(drills.bucket("secondary", "database"), drills.key_of_the_segment(), "no WAL"):
        outcome = drills.run("secondary", "database")
    outcome.require_failed("the recovery ended in WAL segment", drills.segment[8:], "cannot be read")
    drills.require_nothing_left("secondary")


@pytest.mark.timeout(2400)  # of which fifteen minutes until what was archived is old
def test_a_missing_segment_of_the_wal_fails_the_drills_by_its_name(drills: Drills) -> None:
    with drills.without_a_segment():
        for outcome in drills.together(("secondary", "integrity"), ("secondary", "database")):
            outcome.require_failed(f"the WAL segment {drills.segment} is missing")
    drills.require_nothing_left("secondary")


def test_a_namespace_is_not_restored_from_a_corrupt_backup(drills: Drills) -> None:
    key = drills.judged(f"{BACKUPS}hourly-critical", ".tar.gz")
    with drills.lab.object_replaced(drills.bucket("secondary"), key, "no archive"):
        outcome = drills.run("secondary", "namespace")
    outcome.require_failed("Restore drill-")
    drills.require_nothing_left("secondary")
