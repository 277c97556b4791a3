"""The guard's objects as the real engine makes them, and what a stack does about a region that its guard has stopped."""

from __future__ import annotations

from typing import Any

import pytest

from components.database.stopping import accepts_nothing
from components.kube.runner.fencing import EVERY_INSTANCE, FENCED
from lab.pulumi import touched
from settings.roles import Role
from tests.engine.conftest import DATABASE, Pair
from tests.engine.test_databases import cluster

DATABASES = (DATABASE,)
STOPPED = "2026-03-01T12:00:00Z"


def named(pair: Pair, role: Role, kind: str, name: str) -> dict[str, Any]:
    [found] = [each for each in pair.clusters[role].objects(kind) if each["metadata"]["name"] == name]
    return found


def stop(pair: Pair, role: Role) -> None:
    """Change what the guard changes: a person's stand-in for its Pod, which these clusters do not run."""
    region = pair.clusters[role]
    region.amend("ConfigMap", "k8s-dr", "guard", {"data": {"seen": STOPPED, "stopped": STOPPED}})
    fence = {"metadata": {"annotations": {FENCED: EVERY_INSTANCE}}}
    region.amend("Cluster.postgresql.cnpg.io", "databases", "app-database", fence)
    for schedule in region.objects("Schedule"):
        region.amend("Schedule", "velero", schedule["metadata"]["name"], {"spec": {"paused": True}})


def paused(pair: Pair) -> list[bool]:
    """Whether each of the primary's schedules of backups is."""
    return [bool(each["spec"]["paused"]) for each in pair.clusters["primary"].objects("Schedule")]


@pytest.mark.parametrize("role", ["primary", "secondary"])
def test_both_regions_have_a_guard_that_looks_every_minute_and_once_as_it_starts(pair: Pair, role: Role) -> None:
    job = named(pair, role, "CronJob", "guard")
    assert job["spec"]["schedule"] == "* * * * *"
    pod = job["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    assert [each["name"] for each in (*pod["initContainers"], *pod["containers"])] == ["fetch", "guard"]
    resting = named(pair, role, "Deployment", "guard-at-start")["spec"]["template"]["spec"]
    assert [each["name"] for each in resting["initContainers"]][:4] == ["fetch", "guard", "fetch-2", "guard-2"]
    assert "data" not in named(pair, role, "ConfigMap", "guard"), "the program makes its record empty"
    pair.pulumi.up(role, "--expect-no-changes")


def test_a_failover_changes_nothing_of_the_guard(pair: Pair) -> None:
    before = pair.pulumi.resources("secondary")
    pair.flip()
    changed = touched(before, pair.pulumi.resources("secondary"))
    assert changed
    assert not [entry for entry in changed if entry["name"].startswith("guard")]


@pytest.mark.long
def test_what_the_guard_keeps_in_its_record_is_no_change(pair: Pair) -> None:
    pair.clusters["primary"].amend("ConfigMap", "k8s-dr", "guard", {"data": {"seen": STOPPED}})
    pair.pulumi.up("primary", "--expect-no-changes")
    pair.pulumi.up("primary", "--refresh", "--run-program")
    assert named(pair, "primary", "ConfigMap", "guard")["data"] == {"seen": STOPPED}


@pytest.mark.long
def test_a_stack_gives_up_a_database_that_its_guard_has_fenced_and_that_therefore_never_hibernates(
    serving_secondary: Pair,
) -> None:
    pulumi = serving_secondary.pulumi
    stop(serving_secondary, "primary")
    pulumi.configure("primary", "active", "secondary")
    pulumi.up("primary")
    fenced = cluster(serving_secondary, "primary")
    conditions = {each["type"]: each["status"] for each in fenced["status"]["conditions"]}
    assert conditions["cnpg.io/hibernation"] == "False"
    assert accepts_nothing(fenced)
    assert fenced["metadata"]["annotations"][FENCED] == EVERY_INSTANCE
    assert pulumi.details("primary")["databases"] == {"app-database": "fenced"}
    pulumi.up("primary", "--expect-no-changes")


@pytest.mark.long
def test_a_region_that_serves_again_wakes_what_its_guard_has_stopped_and_once_only(serving_secondary: Pair) -> None:
    pulumi = serving_secondary.pulumi
    stop(serving_secondary, "primary")
    pulumi.configure("primary", "active", "secondary")
    pulumi.up("primary")

    serving_secondary.remake_databases()
    serving_secondary.leave()
    pulumi.run("config", "rm", "active", "-s", "primary")
    pulumi.up("primary")
    awake = cluster(serving_secondary, "primary")
    assert awake["metadata"]["annotations"][FENCED] == "[]", "to the operator that is none"
    assert "cnpg.io/hibernation" not in awake["metadata"]["annotations"]
    assert awake["status"]["readyInstances"] == awake["spec"]["instances"]
    assert paused(serving_secondary) == [False, False]
    scaled = [each for each in pulumi.resources("primary") if each["urn"].endswith("::failover-workloads-scale-production")]
    [container] = scaled[0]["inputs"]["spec"]["template"]["spec"]["containers"]
    assert container["command"][-1] == "scale", "also where nobody has set active"
    pulumi.up("primary", "--expect-no-changes")


@pytest.mark.long
def test_a_region_that_was_stopped_by_a_flag_that_was_wrong_serves_again_with_one_up(pair: Pair) -> None:
    """Somebody wrote the flag by hand, and has written it back: nothing of the configuration has changed."""
    stop(pair, "primary")
    assert accepts_nothing(cluster(pair, "primary"))
    assert paused(pair) == [True, True]
    pair.pulumi.up("primary")
    assert not accepts_nothing(cluster(pair, "primary"))
    assert paused(pair) == [False, False]
    pair.pulumi.up("primary", "--expect-no-changes")
