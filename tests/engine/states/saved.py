"""A stack's state as a file that can be committed: no secret, no path or address of the machine that it was made on."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lab import stacks
from lab.cloud.access_keys import AccessKey
from lab.project import lab_database
from tests.engine.conftest import Pair, create_user, undeployed_pair

SECRET = "4dabf18193072939515e22adb298388d"  # how Pulumi marks a secret
NOT_A_SECRET = "not-a-secret-of-anybody"
"""Every secret of a pair whose state is saved. A state with other ones would differ from its own program."""

_NOISE = ("created", "modified", "sourcePosition", "stackTrace")


@contextmanager
def configured_pair(root: Path, pulumi: Path) -> Iterator[Pair]:
    """Both stacks with a database, their configuration and no real secret; nothing is deployed."""
    with undeployed_pair(root, pulumi, databases=(lab_database(),)) as pair:

        def key_of(user: str) -> AccessKey:
            create_user(pair.endpoint, user)
            return AccessKey(identifier=NOT_A_SECRET, secret=NOT_A_SECRET)

        stacks.prepare(pair.pulumi, pair.files, key_of)
        for role in stacks.ROLES:
            pair.pulumi.secret(role, "backupEncryptionPassword", NOT_A_SECRET)
            for database in pair.files.databases:
                stacks.give_secret(pair.pulumi, role, f'databasePasswords["{database["name"]}"]', NOT_A_SECRET)
        yield pair


def scrubbed(pair: Pair, deployment: dict[str, Any]) -> str:
    """The text of a state, in which what is this pair's alone is a name in double braces."""
    kept = {key: value for key, value in deployment.items() if key not in ("secrets_providers", "manifest")}
    text = json.dumps(without_noise(kept), indent=1, sort_keys=True)
    for value, name in _own(pair).items():
        text = text.replace(value, name)
    return text + "\n"


def restored(pair: Pair, text: str) -> dict[str, Any]:
    """The state as `pulumi stack import` takes it for this pair."""
    for value, name in _own(pair).items():
        text = text.replace(name, value)
    deployment: dict[str, Any] = json.loads(text)
    return {"version": 3, "deployment": {**deployment, "manifest": {"time": "2026-01-01T00:00:00Z", "magic": "", "version": ""}}}


def _own(pair: Pair) -> dict[str, str]:
    return {
        str(pair.files.kubeconfig): "{{kubeconfig}}",
        pair.endpoint: "{{endpoint}}",
        pair.zone_id: "{{zone}}",
        str(pair.root): "{{root}}",
    }


def without_noise(value: Any) -> Any:
    """A state without what says when and where in a checkout it was made."""
    if isinstance(value, dict):
        return {key: without_noise(inner) for key, inner in value.items() if key not in _NOISE}
    return [without_noise(inner) for inner in value] if isinstance(value, list) else value
