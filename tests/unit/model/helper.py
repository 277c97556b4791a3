"""Somebody on call who brings a pair back, until one region serves and the other follows.

The helper first takes both stack files back to what is: `active` names the region that serves, nothing is planned, held or
forced, and the generations are those that run. Then it does what the program prints, and what the runbook says of a side that
does not follow (Rejoin), and nothing else.
"""

from __future__ import annotations

import re
from collections import Counter

from components.database.side_role import server_of
from settings.roles import ROLES, Role, peer_of
from tests.unit.model.stack import Files
from tests.unit.model.world import Checkout, World

_COMMAND = re.compile(
    r"pulumi config set (?P<key>\w+) (?P<value>\"[^\"]*\"|[\w.,=-]+) -s (?P<set>\w+)"
    r"|pulumi config rm (?P<rm>\w+) -s (?P<unset>\w+)"
    r"|handover=\$\(pulumi stack output handover -s (?P<read>\w+)\)"
    r"|pulumi up (?:--refresh --run-program )?-s (?P<up>\w+)"
)
_GENERATION = re.compile(r"generations\.(primary|secondary): (\d+)")
_BACKEND = re.compile(r"export PULUMI_BACKEND_URL='[^']*'; ")
MOST = 40
"""Ups until all is well."""


class Helper:
    def __init__(self, world: World, checkout: Checkout) -> None:
        self._world, self._checkout, self._ups = world, checkout, 0
        self._seen: Counter[str] = Counter()

    def bring_back(self) -> None:
        """Raises AssertionError if there is no way forward."""
        world = self._world
        for role in ROLES:
            if not world.sites[role].alive:
                world.sites[role].heal()
        self._time_passes()
        self._take_back_the_files()
        while not self._settled():
            assert self._ups < MOST, f"after {MOST} ups the regions are no pair again"
            self._try_all()

    def _take_back_the_files(self) -> None:
        world = self._world
        serves = world.writers[0] if len(world.writers) == 1 else world.served_by_flag
        for role in ROLES:
            self._checkout.files[role] = Files(active=serves)
            if (live := world.sites[role].live) and (server := server_of(live)):
                self._checkout.generations[role] = int(server.rpartition("-g")[2])

    def _settled(self) -> bool:
        """Whether all is well, and stays so when everybody runs an `up` again."""
        self._time_passes()
        return self._world.well and all(self._up(role) is None for role in ROLES) and self._world.well

    def _time_passes(self) -> None:
        for role in ROLES:
            self._world.replicate(role)
            self._world.guard(role)
            self._world.check()

    def _up(self, role: Role) -> str | None:
        self._ups += 1
        said = self._world.up(role, self._checkout)
        self._world.check()
        self._time_passes()
        return said

    def _try_all(self) -> None:
        for role in (*ROLES, *ROLES):
            if said := self._up(role):
                if "does not become replica" in said:
                    continue
                self._follow(said)
                return
            if "handover=" in (printed := self._world.states[role].next):
                self._follow(printed)
                return
            if "is set" in printed or "are held" in printed or "given up" in printed:
                self._follow(printed)
                return
        self._rejoin()

    def _follow(self, said: str) -> None:
        """Run a line of commands. Where the program prints several ways, the next one is tried when the first has not helped."""
        if runs := re.search(r"(\S+)-(primary|secondary)-g(\d+) (?:runs|is not given up), .* set k8s-dr:databases", said):
            self._checkout.generations[runs[2]] = int(runs[3])  # type: ignore[index]
            self._set(runs[2], "rejoin", None)  # type: ignore[arg-type]
            return
        if "may have taken over by its token" in said:
            # A person looks, as the message says.
            has, never = said.split(" If it has: ")[1].split(". If it never has, ")
            said = has if any(f"active {writer}" in has for writer in self._world.writers) else never
        said = _BACKEND.sub("", said)  # each stack's is the same here, and its semicolon separates no two ways
        groups = [group for group in re.split(r"; |\. |: if ", said) if _COMMAND.search(group) or _GENERATION.search(group)]
        assert groups, f"the program says no way on: {said}"
        group = groups[self._seen[said] % len(groups)]
        self._seen[said] += 1
        self._world.tell(f"  helper: {group}")
        carried, forced = "", None
        for found in _COMMAND.finditer(group):
            if found["read"]:
                carried = self._world.states[found["read"]].handover  # type: ignore[index]
            elif found["set"]:
                value = found["value"].strip('"')
                if source := re.search(r"output handover -s (\w+)", value):
                    value = self._world.states[source[1]].handover  # type: ignore[index]
                elif value == "$handover":
                    value = carried
                if not value:
                    return
                self._set(found["set"], found["key"], value)  # type: ignore[arg-type]
                forced = found["set"] if found["key"] == "force" else forced
            elif found["rm"]:
                self._set(found["unset"], found["rm"], None)  # type: ignore[arg-type]
            else:
                self._up(found["up"])  # type: ignore[arg-type]
        for role, number in _GENERATION.findall(group):
            self._checkout.generations[role] = int(number)
        if "hold=false" in group:
            self._set("secondary", "hold", None)
        if forced:
            self._up(forced)  # type: ignore[arg-type]
            self._set(forced, "force", None)  # type: ignore[arg-type]

    def _set(self, role: Role, key: str, value: str | None) -> None:
        files = self._checkout.files[role]
        setattr(files, key, value == "true" if key in ("force", "hold") else value)

    def _rejoin(self) -> None:
        """The runbook's way for the side that does not follow."""
        writers = self._world.writers
        assert len(writers) == 1, f"{writers or 'nobody'} takes writes, and every up succeeds"
        rejoin(self._world, self._checkout, peer_of(writers[0]))
        self._ups += 3


def rejoin(world: World, who: Checkout, role: Role) -> None:
    live = world.sites[role].live
    if live is None or (server := server_of(live)) is None:
        return
    who.files[role].rejoin = server
    who.generations[role] = int(server.rpartition("-g")[2]) + 1
    world.up(role, who)
    world.up(role, who)
    world.replicate(role)
    world.up(peer_of(role), who)
