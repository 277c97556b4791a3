"""Planned switchovers there and back, under the real engine: what moves the users, what is refused, and what is taken back.

No operator runs in the clusters; `switchover` does what Velero, CloudNativePG and S3 would do.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import pytest

from components.kube.records import SERVING_RECORD
from lab.circle import RELEASE
from lab.collector import Kept, listening
from lab.pulumi import touched
from lab.waiting import until
from settings.names import FLAG_KEY
from settings.roles import ROLES, Role
from tests.documented import Block, blocks
from tests.engine import switchover
from tests.engine.checkpoints import PutBack
from tests.engine.conftest import DATABASE, Deployment, Pair, configured, refused_flip, told_plainly
from tests.engine.test_databases import CLUSTER, cluster
from tests.engine.test_documented_commands import Reader
from tests.examples import ROOT

DATABASES = (DATABASE,)
WAITS: dict[str, str] = {"active": "secondary", "handover": "primary"}
"""The flag of a secondary that has given up, until the primary has taken over."""


def flag(pair: Pair) -> dict[str, str]:
    body = pair.s3().get_object(Bucket="acme-dr-flag-us-west-2-123456789012", Key=FLAG_KEY)["Body"].read()
    return dict(json.loads(body))


def sides(pair: Pair) -> dict[Role, str]:
    """The side that each region's Cluster follows or is."""
    return {role: str(cluster(pair, role)["spec"]["replica"]["primary"]) for role in ROLES}


def serves(pair: Pair, role: Role) -> bool:
    """Whether a region has a record that it does."""
    return SERVING_RECORD in {each["metadata"]["name"] for each in pair.clusters[role].objects("ConfigMap")}


pytestmark = pytest.mark.long


def changes_nothing(pair: Pair) -> None:
    for role in ROLES:
        pair.pulumi.up(role, "--expect-no-changes")


def refused(pair: Pair, role: Role, *words: str) -> None:
    """An `up` is refused with `words`, and touches nothing."""
    before, calls, was, followed = pair.pulumi.resources(role), len(pair.calls()), flag(pair), sides(pair)
    with configured(pair, "failover.preflight", "1s", role):
        ran = pair.pulumi.up(role, check=False)
    assert told_plainly(ran, *words), ran.output
    assert touched(before, pair.pulumi.resources(role)) == []
    assert not [call for call in pair.calls(calls) if call["method"] in ("Create", "Update", "Delete") and not call["preview"]]
    assert (flag(pair), sides(pair)) == (was, followed)


@pytest.fixture(scope="module")
def collector() -> Iterator[tuple[str, Kept]]:
    """A collector of OpenTelemetry: its URL, and what it has got."""
    with listening() as found:
        yield found


@pytest.fixture(scope="module")
def given(deployment: Deployment, collector: tuple[str, Kept]) -> PutBack:
    """The primary has given up, and prints its token. Nobody has it yet."""
    pair = telling(deployment.stand_by(), collector)
    with switchover.operators(pair):
        switchover.tell_to_give_up(pair)
        pair.pulumi.up("primary")
    return pair.checkpoint()


def telling(pair: Pair, collector: tuple[str, Kept]) -> Pair:
    """The same pair, whose `pulumi` tells the collector."""
    environment = {**pair.pulumi.environment, "OTEL_EXPORTER_OTLP_ENDPOINT": collector[0]}
    return replace(pair, pulumi=replace(pair.pulumi, environment=environment))


@dataclass(frozen=True, kw_only=True)
class Away:
    """The secondary has taken over by the token, at first without the users."""

    after: PutBack
    held: dict[str, Any]
    """What was seen before they were let in."""


@pytest.fixture(scope="module")
def away(deployment: Deployment, given: PutBack, collector: tuple[str, Kept]) -> Away:
    given()
    pair = telling(deployment.pair, collector)
    pair.mark_archives()
    pair.pulumi.configure("secondary", "hold", "true")
    switchover.tell_to_take_over(pair)
    pair.pulumi.up("secondary")
    held = {
        "flag": flag(pair),
        "sides": sides(pair),
        "serves": serves(pair, "secondary"),
        "outputs": pair.pulumi.outputs("secondary"),
        "spans": [span.name for span in collector[1].spans if span.name == "switchover"],
    }
    pair.pulumi.run(*RELEASE)
    return Away(after=pair.checkpoint(), held=held)


@pytest.fixture(scope="module")
def given_back(deployment: Deployment, away: Away) -> PutBack:
    """The secondary has given up for the way home, and its flag says who comes next."""
    away.after()
    pair = deployment.pair
    pair.mark_archives()
    with switchover.operators(pair, "secondary"):
        switchover.tell_to_give_up(pair, "secondary")
        pair.pulumi.up("secondary")
    return pair.checkpoint()


def returned(deployment: Deployment, to: PutBack) -> Pair:
    to()
    deployment.pair.mark_archives()
    return deployment.pair


@pytest.mark.parametrize("spoilt", ["foreign", "stale"])
def test_a_token_of_another_database_or_of_an_earlier_time_promotes_nothing(
    deployment: Deployment, given: PutBack, spoilt: str
) -> None:
    pair = returned(deployment, given)
    switchover.tell_to_take_over(pair)
    words = {
        "foreign": ("and this one has 7411111111111111111: it is foreign", "let the primary give up again: pulumi up -s primary"),
        "stale": ("the primary has written on since it gave this token", "the token is stale", "config rm handover -s secondary"),
    }
    if spoilt == "foreign":
        pair.secondary.report(CLUSTER, "databases", "app-database", systemID="7411111111111111111")
        pair.pulumi.configure("secondary", "force", "true")
    else:
        switchover.archive(pair, "primary", "app-database", "00000002000000000000000A")
    refused(pair, "secondary", *words[spoilt])


def test_a_secondary_that_is_held_takes_over_all_but_the_users_until_one_command_lets_them_in(
    deployment: Deployment, away: Away
) -> None:
    held = away.held
    assert held["flag"] == {"active": "primary"}
    assert set(held["sides"].values()) == {"app-database-secondary"}, "its database takes writes, and the primary's follows it"
    assert not held["serves"]
    assert held["outputs"]["handover"] == "none"
    typed = "pulumi " + " ".join(word for word in RELEASE if word != "--yes")
    assert held["outputs"]["next"].endswith(f"to let them in: {typed}")
    assert f"\n{typed}\n" in (ROOT / "docs" / "runbook.md").read_text()
    pair = returned(deployment, away.after)
    assert flag(pair) == {"active": "secondary"}
    assert serves(pair, "secondary")
    assert pair.pulumi.run("config", "get", "hold", "-s", "secondary").output.strip() == "false"
    changes_nothing(pair)


def test_a_collector_has_the_switchover_as_one_trace_of_two_stacks(away: Away, collector: tuple[str, Kept]) -> None:
    kept = collector[1]
    until("both parts of the trace", lambda: {"give up", "switchover"} <= {span.name for span in kept.spans}, timeout=60)
    assert away.held["spans"] == [], "users were held"
    parts = {span.name: span for span in kept.spans if span.name in ("give up", "switchover")}
    assert len({span.trace for span in kept.spans}) == 1
    assert parts["give up"].parent == parts["switchover"].id
    assert {name: part.resource["dr.stack"] for name, part in parts.items()} == {"give up": "primary", "switchover": "secondary"}
    steps = {name: {span.name for span in kept.spans if span.parent == part.id} for name, part in parts.items()}
    assert "promote app-database" in steps["switchover"]
    assert "demote" in steps["give up"]


def test_the_way_home_moves_the_users_by_its_third_up_alone_and_by_no_false_receipt(
    deployment: Deployment, given_back: PutBack
) -> None:
    pair = returned(deployment, given_back)
    assert flag(pair) == WAITS
    assert sides(pair) == {"primary": "app-database-secondary", "secondary": "app-database-primary"}, "nobody writes"
    pair.pulumi.configure("primary", "active", "primary")
    refused(pair, "primary", "the secondary region hands over to this one, and its token is needed")
    switchover.tell_to_take_over(pair, "primary")
    pair.pulumi.up("primary")
    assert flag(pair) == WAITS, "the flag is the secondary's"
    assert pair.pulumi.details("primary")["databases"] == {"app-database": "promoted"}
    pair.pulumi.configure("secondary", "handover", "receipt.0123456789abcdef0123456789abcdef")
    refused(pair, "secondary", "is no receipt of the token that this region has given; users stay here")
    switchover.tell_to_move_users(pair)
    pair.pulumi.up("secondary")
    assert flag(pair) == {"active": "primary"}
    assert pair.pulumi.details("secondary")["databases"] == {"app-database": "replica"}
    changes_nothing(pair)


def taking_back() -> list[Block]:
    """The runbook's two blocks, in A and in B."""
    found = [block for block in blocks(ROOT / "docs" / "runbook.md") if block.excuse == "tests/engine/test_switchover.py"]
    assert len(found) == 2, found
    return found


def test_the_primary_takes_back_what_it_gave_by_the_runbooks_block(deployment: Deployment, given: PutBack) -> None:
    pair = returned(deployment, given)
    token, restored = switchover.told(pair, "primary"), pair.clusters["primary"].objects("Restore")
    Reader(pair, backend=pair.pulumi.environment["PULUMI_BACKEND_URL"]).does(taking_back()[0])
    assert cluster(pair, "primary")["spec"]["replica"]["primary"] == "app-database-primary"
    assert serves(pair, "primary")
    assert flag(pair) == {"active": "primary"}
    assert pair.clusters["primary"].objects("Restore") == restored, "its own objects are the newest"
    assert pair.pulumi.outputs("primary")["handover"] == "none"
    changes_nothing(pair)
    switchover.archive(pair, "primary", "app-database", "00000002000000000000000A")
    pair.pulumi.configure("secondary", "handover", token)
    refused_flip(pair, "the token is stale")


def test_the_secondary_takes_back_what_it_gave_by_the_runbooks_block(deployment: Deployment, given_back: PutBack) -> None:
    pair = returned(deployment, given_back)
    restored = pair.restore_names()
    switchover.tell_to_take_over(pair, "primary")
    Reader(pair, backend=pair.pulumi.environment["PULUMI_BACKEND_URL"]).does(taking_back()[1])
    assert cluster(pair)["spec"]["replica"]["primary"] == "app-database-secondary"
    assert flag(pair) == {"active": "secondary"}, "and no successor"
    assert pair.restore_names() == restored
    pair.pulumi.up("secondary", "--expect-no-changes")
    refused(pair, "primary", "names no successor), so it has taken back the handover of which this stack has the token")
