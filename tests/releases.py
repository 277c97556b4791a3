"""What each released version left in people's states, and where it is saved."""

from __future__ import annotations

from pathlib import Path

from packaging.version import Version

from tests.examples import ROOT

STATES = ROOT / "tests" / "engine" / "states"
LEDGER = "registered.txt"
"""File of a version: every name that the program registers in any configuration, one a line."""


def versions() -> list[str]:
    """Every version whose states are here, the newest last."""
    return sorted((folder.parent.name for folder in STATES.glob(f"*/{LEDGER}")), key=Version)


def ledger(version: str) -> set[str]:
    return set((STATES / version / LEDGER).read_text().splitlines())


def state_file(version: str, stack: str, serving: str) -> Path:
    return STATES / version / f"{stack}-while-{serving}-serves.json"
