"""What Pulumi hands the program: the keys of this project, their texts, and which of them are secrets."""

from __future__ import annotations

import pytest
from pulumi.runtime import config

from settings import read_configuration
from settings.dns import Alias
from settings.load import SECRETS, load
from settings.roles import Role
from tests.examples import REMOVED, example


@pytest.fixture
def configured(monkeypatch: pytest.MonkeyPatch) -> None:
    config.set_all_config(
        {"k8s-dr:active": "primary", "k8s-dr:backupEncryptionPassword": "correct horse", "aws:region": "eu-west-1"},
        ["k8s-dr:backupEncryptionPassword"],
    )
    monkeypatch.setattr(config, "get_config_env", dict)


@pytest.mark.usefixtures("configured")
def test_keys_of_this_project_are_read_with_their_secrets_and_no_others() -> None:
    values, secrets = read_configuration()
    assert values == {"active": "primary", "backupEncryptionPassword": "correct horse"}
    assert secrets == {"backupEncryptionPassword"}


@pytest.mark.usefixtures("configured")
def test_a_key_that_nobody_knows_is_read_too() -> None:
    config.set_config("k8s-dr:active=secondary", "")
    assert "active=secondary" in read_configuration()[0]


def test_an_endpoint_may_be_an_alias_with_a_zone_of_its_own() -> None:
    settings = load(
        "primary",
        example("primary", {"endpoint": {"name": "lb.example.com", "zoneId": "Z35SXDOTRQ7X7K"}}),
        SECRETS,
    )
    assert settings.endpoint == Alias(name="lb.example.com", zone_id="Z35SXDOTRQ7X7K")


def test_numbers_and_switches_may_be_the_strings_that_pulumi_config_set_stores() -> None:
    settings = load("primary", {**example("primary"), "peerReady": "true"}, SECRETS)
    assert settings.peer_ready is True


@pytest.mark.parametrize("unset", ["", REMOVED], ids=["as in Pulumi.yaml", "not there"])
@pytest.mark.parametrize("stack", ["primary", "secondary"])
def test_until_somebody_sets_active_it_is_unset_and_the_primary_serves(stack: Role, unset: object) -> None:
    settings = load(stack, example(stack, {"active": unset}), SECRETS)
    assert settings.active is None
    assert settings.serving_role == "primary"


@pytest.mark.parametrize("active", ["primary", "secondary"])
def test_the_region_that_somebody_sets_is_the_one_that_serves(active: Role) -> None:
    settings = load("secondary", example("secondary", {"active": active}), SECRETS)
    assert settings.active == settings.serving_role == active


@pytest.mark.usefixtures("configured")
def test_of_an_object_with_one_secret_part_the_whole_is_a_secret() -> None:
    # As the engine hands over what `pulumi config set --secret --path 'databasePasswords["app-database"]'` stores.
    passwords = '{"app-database":"correct horse"}'
    config.set_all_config({"k8s-dr:databasePasswords": passwords}, ["k8s-dr:databasePasswords"])
    values, secrets = read_configuration()
    assert (values, secrets) == ({"databasePasswords": passwords}, {"databasePasswords"})
    settings = load("primary", {**example("primary"), **values}, {*SECRETS, *secrets})
    assert settings.database_passwords["app-database"].get_secret_value() == "correct horse"
    assert "horse" not in repr(settings)
