"""No secret is in plain text anywhere in what the engine keeps, plans or prints."""

from __future__ import annotations

import base64
import itertools
import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from lab import stacks
from settings.roles import ROLES, Role
from tests.engine.conftest import DATABASE, Pair, create_user

DATABASES = (DATABASE,)
EXPECTED = {
    "backupEncryptionPassword",
    "databasePasswords.app-database",
    *(
        f"staticCredentials.{part}.{field}"
        for part in ("velero", "database", "freshness", "guard")
        for field in ("accessKeyId", "secretAccessKey")
    ),
}
"""Keys of every secret in the lab's stacks."""


def given(pair: Pair, role: Role) -> dict[str, str]:
    """Every secret of the stack, by its key. The CLI decrypts them with the passphrase."""
    stored = json.loads(pair.pulumi.run("config", "--json", "--show-secrets", "-s", role).output)
    return {path: text for key, entry in stored.items() if entry["secret"] for path, text in _texts(key, entry)}


def _texts(key: str, entry: dict[str, object]) -> Iterator[tuple[str, str]]:
    below = entry.get("objectValue", entry["value"])
    stack: list[tuple[str, object]] = [(key.removeprefix("k8s-dr:"), below)]
    while stack:
        path, value = stack.pop()
        if isinstance(value, dict):
            stack += [(f"{path}.{name}", inner) for name, inner in value.items()]
        else:
            yield path, str(value)


def shown(text: str, secrets: dict[str, str]) -> list[str]:
    """Keys of the secrets that a text contains: plain, in JSON, or in base64."""
    return [
        key
        for key, secret in secrets.items()
        for form in (secret, json.dumps(secret)[1:-1], base64.b64encode(secret.encode()).decode())
        if form in text
    ]


def kept(pair: Pair) -> Iterator[tuple[Path, str]]:
    """Every file of the state: both stacks, their backups and their history."""
    for path in sorted((pair.root / "state").rglob("*")):
        if path.is_file():
            yield path, path.read_text(errors="replace")


def _emptied(exported: str) -> str:
    document = json.loads(exported)
    document["deployment"]["resources"] = []
    return json.dumps(document)


def test_the_look_that_is_taken_sees_what_is_plain(pair: Pair) -> None:
    """The check finds every secret in a state that shows them, and it finds a secret in base64."""
    secrets = given(pair, "secondary")
    plain = pair.pulumi.run("stack", "export", "--show-secrets", "-s", "secondary").output
    assert set(shown(plain, secrets)) == secrets.keys()
    assert shown(base64.b64encode(stacks.PASSWORD.encode()).decode(), secrets)


@pytest.mark.long
def test_a_first_deployment_plans_and_prints_no_secret(pair: Pair) -> None:
    """A first deployment's plan has every object with all of its fields."""
    pulumi, secrets = pair.pulumi, given(pair, "secondary")
    exported = pulumi.run("stack", "export", "-s", "secondary").output
    pulumi.run("stack", "import", "-s", "secondary", stdin=_emptied(exported))
    plans = [pulumi.run("preview", "-s", "secondary", form, check=False).output for form in ("--json", "--diff")]
    for plan in plans:
        assert "velero-repo-credentials" in plan, "the plan has the objects that hold secrets"
        assert shown(plan, secrets) == []


def test_no_secret_is_plain_in_state_plan_or_log_of_any_stack_whoever_is_active(pair: Pair) -> None:
    """It goes through the four combinations in the order of a failover, so each is one `up` away from the one before it."""
    for active, stack in itertools.product(ROLES, ("secondary", "primary")):
        secrets = given(pair, stack)
        assert secrets.keys() == EXPECTED
        if active == "secondary":
            pair.pulumi.configure(stack, "active", "secondary")
        commands = (("preview", "--json"), ("up", "--yes", "--diff"), ("stack", "output"))
        told = [pair.pulumi.run(*command, "-s", stack).output for command in commands]
        assert [found for text in told if (found := shown(text, secrets))] == [], (stack, active)
        state = dict(kept(pair))
        assert [path for path in state if path.name == f"{stack}.json"], "the state is where it is looked for"
        assert {str(path): found for path, text in state.items() if (found := shown(text, secrets))} == {}, (stack, active)
        assert shown((pair.pulumi.directory / f"Pulumi.{stack}.yaml").read_text(), secrets) == []


@pytest.mark.long
def test_keys_that_are_rotated_come_into_the_secrets_that_hold_them(pair: Pair) -> None:
    def held() -> dict[str, str]:
        secrets = {found["metadata"]["name"]: found["data"] for found in pair.clusters["primary"].objects("Secret")}
        return {name: json.dumps(secrets[name]) for name in ("cloud-credentials", "database-credentials")}

    before = held()
    for part in pair.files.parts:
        stacks.give_key(pair.pulumi, "primary", part, partial(create_user, pair.endpoint))
    pair.pulumi.up("primary")
    assert all(held()[name] != data for name, data in before.items())
