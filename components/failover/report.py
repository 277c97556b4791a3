"""The local report of a failover: a file on the machine that ran it, for whoever writes the post-mortem.

`python -m report` shows it as text and as a page.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pulumi

from settings.model import Settings
from settings.names import Names

REPORTS = Path(".failover")
"""The directory of local reports, one file for each stack, in the directory of the program."""


class LocalReport:
    """Writes what the failover of this `up` did: the steps of the stack's output `failover` and, before them, the gate's own step
    `preflight`, which no object in the cluster remembers."""

    def __init__(self, names: Names, settings: Settings) -> None:
        self._file = REPORTS / f"{names.role}.json"
        self._about = {
            "stack": names.role,
            "organization": names.topology.organization,
            "region": names.region,
            "regions": names.topology.regions.model_dump(),
            "names": settings.dns.names,
            "ttl": settings.dns.ttl,
            "targets": settings.objectives.model_dump(by_alias=True),
            "active": settings.serving_role,
        }
        self.preflight: dict[str, Any] | None = None
        """The gate's step; None in an `up` that goes on with a failover that an earlier `up` began."""

    def with_preflight(self, steps: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        """These steps after the gate's own, if this `up` has asked it."""
        return [*([self.preflight] if self.preflight else []), *steps]

    def write(self, steps: Sequence[dict[str, Any]]) -> None:
        """Replace the report of the last failover. If the disk cannot be written, warn: that must not fail a failover."""
        report = {**self._about, "commit": commit(), "steps": self.with_preflight(steps)}
        try:
            self._file.parent.mkdir(exist_ok=True)
            written = self._file.with_suffix(".part")  # a full disk must not take the last report with it
            written.write_text(json.dumps(report, indent=2) + "\n")
            written.replace(self._file)
        except OSError as error:
            pulumi.log.warn(f"the local report was not written: {error}; the stack output details has the steps")


@cache
def commit() -> str | None:
    """The commit of the program that runs, with all digits; None where it is no checkout, or git is missing or slow."""
    try:
        ran = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, timeout=5, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return ran.stdout.strip() or None if ran.returncode == 0 else None
