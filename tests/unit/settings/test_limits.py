"""Limits that others set are data from where they keep them, and fresh."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from scripts import limits as written
from settings import limits, postgresql
from settings.images import Images
from settings.mistake import Mistake

SERVERS = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
MODULES = [Path.home() / "go/pkg/mod", Path.home() / ".cache/k8s-dr/modules", Path.home() / ".cache/k8s-dr/go/modules"]
SOURCE = "github.com/cloudnative-pg/cloudnative-pg@v{}/pkg/postgres/configuration.go"


def test_the_limits_of_aws_are_botocores() -> None:
    assert limits.read("aws") == written.aws(), "run: python -m scripts.limits aws"


def test_what_nobody_may_set_is_of_the_cloudnativepg_that_this_program_installs() -> None:
    version = limits.read("cloudnative_pg")["version"]
    assert Images().cloudnative_pg.endswith(f":{version}"), "run: python -m scripts.limits cloudnative_pg SOURCE"


def test_what_nobody_may_set_is_cloudnativepgs_own_list() -> None:
    data = limits.read("cloudnative_pg")
    source = next(
        (each / SOURCE.format(data["version"]) for each in MODULES if (each / SOURCE.format(data["version"])).exists()), None
    )
    if source is None:
        pytest.skip("the source of CloudNativePG is not on this machine; the lab's tools bring it")
    assert written.cloudnative_pg(source.read_text()) == data["fixed"]


def test_a_parameter_is_what_a_real_postgresql_says_it_is() -> None:
    """Of another major version some parameters are others, and a few have other limits."""
    if not SERVERS:
        pytest.skip("there is no PostgreSQL on this machine")
    listed = subprocess.run([SERVERS[-1], "--describe-config"], capture_output=True, text=True, check=True).stdout
    known = limits.read("postgresql")["parameters"]
    compared, differ = 0, []
    for line in listed.splitlines():
        name, _, _, kind, _, low, high, *_ = line.split("\t")
        if name in known and kind in ("INTEGER", "REAL") and known[name]["type"] == kind.lower():
            compared += 1
            differ += [name] if (float(low), float(high)) != (float(known[name]["min"]), float(known[name]["max"])) else []
    assert compared > 80
    assert {*differ} <= {"log_rotation_size", "maintenance_work_mem", "server_version_num"}


def test_what_postgresql_only_reports_can_be_set_by_nobody() -> None:
    known = limits.read("postgresql")["parameters"]
    reported = {name for name, entry in known.items() if entry.get("internal")}
    assert {"block_size", "data_checksums", "server_version", "wal_segment_size"} <= reported
    assert len(reported) == 20, "as many as PostgreSQL 18's page of preset options"
    for name in reported:
        with pytest.raises(Mistake, match="which PostgreSQL only reports"):
            postgresql.check({name: "on"}, 15)


def test_load_balancers_of_each_region_have_two_zones_that_no_other_region_has() -> None:
    """Regions whose zones the AWS provider does not know yet are not compared."""
    zones = limits.read("load_balancers")
    assert {*limits.regions()} - {*zones} <= {"ap-east-2", "ap-southeast-6"}
    assert len({zone for of in zones.values() for zone in of.values()}) == 2 * len(zones)


def test_the_zones_are_read_from_the_providers_source() -> None:
    source = """
var hostedZoneIDPerRegionALBMap = map[string]string{
	endpoints.ApNortheast1RegionID: "Z14GRHDCWA56QT",
	endpoints.CnNorth1RegionID:     "Z1GDH35T77C1KE",
}
var hostedZoneIDPerRegionNLBMap = map[string]string{
	endpoints.ApNortheast1RegionID: "Z31USIVHYNEOWT",
}
"""
    found = written.load_balancers(source)
    assert found == {"ap-northeast-1": {"application": "Z14GRHDCWA56QT", "network": "Z31USIVHYNEOWT"}}
    assert found.items() <= limits.read("load_balancers").items()


@pytest.mark.parametrize("name", limits.read("cloudnative_pg")["fixed"])
def test_no_parameter_of_that_list_can_be_set_in_any_case(name: str) -> None:
    for spelt in (name, name.upper()):
        with pytest.raises(Mistake, match=re.escape(f"sets {spelt}, which ")):
            postgresql.check({spelt: "on"}, 18)


TAKEN = [
    ("work_mem", "64MB"),
    ("shared_buffers", "0.5GB"),
    ("max_connections", "200"),
    ("random_page_cost", "1.1"),
    ("statement_timeout", "5min"),
    ("wal_compression", "zstd"),
    ("synchronous_commit", "off"),
    ("autovacuum", "yes"),
    ("pg_stat_statements.max", "10000"),
    ("log_min_duration_statement", "-1"),
]


@pytest.mark.parametrize(("name", "value"), TAKEN)
def test_what_postgresql_takes_is_taken(name: str, value: str) -> None:
    postgresql.check({name: value}, 18)


NOT_TAKEN = [
    ("max_connections", "many", "and PostgreSQL takes a number"),
    ("max_connections", "0", "and PostgreSQL takes 1 to 262143"),
    ("work_mem", "64mb", "and PostgreSQL takes a number (kB)"),
    ("statement_timeout", "5m", "and PostgreSQL takes a number (ms)"),
    ("autovacuum", "maybe", "and PostgreSQL takes on or off"),
    ("wal_level", "minimal", "and a failover then cannot work"),
    ("full_page_writes", "0", "and a crash then destroys data"),
    ("work_men", "64MB", "did you mean work_mem?"),
    ("synchronous_commit", "sometimes", "takes one of "),
]


@pytest.mark.parametrize(("name", "value", "words"), NOT_TAKEN)
def test_what_postgresql_would_not_start_with_is_refused(name: str, value: str, words: str) -> None:
    with pytest.raises(Mistake) as refused:
        postgresql.check({name: value}, 18)
    assert words in str(refused.value)


def test_a_parameter_that_only_another_version_knows_is_left_to_that_version() -> None:
    postgresql.check({"vacuum_defer_cleanup_age": "100"}, 15)
    with pytest.raises(Mistake, match="which PostgreSQL 18 does not know"):
        postgresql.check({"vacuum_defer_cleanup_age": "100"}, 18)
