"""One lab for one fault after the other. Each cycle begins and ends at home: the primary serves, and the secondary follows.

In between the primary's region dies, the secondary takes over, the old primary follows again and takes over by plan, all by the
commands that a person types. A client writes all the time, and each acknowledged row and file is looked up. A cycle that does not
come home leaves the next one a lab from nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime

from components.kube.kept import KEPT_OF
from components.kube.records import GUARD_RECORD
from components.kube.runner.guard_record import moment
from lab import circle, databases, files, kept_volume
from lab.application import manifests
from lab.circle import Up, User
from lab.console import say
from lab.failover import Record
from lab.pulumi import CommandFailedError, Ran
from lab.regions import layout
from lab.samples import Write
from lab.waiting import until
from lab.world import Lab
from settings.roles import ROLES, Role
from tests.faults import Moment
from tests.killing import kill_tree
from tests.lab.conftest import bring_up
from tests.lab.prompt import PromptLab
from tests.lab.volumes import disk, items

ROWS = 1_000_000
"""Rows from the first of one cycle's client to the first of the next one's."""

DISK = "3g"
"""The size of the disk that holds all volumes of the secondary."""

FULL = f"{layout.VOLUMES}/full"

_IN = ("-n", manifests.APPLICATION_NAMESPACE)

TYPICAL = {"failover": 45, "gives up": 40, "takes over": 40, "moves users": 12}
"""Seconds that an `up` of each leg may take on a machine with two cores, without files: with them its last ones are no moment. A
random moment is within them; where the `up` had ended before, that is said."""


@dataclass(kw_only=True)
class Again:
    """An `up` that is typed again where it fails, once `then` has put right what it names. It counts, and keeps what was said."""

    most: int = 1
    then: Callable[[], None] = lambda: None
    typed: int = 0
    said: str = ""

    def __call__(self, lab: Lab, record: Record, stack: Role) -> Ran:
        while True:
            ran = lab.pulumi.run("up", "-s", stack, "--yes", check=False, show=True)
            record.ran(ran)
            if ran.exit_code == 0:
                return ran
            self.said = " ".join(next((line for line in ran.output.splitlines() if "error: " in line), "it failed").split())
            if self.typed == self.most:
                raise CommandFailedError(f"{ran.command} ended with {ran.exit_code}:\n{ran.output[-4000:]}")
            self.typed += 1
            self.then()


@dataclass(kw_only=True)
class Killed:
    """An `up` whose engine is killed at a random moment, with all that it has started, and run again."""

    moment: Moment
    of: str
    when: str = ""
    again: Again = field(default_factory=Again)

    def __call__(self, lab: Lab, record: Record, stack: Role) -> Ran:
        wanted = self.moment.share * TYPICAL[self.of]
        child = lab.pulumi.start("up", "-s", stack, "--yes", "--skip-preview")
        try:
            _sleep_or_end(child.poll, wanted)
            ended = child.poll()
        finally:
            kill_tree(child)
        self.when = f"{wanted:.1f} s into the `up` of the {stack} ({self.of})" + ("" if ended is None else ", which had ended")
        say(f"    killed {self.when}")
        record.happened(f"up of the {stack} killed {self.when}")
        if ended is None:
            self.again.typed += 1
            lab.pulumi.run("cancel", "-s", stack, "--yes", check=False)
        self.again.most += self.again.typed
        return self.again(lab, record, stack)


def _sleep_or_end(ended: Callable[[], int | None], seconds: float) -> None:
    """Wait so long, or until the process has ended: a moment is chosen by a seed, and no condition tells it."""

    deadline = time.monotonic() + seconds
    until("the moment to come", lambda: ended() is not None or time.monotonic() >= deadline, timeout=seconds + 60, interval=0.05)


@dataclass(kw_only=True)
class Soak:
    """The lab. `generation` is that of the primary's side of the database."""

    lab: Lab = field(default_factory=lambda: PromptLab(plan=databases.Plan(), files=True))
    generation: int = 1
    cycles: int = 0
    at_home: bool = False

    @contextmanager
    def cycle(self) -> Iterator[Cycle]:
        """A cycle at whose beginning a client is served by the primary, and the secondary has a backup of each schedule, which
        was made while the client wrote."""
        if not self.at_home:
            bring_up(self.lab, before_deploying=give_a_small_disk)
            self.generation = 1
        self.at_home = False
        self.cycles += 1
        take_files_away(self.lab)
        with circle.user(self.lab, first_row=circle.FIRST_ROW + self.cycles * ROWS, files_of=None) as user:
            user.wait_served("primary")
            began = datetime.now(UTC)
            self.lab.make_backups()
            self.lab.wait_backed_up()
            circle.wait_for_rows(self.lab, "secondary", user.must_be_there())
            yield Cycle(soak=self, lab=self.lab, user=user, backed_up=began)


def take_files_away(lab: Lab) -> None:
    """Take away the files of earlier cycles, or each restore would take longer than the one before."""
    for path in disk(lab, "primary", manifests.ARCHIVE_CLAIM).glob("*.json"):
        path.unlink()


def give_a_small_disk(lab: Lab) -> None:
    """Put the secondary's volumes on a disk of their own, in a region that has none yet. It goes with the region."""
    region = lab.region("secondary")
    region.run(["mkdir", "-p", str(layout.VOLUMES)])
    region.run(["mount", "-t", "tmpfs", "-o", f"size={DISK}", "tmpfs", str(layout.VOLUMES)])


def fill_disk(lab: Lab, *, leave: int) -> None:
    """Fill that disk but for `leave` bytes."""
    region = lab.region("secondary")
    free = int(region.run(["df", "--output=avail", "-B1", str(layout.VOLUMES)]).split()[-1])
    region.run(["fallocate", "-l", str(free - leave), FULL])


def make_room(lab: Lab) -> None:
    lab.region("secondary").run(["rm", "-f", FULL])


def files_lost(documents: Sequence[Write], present: Collection[int], *, backed_up: datetime) -> set[int]:
    """The files that a failover has lost, by the client's log and what is `present` on the survivor's volume. None is lost that
    the survivor acknowledged, or that was acknowledged before the backup began that the survivor had for sure."""
    lost = files.lost(documents, present)
    assert not [each for each in lost if each.region != "primary"], "a file is lost that the survivor acknowledged"
    assert not [each for each in lost if each.time < backed_up], "a file is lost that the backup had"
    return {each.sequence for each in lost}


@dataclass(kw_only=True)
class Cycle:
    """One cycle, its client, and what became of it."""

    soak: Soak
    lab: Lab
    user: User
    backed_up: datetime
    """When the backup began that the secondary has."""

    died: datetime | None = None
    lost: set[int] = field(default_factory=set)
    """Acknowledged rows that the survivor does not have."""

    lost_files: set[int] = field(default_factory=set)
    """Acknowledged files that it does not have: those since the backup that it restored."""

    failed_over: bool = False

    @property
    def losses(self) -> dict[str, int]:
        """What the failover has lost, as the table of faults has it."""
        return {"rows_lost": len(self.lost), "files_lost": len(self.lost_files)}

    def due(self) -> set[int]:
        """The rows that must be there from now on."""
        return self.user.must_be_there() - self.lost

    def fail_over(self, *, up: Up) -> float:
        """Kill the primary, let the secondary take over, and look every row and file up. Returns the seconds in which nobody
        could write. No row is lost that the survivor acknowledged, or that was older than the RPO when the region died; no file
        that a backup had."""
        lab, user = self.lab, self.user
        with user.leg("failover", "secondary") as record:
            self.died = record.happened("region primary killed")
            lab.kill("primary")
            circle.configure(lab, record, "secondary", "active", "secondary")
            up(lab, record, "secondary")
        self.failed_over = True
        self.lost = user.missing("secondary")
        rpo = lab.pulumi.details("secondary")["targets"]["rpoSeconds"]
        lost = [write for write in user.writes if write.sequence in self.lost]
        assert len(lost) == len(self.lost), "a row is gone that was there when the client started"
        assert not [write for write in lost if write.region != "primary"], "a row is lost that the survivor acknowledged"
        assert not [write for write in lost if (self.died - write.time).total_seconds() > rpo], "more is lost than the RPO"
        self.lost_files = files_lost(user.documents, lab.documents("secondary"), backed_up=self.backed_up)
        seconds = user.legs[-1].seconds_without_writes
        assert seconds is not None
        return seconds

    def written_twice(self) -> list[int]:
        """Rows that the old primary acknowledged after the secondary had acknowledged its first one."""
        writes = [write for write in self.user.writes if write.ok]
        first = next((write.time for write in writes if write.region == "secondary"), None)
        return [write.sequence for write in writes if first and write.region == "primary" and write.time > first]

    def come_home(self, ups: Mapping[str, Up] | None = None) -> float:
        """The old primary follows again and takes over by plan. No row and no file is lost, and what the failover has lost is
        kept apart. Returns the seconds in which nobody could write. `ups` takes the place of an `up` of the switchover, by its
        leg."""
        lab, user, ups = self.lab, self.user, ups or {}
        old = circle.old_server(self.soak.generation)
        with user.leg("the old primary follows again", "secondary") as record:
            lab.heal("primary")
            self.wait_for_guard()
            circle.come_back(lab, record)
            circle.rejoin(lab, record, generation=self.soak.generation + 1)
        self.soak.generation += 1
        self._see_kept(old)
        circle.wait_for_rows(lab, "primary", self.due())
        with user.leg("switchover to the primary", "primary") as record:
            circle.hand_over(lab, "primary", record, up=ups.get("gives up", circle.up))
            circle.take_over(lab, "primary", record, up=ups.get("takes over", circle.up))
            circle.move_users(lab, record, up=ups.get("moves users", circle.up))
        assert self.due() - circle.sequences(lab, "primary") == set()
        assert user.missing_documents("primary") - self.lost_files == set()
        self._see_kept_files()
        circle.wait_for_rows(lab, "secondary", self.due())
        for role in ROLES:
            lab.pulumi.up(role, "--expect-no-changes")
        self.soak.at_home = True
        seconds = user.legs[-1].seconds_without_writes
        assert seconds is not None
        return seconds

    def wait_for_guard(self) -> None:
        """Wait until the guard has stopped the old primary by the flag of this failover. Its record keeps earlier ones."""
        assert self.died is not None
        died = self.died

        def stopped() -> bool:
            record = circle.data_of(self.lab, "primary", GUARD_RECORD)
            return "stopped" in record and moment(record["stopped"]) >= died.replace(microsecond=0)

        until("the guard to have stopped the primary", stopped, timeout=240, interval=1)

    def _see_kept(self, server: str) -> None:
        """Every lost row is on a volume that was set aside, where a person finds it."""
        if not self.lost:
            return
        (claim,) = kept_volume.claims(self.lab, server)
        found = kept_volume.read(self.lab, claim["metadata"]["name"], circle.SEQUENCES)
        assert self.lost <= {int(line) for line in found.splitlines() if line}

    def _see_kept_files(self) -> None:
        """Every lost file is on a volume that was set aside before the primary restored."""
        if not self.lost_files:
            return
        claims = [each["metadata"]["name"] for each in items(self.lab, "primary", "pvc", *_IN, "-l", KEPT_OF)]
        kept = [each for each in claims if each.startswith(f"kept-{manifests.ARCHIVE_CLAIM}-")]
        found = {int(path.stem) for claim in kept for path in disk(self.lab, "primary", claim).glob("*.json")}
        assert self.lost_files <= found
