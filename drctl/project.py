"""The settings of both stacks, read from the files of the checkout: without Pulumi, its backend, or a key of its secrets."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import yaml

from drctl.steps import Configured
from settings import Settings
from settings.files import Files
from settings.load import load_files
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
        return load_files(role, self.directory)

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
