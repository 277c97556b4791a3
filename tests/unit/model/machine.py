"""Random interleavings of ups, deaths, heals, flips, handovers and stale files, by two people."""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from settings.roles import ROLES, Role, peer_of
from tests.unit.model.helper import Helper, rejoin
from tests.unit.model.world import Checkout, World

roles = st.sampled_from(ROLES)
people = st.integers(0, 1)
deaths = st.one_of(st.none(), st.none(), st.integers(0, 4))


class Pair(RuleBasedStateMachine):
    database = True

    def __init__(self) -> None:
        super().__init__()
        self.world = World(database=self.database)
        self.people = [Checkout(), Checkout()]
        self.last = 0
        """Who has run the last `up`: the helper has that checkout."""

    def _up(self, who: int, role: Role, dies_after: int | None = None, *, flag_first: bool = True) -> str | None:
        self.last = who
        return self.world.up(role, self.people[who], flag_first=flag_first, dies_after=dies_after)

    @initialize()
    def deploy(self) -> None:
        for role in ROLES:
            assert self._up(0, role) is None
            self.world.replicate(role)
        assert self.world.well

    # By themselves

    @rule(role=roles)
    def clients_write(self, role: Role) -> None:
        self.world.write(role)

    @rule(role=roles)
    def s3_copies(self, role: Role) -> None:
        self.world.replicate(role)

    @rule(role=roles)
    def guard_looks(self, role: Role) -> None:
        self.world.guard(role)

    @precondition(lambda self: all(site.alive for site in self.world.sites.values()))
    @rule(role=roles)
    def region_dies(self, role: Role) -> None:
        self.world.tell(f"{role} dies")
        self.world.sites[role].die()

    @rule(role=roles)
    def region_comes_back(self, role: Role) -> None:
        if not self.world.sites[role].alive:
            self.world.tell(f"{role} comes back")
            self.world.sites[role].heal()
            self.world.operate()

    # People

    @rule(who=people)
    def pulls(self, who: int) -> None:
        self.people[who].pull(self.people[1 - who])

    @rule(who=people, role=roles, dies_after=deaths, flag_first=st.booleans())
    def runs_up_with_what_is_in_the_files(self, who: int, role: Role, dies_after: int | None, flag_first: bool) -> None:
        self._up(who, role, dies_after, flag_first=flag_first)

    @rule(who=people, role=roles, dies_after=deaths, flag_first=st.booleans())
    def gives_up_by_plan(self, who: int, role: Role, dies_after: int | None, flag_first: bool) -> None:
        files = self.people[who].files[role]
        files.active, files.handover = peer_of(role), "planned"
        self._up(who, role, dies_after, flag_first=flag_first)

    @rule(who=people, role=roles, dies_after=deaths)
    def takes_over_by_what_the_other_printed(self, who: int, role: Role, dies_after: int | None) -> None:
        printed = self.world.states[peer_of(role)].handover
        if printed.startswith("handover."):
            files = self.people[who].files[role]
            files.active, files.handover = role, printed
            self._up(who, role, dies_after)

    @rule(who=people, dies_after=deaths, flag_first=st.booleans())
    def moves_users_by_the_receipt(self, who: int, dies_after: int | None, flag_first: bool) -> None:
        printed = self.world.states["primary"].handover
        if printed.startswith("receipt."):
            self.people[who].files["secondary"].handover = printed
            self._up(who, "secondary", dies_after, flag_first=flag_first)

    @rule(who=people)
    def switches_over(self, who: int) -> None:
        """All of it, from the region that serves to the other one, as the runbook has it. Whatever refuses ends it."""
        role = self.world.served_by_flag
        peer, mine = peer_of(role), self.people[who].files
        mine[role].active, mine[role].handover = peer, "planned"
        if self._up(who, role):
            return
        self.world.replicate(role)
        mine[peer].active, mine[peer].handover = peer, self.world.states[role].handover
        if self._up(who, peer):
            return
        self.world.replicate(peer)
        if peer == "primary":
            mine[role].handover = self.world.states[peer].handover
            self._up(who, role)

    @rule(who=people)
    def fails_over_after_a_death(self, who: int) -> None:
        """The primary dies, users move, it comes back, its guard stops it, and it is made to follow."""
        if self.world.served_by_flag != "primary" or not self.world.well:
            return
        self.world.sites["primary"].die()
        self.people[who].files["secondary"].active = "secondary"
        if self._up(who, "secondary"):
            return
        self.world.sites["primary"].heal()
        self.world.guard("primary")
        self.people[who].files["primary"].active = "secondary"
        self._up(who, "primary")
        self.world.replicate("secondary")
        rejoin(self.world, self.people[who], "primary")

    @rule(who=people, dies_after=deaths)
    def fails_over(self, who: int, dies_after: int | None) -> None:
        self.people[who].files["secondary"].active = "secondary"
        self._up(who, "secondary", dies_after)

    @rule(who=people, dies_after=deaths)
    def stops_the_old_primary(self, who: int, dies_after: int | None) -> None:
        self.people[who].files["primary"].active = "secondary"
        self._up(who, "primary", dies_after)

    @rule(who=people, role=roles)
    def runs_up_with_the_file_of_a_day_on_which_the_other_region_served(self, who: int, role: Role) -> None:
        """Or types for one stack what was meant for the other."""
        files = self.people[who].files[role]
        files.active, files.handover = peer_of(role), None
        self._up(who, role)

    @rule(who=people, role=roles)
    def takes_back_what_was_given(self, who: int, role: Role) -> None:
        """With `force` only where the other region is known not to have taken over: nobody writes."""
        files = self.people[who].files[role]
        files.active, files.handover, files.force = role, None, role == "primary" and not self.world.writers
        self._up(who, role)
        files.force = False

    @rule(who=people, hold=st.booleans())
    def holds_users(self, who: int, hold: bool) -> None:
        self.people[who].files["secondary"].hold = hold

    @rule(who=people, role=roles)
    def rejoins(self, who: int, role: Role) -> None:
        self.last = who
        rejoin(self.world, self.people[who], role)

    @invariant()
    def holds(self) -> None:
        self.world.check()

    def teardown(self) -> None:
        if self.world.flag is None:
            return
        Helper(self.world, self.people[self.last]).bring_back()
        self.world.check()


class PairWithoutDatabases(Pair):
    """Users' rows are in files, which no demotion and no promotion watches over."""

    database = False
