"""The mode for private zones: a weighted record moves the users, so a failover needs Route 53. The flag is for the guard
alone."""

from __future__ import annotations

from typing import Any

import pytest

from lab.pulumi import touched
from tests.engine.conftest import Pair

pytestmark = pytest.mark.long

MODE = "record"


def records(pair: Pair) -> dict[str, int]:
    found = pair.client("route53").list_resource_record_sets(HostedZoneId=pair.zone_id)["ResourceRecordSets"]
    return {record["SetIdentifier"]: record["Weight"] for record in found if "Weight" in record}


def test_the_primary_is_served_while_it_is_the_only_record(pair: Pair) -> None:
    assert records(pair) == {"dr-primary-app.example.com": 0}


def test_a_failover_adds_the_secondarys_record_last_and_the_way_back_removes_it(pair: Pair) -> None:
    before = pair.pulumi.resources("secondary")
    pair.flip()
    assert records(pair) == {"dr-primary-app.example.com": 0, "dr-secondary-app.example.com": 255}
    changed = touched(before, pair.pulumi.resources("secondary"))
    assert {"type": "aws:route53/record:Record", "name": "failover-flag-app.example.com", "operation": "create"} in changed
    written = [entry for entry in changed if entry["type"].startswith("aws:s3")]
    assert written == [{"type": "aws:s3/bucketObjectv2:BucketObjectv2", "name": "failover-flag", "operation": "update"}]
    assert pair.flag() == "secondary", "the guard of a primary that comes back reads it"
    order: list[dict[str, Any]] = [call for call in pair.calls() if call["method"] == "Create" and not call["preview"]]
    names = [call["urn"].rpartition("::")[2] for call in order]
    assert names.index("failover-flag-app.example.com") > names.index("failover-workloads-verify-production")

    pair.stand_by()
    assert records(pair) == {"dr-primary-app.example.com": 0}
    assert pair.flag() == "primary"
