"""Rows of made-up figures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from report.machine import Machine
from tests.bench.rows import Row

MACHINE = Machine(cpu="Some CPU", cores=2, memory_gib=24.0, kernel="Linux", system="Debian", cgroup="v1")


def row(part: str, size: str, *, asked: int = 3, facts: dict[str, Any] | None = None, **figures: Sequence[float]) -> Row:
    """A row whose figures have these names, with `_` for a blank."""
    named = {name.replace("__", ": ").replace("_", " "): list(values) for name, values in figures.items()}
    return Row(
        part=part, size=size, asked=asked, figures=named, facts=facts or {}, day="2026-12-01", commit="abc1234", machine=MACHINE
    )
