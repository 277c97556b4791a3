"""Faults that need two real regions, one cycle after the other in one lab (tests/lab/soak.py). All faults are in tests/faults.py.

FAULT_SEED chooses the random moments, FAULT_MOMENTS how many there are, and FAULT_MINUTES after how long no further cycle begins.
A cycle takes about nine minutes on a machine with two cores, by an estimate.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest

from lab import circle, databases, operators
from lab.failover import Record
from lab.pulumi import Ran
from lab.waiting import until
from lab.world import Lab
from settings.roles import Role
from tests.faults import Moment, moments, seen
from tests.lab import dangers
from tests.lab.soak import Again, Cycle, Killed, Soak, fill_disk, make_room

MINUTES = float(os.environ.get("FAULT_MINUTES") or "inf")
LIFE = 90.0
"""Seconds of a region's life of which one is chosen as its last. In them it makes two backups of each schedule, and archives."""

LEFT = 20 * 2**20
"""Bytes that are free on the standby's nearly full disk: more than one segment of WAL, and less than two."""

Told = Callable[..., None]

pytestmark = pytest.mark.timeout(2700)
"""A cycle may begin with a lab from nothing, and each of its `up`s may wait three minutes for what does not come."""


@pytest.fixture(scope="module")
def soak() -> Iterator[Soak]:
    found = Soak()
    try:
        yield found
    finally:
        found.lab.down()


@pytest.fixture(scope="module")
def began() -> float:
    return time.monotonic()


@pytest.fixture
def cycle(soak: Soak, began: float) -> Iterator[Cycle]:
    yield from _cycle(soak, began)


def _cycle(soak: Soak, began: float) -> Iterator[Cycle]:
    if time.monotonic() - began > MINUTES * 60:
        pytest.skip(f"FAULT_MINUTES={MINUTES:g} are over")
    with soak.cycle() as found:
        yield found


@dataclass(kw_only=True)
class Meanwhile:
    """An `up` beside which something happens once the database is told to be promoted."""

    happens: Callable[[Lab], None]
    happened: bool = False
    again: Again = field(default_factory=Again)

    def __call__(self, lab: Lab, record: Record, stack: Role) -> Ran:
        before, ended = _written_to(lab, stack), threading.Event()

        def watch() -> None:
            until("the promotion", lambda: ended.is_set() or _written_to(lab, stack) != before, timeout=600, interval=0.1)
            if not ended.is_set():
                self.happened = True
                record.happened("the database is told to be promoted")
                self.happens(lab)

        beside = threading.Thread(target=watch)
        beside.start()
        try:
            return self.again(lab, record, stack)
        finally:
            ended.set()
            beside.join()


def _written_to(lab: Lab, role: Role) -> str:
    return str(circle.cluster_of(lab, role)["spec"]["replica"]["primary"])


def test_a_failover_does_not_need_a_base_backup_that_came_in_part(cycle: Cycle, record_property: Told) -> None:
    server = circle.old_server(cycle.soak.generation)
    with dangers.half_copied_base_backup(cycle.lab, server):
        up = Again()
        seconds = cycle.fail_over(up=up)
    cycle.come_home()
    happened = "the standby that ran was promoted without it"
    when = "before the region died, to the end of the `up`"
    record_property(*seen(when=when, happened=happened, **cycle.losses, seconds_down=seconds, again=up.typed))


def test_an_operator_that_restarts_during_the_promotion_promotes_all_the_same(cycle: Cycle, record_property: Told) -> None:
    def restart(lab: Lab) -> None:
        pods = ("-n", operators.CNPG_NAMESPACE, "-l", "app.kubernetes.io/name=cloudnative-pg")
        for _ in range(2):
            lab.kubectl("secondary", "delete", "pod", *pods, "--wait=true", "--grace-period=1", "--timeout=60s")

    up = Meanwhile(happens=restart)
    seconds = cycle.fail_over(up=up)
    assert up.happened
    cycle.come_home()
    happened = "the operator's Pod was deleted twice; the promotion ended" + (
        f"; the first `up` said: {up.again.said}" if up.again.typed else ""
    )
    when = "as soon as the Cluster was told to be promoted"
    record_property(*seen(when=when, happened=happened, **cycle.losses, seconds_down=seconds, again=up.again.typed))


def test_a_primary_that_heals_in_the_middle_of_the_failover_is_stopped_and_what_it_took_is_kept_apart(
    cycle: Cycle, record_property: Told
) -> None:
    up = Meanwhile(happens=lambda lab: lab.heal("primary"))
    seconds = cycle.fail_over(up=up)
    assert up.happened
    cycle.wait_for_guard()
    twice = cycle.written_twice()
    cycle.come_home()
    happened = (
        f"the failover ended, the guard stopped the primary; {len(twice)} rows were taken by it after the secondary's first, and "
        "all that is lost is on its kept volume"
    )
    when = "the region was switched on as soon as the Cluster was told to be promoted"
    record_property(*seen(when=when, happened=happened, **cycle.losses, seconds_down=seconds, again=up.again.typed))


def test_a_standby_whose_disk_is_nearly_full_is_promoted_or_refused_and_goes_on_once_there_is_room(
    cycle: Cycle, record_property: Told
) -> None:
    lab = cycle.lab
    fill_disk(lab, leave=LEFT)
    try:
        up = Again(then=lambda: make_room(lab))
        seconds = cycle.fail_over(up=up)
    finally:
        make_room(lab)
    phase = databases.status(lab.kubectl, "secondary").get("phase")
    cycle.come_home()
    refused = f"the first `up` said: {up.said}; with room the same one went through" if up.typed else "it was promoted"
    when = f"{LEFT >> 20} MiB free, before the region died"
    happened = f"{refused}; at the end the Cluster said: {phase}"
    record_property(*seen(when=when, happened=happened, **cycle.losses, seconds_down=seconds, again=up.typed))


class TestARegionThatDiesAtARandomMoment:
    @pytest.fixture(scope="class", params=moments("region"), ids=str)
    @classmethod
    def life(cls, request: pytest.FixtureRequest, soak: Soak, began: float) -> Iterator[tuple[Cycle, Moment]]:
        for found in _cycle(soak, began):
            yield found, request.param

    def test_loses_no_more_than_its_mode_allows(self, life: tuple[Cycle, Moment], record_property: Told) -> None:
        cycle, moment = life
        wanted, lived = moment.share * LIFE, live_until(cycle.lab, moment.share * LIFE)
        up = Again()
        seconds = cycle.fail_over(up=up)
        assert cycle.written_twice() == []
        happened = "the secondary took over" + (f"; the first `up` said: {up.said}" if up.typed else "")
        when = f"{wanted:.0f} s into a life of {LIFE:.0f} s: {lived}"
        record_property(*seen(when=when, happened=happened, **cycle.losses, seconds_down=seconds, again=up.typed))

    def test_comes_home_though_the_engine_is_killed_in_the_switchover(
        self, life: tuple[Cycle, Moment], record_property: Told
    ) -> None:
        cycle, moment = life
        if not cycle.failed_over:
            pytest.skip("the failover before it failed")
        legs = ("gives up", "takes over", "moves users")
        home = Moment(of="switchover", seed=moment.seed, number=moment.number)
        of = legs[home.of_steps(len(legs)) - 1]
        killed = Killed(moment=Moment(of=f"switchover, {of}", seed=home.seed, number=home.number), of=of)
        seconds = cycle.come_home({of: killed})
        happened = "the same `up` went on; no acknowledged row or file is lost, and both databases have all rows"
        record_property(
            *seen(when=killed.when, happened=happened, rows_lost=0, files_lost=0, seconds_down=seconds, again=killed.again.typed)
        )


def live_until(lab: Lab, seconds: float) -> str:
    """Let the primary live so long, with backups at the beginning and in the middle, and say what it did last."""
    beginning, done = time.monotonic(), "it had just begun a backup"
    _begin_backups(lab)
    steps: list[tuple[float, str, Callable[[], object]]] = [
        (LIFE / 3, "it had just archived a segment", lambda: lab.query(circle.SWITCH, "primary")),
        (LIFE / 2, "it had just begun another backup", lambda: _begin_backups(lab)),
        (LIFE * 5 / 6, "it had just archived another segment", lambda: lab.query(circle.SWITCH, "primary")),
    ]
    for at, what, do in steps:
        if at > seconds:
            break
        _wait_until(beginning + at)
        do()
        done = what
    _wait_until(beginning + seconds)
    return f"{done}, {time.monotonic() - beginning:.0f} s after the first one was begun"


def _begin_backups(lab: Lab) -> None:
    """Begin a Backup of each of the primary's schedules, and do not wait for it."""
    for name in ("daily-full-us-east-1", "hourly-critical-us-east-1"):
        lab.velero("primary", "backup", "create", "--from-schedule", name)


def _wait_until(moment: float) -> None:
    """A moment that a seed has chosen, and no condition tells."""
    time.sleep(max(moment - time.monotonic(), 0))


@pytest.mark.parametrize("moment", moments("real flip", most=3), ids=str)
def test_a_failover_whose_engine_is_killed_goes_on_between_two_real_regions(
    cycle: Cycle, moment: Moment, record_property: Told
) -> None:
    up = Killed(moment=moment, of="failover")
    seconds = cycle.fail_over(up=up)
    assert cycle.written_twice() == []
    cycle.come_home()
    happened = "the same `up` went on" + (f", after one that said: {up.again.said}" if up.again.said else "")
    record_property(*seen(when=up.when, happened=happened, **cycle.losses, seconds_down=seconds, again=up.again.typed))
