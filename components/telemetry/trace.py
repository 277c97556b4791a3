"""A recovery as a trace: a root span, a span a step, and what was measured. Plain data; `sdk.py` makes OpenTelemetry's of it.

Identifiers are computed from what tells a recovery from every other. Whoever sends the same one again sends the same spans.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256

Value = str | bool | int | float | Sequence[str]
Attributes = Mapping[str, Value]

RECOVERY_TIME, DATA_LOSS, ROWS_LOST = "dr.recovery.time", "dr.data.loss", "dr.rows.lost"


@dataclass(frozen=True, kw_only=True)
class Histogram:
    """One kind of measurement. `bounds` are the upper ends of its buckets, of seconds from one to a day or of rows."""

    unit: str
    description: str
    bounds: tuple[float, ...]


_SECONDS = (1, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 4 * 3600, 24 * 3600)

HISTOGRAMS: Mapping[str, Histogram] = {
    RECOVERY_TIME: Histogram(unit="s", description="How long a recovery took: its measured RTO.", bounds=_SECONDS),
    DATA_LOSS: Histogram(
        unit="s", description="How much of the latest data a recovery lost: its measured RPO.", bounds=(0, *_SECONDS)
    ),
    ROWS_LOST: Histogram(
        unit="{row}", description="How many acknowledged rows a recovery lost.", bounds=(0, 1, 10, 100, 1000, 10_000, 100_000)
    ),
}


@dataclass(frozen=True, kw_only=True)
class Span:
    """Something that took its time. `failed` says why it did not do what it should."""

    name: str
    start: datetime
    end: datetime
    attributes: Attributes = field(default_factory=dict)
    failed: str | None = None


@dataclass(frozen=True, kw_only=True)
class Trace:
    """One recovery, or one region's part of it."""

    identity: tuple[str, ...]
    """What tells this recovery from every other."""

    root: Span
    steps: tuple[Span, ...]
    resource: Attributes
    """Of whom all this is: the deployment, and the version of the program."""

    measured: Mapping[str, float] = field(default_factory=dict)
    """What is known of HISTOGRAMS, by name."""

    labels: Attributes = field(default_factory=dict)
    """What tells measurements apart: a few attributes of few values each."""

    part: str | None = None
    """Which part of a recovery this is, if the root of all is another trace's of the same identity."""

    @property
    def trace_id(self) -> int:
        return _number(16, "trace", *self.identity)

    @property
    def root_id(self) -> int:
        return _number(8, "root", *self.identity, self.part or "")

    @property
    def parent_id(self) -> int | None:
        """The span above the root; None if there is none."""
        return _number(8, "root", *self.identity, "") if self.part else None

    def step_id(self, step: Span) -> int:
        return _number(8, "step", *self.identity, self.part or "", step.name, step.start.isoformat())


def _number(size: int, *words: str) -> int:
    """Identifiers are not 0."""
    return int.from_bytes(sha256("\0".join(words).encode()).digest()[:size], "big") or 1
