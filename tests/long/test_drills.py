"""Each drill, run in the lab as a person runs it: as it passes, and by a backup that is not whole, too old or gone.

The secondary stands by, so its drills are of what the primary left in its bucket. Files beside this one, in the same lab: drills
that end before their time or find no room, what is probed and asked, and WAL that is missing.
"""

from __future__ import annotations

from lab import circle
from lab.application import manifests
from settings.roles import ROLES
from tests.long.drills import ARCHIVE, BACKUPS, LONG_AGO, REPOSITORY, Drills


def test_what_the_primary_left_and_its_own_backups_are_whole_and_new(drills: Drills) -> None:
    for outcome in drills.together(*((role, "integrity") for role in ROLES)):
        outcome.require_passed()
        assert outcome.record["used"]
        assert outcome.record["counts"]["repositories of volumes"] >= 1


def test_a_namespace_is_restored_where_nobody_sees_it_and_nothing_is_left(drills: Drills) -> None:
    secondary, primary = drills.together(("secondary", "namespace"), ("primary", "namespace"))
    secondary.require_passed()
    assert secondary.record["rto"]["measured"] > 0
    assert secondary.record["rpo"]["measured"] > 0
    assert secondary.record["used"][0]["name"].startswith("hourly-critical-us-east-1")
    assert {"deployments": 1, "statefulsets": 1, "persistentvolumeclaims": 1, "volumes": 1}.items() <= secondary.record[
        "counts"
    ].items()
    assert (primary.passed, primary.succeeded) == (None, True), "the region that serves has no namespace to drill"
    drills.require_nothing_left("secondary")


def test_a_database_is_recovered_asked_and_deleted_in_both_regions(drills: Drills) -> None:
    before = {role: drills.archived(role) for role in ROLES}
    sources = {role: circle.cluster_of(drills.lab, role)["metadata"] for role in ROLES}
    for outcome in drills.together(*((role, "database") for role in ROLES)):
        outcome.require_passed()
        assert outcome.record["counts"]["tables"] >= 1
        assert outcome.record["rto"]["measured"] > 0
    for role in ROLES:
        drills.require_nothing_left(role)
        assert drills.archived(role) == before[role], "the throw-away Cluster has archived nothing"
        source = circle.cluster_of(drills.lab, role)["metadata"]
        assert source["uid"] == sources[role]["uid"]
        assert source["generation"] == sources[role]["generation"], "nobody has changed what the drill recovers"


def test_a_corrupt_backup_fails_the_drill_by_its_name(drills: Drills) -> None:
    key = drills.judged(f"{BACKUPS}hourly-critical", ".tar.gz")
    with drills.lab.object_replaced(drills.bucket("secondary"), key, "no archive"):
        integrity = drills.run("secondary", "integrity")
    integrity.require_failed(key.rpartition("/")[2].removesuffix(".tar.gz"), "corrupt")
    assert integrity.record["reasons"][0][:60] in integrity.message


def test_a_backup_of_which_an_object_has_not_come_fails_the_drill(drills: Drills) -> None:
    key = drills.judged(BACKUPS, "-resource-list.json.gz")
    with drills.lab.object_missing(drills.bucket("secondary"), key):
        outcome = drills.run("secondary", "integrity")
    outcome.require_failed(key.rpartition("/")[2])


def test_a_snapshot_of_etcd_that_does_not_open_fails_the_drill(drills: Drills) -> None:
    bucket = drills.bucket("secondary", "etcd")
    key = max(drills.lab.objects(bucket, ""))
    with drills.lab.object_replaced(bucket, key, "no snapshot"):
        outcome = drills.run("secondary", "integrity")
    outcome.require_failed(key.rpartition("/")[2])


def test_a_backup_that_is_too_old_fails_the_drill(drills: Drills) -> None:
    with drills.backups_say(startTimestamp=LONG_AGO, completionTimestamp=LONG_AGO):
        outcome = drills.run("secondary", "integrity")
    outcome.require_failed("stale")


def test_a_backup_that_has_expired_fails_the_drills_and_is_not_restored(drills: Drills) -> None:
    with drills.backups_say(expiration=LONG_AGO):
        integrity, namespace = drills.together(("secondary", "integrity"), ("secondary", "namespace"))
    integrity.require_failed(f"has expired at {LONG_AGO}")
    namespace.require_failed(f"has expired at {LONG_AGO}", "nothing was restored")
    assert namespace.record["rto"]["measured"] is None
    drills.require_nothing_left("secondary")


def test_a_repository_of_volumes_that_is_half_replicated_fails_the_drill_in_both_regions(drills: Drills) -> None:
    """kopia keeps directories in packs of their own. What the primary's bucket loses, the secondary's loses with it."""
    lab, (there, here) = drills.lab, (drills.bucket(role) for role in ROLES)
    directories = [each for each in lab.objects(here, REPOSITORY) if each.removeprefix(REPOSITORY).startswith("q")]
    assert directories
    with lab.object_missing(here, *directories), lab.object_missing(there, *directories):
        outcomes = drills.together(*((role, "integrity") for role in ROLES))
    for outcome in outcomes:
        outcome.require_failed(f"of namespace {manifests.APPLICATION_NAMESPACE} is half replicated", "no metadata as new")


def test_a_repository_of_volumes_that_cannot_be_opened_fails_the_drill(drills: Drills) -> None:
    with drills.lab.object_missing(drills.bucket("secondary"), f"{REPOSITORY}kopia.repository"):
        outcome = drills.run("secondary", "integrity")
    outcome.require_failed("cannot be opened: kopia.repository not in")


def test_another_password_of_velero_than_the_primarys_fails_the_drill(drills: Drills) -> None:
    with drills.another_password():
        outcome = drills.run("secondary", "integrity")
    outcome.require_failed("password")


def test_a_database_without_a_base_backup_fails_the_drills(drills: Drills) -> None:
    bucket = drills.bucket("secondary", "database")
    labels = [key for key in drills.lab.objects(bucket, f"{ARCHIVE}/base/") if key.endswith("/backup.info")]
    assert labels
    with drills.lab.object_missing(bucket, *labels):
        for outcome in drills.together(("secondary", "integrity"), ("secondary", "database")):
            outcome.require_failed("no base backup")
    drills.require_nothing_left("secondary")
