"""A region dies, and the other takes over. Clusters, Velero and engine are real, and the commands are the README's."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime

import pytest

from lab import demo
from lab.application import manifests
from lab.failover import steps_of
from lab.pulumi import touched
from lab.regions import wan
from lab.regions.spec import SECONDARY
from lab.waiting import until
from lab.world import Lab
from report import model
from tests.engine.test_flip import TOUCHED_BY_A_FLIP
from tests.lab.conftest import answer, asked_by_pods, collecting


def test_the_secondary_takes_over_from_a_dead_primary(lab: Lab) -> None:
    report = demo.fail(lab, cache=False)

    assert model.verdict(report) == []
    assert report.served_by == "secondary"
    assert report.calls_to_dead_region == 0
    assert {(change.type, change.name, change.operation) for change in report.flip.resources} == TOUCHED_BY_A_FLIP
    steps = {step.name: step for step in report.steps}
    asked = [steps["verify production"], steps["ask endpoint"]]
    assert steps.keys() == {"restore hourly-critical", "scale production", *(step.name for step in asked), "traffic"}
    assert steps["restore hourly-critical"].end <= steps["scale production"].end <= min(step.end for step in asked)
    assert max(step.end for step in asked) <= steps["traffic"].end, "the traffic moves last"
    changes = report.witnesses.api_server_changes
    # A DownloadRequest asks Velero for its warnings, if a restore had one.
    assert set(changes) - {"create downloadrequests"} == {
        "create restores",
        "create jobs",
        "create configmaps",
        "patch schedules",
    }

    # The application serves what was backed up: the ConfigMap's greeting and the Secret's token.
    secret = json.loads(
        lab.kubectl("secondary", "get", "secret", manifests.NAME, "-n", manifests.APPLICATION_NAMESPACE, "-o", "json")
    )
    assert base64.b64decode(secret["data"]["token"]).decode() == manifests.TOKEN
    deployment = json.loads(
        lab.kubectl("secondary", "get", "deployment", manifests.NAME, "-n", manifests.APPLICATION_NAMESPACE, "-o", "json")
    )
    assert deployment["status"]["availableReplicas"] == 3
    assert "velero.io/restore-name" in deployment["metadata"]["labels"]

    lab.pulumi.up("secondary", "--expect-no-changes")

    # The region comes back with its disk, and users stay where they are.
    lab.heal("primary")
    lab.kubectl("primary", "get", "deployment", manifests.NAME, "-n", manifests.APPLICATION_NAMESPACE)
    assert answer(lab) == "lb-secondary.lab.internal"


def test_the_witness_of_the_dead_region_does_count(lab: Lab) -> None:
    wan.reset_wan_packets()
    lab.kubectl("primary", "get", "nodes")
    assert wan.wan_packets()["drlab-ops"]["primary"] > 0, "a counter that cannot count proves nothing"


def test_a_failover_is_seen_as_a_trace(lab: Lab) -> None:
    lab.kill("primary")
    lab.pulumi.configure("secondary", "active", "secondary")
    with collecting(lab) as kept:
        lab.pulumi.up("secondary")
        # The `up` has waited for it, but not for long.
        until("the trace and what was measured to come", lambda: kept().spans and kept().measured, timeout=60)
        lab.pulumi.up("secondary", "--expect-no-changes")
    details, (root, *parts) = lab.pulumi.details("secondary"), kept().spans
    assert (root.name, root.parent) == ("failover", "")
    assert {(part.trace, part.parent) for part in parts} == {(root.trace, root.id)}
    gate, *steps = sorted(parts, key=lambda part: part.start)
    assert gate.name == "preflight", "no object in the cluster remembers it"
    told = sorted(steps_of(details), key=lambda step: step.start)
    assert {(span.name, span.start, span.end) for span in steps} == {(step.name, step.start, step.end) for step in told}
    assert len(steps) == len(told), "the second up has told nothing"
    assert (root.start, root.end) == (gate.start, datetime.fromisoformat(details["serving"]["since"]))
    took = (root.end - root.start).total_seconds()
    assert root.attributes["dr.rto.measured_seconds"] == took
    assert root.attributes["dr.rto.target_seconds"] == details["targets"]["rtoSeconds"]
    assert (root.attributes["cloud.region"], root.attributes["dr.active"]) == ("us-west-2", "secondary")
    [measured] = kept().measured
    assert (measured.name, measured.count, measured.sum, measured.traces) == ("dr.recovery.time", 1, took, (root.trace,))


@pytest.mark.long
def test_an_up_that_is_killed_in_the_middle_is_run_again(lab: Lab) -> None:
    lab.kill("primary")
    lab.pulumi.configure("secondary", "active", "secondary")
    existing = restores(lab)
    killed = lab.pulumi.start("up", "-s", "secondary", "--yes", "--skip-preview")
    until("the first Restore to be made", lambda: restores(lab) - existing, timeout=60, interval=0.1)
    killed.kill()
    killed.wait()

    locked = lab.pulumi.up("secondary", check=False)
    assert locked.exit_code
    assert "the stack is currently locked" in locked.output
    lab.pulumi.run("cancel", "-s", "secondary", "--yes")
    lab.pulumi.up("secondary")

    assert lab.pulumi.details("secondary")["serving"]["region"] == "us-west-2"
    until("users to be sent to the secondary", lambda: answer(lab) == "lb-secondary.lab.internal", timeout=120)
    lab.pulumi.up("secondary", "--expect-no-changes")


def test_a_restore_that_fails_says_why_and_the_next_up_recovers(lab: Lab) -> None:
    backup = max(name for name in lab.completed_backups("secondary") if name.startswith("hourly-critical"))
    key = f"velero/primary/backups/{backup}/{backup}.tar.gz"
    with lab.object_missing("acme-velero-us-west-2-123456789012", key):
        lab.kill("primary")
        lab.pulumi.configure("secondary", "active", "secondary")
        began = datetime.now(UTC)
        failed = lab.pulumi.up("secondary", check=False)
        assert failed.exit_code
        assert "Restore failover-restores-hourly-critical-" in failed.output
        assert "ended Failed" in failed.output
        assert (datetime.now(UTC) - began).total_seconds() < 120, "it fails at once and not at a timeout"
        assert answer(lab) == "lb-primary.lab.internal", "traffic must not move to what was not restored"
    lab.pulumi.up("secondary")
    until("users to be sent to the secondary", lambda: answer(lab) == "lb-secondary.lab.internal", timeout=120)
    lab.kubectl(
        "secondary", "rollout", "status", f"deployment/{manifests.NAME}", "-n", manifests.APPLICATION_NAMESPACE, "--timeout=60s"
    )


@pytest.mark.long
def test_the_failover_does_not_notice_that_the_primarys_s3_is_silent(lab: Lab) -> None:
    lab.cloud.black_hole("us-east-1")
    before = lab.pulumi.resources("secondary")
    lab.pulumi.configure("secondary", "active", "secondary")
    since = datetime.now(UTC)
    lab.pulumi.up("secondary")
    done = {(entry["type"], entry["name"], entry["operation"]) for entry in touched(before, lab.pulumi.resources("secondary"))}
    assert done == TOUCHED_BY_A_FLIP
    swallowed = [
        request
        for request in lab.cloud.access_log()
        if request.status == "black-hole" and request.source == "172.30.0.2" and datetime.fromisoformat(request.time) >= since
    ]
    assert swallowed == [], "the engine asked the region that is silent"
    asked = asked_by_pods(lab, SECONDARY, since)
    assert any("aws-sdk-go" in request.agent for request in asked), "Velero has read what it restored"
    assert {request.region for request in asked} == {SECONDARY.aws_region}


def restores(lab: Lab) -> set[str]:
    found = json.loads(lab.kubectl("secondary", "get", "restores.velero.io", "-n", "velero", "-o", "json"))
    return {item["metadata"]["name"] for item in found["items"]}
