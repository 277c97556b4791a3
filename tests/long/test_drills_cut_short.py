"""Drills that are killed, told to end, or find no room: what each says, and that nothing of it is left after the next.

A kill is one by SIGKILL, of the processes themselves: whoever deletes a Pod tells it to end first, and then a drill cleans up.
"""

from __future__ import annotations

import json

from components.drills.database_specs import CLUSTER
from lab.waiting import until
from settings.names import DRILLS_NAMESPACE, PROGRAM_NAMESPACE
from tests.lab.volumes import items
from tests.long.drills import BACKUPS, RESTORES, Drills

_IMPATIENT = {'\\"patience\\": 600': '\\"patience\\": 20'}
_OF_NAMESPACE = ("-n", "velero", "-l", "k8s-dr/drill=namespace")


def test_a_killed_drill_of_a_namespace_leaves_a_failed_record_and_what_it_made_is_gone_after_the_next(drills: Drills) -> None:
    name = drills.begin("secondary", "namespace")
    judge = drills.containers(name, "drill-namespace")
    drills.await_restore(name)
    drills.kill(judge)
    drills.end("secondary", "namespace", name).require_failed("the step that judges was killed")
    left = drills.left("secondary")
    assert {each.partition("/")[0] for each in left} >= {"Deployment", "Service", "PersistentVolumeClaim"}, left
    restores = {each["metadata"]["name"] for each in items(drills.lab, "secondary", RESTORES, *_OF_NAMESPACE)}
    assert restores
    outcome = drills.run("secondary", "namespace")
    outcome.require_passed()
    assert any("earlier drill" in note for note in outcome.record["notes"])
    drills.require_nothing_left("secondary")
    assert not restores & {each["metadata"]["name"] for each in items(drills.lab, "secondary", RESTORES, *_OF_NAMESPACE)}


def test_a_drill_of_a_database_of_which_all_is_killed_is_told_by_the_next_up_and_cleaned_up_by_the_next_drill(
    drills: Drills,
) -> None:
    name = drills.begin("secondary", "database")
    whole = drills.containers(name, "drill-database", "upload")
    drills.await_cluster(name)
    drills.kill(whole)
    drills.await_end("secondary", name)
    assert drills.conditions("secondary", name) == {"Failed"}
    run = drills.pod(name)["metadata"]["uid"][:8]
    assert not [key for key in drills.keys("secondary", "database") if run in key], "nobody was left to write a record"
    assert f"Cluster/{CLUSTER}" in drills.left("secondary")
    told = " ".join(drills.lab.pulumi.up("secondary").output.split())
    assert "the last drill database ended without a record" in told
    assert f"Cluster/{CLUSTER}" in drills.left("secondary"), "an up deletes nothing of a drill"
    outcome = drills.run("secondary", "database")
    outcome.require_passed()
    assert any("earlier drill" in note for note in outcome.record["notes"])
    drills.require_nothing_left("secondary")


def test_what_a_killed_drill_leaves_is_swept_by_day(drills: Drills) -> None:
    name = drills.begin("secondary", "database")
    whole = drills.containers(name, "drill-database", "upload")
    drills.await_cluster(name)
    drills.kill(whole)
    drills.await_end("secondary", name)
    assert drills.left("secondary")
    sweep = ("create", "job", "--from=cronjob/drill-database-sweep", "sweep-1", "-n", PROGRAM_NAMESPACE)
    drills.lab.kubectl("secondary", *sweep)
    drills.await_end("secondary", "sweep-1")
    assert drills.conditions("secondary", "sweep-1") == {"Complete"}
    drills.require_nothing_left("secondary")


def test_a_drill_whose_job_is_deleted_cleans_up_and_leaves_a_record(drills: Drills) -> None:
    lab, before = drills.lab, set(drills.keys("secondary", "namespace"))
    name = drills.begin("secondary", "namespace")
    drills.await_restore(name)
    lab.kubectl("secondary", "delete", "job", name, "-n", PROGRAM_NAMESPACE, "--wait=false")
    (key,) = until("its record", lambda: set(drills.keys("secondary", "namespace")) - before, timeout=400, interval=1)
    record = json.loads(lab.content(drills.bucket("secondary"), key))
    assert record["passed"] is False
    assert "told to end" in record["reasons"][-1]
    drills.require_nothing_left("secondary")


def test_a_judge_that_comes_to_no_verdict_leaves_a_failed_record(drills: Drills) -> None:
    broken = {'"drill_integrity"': '"no_such_step"', '"value": "3600"': '"value": "15"'}
    outcome = drills.run("secondary", "integrity", broken)
    outcome.require_failed("has come to no verdict within 15 s")
    assert outcome.why in outcome.message


def test_of_two_that_run_side_by_side_the_later_does_nothing(drills: Drills) -> None:
    first = drills.begin("secondary", "namespace")
    drills.await_restore(first)
    drills.run("secondary", "namespace").require_failed("another run of this drill is at work")
    drills.end("secondary", "namespace", first).require_passed()
    drills.require_nothing_left("secondary")


def test_a_quota_that_leaves_no_room_fails_the_drill_with_the_quotas_name(drills: Drills) -> None:
    lab = drills.lab
    lab.kubectl("secondary", "create", "quota", "full", "-n", DRILLS_NAMESPACE, "--hard=pods=0")
    try:
        outcome = drills.run("secondary", "database", _IMPATIENT)
    finally:
        lab.kubectl("secondary", "delete", "quota", "full", "-n", DRILLS_NAMESPACE)
    outcome.require_failed("there is no room for it", "full")
    drills.require_nothing_left("secondary")


def test_a_database_for_which_no_node_has_room_fails_the_drill_with_the_pod_that_waits(drills: Drills) -> None:
    name = drills.begin("secondary", "database", _IMPATIENT)
    drills.pod(name)  # the drill's own has its node, and the containers before its last take longer than a cordon
    with drills.cordoned():
        outcome = drills.end("secondary", "database", name)
    outcome.require_failed("there is no room for it", "has no node", "unschedulable")
    drills.require_nothing_left("secondary")


def test_an_up_names_the_last_drill_of_each_kind_and_warns_of_one_that_failed(drills: Drills) -> None:
    key = drills.judged(BACKUPS, ".tar.gz")
    with drills.lab.object_missing(drills.bucket("secondary"), key):
        drills.run("secondary", "integrity").require_failed(key.rpartition("/")[2])
    told = " ".join(drills.lab.pulumi.up("secondary").output.split())
    assert "the last drill integrity FAILED" in told
    drills.run("secondary", "integrity").require_passed()
    told = " ".join(drills.lab.pulumi.up("secondary").output.split())
    assert "drill integrity FAILED" not in told
    assert "integrity: passed" in str(drills.lab.pulumi.outputs("secondary")["drills"])
