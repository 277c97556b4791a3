"""The committed configuration, as Pulumi hands it to the program."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import yaml

PROJECT = "k8s-dr"
ROOT = Path(__file__).resolve().parent.parent
PASSWORD = "correct horse battery staple"
KEYS = {"accessKeyId": "AKIAIOSFODNN7EXAMPLE", "secretAccessKey": "wJalrXUtnFEMI/K7MDENG"}
STATIC: dict[str, Any] = {
    "identity": "static",
    "staticCredentials": {
        "velero": KEYS,
        "database": KEYS,
        "freshness": KEYS,
        "guard": KEYS,
        "drills": KEYS,
        "drillDatabase": KEYS,
    },
}
"""As `changes`: an access key for each part that the committed stacks run."""
REMOVED = object()
"""As a value in `changes`: the key is not there."""


def example(stack: str, changes: dict[str, Any] | None = None) -> dict[str, str]:
    """Keys and texts of one stack: Pulumi.yaml, then Pulumi.<stack>.yaml, then `changes` (plain Python values)."""
    values = {
        **_committed(stack),
        "backupEncryptionPassword": PASSWORD,
        "databasePasswords": {"app-database": PASSWORD},
        **(changes or {}),
    }
    return {key: value if isinstance(value, str) else json.dumps(value) for key, value in values.items() if value is not REMOVED}


@cache
def _committed(stack: str) -> dict[str, Any]:
    """The values of both files. Thousands of tests begin with them, and to read YAML takes longer than to check it."""
    shared = yaml.safe_load((ROOT / "Pulumi.yaml").read_text())["config"]
    values = {key: entry.get("value", entry.get("default")) for key, entry in shared.items()}
    own = yaml.safe_load((ROOT / f"Pulumi.{stack}.yaml").read_text())["config"]
    return values | {key.removeprefix(f"{PROJECT}:"): value for key, value in own.items() if key.startswith(f"{PROJECT}:")}
