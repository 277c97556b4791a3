"""The steps against the model of the pair: killed anywhere and typed again, a command leads to its end, and nothing is lost."""

from __future__ import annotations

from hypothesis import example, given, settings
from hypothesis import strategies as st

from components.database.side_role import server_of
from drctl.steps import Configured, End, Step, StepName, Told, failover, rejoin, switchover
from settings.handover import NOTHING
from settings.roles import ROLES, Role, peer_of, serving
from tests.unit.model.site import DATABASE
from tests.unit.model.world import Checkout, World

MOST = 12
"""Runs of one command until its end. Each may be killed."""

BEFORE_THE_UP = -1
"""Killed after it has written the stack file."""

kills = st.lists(st.one_of(st.none(), st.integers(BEFORE_THE_UP, 4)), max_size=6)


class KilledError(Exception):
    """The command is gone."""


class Operator:
    """Runs drctl's steps on the model. What a stack says are the outputs of its last `up` that ended."""

    def __init__(self, world: World, checkout: Checkout, kills: list[int | None]) -> None:
        self.world, self.checkout, self._kills = world, checkout, kills
        self._said: dict[Role, Told] = {}
        self._began = 0
        """How often a region has begun to serve: the model has no clock."""
        for role in ROLES:
            self._note(role)

    def told(self) -> dict[Role, Told]:
        return {role: self._with_its_file(role) for role in ROLES}

    def _with_its_file(self, role: Role) -> Told:
        said, files = self._said[role], self.checkout.files[role]
        configured = Configured(
            active=files.active, handover=files.handover, hold=files.hold, rejoin=tuple((files.rejoin or "").split(","))
        )
        return Told(**{**vars(said), "configured": configured})

    def _note(self, role: Role) -> None:
        site, files = self.world.sites[role], self.checkout.files[role]
        server = server_of(site.live) if site.live else None
        fenced = site.live is not None and not (site.data and site.data.runs)
        given_up = bool(server) and server == files.rejoin
        self._said[role] = Told(
            active=serving(files.active),
            since=self._since(role) if site.serving else None,
            handover=self.world.states[role].handover or NOTHING,
            databases={DATABASE: "fenced" if fenced else "replica" if not site.takes_writes else "promoted"},
            archives={DATABASE: server or ""},
            peer_archives={DATABASE: f"{DATABASE}-{peer_of(role)}-g{self.checkout.generations[peer_of(role)]}"},
            given_up=given_up,
        )

    def _since(self, role: Role) -> str:
        """Since when a region serves: as it has said before, if it served then."""
        before = self._said.get(role)
        if before and before.since:
            return before.since
        self._began += 1
        return f"2026-03-01T00:{self._began:02}:00Z"

    def run(self, decide) -> End:
        """One run of a command. Raises KilledError."""
        done: list[StepName] = []
        while True:
            following = decide(self.told(), done)
            if isinstance(following, End):
                return following
            assert following.name not in done, f"{following.name} comes twice"
            self._do(following)
            done.append(following.name)

    def _do(self, step: Step) -> None:
        files = self.checkout.files[step.stack]
        for key, value in step.sets.items():
            setattr(files, key, value == "true" if key == "hold" else value)
        dies = self._kills.pop(0) if self._kills else None
        self.world.tell(f"drctl: {step.name}, {dies}")
        if dies == BEFORE_THE_UP:
            raise KilledError
        said = self.world.up(step.stack, self.checkout, dies_after=dies)
        self.world.check()
        self.time_passes()
        if said is None:
            self._note(step.stack)
            return
        assert said == "killed", said
        raise KilledError

    def time_passes(self) -> None:
        for role in ROLES:
            self.world.replicate(role)
            self.world.guard(role)
            self.world.check()

    def until_it_ends(self, decide) -> End:
        for _ in range(MOST):
            try:
                return self.run(decide)
            except KilledError:
                continue
        raise AssertionError("the command does not come to its end")


def deployed() -> tuple[World, Checkout]:
    world, checkout = World(), Checkout()
    for role in ROLES:
        assert world.up(role, checkout) is None
        world.replicate(role)
    assert world.well
    return world, checkout


@settings(max_examples=20, deadline=None)
@given(st.lists(st.sampled_from(ROLES), min_size=1, max_size=4), kills)
@example(["secondary", "primary", "secondary"], [3, None, 2, None, 1, None])
def test_a_switchover_that_is_killed_anywhere_and_typed_again_moves_all_and_loses_nothing(
    directions: list[Role], kills: list[int | None]
) -> None:
    world, checkout = deployed()
    operator = Operator(world, checkout, kills)
    for to in directions:
        world.write(world.served_by_flag)
        operator.time_passes()
        end = operator.until_it_ends(lambda stacks, done, to=to: switchover(to, stacks, done))
        assert end.done, end.says
        assert world.served_by_flag == to
        assert world.writers == [to]
        assert world.well


@settings(max_examples=10, deadline=None)
@given(kills)
def test_users_who_are_held_stay_until_a_person_lets_them_in(kills: list[int | None]) -> None:
    world, checkout = deployed()
    operator = Operator(world, checkout, kills)
    end = operator.until_it_ends(lambda stacks, done: switchover("secondary", stacks, done, hold=True))
    assert "release" in end.says
    assert (world.served_by_flag, world.writers) == ("primary", ["secondary"])


@settings(max_examples=20, deadline=None)
@given(kills, st.booleans())
def test_a_failover_and_a_rejoin_that_are_killed_anywhere_end_in_a_pair_that_switches_back(
    kills: list[int | None], heals: bool
) -> None:
    world, checkout = deployed()
    world.sites["primary"].die()
    operator = Operator(world, checkout, kills)
    assert operator.until_it_ends(failover).done
    assert world.served_by_flag == "secondary"
    world.sites["primary"].heal()
    if heals:
        world.guard("primary")
    world.replicate("secondary")

    def decide(stacks: dict[Role, Told], done: list[StepName]) -> Step | End:
        wanted = {DATABASE: f"{DATABASE}-primary-g{checkout.generations['primary']}"}
        return rejoin("primary", wanted, stacks)

    stopped = operator.until_it_ends(decide)
    assert not stopped.done
    assert "generations: {primary: 2}" in stopped.says
    checkout.generations["primary"] = 2
    assert operator.until_it_ends(decide).done
    assert world.well
    assert operator.until_it_ends(lambda stacks, done: switchover("primary", stacks, done)).done
    assert (world.served_by_flag, world.writers) == ("primary", ["primary"])
