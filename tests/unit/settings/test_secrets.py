"""No message shows a secret, whatever the mistake and whatever way the secret was stored."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from settings.load import SECRETS
from tests.examples import PASSWORD, example
from tests.unit.settings import test_database_mistakes as databases
from tests.unit.settings import test_identity as identity
from tests.unit.settings.test_mistakes import LONG, MISTAKES, complaint, part, regions, topology

ALL = [*MISTAKES, *databases.MISTAKES, *identity.MISTAKES]

secret_texts = st.text(st.characters(codec="ascii", min_codepoint=33), min_size=6, max_size=40).filter(
    lambda text: not any(text in message for _, message in ALL)
)


@given(password=secret_texts, key_id=secret_texts, key=secret_texts, mistake=st.sampled_from([changes for changes, _ in ALL]))
def test_no_message_ever_shows_a_secret(password: str, key_id: str, key: str, mistake: dict[str, Any]) -> None:
    given_key = {"accessKeyId": key_id, "secretAccessKey": key}
    secrets = {"backupEncryptionPassword": password, "staticCredentials": {"velero": given_key, "database": given_key}}
    texts = {**example("secondary", {**secrets, **mistake})}
    for marked in (SECRETS, ()):
        told = complaint("secondary", texts, marked)
        assert not [text for text in (password, key_id, key) if text in told]


HIDDEN: list[tuple[dict[str, Any], str]] = [
    ({"active": "hunter2"}, "active: the secret is not one of 'primary', 'secondary'; write one of them"),
    ({"active=hunter2": ""}, "active=…: 'pulumi config set active=…' stored a key of that name and changed nothing; run: "),
    ({"workloads": "hunter2"}, "workloads: the secret cannot be read; write it as YAML in "),
    (topology(organization="Hunter2"), "topology.organization: the secret is not a short lower-case name; write one as in acme"),
    (topology(regions=regions("us-hunter-2", "us-hunter-2")), "topology.regions.secondary: the secret is the primary region too"),
    (
        topology(organization="hunter2", regions=regions("us-east-1", LONG)),
        "topology: gives the bucket name the secret of 72 characters, S3 allows 63; shorten organization",
    ),
    ({"dns": {"ttl": 60, "names": ["hunter2.example.com"]}}, "dns: the secret lacks dns.zoneId"),
    (part("dns", names=["hunter2.example.com"] * 2), "dns.names: names the name the secret twice; keep one"),
    (part("dns", names="hunter2.example.com"), "dns.names: the secret is not a list; write […]"),
    (part("backups", name="hunter2" * 9), "backups[0].name: the secret is too long"),
    (
        {"images": {"hunter2": "velero:1"}},
        "images: the secret has an unknown key (known: awsCli, barmanCloudPlugin, barmanCloudSidecar, cloudnativePg, etcd, "
        "kubectl, velero, veleroPluginForAws)",
    ),
    (part("databases", backupCron="0 3 * * hunter2"), "databases[0].backupCron: the secret has 5 fields"),
    (part("databases", backupCron="hunter2 0 3 * * *"), "databases[0].backupCron: the secret begins with the second the secret"),
    (part("databases", parameters={"hunter2": 5}), "databases[0].parameters: the secret is a number; write it in quotes"),
]


@pytest.mark.parametrize(("changes", "message"), HIDDEN, ids=[message.split(":")[0] for _, message in HIDDEN])
def test_what_is_stored_as_a_secret_is_not_shown_whatever_its_key(changes: dict[str, Any], message: str) -> None:
    shown, hidden = (complaint("secondary", example("secondary", changes), [*SECRETS, *secrets]) for secrets in ((), changes))
    assert "hunter" in shown.lower()
    assert "hunter" not in hidden.lower()
    assert hidden.startswith(f"k8s-dr:{message}")


shapes = st.sampled_from(["text", "json text", "list", "named", "name", "object", "path", "assignment"])


@given(secret=secret_texts, shape=shapes, marked=st.booleans(), mistake=st.sampled_from([changes for changes, _ in ALL]))
def test_no_message_ever_shows_a_password_whatever_way_it_was_stored(
    secret: str, shape: str, marked: bool, mistake: dict[str, Any]
) -> None:
    stored: dict[str, Any] = {
        "text": {"databasePasswords": secret},
        "json text": {"databasePasswords": json.dumps(secret)},
        "list": {"databasePasswords": [secret]},
        "named": {"databasePasswords": {"app-database": secret, "other": secret}},
        "name": {"databasePasswords": {"app-database": PASSWORD, secret: None}},
        "object": {"databasePasswords": {"app-database": [secret]}},
        "path": {'databasePasswords["app-database"]': secret},
        "assignment": {f'databasePasswords["app-database"]={secret}': ""},
    }[shape]
    told = complaint("secondary", example("secondary", {**mistake, **stored}), SECRETS if marked else ())
    assert secret not in told


@given(secret=secret_texts, shape=shapes, marked=st.booleans(), mistake=st.sampled_from([changes for changes, _ in ALL]))
def test_no_message_ever_shows_a_static_key_whatever_way_it_was_stored(
    secret: str, shape: str, marked: bool, mistake: dict[str, Any]
) -> None:
    stored: dict[str, Any] = {
        "text": {"staticCredentials": secret},
        "json text": {"staticCredentials": json.dumps(secret)},
        "list": {"staticCredentials": [secret]},
        "named": {"staticCredentials": {"velero": {"accessKeyId": secret}}},
        "name": {"staticCredentials": {"velero": {secret: "x"}, secret: None}},
        "object": {"staticCredentials": {"velero": {"accessKeyId": [secret], "secretAccessKey": {"key": secret}}}},
        "path": {"staticCredentials.velero.accessKeyId": secret},
        "assignment": {f"staticCredentials.velero.accessKeyId={secret}": ""},
    }[shape]
    told = complaint("secondary", example("secondary", {**mistake, **stored}), SECRETS if marked else ())
    assert secret not in told


@pytest.mark.parametrize(
    "key", ["backupEncryptionPasword", "backup-encryption-password", "staticCredential.velero.secretAccessKey"]
)
def test_a_misspelt_key_before_an_equals_sign_shows_nothing_of_its_value(key: str) -> None:
    told = complaint("secondary", example("secondary", {f"{key}=hunter2hunter2": ""}))
    assert "hunter2" not in told
    assert "is an unknown key, did you mean " in told
