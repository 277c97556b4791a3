"""Both stacks' settings, as Pulumi.yaml and the stack files have them: without Pulumi, a state, or a passphrase.

No secret is read: in its place stands a text that is none.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from settings import load
from settings.explain import SECRETS
from settings.files import Files
from settings.model import Settings
from settings.roles import Role

NOT_READ = "a-secret-that-is-not-read-here"
"""Without a space, which no access key has."""

_NO_KEY = f"AKIA-{NOT_READ}"
"""In the place of an access key's id, which begins so."""

_IS_A_SECRET = {"secure"}
"""The one key of what Pulumi writes in a secret's place."""


def settings_of(role: Role, directory: Path = Path()) -> Settings:
    """One stack's settings. Raises settings.load.ConfigurationError."""
    files = Files(stack=role, directory=directory)
    # Before the first deployment the files have no secret yet; all that is asked of one is that it is there.
    values = {**files.shared(), **{key: _without_secrets(value) for key, value in files.own().items()}}
    databases = [each["name"] for each in values.get("databases") or () if isinstance(each, Mapping) and "name" in each]
    values.setdefault("backupEncryptionPassword", NOT_READ)
    values.setdefault("databasePasswords", dict.fromkeys(databases, NOT_READ))
    # What carries a switchover, or clears up after one, is of the hour in which it is done, and of no calendar. The URLs that a
    # region calls are secrets for which no text can stand in.
    for key in ("handover", "hold", "rejoin", "receivers"):
        values.pop(key, None)
    raw = {key: value if isinstance(value, str) else json.dumps(value) for key, value in values.items()}
    return load(role, raw, SECRETS, directory)


def _without_secrets(value: Any, key: str = "") -> Any:
    if isinstance(value, Mapping):
        if set(value) != _IS_A_SECRET:
            return {name: _without_secrets(inner, name) for name, inner in value.items()}
        return _NO_KEY if key == "accessKeyId" else NOT_READ
    return [_without_secrets(inner) for inner in value] if isinstance(value, list) else value
