"""The local report of a failover: a file on the machine that ran it, for whoever writes the post-mortem."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pulumi

from settings.roles import Role

REPORTS = Path(".failover")
"""Local reports, one a stack, in the directory of the program."""


class LocalReport:
    """What the failover that ends in this `up` did: the steps of the stack's output `failover`, and the pre-flight before them,
    which no object in the cluster remembers."""

    def __init__(self, role: Role, region: str, active: Role) -> None:
        self._file = REPORTS / f"{role}.json"
        self._region, self._active = region, active
        self.preflight: dict[str, Any] | None = None
        """The step of the gate; None in an `up` that goes on with a failover that an earlier one began."""

    def write(self, steps: Sequence[dict[str, Any]]) -> None:
        """Replace the report of the failover before. A disk that cannot be written must not fail a failover."""
        told = [*([self.preflight] if self.preflight else []), *steps]
        report = {"region": self._region, "active": self._active, "steps": told}
        try:
            self._file.parent.mkdir(exist_ok=True)
            self._file.write_text(json.dumps(report, indent=2) + "\n")
        except OSError as error:
            pulumi.log.warn(f"the local report was not written: {error}; the stack output failover has the steps")
