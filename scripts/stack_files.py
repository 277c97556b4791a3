"""Both stacks' settings, as Pulumi.yaml and the stack files have them: without Pulumi, a state, or a passphrase.

No secret is read: in its place stands a text that is none.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from settings import load
from settings.explain import SECRETS
from settings.files import NOT_READ, Files, without_secrets
from settings.model import Settings
from settings.roles import Role


def settings_of(role: Role, directory: Path = Path()) -> Settings:
    """One stack's settings. Raises settings.load.ConfigurationError."""
    files = Files(stack=role, directory=directory)
    # Before the first deployment the files have no secret yet; all that is asked of one is that it is there.
    values = {**files.shared(), **{key: without_secrets(value) for key, value in files.own().items()}}
    databases = [each["name"] for each in values.get("databases") or () if isinstance(each, Mapping) and "name" in each]
    values.setdefault("backupEncryptionPassword", NOT_READ)
    values["databasePasswords"] = dict.fromkeys(databases, NOT_READ)  # they may be one secret as a whole
    # What carries a switchover, or clears up after one, is of the hour in which it is done, and of no calendar. The URLs that a
    # region calls are secrets for which no text can stand in.
    for key in ("handover", "hold", "rejoin", "receivers"):
        values.pop(key, None)
    raw = {key: value if isinstance(value, str) else json.dumps(value) for key, value in values.items()}
    return load(role, raw, SECRETS, directory)
