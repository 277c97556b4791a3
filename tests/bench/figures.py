"""What a benchmark says of its repetitions: the median, with the least and the most, and ratios of what ran side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True, kw_only=True)
class Spread:
    """The median of a figure over all repetitions, and how far they are apart."""

    median: float
    least: float
    most: float

    def __str__(self) -> str:
        return f"{short(self.median)} ({short(self.least)}–{short(self.most)})"


def spread(values: Sequence[float]) -> Spread | None:
    """None without a repetition."""
    if not values:
        return None
    return Spread(median=round(median(values), 4), least=round(min(values), 4), most=round(max(values), 4))


def ratios(values: Sequence[float], others: Sequence[float]) -> list[float]:
    """Each value by the other of the same repetition. They ran one after the other, so a busy minute met both."""
    return [value / other for value, other in zip(values, others, strict=False) if other > 0]


def short(value: float) -> str:
    """Three digits that mean something, and no more: `0.21`, `1.7`, `41.3`, `118`."""
    if abs(value) >= 100:
        return f"{value:.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"
