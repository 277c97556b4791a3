"""The local report of a failover: a file on the machine that ran it, for whoever writes the post-mortem."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pulumi

from settings.roles import Role

REPORTS = Path(".failover")
"""The directory of local reports, one file for each stack, in the directory of the program."""


class LocalReport:
    """Writes what the failover of this `up` did: the steps of the stack's output `failover` and, before them, the gate's own step
    `preflight`, which no object in the cluster remembers."""

    def __init__(self, role: Role, region: str, active: Role) -> None:
        self._file = REPORTS / f"{role}.json"
        self._region, self._active = region, active
        self.preflight: dict[str, Any] | None = None
        """The gate's step; None in an `up` that goes on with a failover that an earlier `up` began."""

    def write(self, steps: Sequence[dict[str, Any]]) -> None:
        """Replace the report of the last failover. If the disk cannot be written, warn: that must not fail a failover."""
        all_steps = [*([self.preflight] if self.preflight else []), *steps]
        report = {"region": self._region, "active": self._active, "steps": all_steps}
        try:
            self._file.parent.mkdir(exist_ok=True)
            written = self._file.with_suffix(".part")  # a full disk must not take the last report with it
            written.write_text(json.dumps(report, indent=2) + "\n")
            written.replace(self._file)
        except OSError as error:
            pulumi.log.warn(f"the local report was not written: {error}; the stack output failover has the steps")
