"""Both regions, what lies between them, and what must be true of them whatever happens."""

from __future__ import annotations

import itertools
from collections.abc import Container
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import partial

from components.kube.runner.flag import parse
from settings.handover import PLANNED
from settings.roles import ROLES, Role, peer_of
from tests.unit.model.postgres import Record
from tests.unit.model.site import FlagObject, Site
from tests.unit.model.stack import Files, KilledError, RefusedError, State, Up

_rows = itertools.count(1)
"""Of files that users write."""


def _both_files() -> dict[Role, Files]:
    return {role: Files() for role in ROLES}


@dataclass(kw_only=True)
class Checkout:
    """What one person has: both stack files, and Pulumi.yaml."""

    files: dict[Role, Files] = field(default_factory=_both_files)
    generations: dict[Role, int] = field(default_factory=lambda: dict.fromkeys(ROLES, 1))

    def pull(self, other: Checkout) -> None:
        self.files = {role: replace(files) for role, files in other.files.items()}
        self.generations = dict(other.generations)


@dataclass(kw_only=True)
class World:
    database: bool = True
    """Whether users' rows are in a database. Else they are in files."""

    sites: dict[Role, Site] = field(init=False)
    states: dict[Role, State] = field(default_factory=lambda: {role: State() for role in ROLES})
    flag: FlagObject | None = None
    now: datetime = datetime(2026, 3, 1, tzinfo=UTC)
    acknowledged: list[Record | int] = field(default_factory=list)
    """Rows that a client was told are saved, but those that an unplanned failover has lost."""

    unplanned: Role | None = None
    """The region that has failed over last: its database was promoted without a token, and had not been the one that wrote."""

    wrote: Role = "primary"
    """The region whose database was promoted last."""

    log: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.sites = {role: Site(role=role, database=self.database) for role in ROLES}

    def tell(self, line: str) -> None:
        self.log.append(line)

    # What happens by itself

    @property
    def readable_flag(self) -> FlagObject | None:
        return self.flag if self.sites["secondary"].alive else None

    def replicate(self, role: Role) -> None:
        """S3 copies what region `role` has archived to the other one."""
        site, peer = self.sites[role], self.sites[peer_of(role)]
        if site.alive and peer.alive:
            for server, archived in site.bucket.items():
                if f"-{role}-" in server:
                    peer.bucket[server] = archived
            site.copied = frozenset(site.files)
            self.operate()

    def operate(self) -> None:
        for role in ROLES:
            site = self.sites[role]
            wrote = site.data is not None and site.data.writable
            site.operate()
            if site.data is not None and site.data.writable and not wrote:
                self._promoted(role)

    def _promoted(self, role: Role) -> None:
        site = self.sites[role]
        assert site.data is not None
        by = "without a token" if site.data.promoted_without_token else "by a token"
        self.tell(f"    the database of the {role} was promoted, {by}")
        if site.data.promoted_without_token and self.wrote != role:
            self.unplanned = role
            # A failover may lose what had not come yet, as its RPO says. Whoever takes back what it gave loses nothing.
            self.acknowledged = [row for row in self.acknowledged if row in site.data.log]
        self.wrote = role

    def write(self, role: Role) -> None:
        """A client writes a row where it can. Files are written by whoever is sent there."""
        site = self.sites[role]
        if not self.database and site.takes_writes and role == self.served_by_flag:
            site.files.add(row := next(_rows))
            self.acknowledged.append(row)
        elif site.takes_writes and site.data is not None:
            row = site.data.write()
            if not self.excused:
                self.acknowledged.append(row)
            self.operate()

    def _failed_over(self, role: Role) -> None:
        """Files were restored without a token: what had not come yet is lost, as the RPO says."""
        self.tell(f"    the {role} restores what has come")
        self.unplanned = self.wrote = role
        self.acknowledged = [row for row in self.acknowledged if row in self.sites[role].files]

    def guard(self, role: Role) -> None:
        if self.sites[role].alive:
            self.tell(f"    guard: {self.sites[role].guard(self.readable_flag, self.now)}")

    def write_flag(self, content: str) -> None:
        """Raises AssertionError if users are moved to a region that would not take their writes."""
        role = parse(content).active
        if self.flag and parse(self.flag.content).active != role:
            target, left = self.sites[role], self.sites[peer_of(role)]
            assert target.takes_writes or not (target.alive or left.takes_writes), f"users are moved to the {role} in vain"
        self.now += timedelta(minutes=1)
        self.flag = FlagObject(content=content, written=self.now)
        for site in self.sites.values():
            site.looked = False

    # What people do

    def up(self, role: Role, who: Checkout, *, flag_first: bool = True, dies_after: int | None = None) -> str | None:
        """Returns what the `up` said if it did not succeed."""
        self.now += timedelta(minutes=1)
        run = Up(
            site=self.sites[role],
            peer=self.sites[peer_of(role)],
            state=self.states[role],
            flag=self.readable_flag,
            write_flag=self.write_flag,
            operate=self.operate,
            failed_over=partial(self._failed_over, role),
            flag_first=flag_first,
            dies_after=dies_after,
        )
        self.tell(f"up {role}: {who.files[role]} {who.generations}")
        served, files = self.sites[self.served_by_flag].takes_writes, who.files[role]
        try:
            run.run(who.files[role], who.generations)
        except RefusedError as refused:
            self.tell(f"    refused: {refused}")
            return str(refused)
        except KilledError:
            self.tell(f"    killed after step {dies_after}")
            return "killed"
        finally:
            planned = files.handover == PLANNED and files.active == peer_of(role)
            if served and not planned and not files.force:
                assert self.sites[self.served_by_flag].takes_writes, f"the up of the {role} has left users without a region"
        return None

    # What must be true

    @property
    def writers(self) -> list[Role]:
        return [role for role in ROLES if self.sites[role].takes_writes]

    def rows(self, role: Role) -> Container[Record | int]:
        site = self.sites[role]
        if not self.database:
            return site.files
        assert site.data is not None
        return site.data.log

    @property
    def served_by_flag(self) -> Role:
        return parse(self.flag.content).active if self.flag else "primary"

    @property
    def excused(self) -> bool:
        """Whether two regions may write, which only a failover excuses: until it has moved the flag, and after that until the
        guard of the old region has seen it. A planned switchover excuses it at no moment."""
        if self.unplanned is None:
            return False
        old = peer_of(self.unplanned)
        return self.served_by_flag != self.unplanned or not self.sites[old].looked

    def check(self) -> None:
        writers = self.writers
        assert len(writers) < 2 or self.excused, "two regions take writes"
        if len(writers) == 1 and not self.excused:
            [role] = writers
            kept = self.rows(role)
            lost = [row for row in self.acknowledged if row not in kept]
            assert not lost, f"{len(lost)} acknowledged rows are not in the {role}, which serves"

    @property
    def well(self) -> bool:
        """Whether one region serves and the other follows it."""
        if len(self.writers) != 1:
            return False
        [role] = self.writers
        if not self.database:
            serving = {each: self.sites[each].serving for each in ROLES}
            return self.served_by_flag == role and serving == {role: True, peer_of(role): False}
        one, other = self.sites[role].data, self.sites[peer_of(role)].data
        return bool(
            one
            and other
            and self.served_by_flag == role
            and other.runs
            and not other.writable
            and one.log[: len(other.log)] == other.log
            and self.sites[role].serving
            and not self.sites[peer_of(role)].serving
        )
