"""Each region owns one record a name; one object, written by the secondary alone, decides which is served."""

from __future__ import annotations

import ipaddress
import json
from typing import Any

import pytest

from components.kube.runner.flag import Flag, moves_users
from settings.names import FLAG_KEY
from settings.roles import Role
from tests.unit.components.conftest import Program
from tests.unit.recorder import Recorder, Seen, run_program

FLAG_BUCKET = "acme-dr-flag-us-west-2-123456789012"
NAMES = ["app.example.com", "api.example.com", "www.example.com"]


def flags(region: Recorder) -> list[Seen]:
    """The traffic flags that a stack writes."""
    return [seen for seen in region.of("BucketObjectv2") if seen.inputs["key"] == FLAG_KEY]


def dns(**changes: Any) -> dict[str, Any]:
    return {"dns": {"zoneId": "Z0123456789ABCDEFGHIJ", "names": ["app.example.com"], "ttl": 60, **changes}}


def test_the_primarys_record_is_served_unless_the_standby_says_that_it_took_over(program: Program) -> None:
    primary = program("primary", "primary")
    check = primary["traffic-standby-took-over"].inputs
    assert check["type"] == "HTTPS_STR_MATCH"
    assert check["fqdn"] == f"{FLAG_BUCKET}.s3.us-west-2.amazonaws.com"
    assert check["resourcePath"] == f"/{FLAG_KEY}"
    assert check["invertHealthcheck"] is True
    assert (check["requestInterval"], check["failureThreshold"]) == (10, 3)
    record = primary["traffic-app.example.com"].inputs
    assert record["failoverRoutingPolicies"] == [{"type": "PRIMARY"}]
    assert record["healthCheckId"] == "traffic-standby-took-over-id"


def test_the_health_check_looks_for_what_the_flag_says_after_a_flip_and_not_before(program: Program) -> None:
    sought = program("primary", "primary")["traffic-standby-took-over"].inputs["searchString"]
    assert [sought in Flag(active=role).content() for role in ("primary", "secondary")] == [False, True]
    assert moves_users(sought)


def test_the_secondarys_record_has_no_health_check_for_it_is_the_last_resort(standby: Recorder) -> None:
    record = standby["traffic-app.example.com"].inputs
    assert record["failoverRoutingPolicies"] == [{"type": "SECONDARY"}]
    assert "healthCheckId" not in record


@pytest.mark.parametrize("stack", ["primary", "secondary"])
def test_records_are_the_same_whoever_is_active(stack: Role, program: Program) -> None:
    records = [[seen.inputs for seen in program(stack, active).of("Record")] for active in ("primary", "secondary")]
    assert records[0] == records[1]


def test_a_record_is_a_cname_to_the_regions_own_load_balancer(program: Program) -> None:
    for stack, region in (("primary", "us-east-1"), ("secondary", "us-west-2")):
        (record,) = program(stack, "primary").of("Record")
        assert record.inputs["type"] == "CNAME"
        assert record.inputs["records"] == [f"lb-{stack}.{region}.elb.amazonaws.com"]
        assert record.inputs["ttl"] == 60
        assert record.inputs["setIdentifier"] == f"dr-{stack}-app.example.com"


@pytest.mark.parametrize("stack", ["primary", "secondary"])
def test_each_of_several_names_has_a_record_and_they_share_one_flag(stack: Role) -> None:
    region = run_program(stack, dns(names=NAMES))
    records = {seen.inputs["name"]: seen.inputs for seen in region.of("Record")}
    assert sorted(records) == sorted(NAMES)
    assert len({record["setIdentifier"] for record in records.values()}) == len(NAMES)
    assert len(region.of("HealthCheck")) == (1 if stack == "primary" else 0)
    assert len(flags(region)) == (1 if stack == "secondary" else 0)


@pytest.mark.parametrize("stack", ["primary", "secondary"])
def test_an_alias_endpoint_makes_alias_records_without_a_time_to_live(stack: Role) -> None:
    region = run_program(stack, {"endpoint": {"name": "lb.example.com", "zoneId": "Z35SXDOTRQ7X7K"}})
    (record,) = region.of("Record")
    assert record.inputs["type"] == "A"
    assert record.inputs["aliases"] == [{"name": "lb.example.com", "zoneId": "Z35SXDOTRQ7X7K", "evaluateTargetHealth": True}]
    assert "ttl" not in record.inputs
    assert "records" not in record.inputs


IPV6: dict[str, Any] = {"endpoint": {"name": "lb.example.com", "zoneId": "Z35SXDOTRQ7X7K", "ipv6": True}}


def without_type(record: Seen) -> dict[str, Any]:
    return {key: value for key, value in record.inputs.items() if key != "type"}


@pytest.mark.parametrize("stack", ["primary", "secondary"])
@pytest.mark.parametrize("mode", ["standby-takes-over", "record", "both-regions"])
def test_a_dualstack_alias_makes_a_second_record_that_moves_with_the_first(stack: Role, mode: str) -> None:
    tier = {"tier": "active-active"} if mode == "both-regions" else {}
    without = {"databases": [], "databasePasswords": {}}
    region = run_program(stack, {**IPV6, **dns(mode=mode), **tier, **without, "active": "secondary", "peerReady": True})
    records = region.of("Record")
    assert sorted(each.inputs["type"] for each in records) == ["A", "AAAA"]
    four, six = sorted(records, key=lambda each: str(each.inputs["type"]))
    assert without_type(four) == without_type(six), "routing, health check, set identifier and target"
    assert six.name == f"{four.name}-ipv6", "the A record keeps its name in states of earlier versions"


@pytest.mark.parametrize("stack", ["primary", "secondary"])
def test_without_ipv6_there_is_no_second_record(stack: Role) -> None:
    assert len(run_program(stack, {"endpoint": {**IPV6["endpoint"], "ipv6": False}}).of("Record")) == 1


def test_the_flag_names_the_active_region_and_nothing_that_changes_by_itself(standby: Recorder, takeover: Recorder) -> None:
    for region, active in ((standby, "primary"), (takeover, "secondary")):
        (flag,) = flags(region)
        assert flag.inputs["bucket"] == FLAG_BUCKET
        assert flag.inputs["key"] == FLAG_KEY
        assert json.loads(flag.inputs["content"]) == {"active": active}
        assert flag.inputs["cacheControl"] == "no-store"


def test_the_flag_is_written_by_the_secondary_stack_alone(program: Program) -> None:
    for active in ("primary", "secondary"):
        assert not flags(program("primary", active))
        assert FLAG_BUCKET not in {seen.inputs["bucket"] for seen in program("primary", active).of("Bucket")}


def test_the_flag_moves_after_everything_was_restored_scaled_and_verified() -> None:
    check = {"namespace": "production", "replicas": 3, "check": {"service": "web"}}
    takeover = run_program("secondary", {"active": "secondary", "peerReady": True, "workloads": [check]})
    component = next(seen for seen in takeover.of("TrafficFlag") if seen.name == "failover-flag")
    databases = {name for name in takeover.names() if name.startswith("failover-databases")}
    assert "failover-databases-app-database-promoted" in databases
    assert component.depends_on == {
        *databases,
        "failover-restores-modifiers",
        "failover-restores-hourly-critical",
        "failover-workloads-scale-production",
        "failover-workloads-verify-production",
        "failover-workloads-endpoint",
    }
    assert takeover["failover-serving"].depends_on == {"failover-flag", *component.depends_on}


def test_users_are_sent_away_before_what_serves_them_is_scaled_down() -> None:
    back = run_program("secondary", {"active": "primary"})
    workloads = next(seen for seen in back.of("Workloads") if seen.name == "failover-workloads")
    assert workloads.depends_on == {"failover-flag"}
    order = [seen.name for seen in back.custom()]
    assert order.index("failover-flag") < order.index("failover-workloads-scale-production")


def test_the_flags_bucket_is_written_before_the_flag(standby: Recorder) -> None:
    (failover,) = standby.of("Failover")
    guards = {f"traffic-flag-{part}" for part in ("public-access", "ownership", "versioning", "policy", "encryption")}
    assert guards <= failover.depends_on


class TestTheFlagBucketsPolicy:
    @pytest.fixture
    def statements(self, standby: Recorder) -> dict[str, dict[str, Any]]:
        policy = json.loads(standby["traffic-flag-policy"].inputs["policy"])
        return {statement["Effect"]: statement for statement in policy["Statement"]}

    def test_allows_reading_exactly_one_key(self, statements: dict[str, dict[str, Any]]) -> None:
        assert set(statements) == {"Allow", "Deny"}
        assert statements["Allow"]["Action"] == ["s3:GetObject"]
        assert statements["Allow"]["Resource"] == [f"arn:aws:s3:::{FLAG_BUCKET}/{FLAG_KEY}"]

    def test_allows_fixed_ranges_of_addresses_narrow_enough_not_to_count_as_public(
        self, statements: dict[str, dict[str, Any]]
    ) -> None:
        assert set(statements["Allow"]["Condition"]) == {"IpAddress"}
        ranges = [ipaddress.ip_network(text) for text in statements["Allow"]["Condition"]["IpAddress"]["aws:SourceIp"]]
        assert len(ranges) > 10
        assert len(set(ranges)) == len(ranges)
        assert all(network.prefixlen > 8 and network.is_global for network in ranges)

    def test_denies_plain_http(self, statements: dict[str, dict[str, Any]]) -> None:
        assert statements["Deny"]["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
        assert statements["Deny"]["Action"] == ["s3:*"]
        assert statements["Deny"]["Principal"] == "*"

    def test_public_access_stays_blocked_and_no_key_is_needed_to_read(self, standby: Recorder) -> None:
        assert standby["traffic-flag-public-access"].inputs["restrictPublicBuckets"] is True
        (rule,) = standby["traffic-flag-encryption"].inputs["rules"]
        assert rule["applyServerSideEncryptionByDefault"] == {"sseAlgorithm": "AES256"}


class TestRecordMode:
    @pytest.mark.parametrize("active", ["primary", "secondary"])
    def test_the_primary_is_served_only_while_there_is_no_other_record(self, active: Role) -> None:
        primary = run_program("primary", {"active": active, **dns(mode="record", names=NAMES)})
        assert [seen.inputs["weightedRoutingPolicies"] for seen in primary.of("Record")] == [[{"weight": 0}]] * 3
        assert not primary.of("HealthCheck")

    def test_the_secondary_has_no_record_while_it_stands_by(self) -> None:
        standby = run_program("secondary", dns(mode="record"))
        assert not standby.of("Record")
        [flag] = flags(standby)
        assert json.loads(flag.inputs["content"]) == {"active": "primary"}, "the guard reads it"

    def test_nobody_but_who_has_an_identity_reads_its_flag(self) -> None:
        policy = json.loads(run_program("secondary", dns(mode="record"))["traffic-flag-policy"].inputs["policy"])
        assert [statement["Effect"] for statement in policy["Statement"]] == ["Deny"]

    def test_its_flag_says_that_the_secondary_serves_before_users_are_sent_there(self) -> None:
        takeover = run_program("secondary", {"active": "secondary", **dns(mode="record", names=NAMES)})
        [flag] = flags(takeover)
        assert json.loads(flag.inputs["content"]) == {"active": "secondary"}
        assert all(flag.name in record.depends_on for record in takeover.of("Record"))

    def test_the_secondary_takes_over_with_a_record_for_each_name_made_last(self) -> None:
        takeover = run_program("secondary", {"active": "secondary", **dns(mode="record", names=NAMES)})
        records = takeover.of("Record")
        assert sorted(seen.inputs["name"] for seen in records) == sorted(NAMES)
        for record in records:
            assert record.inputs["weightedRoutingPolicies"] == [{"weight": 255}]
            assert record.inputs["records"] == ["lb-secondary.us-west-2.elb.amazonaws.com"]
            assert record.parent.endswith("dr:traffic:TrafficFlag::failover-flag")

    @pytest.mark.parametrize("stack", ["primary", "secondary"])
    def test_an_alias_is_served_whatever_its_load_balancer_thinks_of_itself(self, stack: Role) -> None:
        endpoint = {"name": "lb.example.com", "zoneId": "Z35SXDOTRQ7X7K"}
        (record,) = run_program(stack, {"active": stack, "endpoint": endpoint, **dns(mode="record")}).of("Record")
        assert record.inputs["aliases"] == [{"name": "lb.example.com", "zoneId": "Z35SXDOTRQ7X7K", "evaluateTargetHealth": False}]


class TestBothRegions:
    """Whom this sends users to is in test_truth_tables.py."""

    @staticmethod
    def run(stack: str, check: dict[str, Any] | None = None, **changes: Any) -> Recorder:
        mode = {"names": NAMES, **({"check": check} if check else {})}
        return run_program(stack, {"tier": "active-active", "databases": [], "databasePasswords": {}, **dns(**mode), **changes})

    @pytest.mark.parametrize("stack", ["primary", "secondary"])
    def test_each_region_has_one_record_a_name_and_all_weigh_the_same(self, stack: Role) -> None:
        records = {seen.inputs["name"]: seen.inputs for seen in self.run(stack).of("Record")}
        assert sorted(records) == sorted(NAMES)
        for host, record in records.items():
            assert record["weightedRoutingPolicies"] == [{"weight": 1}]
            assert record["setIdentifier"] == f"dr-{stack}-{host}"
            assert record["records"] == [f"lb-{stack}.{'us-east-1' if stack == 'primary' else 'us-west-2'}.elb.amazonaws.com"]

    @pytest.mark.parametrize("stack", ["primary", "secondary"])
    def test_records_and_checks_are_the_same_whoever_is_active(self, stack: Role) -> None:
        runs = [self.run(stack, active=active) for active in ("primary", "secondary")]
        for kind in ("Record", "HealthCheck"):
            before, after = ([(seen.name, seen.inputs) for seen in run.of(kind)] for run in runs)
            assert before == after

    def test_the_primary_is_served_while_it_answers_and_was_not_replaced(self) -> None:
        primary = self.run("primary")
        both = primary["traffic-primary-answers-and-was-not-replaced"].inputs
        assert (both["type"], both["childHealthThreshold"]) == ("CALCULATED", 2)
        assert both["childHealthchecks"] == ["traffic-standby-took-over-id", "traffic-primary-answers-id"]
        assert primary["traffic-standby-took-over"].inputs["invertHealthcheck"] is True
        assert {seen.inputs["healthCheckId"] for seen in primary.of("Record")} == {f"{both_name(primary)}-id"}

    def test_the_secondary_is_served_while_it_answers_or_has_taken_over(self) -> None:
        secondary = self.run("secondary")
        either = secondary["traffic-secondary-answers-or-took-over"].inputs
        assert (either["type"], either["childHealthThreshold"]) == ("CALCULATED", 1)
        assert either["childHealthchecks"] == ["traffic-secondary-took-over-id", "traffic-secondary-answers-id"]
        assert not secondary["traffic-secondary-took-over"].inputs.get("invertHealthcheck")
        assert {seen.inputs["healthCheckId"] for seen in secondary.of("Record")} == {f"{both_name(secondary)}-id"}

    @pytest.mark.parametrize(
        ("check", "kind", "port", "path"),
        [
            (None, "HTTPS", 443, "/"),
            ({"path": "/healthz"}, "HTTPS", 443, "/healthz"),
            ({"protocol": "http"}, "HTTP", 80, "/"),
            ({"protocol": "http", "port": 8080}, "HTTP", 8080, "/"),
        ],
    )
    def test_an_endpoint_is_asked_as_the_settings_say(
        self, check: dict[str, Any] | None, kind: str, port: int, path: str
    ) -> None:
        asked = self.run("secondary", check)["traffic-secondary-answers"].inputs
        assert (asked["type"], asked["port"], asked["resourcePath"]) == (kind, port, path)
        assert asked["fqdn"] == "lb-secondary.us-west-2.elb.amazonaws.com"
        assert (asked["requestInterval"], asked["failureThreshold"]) == (10, 3)
        assert asked.get("enableSni") is (True if kind == "HTTPS" else None)

    def test_an_alias_is_asked_by_its_load_balancers_name_and_only_by_the_check(self) -> None:
        endpoint = {"name": "lb.example.com", "zoneId": "Z35SXDOTRQ7X7K"}
        region = self.run("primary", endpoint=endpoint)
        assert region["traffic-primary-answers"].inputs["fqdn"] == "lb.example.com"
        for record in region.of("Record"):
            assert record.inputs["aliases"] == [{**endpoint, "evaluateTargetHealth": False}]

    def test_the_flag_is_the_same_object_as_where_the_standby_takes_over(self, takeover: Recorder) -> None:
        (flag,) = flags(self.run("secondary", active="secondary"))
        (other,) = flags(takeover)
        assert (flag.name, flag.inputs) == (other.name, other.inputs)
        assert not flags(self.run("primary"))


def both_name(region: Recorder) -> str:
    """The one health check that combines others."""
    (combined,) = [seen.name for seen in region.of("HealthCheck") if seen.inputs["type"] == "CALCULATED"]
    return combined
