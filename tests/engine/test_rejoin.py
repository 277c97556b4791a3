"""An old primary follows the region that has taken over, under the real engine: its database goes, and its volumes are kept.

This is the one thing that the program deletes. No database runs here; `volumes` does with claims what the operator would do.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
import yaml

from components.kube.kept import KEPT_OF, MARK
from lab import project
from lab.pulumi import touched
from lab.standins.archive import put_base_backup
from lab.waiting import until
from settings.names import FLAG_KEY
from tests.engine.acting import acting
from tests.engine.checkpoints import PutBack
from tests.engine.clusters import Cluster
from tests.engine.conftest import DATABASE, Deployment, Pair, told_plainly
from tests.engine.test_databases import CLUSTER, cluster
from tests.engine.test_faults import Told, again, kill_after, last_call, lines
from tests.engine.volumes import CLAIM, OF, VOLUME, Volumes
from tests.faults import HALF, Moment, moments, seen
from tests.killing import kill_tree

DATABASES = (DATABASE,)
OLD, NEW = "app-database-primary-g1", "app-database-primary-g2"
ARCHIVE = project.names("primary").bucket("database")
STEM = "failover-databases-app-database"


def raise_generation(pair: Pair, generation: int | None = 2) -> None:
    """In Pulumi.yaml, as a person would. None takes it out again."""
    file = pair.pulumi.directory / "Pulumi.yaml"
    content = yaml.safe_load(file.read_text())
    database = content["config"]["databases"]["value"][0]
    database.pop("generations", None)
    if generation:
        database["generations"] = {"primary": generation}
    file.write_text(yaml.safe_dump(content, sort_keys=False))


def uid(pair: Pair) -> str:
    return str(cluster(pair, "primary")["metadata"]["uid"])


def server(pair: Pair) -> str:
    [plugin] = cluster(pair, "primary")["spec"]["plugins"]
    return str(plugin["parameters"]["serverName"])


def state_of(pair: Pair) -> list[tuple[str, bool]]:
    """The Clusters in the primary's state, and whether the engine protects each."""
    found = [each for each in pair.pulumi.resources("primary") if ":postgresql.cnpg.io/v1:Cluster::" in each["urn"]]
    return [(each["urn"].rpartition("::")[2], bool(each.get("protect"))) for each in found]


def kept(there: Cluster) -> list[dict[str, Any]]:
    return [each for each in there.objects(CLAIM) if KEPT_OF in (each["metadata"].get("labels") or {})]


def stored(there: Cluster) -> dict[str, Any]:
    """All of the primary's Clusters, claims and volumes, without their versions."""
    found = [each for kind in (CLUSTER, CLAIM, VOLUME) for each in there.objects(kind)]
    parts = ("uid", "labels", "annotations")
    return {
        f"{each['kind']} {each['metadata']['name']}": [each["spec"], {part: each["metadata"].get(part) for part in parts}]
        for each in found
    }


def volume_of_old(there: Cluster, old: str) -> dict[str, Any]:
    [found] = [each for each in there.objects(VOLUME) if each["metadata"]["name"] == f"pvc-{old}"]
    return found


@dataclass(frozen=True, kw_only=True)
class Begun:
    """A rejoin whose first `up` has run, and what that has done."""

    asleep: PutBack
    given_up: PutBack
    old: str
    """UID of the old Cluster."""

    before: dict[str, Any]
    after: dict[str, Any]
    state: list[tuple[str, bool]]
    outputs: dict[str, Any]
    changed: set[tuple[str, str]]


@pytest.fixture(scope="module")
def begun(deployment: Deployment) -> Begun:
    """The secondary serves, and the primary, which has come back, sleeps on its old data. Then it is given up."""
    pair = deployment.fail_over()
    there, pulumi = pair.clusters["primary"], pair.pulumi
    pulumi.configure("primary", "active", "secondary")
    pulumi.up("primary")
    for _ in range(2):
        Volumes(cluster=there).act()  # makes the claim, and binds it
    asleep, before, resources = pair.checkpoint(), stored(there), pulumi.resources("primary")
    raise_generation(pair)
    pulumi.configure("primary", "rejoin", OLD)
    pulumi.up("primary")
    return Begun(
        asleep=asleep,
        given_up=pair.checkpoint(),
        old=uid(pair),
        before=before,
        after=stored(there),
        state=state_of(pair),
        outputs=pulumi.outputs("primary"),
        changed={(entry["name"], entry["operation"]) for entry in touched(resources, pulumi.resources("primary"))},
    )


@pytest.fixture
def asleep(deployment: Deployment, begun: Begun) -> Pair:
    begun.asleep()
    deployment.pair.mark_archives()
    return deployment.pair


@pytest.fixture
def given_up(deployment: Deployment, begun: Begun) -> Pair:
    """After the first `up`, with a base backup of the secondary in the primary's bucket."""
    begun.given_up()
    deployment.pair.mark_archives()
    bring_base_backup(deployment.pair)
    return deployment.pair


def bring_base_backup(pair: Pair) -> list[str]:
    return put_base_backup(pair.s3(), ARCHIVE, "app-database-secondary-g1")


def test_a_raised_generation_makes_nothing_anew_until_somebody_says_what_is_given_up(asleep: Pair) -> None:
    before = stored(asleep.clusters["primary"])
    raise_generation(asleep)
    told = asleep.pulumi.up("primary", "--expect-no-changes").output
    assert f"{OLD} is here, and nobody has given it up" in told
    assert f"pulumi config set rejoin {OLD} -s primary" in told
    assert stored(asleep.clusters["primary"]) == before


def test_the_first_up_deletes_nothing_and_takes_the_engines_protection_off(begun: Begun) -> None:
    cluster_of = {key: value for key, value in begun.after.items() if key.startswith("Cluster ")}
    assert {**begun.after, **cluster_of}.keys() == begun.before.keys()
    assert {key: value for key, value in begun.after.items() if key not in cluster_of} == {
        key: value for key, value in begun.before.items() if key not in cluster_of
    }, "no claim and no volume has changed"
    [(spec, metadata)] = cluster_of.values()
    assert (metadata["uid"], metadata["annotations"]["k8s-dr/given-up"]) == (begun.old, OLD)
    assert spec == begun.before["Cluster app-database"][0]
    assert begun.changed == {(STEM, "update")}
    assert begun.state == [(STEM, False)]
    assert begun.outputs["next"].endswith("nothing is deleted yet; to make it anew: pulumi up -s primary")


@pytest.mark.long
def test_whoever_goes_back_after_the_first_up_has_what_was_there_before(given_up: Pair, begun: Begun) -> None:
    given_up.pulumi.run("config", "rm", "rejoin", "-s", "primary")
    raise_generation(given_up, None)
    given_up.pulumi.up("primary")
    assert stored(given_up.clusters["primary"]) == begun.before
    assert state_of(given_up) == [(STEM, True)]


def refused(pair: Pair, *words: str) -> None:
    """The second `up` says `words`, and nothing is deleted or changed."""
    there, calls = pair.clusters["primary"], len(pair.calls())
    before = stored(there)
    ran = pair.pulumi.up("primary", check=False)
    assert told_plainly(ran, *words), ran.output
    assert stored(there) == before
    assert not [call for call in pair.calls(calls) if call["method"] == "Delete"]


def test_nothing_is_deleted_while_the_old_database_writes_or_nothing_is_here_to_make_it_from_or_nobody_has_taken_over(
    given_up: Pair,
) -> None:
    there = given_up.clusters["primary"]
    woken, sleeps = ({"metadata": {"annotations": {"cnpg.io/hibernation": value}}} for value in ("off", "on"))
    there.amend(CLUSTER, "databases", "app-database", woken)
    refused(given_up, f"{OLD} still takes writes, so it is not given up", "pulumi up --refresh --run-program -s primary")
    there.amend(CLUSTER, "databases", "app-database", sleeps)
    given_up.s3().delete_object(Bucket=ARCHIVE, Key=bring_base_backup(given_up)[-1])
    refused(given_up, "it is made anew from a base backup of the secondary, and", "nothing was given up")
    bring_base_backup(given_up)
    given_up.s3().put_object(Bucket="acme-dr-flag-us-west-2-123456789012", Key=FLAG_KEY, Body=b'{"active":"primary"}')
    refused(given_up, f"{OLD} is not given up, because the secondary region is not known to have taken over")


def follows(pair: Pair, old: str) -> None:
    """The primary follows under its new name, what it had is kept once, and nothing is left to do."""
    there = pair.clusters["primary"]
    [claim], volume = kept(there), volume_of_old(there, old)
    assert claim["spec"]["volumeName"] == volume["metadata"]["name"]
    assert claim["status"]["phase"] == "Bound"
    assert not [label for label in claim["metadata"]["labels"] if label.startswith("cnpg.io/")], "no Cluster adopts it"
    assert volume["spec"]["claimRef"]["uid"] == claim["metadata"]["uid"]
    assert volume["spec"]["persistentVolumeReclaimPolicy"] == "Retain"
    assert uid(pair) != old
    assert server(pair) == NEW
    assert cluster(pair, "primary")["spec"]["replica"]["primary"] == "app-database-secondary"
    assert state_of(pair) == [(f"{STEM}-g2", True)]
    assert pair.pulumi.details("primary")["databases"] == {"app-database": "replica"}


@pytest.fixture(scope="module")
def rejoined(deployment: Deployment, begun: Begun) -> tuple[PutBack, int]:
    """After the second `up`, and how many calls that made."""
    pair = deployment.pair
    begun.given_up()
    pair.mark_archives()
    bring_base_backup(pair)
    before = lines(pair)
    with acting(Volumes(cluster=pair.clusters["primary"]).act):
        pair.pulumi.up("primary")
    return pair.checkpoint(), lines(pair) - before


def test_the_second_up_keeps_the_volume_under_another_claim_and_makes_a_new_database_that_follows(
    deployment: Deployment, begun: Begun, rejoined: tuple[PutBack, int]
) -> None:
    pair = deployment.pair
    rejoined[0]()
    follows(pair, begun.old)
    pair.pulumi.up("primary", "--expect-no-changes")
    pair.pulumi.up("secondary")
    [live] = pair.secondary.objects(CLUSTER)
    peers = {each["name"]: each["plugin"]["parameters"]["serverName"] for each in live["spec"]["externalClusters"]}
    assert peers["app-database-primary"] == NEW
    assert live["spec"]["replica"]["primary"] == "app-database-secondary"
    assert pair.flag() == "secondary"
    pair.pulumi.up("secondary", "--expect-no-changes")


@pytest.mark.long
def test_a_rejoin_whose_engine_is_killed_at_each_of_its_boundaries_goes_on_by_the_same_command(
    given_up: Pair, begun: Begun, record_property: Told
) -> None:
    there = given_up.clusters["primary"]
    volumes = Volumes(cluster=there, held={"claims"})

    def killed(moment: str, reached: Any) -> None:
        up = given_up.pulumi.start("up", "-s", "primary", "--yes", "--skip-preview")
        try:
            with acting(volumes.act):
                until(moment, lambda: up.poll() is not None or reached(), timeout=300, interval=0.01)
            assert up.poll() is None, f"the up ended before {moment}"
        finally:
            kill_tree(up)
        given_up.pulumi.run("cancel", "-s", "primary", "--yes")

    killed("the old Cluster to be gone", lambda: not there.objects(CLUSTER))
    volume = volume_of_old(there, begun.old)
    assert volume["spec"]["persistentVolumeReclaimPolicy"] == "Retain", "before its claim may go"
    assert MARK in volume["metadata"]["annotations"]
    assert [each for each in there.objects(CLAIM) if OF in (each["metadata"].get("labels") or {})], "and it is still there"
    volumes.held = {"bindings"}
    killed("the kept claim", lambda: kept(there))
    there.outcomes.order({"kind": "Cluster", "name": "app-database", "phase": "Pending"})
    volumes.held = set()
    killed("the new Cluster", lambda: there.objects(CLUSTER))
    there.outcomes.ordered.clear()
    there.amend(CLUSTER, "databases", "app-database", {"metadata": {"labels": {"seen": "again"}}})
    made = uid(given_up)
    with acting(volumes.act):
        typed = again(given_up, role="primary")
        given_up.pulumi.up("primary")
        given_up.pulumi.up("primary", "--expect-no-changes")
    assert uid(given_up) == made, "it is the one that the killed up began"
    follows(given_up, begun.old)
    when = "once the old Cluster is gone, once the kept claim is made, and while the new Cluster is made"
    record_property(
        *seen(when=when, happened="the same `up` went on; the old volume is kept once, and it follows", again=typed + 2)
    )


@pytest.mark.long
@pytest.mark.parametrize("moment", moments("rejoin", most=HALF), ids=str)
def test_a_rejoin_whose_engine_is_killed_goes_on_by_the_same_command(
    given_up: Pair, begun: Begun, rejoined: tuple[PutBack, int], moment: Moment, record_property: Told
) -> None:
    steps = rejoined[1]
    wanted = moment.of_steps(steps)
    with acting(Volumes(cluster=given_up.clusters["primary"]).act):
        kill_after(given_up, "primary", wanted)
        when = f"after {wanted} of {steps} calls between the engine's processes, the last: {last_call(given_up)}"
        typed = again(given_up, role="primary")
        given_up.pulumi.up("primary")
        given_up.pulumi.up("primary", "--expect-no-changes")
    follows(given_up, begun.old)
    record_property(*seen(when=when, happened="the same `up` went on; the old volume is kept once, and it follows", again=typed))
