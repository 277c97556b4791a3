"""A planned takeover brings what the other region wrote last, over what is here, and keeps what is of this region alone."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from components.failover.backups import standby_of
from components.kube.aside import keep, release
from components.velero import age
from components.velero.choice import objection
from components.velero.files import Volume
from components.velero.memory import Memory
from components.velero.restores import Restores, RestoresArgs
from settings.backup import Backup
from settings.load import SECRETS, load
from settings.names import Names
from settings.roles import ROLES, Role, duties, peer_of
from settings.velero import VeleroSettings
from tests.examples import example
from tests.unit.components.alone import registered
from tests.unit.fakes import FakeCluster, FakeFiles
from tests.unit.recorder import Recorder, run_program
from tests.unit.volumes import ClusterWithVolumes, claims_path

ADDRESSES = "service.beta.kubernetes.io/aws-load-balancer-eip-allocations"


def test_a_region_that_served_before_keeps_the_addresses_of_its_load_balancers() -> None:
    services = [
        {"metadata": {"namespace": namespace, "name": "web", "annotations": {ADDRESSES: "eipalloc-1"}}}
        for namespace in ("production", "other")
    ]
    cluster = FakeCluster(paths={"/api/v1/services": {"items": services}}, records={"restore-attempts": {"served": "true"}})

    def kept() -> list[Any]:
        there = run_program("secondary", {"active": "secondary"}, cluster=cluster)["failover-restores-modifiers"]
        rules = json.loads(there.inputs["data"]["rules.yaml"])["resourceModifierRules"]
        return [rule["conditions"]["namespaces"] for rule in rules if "namespaces" in rule["conditions"]]

    assert kept() == [["production"]], "and nothing of a namespace that is not restored"
    cluster.records["serving"] = {"region": "us-west-2"}
    assert kept() == [], "nothing is restored any more"
    cluster.records = {}
    assert kept() == [], "what is here on the first takeover stays as it is"


def backup(name: str, **changes: Any) -> Backup:
    return Backup.model_validate({"name": name, "cron": "0 * * * *", "keep": "24h", **changes})


def planned(
    role: Role,
    backups: list[Backup],
    named: dict[str, str],
    *,
    cluster: FakeCluster | None = None,
    rules: dict[str, Any] | None = None,
    skipped: list[Volume] | None = None,
    force: bool = False,
) -> Recorder:
    """The Restores of a region that takes over by a token that names these Backups."""
    configured = load(role, example(role), SECRETS)
    settings = VeleroSettings.model_validate({"storageClasses": {"gp2": "gp3"}, **(rules or {})})

    def make() -> Restores:
        return Restores(
            "restores",
            RestoresArgs(
                names=Names(topology=configured.topology, role=role),
                backups=backups,
                named=[],
                settings=settings,
                duties=replace(duties(role, role), takes_over=True, restores=True),
                timeouts=configured.failover,
                cluster=cluster or FakeCluster(velero={"backups": []}),
                memory=Memory(),
                named_backups=named,
                force=force,
                files=FakeFiles(without={"last-of-a": skipped or []}),
            ),
        )

    return registered(make)


def test_a_planned_takeover_restores_the_backups_of_the_token_whatever_from_says() -> None:
    entries = [backup("a", include=["a"], **{"from": "older"}), backup("b", include=["b"])]
    found = planned("secondary", entries, {"a": "last-of-a"})
    assert found["restores-a"].spec["backupName"] == "last-of-a"
    assert found["restores-b"].spec["scheduleName"] == "b-us-east-1", "an entry that the token does not name"
    assert found.call_hook("restore-a-once").startswith(
        "the handover token names Backup last-of-a, and there is none of that name"
    )
    assert found.call_hook("restore-b-once") == ""


def test_a_primary_that_takes_over_makes_its_objects_as_the_secondarys_are_and_turns_the_changes_round() -> None:
    found = planned("primary", [backup("a", include=["a"])], {"a": "last-of-a"})
    assert found["restores-a"].spec["existingResourcePolicy"] == "update", "it has served, although nothing remembers it"
    assert found["restores-storage-classes"].inputs["data"] == {"gp3": "gp2"}
    assert planned("secondary", [backup("a", include=["a"])], {})["restores-a"].spec["existingResourcePolicy"] == "none"


@pytest.mark.parametrize("role", ROLES)
def test_neither_age_nor_rpo_of_what_the_token_names_is_asked_but_whether_it_is_here(role: Role) -> None:
    settings = load(role, example(role), SECRETS)
    names, cluster = Names(topology=settings.topology, role=role), FakeCluster(velero={"backups": []})
    standby = standby_of(settings, names, {"hourly-critical": "last"})
    (expected,) = standby.expected
    assert (expected.choice.schedule, expected.choice.backup) == (names.schedule("hourly-critical", peer_of(role)), "last")
    assert expected.choice.given_by == peer_of(role)
    assert standby.peer == peer_of(role)
    assert age.objections(cluster, standby.expected, timedelta(0), None) == []
    assert objection(cluster, expected.choice) is not None


SKIPS = {"volumes": [{"labels": {"tier": "cache"}, "action": "skip"}]}


@pytest.mark.parametrize(("rules", "kept"), [({}, {"files", "cache"}), (SKIPS, {"files"})], ids=["no rule", "a rule skips one"])
def test_claims_of_an_earlier_time_are_set_aside_before_what_the_token_names_is_restored(
    rules: dict[str, Any], kept: set[str]
) -> None:
    """All but those that a rule of this region's own leaves out: what the other region's list says alone may be forged."""
    cluster = ClusterWithVolumes(velero={"backups": [PEERS]})
    there = [cluster.claim("a", name, f"pv-{name}") for name in ("files", "cache")]
    cluster.paths[claims_path("a")] = {"items": there}
    skipped = [Volume(claim=("a", name), name="", reason=reason) for name, reason in LEFT_OUT.items()]
    found = planned("secondary", [backup("a", include=["a"])], {"a": "last-of-a"}, cluster=cluster, rules=rules, skipped=skipped)
    assert found.call_hook("restore-a-once") == ""
    assert {name for name in ("files", "cache") if cluster.pvc("a", name) is None} == kept
    assert not cluster.lost


LEFT_OUT = {"cache": "skipped due to resource policy", "files": "no snapshot was taken"}
PEERS = {
    "metadata": {"name": "last-of-a", "labels": {"velero.io/schedule-name": "a-us-east-1"}},
    "spec": {"storageLocation": "peer"},
    "status": {"phase": "Completed"},
}


def test_a_token_that_turns_out_stale_restores_nothing_unless_a_person_says_so() -> None:
    """The gate is asked only when `active` changes, and another token may have been written since."""
    began = {"phase": "Completed", "startTimestamp": "2026-03-01T02:00:00Z"}
    later = {
        **PEERS,
        "metadata": {**PEERS["metadata"], "name": "later"},
        "status": {**began, "startTimestamp": "2026-03-01T03:00:00Z"},
    }
    cluster = FakeCluster(velero={"backups": [{**PEERS, "status": began}, later]})
    entries = [backup("a", include=["a"])]
    refused = planned("secondary", entries, {"a": "last-of-a"}, cluster=cluster).call_hook("restore-a-once")
    assert "the token is stale" in refused
    assert planned("secondary", entries, {"a": "last-of-a"}, cluster=cluster, force=True).call_hook("restore-a-once") == ""


def test_what_an_up_had_set_aside_half_way_gets_its_new_claim_in_the_next() -> None:
    cluster = ClusterWithVolumes(velero={"backups": [PEERS]})
    cluster.claim("a", "files", "pv-files")
    keep(cluster, "a", ["files"], of="before-a")
    release(cluster, "a", ["files"], seconds=1)
    assert cluster.pvc("a", "files") is None
    assert (
        planned("secondary", [backup("a", include=["a"])], {"a": "last-of-a"}, cluster=cluster).call_hook("restore-a-once") == ""
    )
    assert cluster.pv("pv-files")["spec"]["claimRef"]["name"].startswith("kept-")
