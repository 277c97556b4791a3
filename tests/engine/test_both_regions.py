"""Both regions serve users. Route 53 has a record of each, and a failover touches the same resources as where one serves."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from lab import project
from lab.pulumi import touched
from tests.engine.conftest import Pair
from tests.engine.test_flip import TOUCHED_BY_A_FLIP, planned

TIER = "active-active"


def records(pair: Pair) -> dict[str, dict[str, Any]]:
    found = pair.client("route53").list_resource_record_sets(HostedZoneId=pair.zone_id)["ResourceRecordSets"]
    return {record["SetIdentifier"]: record for record in found if "SetIdentifier" in record}


def check_of(pair: Pair, identifier: str) -> dict[str, Any]:
    found: dict[str, Any] = pair.client("route53").get_health_check(HealthCheckId=identifier)["HealthCheck"]["HealthCheckConfig"]
    return found


def test_each_region_has_one_record_of_the_same_weight_with_a_check_of_its_own(pair: Pair) -> None:
    found = records(pair)
    assert {name: record["Weight"] for name, record in found.items()} == {
        "dr-primary-app.example.com": 1,
        "dr-secondary-app.example.com": 1,
    }
    for role, threshold in (("primary", 2), ("secondary", 1)):
        combined = check_of(pair, found[f"dr-{role}-app.example.com"]["HealthCheckId"])
        assert (combined["Type"], combined["HealthThreshold"]) == ("CALCULATED", threshold)
        flag, endpoint = (check_of(pair, child) for child in combined["ChildHealthChecks"])
        assert (flag["Type"], flag["Inverted"]) == ("HTTPS_STR_MATCH", role == "primary")
        assert (endpoint["Type"], endpoint["FullyQualifiedDomainName"]) == ("HTTPS", project.load_balancer(role))


@pytest.mark.long
def test_deploying_again_changes_nothing(pair: Pair) -> None:
    for role in ("primary", "secondary"):
        pair.pulumi.up(role, "--expect-no-changes")


def test_a_flip_plans_and_touches_exactly_what_it_does_where_one_region_serves(pair: Pair) -> None:
    before, dns = pair.pulumi.resources("secondary"), records(pair)
    pair.pulumi.configure("secondary", "active", "secondary")
    assert planned(pair.pulumi.run("preview", "-s", "secondary", "--json").output) == TOUCHED_BY_A_FLIP
    since = len(pair.calls())
    pair.pulumi.up("secondary")
    done = {(entry["type"], entry["name"], entry["operation"]) for entry in touched(before, pair.pulumi.resources("secondary"))}
    assert done == TOUCHED_BY_A_FLIP
    assert pair.flag() == "secondary"
    assert records(pair) == dns, "a failover has no use for Route 53"
    changed = [call["urn"] for call in pair.calls(since) if call["method"] in ("Create", "Update", "Delete")]
    assert [urn.rpartition("::")[2] for urn in changed if "aws:" in urn.rpartition("::")[0].rpartition("$")[2]] == [
        "failover-flag"
    ]


@pytest.mark.long
def test_the_mode_is_changed_with_the_secondarys_records_away_and_the_primarys_always_there(pair: Pair) -> None:
    """docs/traffic.md has these steps: Route 53 refuses two routing policies for one name."""
    pair.pulumi.run("destroy", "-s", "secondary", "--yes", "--target", "**aws:route53/record:Record::**")
    assert [*records(pair)] == ["dr-primary-app.example.com"]
    _set_tier(pair, "pilot-light")
    for role in ("primary", "secondary"):
        pair.pulumi.up(role)
    assert {name: record["Failover"] for name, record in records(pair).items()} == {
        "dr-primary-app.example.com": "PRIMARY",
        "dr-secondary-app.example.com": "SECONDARY",
    }
    assert len(pair.client("route53").list_health_checks()["HealthChecks"]) == 1


def _set_tier(pair: Pair, tier: str) -> None:
    file = pair.pulumi.directory / "Pulumi.yaml"
    written = yaml.safe_load(file.read_text())
    written["config"]["tier"] = {"value": tier}
    file.write_text(yaml.safe_dump(written, sort_keys=False))
