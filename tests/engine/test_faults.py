"""Faults that meet a failover, under the real engine: nobody writes twice, and nothing more is needed than the same command.

The table of all faults is in tests/faults.py. FAULT_SEED chooses the random moments, and FAULT_MOMENTS how many there are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest

from lab.pulumi import Pulumi, Ran, touched
from lab.standins.recorded_cluster.store import CLOCK
from lab.waiting import until
from settings.names import FLAG_KEY
from settings.roles import ROLES, Role, peer_of
from tests.engine import clusters, switchover
from tests.engine.checkpoints import PutBack
from tests.engine.conftest import DATABASE, SCHEDULES, Deployment, Pair, configured, refused_flip, told_plainly
from tests.engine.refusals import CONTROL_PLANES, Refusal
from tests.engine.slow_road import SlowRoad
from tests.engine.small_disk import small_disk
from tests.engine.test_databases import cluster, marked, order_answers, written_to
from tests.faults import HALF, Moment, moments, seen
from tests.killing import kill_tree

DATABASES = (DATABASE,)
Told = Callable[..., None]
"""pytest's `record_property`."""

SLOW = 0.4
"""Seconds by which each answer of the slow API server is late. One of its kind usually answers within some milliseconds."""


LOCKED = ("the stack is currently locked", "unexpected end of JSON input")
"""What the CLI says where a dead `up` has left its lock, and where a full disk has left an empty one in a local state."""


def lines(pair: Pair) -> int:
    return len(pair.call_log.read_text().splitlines()) if pair.call_log.exists() else 0


def last_call(pair: Pair) -> str:
    """The last thing that the engine has asked of a provider for a resource."""
    asked = [call for call in pair.calls() if call["urn"]]
    return f"{asked[-1]['method']} {asked[-1]['urn'].rpartition('::')[2]}" if asked else "nothing asked of a provider"


def again(pair: Pair, pulumi: Pulumi | None = None, role: Role = "secondary") -> int:
    """Type the same command once more, which must go through, and return how often that took. A lock that a dead `up` has left
    is taken away first, as it says itself, and as drctl does."""
    pulumi = pulumi or pair.pulumi
    ran = pulumi.up(role, check=False)
    if any(words in ran.output for words in LOCKED):
        pulumi.run("cancel", "-s", role, "--yes")
        ran = pulumi.up(role, check=False)
    assert ran.exit_code == 0, ran.output
    return 1


def serves_once(pair: Pair, pulumi: Pulumi | None = None) -> None:
    """The secondary serves, by one promotion and one restore, and nothing is left to do."""
    assert pair.flag() == "secondary"
    assert written_to(pair) == "app-database-secondary"
    assert len(pair.restore_names()) == 1, "what was restored is not restored over what users have written since"
    (pulumi or pair.pulumi).up("secondary", "--expect-no-changes")


@pytest.fixture(scope="module")
def steps(deployment: Deployment) -> int:
    """How many lines the engine's log of calls has of a whole flip."""
    pair = deployment.stand_by()
    before = lines(pair)
    pair.flip()
    return lines(pair) - before


@pytest.mark.parametrize("moment", moments("flip"), ids=str)
def test_a_flip_whose_engine_is_killed_goes_on_by_the_same_command(
    pair: Pair, steps: int, moment: Moment, record_property: Told
) -> None:
    pair.pulumi.configure("secondary", "active", "secondary")
    wanted = moment.of_steps(steps)
    kill_after(pair, "secondary", wanted)
    when = f"after {wanted} of {steps} calls between the engine's processes, the last: {last_call(pair)}"
    flag = pair.flag()
    typed = again(pair)
    serves_once(pair)
    record_property(*seen(when=when, happened=f"the flag said {flag} then; the same `up` went on and ended", again=typed))


def kill_after(pair: Pair, role: Role, wanted: int) -> None:
    """Begin an `up`, and kill its engine with all that it has started once it has made so many calls between its processes."""
    begun = lines(pair)
    killed = pair.pulumi.start("up", "-s", role, "--yes", "--skip-preview")
    try:
        until("that moment", lambda: killed.poll() is not None or lines(pair) - begun >= wanted, timeout=300, interval=0.002)
    finally:
        kill_tree(killed)


Legs = Sequence[tuple[Role, Callable[[Pair], None]]]
LEGS: Mapping[Role, Legs] = {
    "secondary": (("primary", switchover.tell_to_give_up), ("secondary", switchover.tell_to_take_over)),
    "primary": (
        ("secondary", partial(switchover.tell_to_give_up, giver="secondary")),
        ("primary", partial(switchover.tell_to_take_over, taker="primary")),
        ("secondary", switchover.tell_to_move_users),
    ),
}
"""By the region that it moves to: whose `up` each leg of a switchover is, and what its stack is told before."""


@dataclass(frozen=True, kw_only=True)
class Whole:
    """A switchover that nobody has interrupted: how many calls each of its `up`s has made, and the pair before and after it."""

    steps: Sequence[int]
    before: PutBack
    after: PutBack


def switched(pair: Pair, to: Role, before: PutBack) -> Whole:
    found = []
    with switchover.operators(pair, peer_of(to)):
        for role, tell in LEGS[to]:
            tell(pair)
            begun = lines(pair)
            pair.pulumi.up(role)
            found.append(lines(pair) - begun)
    return Whole(steps=found, before=before, after=pair.checkpoint())


@pytest.fixture(scope="module")
def away(deployment: Deployment) -> Whole:
    return switched(deployment.stand_by(), "secondary", deployment.standing_by)


@pytest.fixture(scope="module")
def home(deployment: Deployment, away: Whole) -> Whole:
    away.after()
    deployment.pair.mark_archives()
    return switched(deployment.pair, "primary", away.after)


@pytest.mark.long
@pytest.mark.parametrize("moment", moments("switchover"), ids=str)
def test_a_switchover_whose_engine_is_killed_goes_on_by_the_same_command(
    deployment: Deployment, away: Whole, moment: Moment, record_property: Told
) -> None:
    goes_on(deployment.pair, away, "secondary", moment, record_property)


@pytest.mark.long
@pytest.mark.parametrize("moment", moments("switchover home", most=HALF), ids=str)
def test_a_switchover_home_whose_engine_is_killed_goes_on_by_the_same_command(
    deployment: Deployment, home: Whole, moment: Moment, record_property: Told
) -> None:
    goes_on(deployment.pair, home, "primary", moment, record_property)


def goes_on(pair: Pair, whole: Whole, to: Role, moment: Moment, told: Told) -> None:
    """Do the switchover again, and kill its engine at the moment."""
    whole.before()
    pair.mark_archives()
    all_steps, when, typed = sum(whole.steps), "", 0
    left = moment.of_steps(all_steps)
    with switchover.operators(pair, peer_of(to)):
        for (role, tell), steps in zip(LEGS[to], whole.steps, strict=True):
            tell(pair)
            if 0 < left <= steps:
                kill_after(pair, role, left)
                when = f"after {left} of {steps} calls of the `up` of the {role}, {all_steps} in all; the last: {last_call(pair)}"
                typed = again(pair, role=role)
            else:
                pair.pulumi.up(role)
            left -= steps
        for role in ROLES:
            pair.pulumi.up(role, "--expect-no-changes")
    assert when
    assert pair.flag() == to
    for role in ROLES:
        assert cluster(pair, role)["spec"]["replica"]["primary"] == f"app-database-{to}", (
            "one side is written to, and one follows"
        )
    happened = f"the same `up` went on; the {to} serves, and the other region's database follows it"
    told(*seen(when=when, happened=happened, again=typed))


def test_a_flip_without_any_backup_of_the_peer_is_refused_and_goes_through_once_one_is_here(
    pair: Pair, record_property: Told
) -> None:
    for schedule in SCHEDULES:
        pair.secondary.remove("Backup.velero.io", "velero", f"{schedule}-20260101020000")
    refused_flip(pair, f"schedule {SCHEDULES[1]} has no Completed backup here")
    pair.have_backups()
    pair.flip()
    serves_once(pair)
    record_property(
        *seen(
            when="no Backup of the peer is in the cluster",
            happened="refused; once it was there the same `up` went through",
            again=1,
        )
    )


@pytest.mark.long
def test_a_flip_needs_no_control_plane_that_may_refuse_on_that_night(pair: Pair, record_property: Told) -> None:
    pair.moto.refuse(*CONTROL_PLANES)
    pair.flip()
    assert pair.moto.refused() == [], "nothing of them was asked"
    serves_once(pair)
    for ask in (
        lambda: pair.client("route53").list_hosted_zones(),
        lambda: pair.client("iam").list_users(),
        lambda: pair.s3().get_bucket_versioning(Bucket="acme-velero-us-west-2-123456789012"),
    ):
        with pytest.raises(Exception, match="the lab refuses this"):
            ask()
    record_property(*seen(when="from before the `up` to its end", happened="the failover asked none of them", again=0))


@pytest.mark.long
def test_both_stacks_told_to_be_active_at_once_leave_the_primary_serving_while_it_answers(
    pair: Pair, record_property: Told
) -> None:
    order_answers(pair, 200, 200)
    primary, secondary = both_at_once(pair)
    assert primary.exit_code == 0, primary.output
    assert told_plainly(secondary, "the primary region still answers at https://app.example.com/"), secondary.output
    assert pair.flag() == "primary"
    assert written_to(pair) == "app-database-primary"
    happened = "the secondary's gate refused while the primary answered; users stayed, nothing was promoted"
    record_property(*seen(when="both `up`s at the same time, the primary alive", happened=happened, again=0))


def test_both_stacks_told_to_be_active_at_once_leave_one_region_once_the_primary_is_silent(
    pair: Pair, record_property: Told
) -> None:
    before = cluster(pair, "primary")["spec"]
    _, secondary = both_at_once(pair)
    assert secondary.exit_code == 0, secondary.output
    serves_once(pair)
    refused = pair.pulumi.up("primary", check=False)
    assert told_plainly(refused, "the secondary region has taken over"), refused.output
    assert cluster(pair, "primary")["spec"] == before, "an `up` wakes or promotes nothing in it; its guard stops it by the flag"
    happened = "the secondary took over; from the flag on the primary's `up` is refused"
    record_property(*seen(when="both `up`s at the same time, the primary silent to its users", happened=happened, again=0))


def both_at_once(pair: Pair) -> tuple[Ran, Ran]:
    """Tell each stack that its region serves, and run both `up`s side by side."""
    with configured(pair, "failover.preflight", "1s"):
        for role in ("primary", "secondary"):
            pair.pulumi.configure(role, "active", role)
        with ThreadPoolExecutor() as people:
            primary, secondary = people.map(lambda role: pair.pulumi.up(role, check=False), ("primary", "secondary"))
    return primary, secondary


def test_the_second_of_two_people_who_fail_over_at_once_is_told_who_does(pair: Pair, record_property: Told) -> None:
    pair.pulumi.configure("secondary", "active", "secondary")
    locks = pair.root / "state" / ".pulumi" / "locks" / "organization" / "k8s-dr" / "secondary"
    with ThreadPoolExecutor() as people:
        first = people.submit(pair.pulumi.up, "secondary", check=False)
        until("the first to have the lock", lambda: first.done() or any(locks.glob("*.json")), timeout=120, interval=0.01)
        second = pair.pulumi.up("secondary", check=False)
        assert not first.done()
        assert first.result().exit_code == 0, first.result().output
    assert told_plainly(second, "the stack is currently locked"), second.output
    assert "created by" in second.output, "whom to ask"
    serves_once(pair)
    happened = "the second `up` was refused by the lock, which names the first; the first ended"
    record_property(*seen(when="while the first `up` ran", happened=happened, again=0))


@pytest.fixture
def shifted() -> Iterator[None]:
    yield
    CLOCK.ahead = timedelta(0)


@pytest.mark.long
@pytest.mark.usefixtures("shifted")
@pytest.mark.parametrize(
    "ahead", [timedelta(hours=1), timedelta(hours=-1)], ids=["the machine is behind", "the machine is ahead"]
)
def test_a_clock_that_is_an_hour_off_is_told_as_such_and_the_same_command_goes_through_once_it_is_right(
    pair: Pair, ahead: timedelta, record_property: Told
) -> None:
    if not isinstance(pair.secondary, clusters.Recorded):
        pytest.skip("a real API server has the clock of this machine")
    CLOCK.ahead = ahead
    where = "behind" if ahead > timedelta(0) else "ahead of"
    refused_flip(
        pair, f"{where} that of the cluster's API server", "set this machine's clock", "config set force true -s secondary"
    )
    CLOCK.ahead = timedelta(0)
    pair.flip()
    serves_once(pair)
    happened = "refused, with the difference; once the clock was set the same `up` went through"
    record_property(*seen(when=f"the operator's machine is an hour {where} the cluster", happened=happened, again=1))


@pytest.mark.long
def test_a_mark_of_a_primary_whose_clock_is_ahead_proves_nothing_and_is_told_by_day(pair: Pair, record_property: Told) -> None:
    marked(pair, -60, answered=1)
    words = "which is still to come: the primary's clock is"
    assert words in pair.pulumi.up("secondary", "--expect-no-changes").output
    refused_flip(pair, words, "config set force true -s secondary")
    happened = "by day a warning, on the night refused unless forced: how much is missing is not known"
    record_property(*seen(when="the primary's nodes are an hour ahead of the secondary", happened=happened, again=0))


FLAG = "acme-dr-flag-us-west-2-123456789012"


@pytest.mark.long
def test_a_flag_that_cannot_be_read_keeps_the_primary_from_nothing_but_a_blind_up(pair: Pair, record_property: Told) -> None:
    before = pair.pulumi.resources("primary")
    pair.moto.refuse(Refusal(service="s3", key=f"{FLAG_KEY}", status=403, code="AccessDenied"))
    refused = pair.pulumi.up("primary", check=False)
    assert told_plainly(refused, "the traffic flag s3://", "cannot be read", "s3:GetObject"), refused.output
    pair.moto.refuse(Refusal(service="s3", key=f"{FLAG_KEY}", status=503, code="SlowDown"))
    pair.pulumi.up("primary", "--expect-no-changes")
    pair.moto.refuse()
    good = pair.s3().get_object(Bucket=FLAG, Key=FLAG_KEY)["Body"].read()
    pair.s3().put_object(Bucket=FLAG, Key=FLAG_KEY, Body=b'{"active":"prim')
    refused = pair.pulumi.up("primary", check=False)
    assert told_plainly(refused, "the traffic flag s3://", "no pulumi up repairs it", "aws s3 cp -"), refused.output
    assert touched(before, pair.pulumi.resources("primary")) == []
    pair.s3().put_object(Bucket=FLAG, Key=FLAG_KEY, Body=good)
    pair.pulumi.up("primary", "--expect-no-changes")
    happened = "403 and half a flag: the primary's `up` was refused, with the way on; 503: it went on as it was"
    record_property(*seen(when="403, 503, half a flag, by day", happened=happened, again=1))


@pytest.mark.long
def test_a_failover_over_a_flag_that_is_half_there_goes_through(pair: Pair, record_property: Told) -> None:
    pair.s3().put_object(Bucket=FLAG, Key=FLAG_KEY, Body=b'{"active":"prim')
    pair.flip()
    serves_once(pair)
    record_property(*seen(when="half a flag, on the night", happened="the failover wrote it anew", again=0))


@pytest.mark.long
def test_a_failover_goes_through_a_slow_api_server(pair: Pair, record_property: Told) -> None:
    server, _ = pair.secondary.access()
    content = pair.files.kubeconfig.read_text()
    with SlowRoad(server["server"], SLOW) as road:
        pair.files.kubeconfig.write_text(content.replace(server["server"], road.url))
        ran = pair.flip()
    pair.files.kubeconfig.write_text(content)
    serves_once(pair)
    when = f"each answer {SLOW:g} s late, from before the `up` to its end"
    record_property(*seen(when=when, happened=f"it went through, in {ran.seconds:.0f} s", again=0))


def test_a_disk_that_is_full_before_the_flip_touches_nothing_and_the_same_commands_go_through_with_room(
    pair: Pair, tmp_path: Path, record_property: Told
) -> None:
    with small_disk(pair, tmp_path / "disk") as disk:
        file = disk.pulumi.directory / "Pulumi.secondary.yaml"
        before, content = disk.pulumi.resources("secondary"), file.read_text()
        disk.fill()
        # It may find room in what the old file leaves.
        ran = disk.pulumi.run("config", "set", "active", "secondary", "-s", "secondary", check=False)
        assert not ran.exit_code or "no space left on device" in ran.output, ran.output
        whole = "active: secondary" in file.read_text() or file.read_text() == content
        told = "kept" if whole else "emptied by the CLI, and came from git"
        disk.make_room()
        file.write_text(content)
        disk.pulumi.run("config", "set", "active", "secondary", "-s", "secondary")
        disk.fill()
        failed = disk.pulumi.up("secondary", check=False)
        assert failed.exit_code
        assert "no space left on device" in failed.output, failed.output
        disk.make_room()
        kept = [file for file in (disk.place / "state").rglob("*") if file.is_file()]
        empty = [file for file in kept if not file.stat().st_size]
        assert empty != kept
        assert all("locks" in file.parts for file in empty), empty
        assert touched(before, disk.pulumi.resources("secondary")) == []
        assert pair.flag() == "primary"
        typed = again(pair, disk.pulumi)
        serves_once(pair, disk.pulumi)
    happened = f"the `up` failed and touched nothing; the stack file was {told} by `config set`; with room both went through"
    record_property(*seen(when="before `config set`, and before the `up`", happened=happened, again=typed))


@pytest.mark.long
def test_a_disk_that_fills_in_the_middle_of_a_flip_leaves_one_that_goes_on_once_there_is_room(
    pair: Pair, tmp_path: Path, record_property: Told
) -> None:
    with small_disk(pair, tmp_path / "disk") as disk:
        disk.pulumi.run("config", "set", "active", "secondary", "-s", "secondary")
        with ThreadPoolExecutor() as people:
            running = people.submit(disk.pulumi.up, "secondary", check=False)
            until("a restore to be made", lambda: running.done() or pair.restore_names(), timeout=120, interval=0.01)
            disk.fill()
            ended = running.result()
        when = f"when the first Restore was made; the last: {last_call(pair)}"
        assert ended.exit_code, ended.output
        disk.make_room()
        typed = again(pair, disk.pulumi)
        serves_once(pair, disk.pulumi)
    record_property(
        *seen(when=when, happened="the `up` could not write its state, and failed; with room the same `up` went on", again=typed)
    )
