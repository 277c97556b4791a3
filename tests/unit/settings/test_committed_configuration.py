"""The configuration that a clone starts with is valid, and says what the guide says."""

from __future__ import annotations

import pytest
import yaml

from settings import Settings, load
from settings.load import SECRETS
from settings.roles import Role
from tests.examples import ROOT, example


@pytest.fixture(params=["primary", "secondary"])
def role(request: pytest.FixtureRequest) -> Role:
    return request.param


def committed(role: Role) -> Settings:
    return load(role, example(role), SECRETS)


def test_it_is_valid_once_the_passwords_are_set(role: Role) -> None:
    assert committed(role).role == role


def test_it_lacks_nothing_but_the_passwords_and_says_how_to_set_them(role: Role) -> None:
    text = (ROOT / f"Pulumi.{role}.yaml").read_text()
    assert not {f"k8s-dr:{key}" for key in SECRETS} & yaml.safe_load(text)["config"].keys()
    assert f"pulumi config set --secret backupEncryptionPassword -s {role}" in text
    assert f"pulumi config set --secret --path 'databasePasswords[\"app-database\"]' -s {role}" in text


def test_it_allows_no_provider_but_those_that_the_program_names(role: Role) -> None:
    own = yaml.safe_load((ROOT / f"Pulumi.{role}.yaml").read_text())["config"]
    assert own["pulumi:disable-default-providers"] == ["aws", "kubernetes"]


def test_it_has_the_guides_regions_names_and_schedules(role: Role) -> None:
    settings = committed(role)
    assert settings.active is None, "nobody has decided yet"
    assert settings.serving_role == "primary"
    assert settings.topology.regions.primary == "us-east-1"
    assert settings.topology.regions.secondary == "us-west-2"
    assert settings.dns.names == ["app.example.com"]
    assert settings.dns.ttl == 60
    daily, hourly = settings.backups
    assert (daily.name, daily.cron, daily.keep, daily.exclude) == ("daily-full", "0 2 * * *", "720h", ["kube-system", "velero"])
    assert (hourly.name, hourly.cron, hourly.keep, hourly.include) == (
        "hourly-critical",
        "0 * * * *",
        "168h",
        ["production", "databases"],
    )
    (workload,) = settings.workloads
    assert (workload.namespace, workload.replicas, workload.standby_replicas) == ("production", 3, 0)


def test_it_has_the_guides_database(role: Role) -> None:
    (database,) = committed(role).databases
    assert (database.name, database.namespace, database.instances) == ("app-database", "databases", 3)
    assert (database.storage, database.storage_class, database.retention) == ("100Gi", "gp3-encrypted", "30d")
    assert (database.database, database.owner, database.backup_cron) == ("app", "app", "0 0 3 * * *")
    assert (database.source, database.replication) == ("replica-bucket", "archive")
    assert committed(role).tier == "pilot-light"
    assert not committed(role).force


def test_what_both_regions_share_is_written_once() -> None:
    shared = set(yaml.safe_load((ROOT / "Pulumi.yaml").read_text())["config"])
    for role in ("primary", "secondary"):
        own = yaml.safe_load((ROOT / f"Pulumi.{role}.yaml").read_text())["config"]
        assert {key.removeprefix("k8s-dr:") for key in own}.isdisjoint(shared)
        assert len(own) <= 4, "a stack file fits on half a screen"


def test_nothing_is_replicated_before_somebody_says_that_the_peer_is_there(role: Role) -> None:
    assert not committed(role).peer_ready


def test_steps_have_timeouts_in_seconds(role: Role) -> None:
    failover = committed(role).failover
    assert {step: failover.seconds(step) for step in ("restore", "scale", "verify", "preflight", "promote")} == {
        "restore": 2700,
        "scale": 600,
        "verify": 300,
        "preflight": 180,
        "promote": 600,
    }


def test_settings_cannot_be_changed_once_they_are_read(role: Role) -> None:
    with pytest.raises(ValueError, match="frozen"):
        committed(role).active = "secondary"
