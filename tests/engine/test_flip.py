"""A failover under the real engine: it plans exactly the expected steps, and it does what it has planned."""

from __future__ import annotations

import json

from lab.pulumi import touched
from tests.engine.conftest import Pair, told_plainly

TOUCHED_BY_A_FLIP = {
    ("dr:failover:Failover", "failover", "update"),
    ("kubernetes:velero.io/v1:Restore", "failover-restores-hourly-critical", "create"),
    ("kubernetes:velero.io/v1:Restore", "failover-restores-daily-full", "create"),
    ("kubernetes:batch/v1:Job", "failover-workloads-scale-production", "create"),
    ("kubernetes:batch/v1:Job", "failover-workloads-verify-production", "create"),
    ("aws:s3/bucketObjectv2:BucketObjectv2", "failover-flag", "update"),
    ("kubernetes:core/v1:ConfigMap", "failover-serving", "create"),
    ("kubernetes:velero.io/v1:Schedule", "schedules-daily-full", "update"),
    ("kubernetes:velero.io/v1:Schedule", "schedules-hourly-critical", "update"),
}


def planned(preview: str) -> set[tuple[str, str, str]]:
    """Type, name and operation of each step of `pulumi preview --json`."""
    steps = json.loads(preview)["steps"]
    return {
        (*reversed([part.rpartition("$")[2] for part in step["urn"].rsplit("::", 2)[:0:-1]]), step["op"])
        for step in steps
        if step["op"] != "same" and "pulumi:pulumi:Stack" not in step["urn"]
    }


def test_deploying_again_changes_nothing(pair: Pair) -> None:
    for role in ("primary", "secondary"):
        pair.pulumi.up(role, "--expect-no-changes")


def test_the_flips_plan_is_exactly_the_expected_set(pair: Pair) -> None:
    pair.pulumi.configure("secondary", "active", "secondary")
    assert planned(pair.pulumi.run("preview", "-s", "secondary", "--json").output) == TOUCHED_BY_A_FLIP


def test_a_flip_does_what_its_plan_says_and_a_second_up_changes_nothing(pair: Pair) -> None:
    before = pair.pulumi.resources("secondary")
    pair.pulumi.run("config", "set", "active", "secondary", "-s", "secondary")
    pair.pulumi.run("up", "-s", "secondary", "--yes")
    done = {(entry["type"], entry["name"], entry["operation"]) for entry in touched(before, pair.pulumi.resources("secondary"))}
    assert done == TOUCHED_BY_A_FLIP
    assert pair.flag() == "secondary"
    pair.pulumi.up("secondary", "--expect-no-changes")


def test_static_keys_are_warned_about_in_an_ordinary_up_and_not_in_the_night_of_a_failover(pair: Pair) -> None:
    warning = "warning: k8s-dr:identity: static"
    preview, _, update = pair.pulumi.run("up", "-s", "secondary", "--yes").output.partition("\nUpdating")
    assert warning not in preview
    assert update.partition("\nDiagnostics:")[2].count(warning) == 1
    pair.pulumi.configure("secondary", "active", "secondary")
    assert warning not in pair.pulumi.run("up", "-s", "secondary", "--yes").output
    assert warning in pair.pulumi.run("up", "-s", "secondary", "--yes").output, "by day, while the secondary serves"


def test_the_traffic_moves_after_the_workloads_were_verified_and_schedules_resume_last(pair: Pair) -> None:
    since = len(pair.calls())
    pair.pulumi.configure("secondary", "active", "secondary")
    pair.pulumi.up("secondary")
    order = [
        call["urn"].rpartition("::")[2]
        for call in pair.calls(since)
        if call["method"] in ("Create", "Update") and not call["preview"]
    ]
    assert order[:6] == [
        "failover-restores-hourly-critical",
        "failover-restores-daily-full",
        "failover-workloads-scale-production",
        "failover-workloads-verify-production",
        "failover-flag",
        "failover-serving",
    ]
    assert set(order[6:]) == {"schedules-daily-full", "schedules-hourly-critical"}


def test_a_flip_asks_only_the_live_region_and_looks_nothing_up(pair: Pair) -> None:
    since = len(pair.calls())
    pair.flip()
    calls = pair.calls(since)
    assert not [call for call in calls if call["method"] in ("Invoke", "Call", "Read")], "nothing may be looked up"
    places = {place for call in calls for place in call["places"]}
    assert places == {"us-west-2", "lab-secondary"}, f"somebody else was asked: {places}"


def test_flip_and_flip_back_is_identity(pair: Pair) -> None:
    pair.pulumi.configure("secondary", "active", "primary")
    pair.pulumi.up("secondary")
    before = pair.pulumi.resources("secondary")
    pair.flip()
    restored = pair.restore_names()
    pair.pulumi.configure("secondary", "active", "primary")
    pair.pulumi.up("secondary")
    renamed = {("failover-workloads-scale-production", "replace")}
    changed = {(entry["name"], entry["operation"]) for entry in touched(before, pair.pulumi.resources("secondary"))}
    assert changed == renamed, "the Job that scales down is a new one, and all else is as it was"
    assert pair.flag() == "primary"
    assert restored <= pair.restore_names(), "Restores are kept in the cluster, for the record"


def test_the_way_back_scales_the_standby_down(pair: Pair) -> None:
    pair.flip()
    assert replicas_asked_for(pair) == "--replicas=3"
    pair.pulumi.configure("secondary", "active", "primary")
    pair.pulumi.up("secondary")
    assert replicas_asked_for(pair) == "--replicas=0"


def replicas_asked_for(pair: Pair) -> str:
    """The option --replicas that the Job for scaling gives to kubectl."""
    jobs = [job for job in pair.secondary.objects("Job") if job["metadata"]["name"].startswith("failover-workloads-scale")]
    assert len(jobs) == 1
    return next(arg for arg in jobs[0]["spec"]["template"]["spec"]["initContainers"][0]["args"] if arg.startswith("--replicas"))


def test_an_up_that_has_not_heard_of_the_failover_does_not_send_users_back(serving_secondary: Pair) -> None:
    pulumi = serving_secondary.pulumi
    before = pulumi.resources("secondary")
    pulumi.run("config", "rm", "active", "-s", "secondary")
    refused = pulumi.up("secondary", check=False)
    pulumi.configure("secondary", "active", "secondary")
    assert told_plainly(refused, "active is not set in Pulumi.secondary.yaml"), refused.output
    assert touched(before, pulumi.resources("secondary")) == []
    assert serving_secondary.flag() == "secondary"


def test_a_second_failover_restores_under_new_names(serving_secondary: Pair) -> None:
    first = serving_secondary.restore_names()
    serving_secondary.stand_by()
    serving_secondary.flip()
    assert len(serving_secondary.restore_names() - first) == 2


def test_one_command_fails_over_too(pair: Pair) -> None:
    pair.pulumi.run("up", "-s", "secondary", "--yes", "-c", "active=secondary")
    assert pair.flag() == "secondary"
    assert pair.pulumi.run("config", "get", "active", "-s", "secondary").output.strip() == "secondary"


def test_the_outputs_say_since_when_the_secondary_serves_and_how_long_each_step_took(serving_secondary: Pair) -> None:
    outputs = serving_secondary.pulumi.outputs("secondary")
    assert outputs["active"] == "secondary"
    assert outputs["serving"]["region"] == "us-west-2"
    assert outputs["serving"]["since"]
    names = [step["name"] for step in outputs["failover"]["steps"]]
    assert names == ["restore hourly-critical", "restore daily-full", "scale production", "verify production", "traffic"]
    report = json.loads((serving_secondary.pulumi.directory / ".failover" / "secondary.json").read_text())
    assert [step["name"] for step in report["steps"]] == ["preflight", *names]


def test_a_region_that_is_replaced_pauses_its_schedules_and_scales_down(pair: Pair) -> None:
    before = pair.pulumi.resources("primary")
    pair.flip()
    pair.pulumi.configure("primary", "active", "secondary")
    pair.pulumi.up("primary")
    done = {(entry["name"], entry["operation"]) for entry in touched(before, pair.pulumi.resources("primary"))}
    assert done == {
        ("failover", "update"),
        ("failover-serving", "delete"),
        ("failover-workloads-scale-production", "create"),
        ("schedules-daily-full", "update"),
        ("schedules-hourly-critical", "update"),
    }
    pair.stand_by()
    pair.pulumi.run("config", "rm", "active", "-s", "primary")
    pair.pulumi.up("primary")
