"""The two files that Pulumi reads: what Pulumi.yaml gives to both stacks, and what a stack's own file replaces.

Pulumi replaces a key's whole value where a stack has one of its own (`mergeConfig` of its pkg/workspace), so a part that was set
by --path drops all other parts in silence. A file that is elsewhere, or cannot be read, is not compared.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from settings.explain import PROJECT, named

REGION_KEYS = ("cluster", "identity", "endpoint", "peerReady", "force", "images", "delivery", "aws")
"""Keys that differ from region to region. The regions share all others but the secrets."""

NOT_READ = "a-secret-that-is-not-read-here"
"""In the place of a password, for whoever reads the files without Pulumi."""

UNREAD = ("receivers", "staticCredentials")
"""Secrets in whose place nothing can stand: where one was stored as a whole, not even its parts can be told."""


def without_secrets(values: Mapping[str, Any]) -> dict[str, Any]:
    """The values of both files without what Pulumi encrypts: texts stand in the place of passwords, and UNREAD is left out."""
    databases = [each.get("name") for each in _entries(values.get("databases")) if isinstance(each, Mapping)]
    return {
        **{key: value for key, value in values.items() if key not in UNREAD},
        "backupEncryptionPassword": NOT_READ,
        "databasePasswords": {name: NOT_READ for name in databases if isinstance(name, str)},
    }


def _entries(written: Any) -> list[Any]:
    """A list as the file has it, or as `pulumi config set` stores it, in JSON. What is no list is told where it is judged."""
    try:
        found = json.loads(written) if isinstance(written, str) else written
    except ValueError:
        return []
    return found if isinstance(found, list) else []


def encrypted(value: Any) -> bool:
    """Whether Pulumi has encrypted a value, or a part of it."""
    if isinstance(value, Mapping):
        return set(value) == {"secure"} or any(map(encrypted, value.values()))
    return isinstance(value, list) and any(map(encrypted, value))


@dataclass(frozen=True, kw_only=True)
class Files:
    """Pulumi.yaml and one stack's own file, in one directory."""

    stack: str
    directory: Path

    @property
    def own_name(self) -> str:
        return f"Pulumi.{self.stack}.yaml"

    def shared(self) -> dict[str, Any]:
        """The keys of Pulumi.yaml and their values."""
        entries = _configuration(self.directory / "Pulumi.yaml")
        given = {key: entry["value"] for key, entry in entries.items() if isinstance(entry, Mapping) and "value" in entry}
        return {key.removeprefix(f"{PROJECT}:"): value for key, value in given.items()}

    def own(self) -> dict[str, Any]:
        """The keys of the stack's own file and their values."""
        entries = _configuration(self.directory / self.own_name)
        return {key.removeprefix(f"{PROJECT}:"): value for key, value in entries.items() if key.startswith(f"{PROJECT}:")}

    def replaced(self, values: Mapping[str, Any]) -> Collection[str]:
        """Keys of Pulumi.yaml that have another value in this stack, wherever it is written."""
        return [key for key, value in self.shared().items() if key in values and values[key] != value]

    def of(self, key: str) -> str:
        """The file in which a key is, or belongs."""
        return self.own_name if key in REGION_KEYS or key in self.own() else "Pulumi.yaml"

    def dropped(self) -> dict[str, list[str]]:
        """By each key that both files have, the parts of it that only Pulumi.yaml has."""
        own = self.own()
        return {key: [*_dropped(key, value, own[key])] for key, value in self.shared().items() if key in own}

    def lines_of_what_is_dropped(self) -> list[str]:
        """One line for each key of which the stack's own file drops a part. A part that is written as null was meant."""
        return [
            f"{named(key)}: {self.own_name} replaces all that Pulumi.yaml says of {key}, and drops {', '.join(parts)}; write "
            f"that there too (null for none), or run: pulumi config rm {key} -s {self.stack}"
            for key, parts in self.dropped().items()
            if parts
        ]

    def lines_of_what_is_replaced(self) -> list[str]:
        """One line for each key that the stack's own file replaces as a whole: the two regions may differ in it."""
        return [
            f"{named(key)}: {self.own_name} replaces what Pulumi.yaml says of {key} for both stacks; where that "
            "is not meant, run: "
            f"pulumi config rm {key} -s {self.stack}"
            for key, parts in self.dropped().items()
            if not parts
        ]


def _configuration(file: Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load(file.read_text())
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        return {}
    config = content.get("config") if isinstance(content, Mapping) else None
    return {str(key): value for key, value in config.items()} if isinstance(config, Mapping) else {}


def _dropped(where: str, shared: Any, own: Any) -> Iterator[str]:
    if isinstance(shared, Mapping) and isinstance(own, Mapping):
        for key, value in shared.items():
            if key not in own:
                yield f"{where}.{key}"
            else:
                yield from _dropped(f"{where}.{key}", value, own[key])
    if isinstance(shared, list) and isinstance(own, list):
        for place, value in enumerate(shared):
            here, name = f"{where}[{place}]", value.get("name") if isinstance(value, Mapping) else None
            same = (
                [entry for entry in own if isinstance(entry, Mapping) and entry.get("name") == name]
                if name
                else own[place : place + 1]
            )
            if same:
                yield from _dropped(here, value, same[0])
            else:
                yield here
