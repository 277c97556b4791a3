"""No message shows a secret, whatever the mistake and whatever way the secret was stored."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from settings import load, warnings
from settings.load import SECRETS
from settings.mistake import Mistake
from settings.model import Settings
from settings.places import models_in
from settings.shown import show
from tests.examples import PASSWORD, example
from tests.unit.settings import test_database_mistakes as databases
from tests.unit.settings import test_identity as identity
from tests.unit.settings.every_key import EVERY_KEY, parsed, put
from tests.unit.settings.test_mistakes import LONG, MISTAKES, complaint, part, regions, topology

ALL = [*MISTAKES, *databases.MISTAKES, *identity.MISTAKES]

secret_texts = st.text(st.characters(codec="ascii", min_codepoint=33), min_size=6, max_size=40).filter(
    lambda text: not any(text in message for _, message in ALL)
)


@given(password=secret_texts, key_id=secret_texts, key=secret_texts, mistake=st.sampled_from([changes for changes, _ in ALL]))
def test_no_message_ever_shows_a_secret(password: str, key_id: str, key: str, mistake: dict[str, Any]) -> None:
    given_key = {"accessKeyId": key_id, "secretAccessKey": key}
    secrets = {
        "backupEncryptionPassword": password,
        "staticCredentials": {
            "velero": given_key,
            "database": given_key,
            "freshness": given_key,
            "guard": given_key,
            "drills": given_key,
            "drillDatabase": given_key,
        },
    }
    texts = {**example("secondary", {**secrets, **mistake})}
    for marked in (SECRETS, ()):
        told = complaint("secondary", texts, marked)
        assert not [text for text in (password, key_id, key) if text in told]


HIDDEN: list[tuple[dict[str, Any], str]] = [
    ({"active": "hunter2"}, "active: the secret is not one of 'primary', 'secondary'; write one of them"),
    ({"active=hunter2": ""}, "active=…: 'pulumi config set active=…' stored a key of that name and changed nothing; run: "),
    ({"workloads": "hunter2"}, "workloads: the secret cannot be read; write it as YAML in "),
    (
        topology(organization="Hunter2"),
        "topology.organization: the secret is not a short lower-case name (20 letters, "
        "digits and - at most); write one as in acme",
    ),
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
        "python, velero, veleroPluginForAws)",
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


TOKEN = "k8s-aws-v1.aHR0cHM6Ly9zdHMuZXhhbXBsZS5jb20"
KUBECONFIG: dict[str, Any] = {
    "apiVersion": "v1",
    "kind": "Config",
    "clusters": [{"name": "prod", "cluster": {"server": "https://example.com", "certificate-authority-data": TOKEN}}],
    "users": [{"name": "me", "user": {"token": TOKEN, "client-key-data": TOKEN}}],
    "contexts": [{"name": "prod", "context": {"cluster": "prod", "user": "me"}}],
}
CONTENTS: dict[str, Any] = {
    "YAML": yaml.safe_dump(KUBECONFIG),
    "JSON": json.dumps(KUBECONFIG),
    "base64": base64.b64encode(yaml.safe_dump(KUBECONFIG).encode()).decode() + TOKEN,
    "object": KUBECONFIG,
    "list": [KUBECONFIG],
}
"""What a person pastes who takes a setting for the place of a kubeconfig, in whatever form."""


def secrets_in(model: type[BaseModel]) -> Iterator[str]:
    """Every key of a model below which a value is a secret by its type."""
    for field in model.model_fields.values():
        if field.alias and ("SecretStr" in str(field.annotation) or any(map(list, map(secrets_in, models_in(field.annotation))))):
            yield field.alias


def test_every_key_that_holds_a_secret_by_its_type_or_its_name_is_known_as_one() -> None:
    """What is known as one is stored as a secret or refused, and no message repeats it: the tests above, and of what the engine
    plans and prints `tests/engine/test_secrets.py`, for all of these keys."""
    assert set(secrets_in(Settings)) == set(SECRETS)
    named = {
        path[0] for path in EVERY_KEY if re.search(r"(?i)password|token|secret|credential|accessKey|private", ".".join(path))
    }
    assert named - {"pods"} == set(SECRETS) - {"receivers"}, "pull secrets are named; a URL is all that a receiver takes"


def test_every_key_is_tried() -> None:
    assert len(EVERY_KEY) > 100
    assert {("cluster", "kubeconfig"), ("databases", "streaming", "hosts"), ("staticCredentials", "velero")} <= set(EVERY_KEY)


@pytest.mark.parametrize("form", CONTENTS)
def test_the_contents_of_a_kubeconfig_reach_no_message_whatever_key_they_are_pasted_into(form: str) -> None:
    values, leaked = parsed(), []
    for path in EVERY_KEY:
        told = complaint("secondary", put(values, path, CONTENTS[form]), SECRETS)
        leaked += [".".join(path)] if TOKEN in told else []
    assert leaked == []


MARKED: dict[str, Any] = {
    "text": "Hunter2 *hunter2*/_",
    "nearly right": "hunter2.example.com:443",
    "number": 7777777,
    "list": ["hunter2", "hunter2"],
    "object": {"Hunter 2": "hunter2"},
}


@pytest.mark.parametrize("form", MARKED)
def test_no_key_that_is_stored_as_a_secret_is_shown_whatever_stands_there(form: str, tmp_path: Path) -> None:
    values, shown, told_of = parsed(), [], 0
    for path in EVERY_KEY:
        raw = put(values, path, MARKED[form])
        told = complaint("secondary", raw, [*SECRETS, path[0]])
        told_of += bool(told)
        told += "" if told else "\n".join(warnings(load("secondary", raw, [*SECRETS, path[0]]), [*SECRETS, path[0]], tmp_path))
        shown += [".".join(path)] if re.search("hunter|7777777", told, re.IGNORECASE) else []
    assert told_of > 150
    assert shown == []


@pytest.mark.parametrize("form", CONTENTS)
def test_contents_in_place_of_the_kubeconfigs_path_are_refused_in_one_line_that_repeats_nothing(form: str) -> None:
    told = complaint("secondary", example("secondary", part("cluster", kubeconfig=CONTENTS[form])), SECRETS)
    assert told.startswith("k8s-dr:cluster.kubeconfig: is not ")
    assert "path of" in told
    assert "\n" not in told
    assert "example.com" not in told


def test_a_token_in_place_of_the_kubeconfigs_path_is_not_repeated() -> None:
    for token in (5, {"token": TOKEN}, f"{TOKEN}\n"):
        told = complaint("secondary", example("secondary", part("cluster", kubeconfig=token)), SECRETS)
        assert told.startswith("k8s-dr:cluster.kubeconfig: is not ")
        assert TOKEN not in told


def test_an_assignment_of_a_files_contents_is_not_repeated() -> None:
    told = complaint("secondary", example("secondary", {f"cluster.kubeconfig={CONTENTS['YAML']}": ""}), SECRETS)
    assert TOKEN not in told
    assert "run: pulumi config rm" in told


def test_a_password_in_the_probes_url_is_refused_and_not_repeated() -> None:
    told = complaint("secondary", example("secondary", {"failover": {"probe": "https://me:hunter2@app.example.com/"}}), SECRETS)
    assert told == (
        "k8s-dr:failover.probe: https://…@app.example.com/ has a user or a password; leave them out: a refusal of the server is "
        "an answer too"
    )


SHOWN = [
    ("app:hunter2@db.example.com", "…@db.example.com"),
    ("see app:hunter2@db.example.com", "see …@db.example.com"),
    ("https://app:hun/ter2@db.example.com", "https://…@db.example.com"),
    ("https://hunter2@db.example.com", "https://…@db.example.com"),
    ("https://db.example.com/?token=hunter2&x=hunter2", "https://db.example.com/?token=…&x=…"),
    ("s3://acme?region=us-west-2", "s3://acme?region=us-west-2"),
    ("password: hunter2", "password: …"),
    ("PGPASSWORD=hunter2", "PGPASSWORD=…"),
    ("user: app\npass: hunter2", '"user: …\\npass: …"'),
    ("docker.io/velero/velero:v1@sha256:0a1b", "docker.io/velero/velero:v1@sha256:0a1b"),
    ("arn:aws:kms:us-west-2:123456789012:key/1", "arn:aws:kms:us-west-2:123456789012:key/1"),
    ("lb.example.com:443", "lb.example.com:443"),
    ("", '""'),
]


@pytest.mark.parametrize(("text", "shown"), SHOWN)
def test_a_value_is_shown_without_what_may_be_a_password(text: str, shown: str) -> None:
    assert show(text) == shown


@pytest.mark.parametrize("text", [text for text, _ in SHOWN if "hunter2" in text and "\n" not in text])
def test_what_a_mistake_repeats_is_shown_without_it_too(text: str) -> None:
    assert "hunter2" not in str(Mistake("sets {}", text))


def test_a_kubeconfig_is_not_shown_in_the_object_that_has_it() -> None:
    assert "hunter2" not in show({"name": "prod", "kubeconfig": "hunter2"})
