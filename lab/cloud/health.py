"""Health checks like Route 53's: independent checkers, and a threshold for becoming unhealthy and for becoming healthy.

Pure functions compute a status from observations and their times. `probe.py` makes the observations.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from lab.cloud.records import HealthCheck

CHECKERS = 3
"""Route 53 has more checkers, all over the world. Three are enough here: each starts at its own time and counts separately."""

HEALTHY_SHARE = 0.18
"""A health check is healthy while more than this share of its checkers reports healthy, as Route 53 documents."""

PROBED = frozenset({"HTTP", "HTTPS", "HTTP_STR_MATCH", "HTTPS_STR_MATCH", "TCP"})
"""Types that the lab observes. CALCULATED is computed from other checks. All other types are always healthy here."""


@dataclass(frozen=True, kw_only=True)
class Observation:
    """What one checker saw. `time` is in seconds since the epoch."""

    time: float
    ok: bool
    reason: str
    checker: int


@dataclass(kw_only=True)
class _Checker:
    """One checker. It changes its opinion after enough opposite observations in a row.

    A new checker says healthy, so a new inverted check starts unhealthy. Route 53 documents both.
    """

    due: float
    healthy: bool = True
    opposed: int = 0
    """How many observations in a row said the opposite."""

    busy: bool = False

    def observe(self, ok: bool, threshold: int) -> None:
        self.opposed = self.opposed + 1 if ok != self.healthy else 0
        if self.opposed >= threshold:
            self.healthy, self.opposed = ok, 0


@dataclass(kw_only=True)
class _Checked:
    check: HealthCheck
    checkers: list[_Checker]
    last: Observation | None = None


class Monitor:
    """The state of every health check. Not safe for threads by itself."""

    def __init__(self, checkers: int = CHECKERS) -> None:
        self._count = checkers
        self._checked: dict[str, _Checked] = {}

    def know(self, checks: Iterable[HealthCheck], now: float) -> None:
        """Set the checks that exist at `now`. New checks start, changed ones keep their state, and deleted ones are forgotten."""
        known = {}
        for check in checks:
            old = self._checked.get(check.id)
            if old is not None:
                old.check = check
            known[check.id] = old or _Checked(check=check, checkers=self._start(check, now))
        self._checked = known

    def _start(self, check: HealthCheck, now: float) -> list[_Checker]:
        step = check.request_interval / self._count
        return [_Checker(due=now + number * step) for number in range(self._count)] if check.type in PROBED else []

    def due(self, now: float) -> list[tuple[HealthCheck, int]]:
        """The observations to make now, as health check and checker. A checker is busy until `observe` reports its result."""
        found = []
        for checked in self._checked.values():
            for number, checker in enumerate(checked.checkers):
                if checker.due <= now and not checker.busy and not checked.check.disabled:
                    checker.busy = True
                    # Count from the planned time, so that the checkers stay apart in time. Missed observations are skipped.
                    while checker.due <= now:
                        checker.due += checked.check.request_interval
                    found.append((checked.check, number))
        return found

    def observe(self, check_id: str, seen: Observation) -> None:
        if (checked := self._checked.get(check_id)) is not None:
            checker = checked.checkers[seen.checker]
            checker.busy = False
            checker.observe(seen.ok, checked.check.failure_threshold)
            checked.last = seen

    def last(self, check_id: str) -> Observation | None:
        return self._checked[check_id].last

    def checks(self) -> list[HealthCheck]:
        return [checked.check for checked in self._checked.values()]

    def healthy(self, check_id: str) -> bool:
        """The status for routing. A health check that no longer exists counts as healthy."""
        checked = self._checked.get(check_id)
        if checked is None:
            return True
        raw = checked.check.disabled or self._observed(checked)
        return raw != checked.check.inverted

    def _observed(self, checked: _Checked) -> bool:
        check = checked.check
        if check.type == "CALCULATED":
            return sum(self.healthy(child) for child in check.children) >= check.health_threshold
        if not checked.checkers:
            return True
        return sum(checker.healthy for checker in checked.checkers) > HEALTHY_SHARE * len(checked.checkers)
