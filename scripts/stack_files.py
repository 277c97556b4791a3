"""Both stacks' settings for scripts, as Pulumi.yaml and the stack files have them: without Pulumi, a state, or a passphrase."""

from __future__ import annotations

from pathlib import Path

from settings.load import load_files
from settings.model import Settings
from settings.roles import Role

_OF_THE_HOUR = ("handover", "hold", "rejoin")
"""What carries a switchover, or clears up after one, is of the hour in which it is done, and of no calendar."""


def settings_of(role: Role, directory: Path = Path()) -> Settings:
    """One stack's settings. Raises settings.load.ConfigurationError."""
    return load_files(role, directory, without=_OF_THE_HOUR)
