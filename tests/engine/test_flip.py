"""A failover under the real engine: it plans exactly the expected steps, and it does what it has planned."""

from __future__ import annotations

import json
from typing import Any

import pytest

from lab import project
from lab.pulumi import touched
from settings.names import RUNBOOK_KEY
from settings.roles import ROLES
from tests.engine.conftest import Pair, told_plainly

TOUCHED_BY_A_FLIP = {
    ("dr:failover:Failover", "failover", "update"),
    ("kubernetes:velero.io/v1:Restore", "failover-restores-hourly-critical", "create"),
    ("kubernetes:batch/v1:Job", "failover-workloads-scale-production", "create"),
    ("kubernetes:batch/v1:Job", "failover-workloads-verify-production", "create"),
    ("kubernetes:batch/v1:Job", "failover-workloads-endpoint", "create"),
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


def test_each_region_keeps_the_same_runbook_in_its_cluster_and_in_its_bucket(pair: Pair) -> None:
    for role in ROLES:
        [found] = [each for each in pair.clusters[role].objects("ConfigMap") if each["metadata"]["name"] == "runbook"]
        kept = pair.s3().get_object(Bucket=project.names(role).bucket("velero"), Key=RUNBOOK_KEY)["Body"].read().decode()
        assert kept == found["data"]["runbook.md"]
        assert "kubectl --context lab-secondary get nodes" in kept, "with the names of this deployment"


def test_the_flips_plan_is_exactly_the_expected_set(pair: Pair) -> None:
    pair.pulumi.configure("secondary", "active", "secondary")
    assert planned(pair.pulumi.run("preview", "-s", "secondary", "--json").output) == TOUCHED_BY_A_FLIP


def test_a_flip_does_what_its_plan_says_and_a_second_up_changes_nothing(pair: Pair) -> None:
    before = pair.pulumi.resources("secondary")
    pair.pulumi.run("config", "set", "active", "secondary", "-s", "secondary")
    told = pair.pulumi.run("up", "-s", "secondary", "--yes").output
    assert "begun by an earlier up" not in told
    done = {(entry["type"], entry["name"], entry["operation"]) for entry in touched(before, pair.pulumi.resources("secondary"))}
    assert done == TOUCHED_BY_A_FLIP
    assert pair.flag() == "secondary"
    pair.pulumi.up("secondary", "--expect-no-changes")


@pytest.mark.long
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
    assert order[:2] == ["failover-restores-hourly-critical", "failover-workloads-scale-production"]
    assert set(order[2:4]) == {"failover-workloads-verify-production", "failover-workloads-endpoint"}
    assert order[4:6] == ["failover-flag", "failover-serving"]
    assert set(order[6:]) == {"schedules-daily-full", "schedules-hourly-critical"}


def test_a_flip_asks_only_the_live_region_and_looks_nothing_up(pair: Pair) -> None:
    since = len(pair.calls())
    pair.flip()
    calls = pair.calls(since)
    assert not [call for call in calls if call["method"] in ("Invoke", "Call", "Read")], "nothing may be looked up"
    places = {place for call in calls for place in call["places"]}
    assert places == {"us-west-2", "lab-secondary"}, f"somebody else was asked: {places}"


@pytest.mark.long
def test_flip_and_flip_back_is_identity(pair: Pair) -> None:
    pair.pulumi.configure("secondary", "active", "primary")
    pair.pulumi.up("secondary")
    before = pair.pulumi.resources("secondary")
    pair.flip()
    restored = pair.restore_names()
    pair.leave()
    renamed = {("failover-workloads-scale-production", "replace")}
    changed = {(entry["name"], entry["operation"]) for entry in touched(before, pair.pulumi.resources("secondary"))}
    assert changed == renamed, "the Job that scales down is a new one, and all else is as it was"
    assert pair.flag() == "primary"
    assert restored <= pair.restore_names(), "Restores are kept in the cluster, for the record"


@pytest.mark.long
def test_the_way_back_scales_the_standby_down(serving_secondary: Pair) -> None:
    assert scaling(serving_secondary) == ("scale", 3, 600)
    serving_secondary.leave()
    assert scaling(serving_secondary) == ("stand_by", 0, 600)


def scaling_job(pair: Pair) -> dict[str, Any]:
    jobs = [job for job in pair.secondary.objects("Job") if job["metadata"]["name"].startswith("failover-workloads-scale")]
    assert len(jobs) == 1
    return jobs[0]


def scaling(pair: Pair) -> tuple[str, int, int]:
    """The step that the Job for scaling runs, the number of replicas and the seconds that it is told."""
    (container,) = scaling_job(pair)["spec"]["template"]["spec"]["containers"]
    (task,) = (json.loads(each["value"]) for each in container["env"] if each["name"] == "TASK")
    return container["command"][-1], task["entries"][0]["replicas"], task["seconds"]


@pytest.mark.long
def test_another_image_timeout_or_number_scales_nothing_in_a_region_that_serves(serving_secondary: Pair) -> None:
    before = scaling_job(serving_secondary)["metadata"]["uid"]
    serving_secondary.pulumi.configure("secondary", "failover", '{"scale": "20m"}')
    serving_secondary.pulumi.configure("secondary", "images", '{"python": "registry.example.com/python:3.13.1"}')
    serving_secondary.pulumi.up("secondary")
    assert scaling_job(serving_secondary)["metadata"]["uid"] == before
    serving_secondary.pulumi.up("secondary", "--expect-no-changes")
    # The next change of who serves takes what is configured by then.
    serving_secondary.leave()
    assert scaling(serving_secondary) == ("stand_by", 0, 1200)


@pytest.mark.long
def test_a_job_that_could_not_scale_is_made_anew_with_what_is_configured_by_then(pair: Pair) -> None:
    failure = {"kind": "Job", "name": "failover-workloads-scale"}
    pair.secondary.outcomes.order({**failure, "phase": "Failed", "message": "deployment/web has 0 of 3 available"})
    failed = pair.flip(check=False)
    assert failed.exit_code
    assert "deployment/web has 0 of 3 available" in failed.output
    assert pair.flag() == "primary"
    pair.secondary.outcomes.order(failure)
    pair.pulumi.configure("secondary", "failover", '{"scale": "20m"}')
    pair.pulumi.up("secondary")
    assert scaling(pair) == ("scale", 3, 1200)
    assert pair.flag() == "secondary"


@pytest.mark.long
def test_an_up_that_has_not_heard_of_the_failover_does_not_send_users_back(serving_secondary: Pair) -> None:
    pulumi = serving_secondary.pulumi
    before = pulumi.resources("secondary")
    pulumi.run("config", "rm", "active", "-s", "secondary")
    refused = pulumi.up("secondary", check=False)
    assert told_plainly(refused, "active is not set in Pulumi.secondary.yaml"), refused.output
    assert touched(before, pulumi.resources("secondary")) == []
    assert serving_secondary.flag() == "secondary"


def test_a_stack_file_of_before_the_failover_does_not_send_users_back(serving_secondary: Pair) -> None:
    pulumi = serving_secondary.pulumi
    before = pulumi.resources("secondary")
    pulumi.configure("secondary", "active", "primary")
    refused = pulumi.up("secondary", check=False)
    way_on = "pulumi config set active secondary -s secondary"
    assert told_plainly(refused, "this region serves (the traffic flag says secondary)", way_on), refused.output
    assert touched(before, pulumi.resources("secondary")) == []
    assert serving_secondary.flag() == "secondary"


def test_a_primary_that_serves_is_not_stopped_by_the_command_that_was_meant_for_the_other_stack(pair: Pair) -> None:
    before = pair.pulumi.resources("primary")
    pair.pulumi.configure("primary", "active", "secondary")
    refused = pair.pulumi.up("primary", check=False)
    assert told_plainly(refused, "this region serves (the traffic flag says primary)"), refused.output
    assert touched(before, pair.pulumi.resources("primary")) == []
    pair.pulumi.run("config", "rm", "active", "-s", "primary")
    pair.pulumi.up("primary", "--expect-no-changes")


@pytest.mark.long
def test_the_way_back_leads_to_where_the_failover_began_and_a_second_one_restores_under_new_names(pair: Pair) -> None:
    before = pair.pulumi.resources("secondary")
    pair.flip()
    first = pair.restore_names()
    pair.stand_by()
    assert touched(before, pair.pulumi.resources("secondary")) == []
    assert pair.flag() == "primary"
    pair.flip()
    assert len(pair.restore_names() - first) == 1


@pytest.mark.long
def test_an_up_that_was_killed_before_it_could_note_the_record_goes_on(serving_secondary: Pair) -> None:
    """The runbook's row: the cluster has the ConfigMap `serving`, and the state does not know of it."""
    pulumi = serving_secondary.pulumi
    since = pulumi.outputs("secondary")["serving"]
    state = json.loads(pulumi.run("stack", "export", "-s", "secondary").output)
    resources = state["deployment"]["resources"]
    (urn,) = [each["urn"] for each in resources if each["urn"].endswith("::failover-serving")]
    state["deployment"]["resources"] = [each for each in resources if each["urn"] != urn]
    for each in state["deployment"]["resources"]:
        each["dependencies"] = [other for other in each.get("dependencies") or () if other != urn]
        for property_, others in (each.get("propertyDependencies") or {}).items():
            each["propertyDependencies"][property_] = [other for other in others or () if other != urn]
    pulumi.run("stack", "import", "-s", "secondary", stdin=json.dumps(state))
    pulumi.up("secondary")
    assert pulumi.outputs("secondary")["serving"] == since, "it is the record of the failover, not a new one"
    assert serving_secondary.flag() == "secondary"
    pulumi.up("secondary")
    pulumi.up("secondary", "--expect-no-changes")


@pytest.mark.long
def test_an_object_that_a_killed_up_has_made_and_not_noted_is_imported_as_the_runbook_says(serving_secondary: Pair) -> None:
    """The CLI has noted that it began to make the object, and then nothing."""
    pulumi, name = serving_secondary.pulumi, "schedules-hourly-critical"
    [file] = (serving_secondary.root / "state").rglob("stacks/**/secondary.json")
    state = json.loads(file.read_text())
    latest = state["checkpoint"]["latest"]
    [left] = [each for each in latest["resources"] if each["urn"].endswith(f"::{name}")]
    latest["resources"].remove(left)
    begun = {key: value for key, value in left.items() if key not in ("id", "outputs", "created", "modified")}
    latest["pending_operations"] = [{"resource": begun, "type": "creating"}]
    file.write_text(json.dumps(state))

    listed = serving_secondary.root / "left.json"
    pulumi.run("preview", "-s", "secondary", "--import-file", str(listed))
    entries = json.loads(listed.read_text())
    entries["resources"] = [{**each, "id": left["id"]} for each in entries["resources"] if each["name"] == name]
    listed.write_text(json.dumps(entries))
    pulumi.run("import", "-s", "secondary", "--file", str(listed), "--protect=false", "--generate-code=false", "--yes")
    assert "interrupted while creating" in pulumi.up("secondary").output, "which hinders nothing"
    pulumi.run("refresh", "--run-program", "--clear-pending-creates", "--yes", "-s", "secondary")
    assert "interrupted while creating" not in pulumi.up("secondary").output
    pulumi.up("secondary", "--expect-no-changes")


def test_one_command_fails_over_too(pair: Pair) -> None:
    pair.pulumi.run("up", "-s", "secondary", "--yes", "-c", "active=secondary")
    assert pair.flag() == "secondary"
    assert pair.pulumi.run("config", "get", "active", "-s", "secondary").output.strip() == "secondary"


def test_the_outputs_say_since_when_the_secondary_serves_and_how_long_each_step_took(serving_secondary: Pair) -> None:
    details = serving_secondary.pulumi.details("secondary")
    assert details["serving"]["region"] == "us-west-2"
    assert details["serving"]["since"]
    names = [step["name"] for step in details["failover"]["steps"]]
    assert names == ["restore hourly-critical", "scale production", "verify production", "ask endpoint", "traffic"]
    report = json.loads((serving_secondary.pulumi.directory / ".failover" / "secondary.json").read_text())
    assert [step["name"] for step in report["steps"]] == ["preflight", *names]


@pytest.mark.long
def test_a_region_that_is_replaced_pauses_its_schedules_and_scales_down(serving_secondary: Pair) -> None:
    pulumi = serving_secondary.pulumi
    before = pulumi.resources("primary")
    pulumi.configure("primary", "active", "secondary")
    pulumi.up("primary")
    done = {(entry["name"], entry["operation"]) for entry in touched(before, pulumi.resources("primary"))}
    assert done == {
        ("failover", "update"),
        ("failover-serving", "delete"),
        ("failover-workloads-scale-production", "create"),
        ("schedules-daily-full", "update"),
        ("schedules-hourly-critical", "update"),
    }


def test_an_endpoint_that_serves_no_user_stops_a_failover_before_the_traffic_moves(pair: Pair) -> None:
    said = "https://lb-secondary.lab.internal/ (Host: app.example.com) said HTTP 503 Service Unavailable, after 300 s of asking"
    pair.secondary.outcomes.order({"kind": "Job", "name": "failover-workloads-endpoint", "phase": "Failed", "message": said})
    failed = pair.flip(check=False)
    assert told_plainly(failed, said), failed.output
    assert pair.flag() == "primary"
    pair.secondary.outcomes.ordered.clear()
    pair.pulumi.up("secondary")
    assert pair.flag() == "secondary"


@pytest.mark.long
def test_by_day_the_region_that_serves_is_asked_as_a_user_would_ask_and_a_failure_fails_no_up(pair: Pair) -> None:
    away = json.dumps([{"status": 503, "said": "HTTP 503 Service Unavailable"}])
    for name in ("workloads-answer-", "endpoint-answers-"):
        pair.clusters["primary"].outcomes.order({"kind": "Pod", "name": name, "phase": "Succeeded", "message": away})
    told = pair.pulumi.up("primary", "--expect-no-changes").output
    assert "warning: the check of workloads http://shop.production.svc:80/healthz said HTTP 503 Service Unavailable" in told
    endpoint = "https://lb-primary.lab.internal/ (Host: app.example.com)"
    assert f"warning: this region's own endpoint, {endpoint}, said HTTP 503 Service Unavailable" in told
    pair.clusters["primary"].outcomes.ordered.clear()
    told = pair.pulumi.up("primary", "--expect-no-changes").output
    assert "said HTTP" not in told
    assert not [pod for pod in pair.clusters["primary"].objects("Pod") if "answer" in pod["metadata"]["name"]]
