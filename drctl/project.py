"""The settings of both stacks, read from the files of the checkout: without Pulumi, its backend, or a key of its secrets."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import yaml

from drctl.steps import Configured
from settings import Settings, load
from settings.explain import SECRETS, named
from settings.files import NOT_READ, Files, without_secrets
from settings.load import ConfigurationError
from settings.names import Names
from settings.roles import ROLES, Role


class NoProjectError(Exception):
    """This directory is no checkout with two stacks. The message says what is missing."""


@dataclass(frozen=True, kw_only=True)
class Project:
    """Pulumi.yaml and both stack files, in one directory."""

    directory: Path

    def check(self) -> None:
        """Raise NoProjectError if a file is missing or is no YAML."""
        for name in ("Pulumi.yaml", *(f"Pulumi.{role}.yaml" for role in ROLES)):
            file = self.directory / name
            try:
                yaml.safe_load(file.read_text())
            except OSError as error:
                raise NoProjectError(f"{file}: {error.strerror}; run this in the checkout, or name it with --directory") from None
            except yaml.YAMLError as error:
                raise NoProjectError(f"{file}: is no YAML: {getattr(error, 'problem', None) or error}") from None

    def settings(self, role: Role) -> Settings:
        """What stack `role` is configured to be. Its secrets are not. Raises ConfigurationError."""
        values = self._values(role)
        hidden = sorted(key for key, value in values.items() if key not in SECRETS and _encrypted(value))
        if hidden:
            raise ConfigurationError(
                f"{named(hidden[0])}: is stored as a secret in Pulumi.{role}.yaml, and drctl decrypts nothing; it is none, so "
                f"run: pulumi config set --plaintext {hidden[0]} … -s {role}"
            )
        databases = [str(each.get("name")) for each in values.get("databases") or () if isinstance(each, dict)]
        values |= {"backupEncryptionPassword": NOT_READ, "databasePasswords": dict.fromkeys(databases, NOT_READ)}
        # URLs that only a deployment calls: no placeholder would be one.
        values.pop("receivers", None)
        if "staticCredentials" in values:
            values["staticCredentials"] = without_secrets(values["staticCredentials"])
        raw = {key: value if isinstance(value, str) else json.dumps(value) for key, value in values.items()}
        return load(role, raw, SECRETS, self.directory)

    def names(self, role: Role) -> Names:
        return Names(topology=self.settings(role).topology, role=role)

    def configured(self, role: Role) -> Configured:
        """What the stack's file says of a failover or a switchover. It is read anew each time."""
        values = self._values(role)
        active = values.get("active")
        return Configured(
            active=cast(Role, active) if active in ROLES else None,
            handover=str(values.get("handover") or "") or None,
            hold=str(values.get("hold", "")).lower() == "true",
            rejoin=tuple(name.strip() for name in str(values.get("rejoin") or "").split(",") if name.strip()),
        )

    def archives(self, role: Role) -> dict[str, str]:
        """By database, the archive that side `role` writes or would write, as Pulumi.yaml says now."""
        return {database.name: database.server(role) for database in self.settings(role).databases}

    def file(self, role: Role) -> Path:
        return self.directory / f"Pulumi.{role}.yaml"

    def _values(self, role: Role) -> dict[str, Any]:
        files = Files(stack=role, directory=self.directory)
        return {**files.shared(), **files.own()}


def _encrypted(value: Any) -> bool:
    """Whether Pulumi has encrypted a value, or a part of it."""
    if isinstance(value, dict):
        return set(value) == {"secure"} or any(_encrypted(each) for each in value.values())
    return isinstance(value, list) and any(_encrypted(each) for each in value)
