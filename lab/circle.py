"""The way round after a failover: the old primary comes back, follows again, and both regions hand over to each other by plan.

Each leg is made of the commands that a person types, in the runbook's order. The ledger's client runs all the time, so that a leg
has what its user was without, and its rows can be counted at the end in both regions' databases.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from components.kube.records import GUARD_RECORD, HANDOVER_RECORD
from lab import databases, users
from lab.console import say, step
from lab.failover import Record, note_dns_changes, steps_of
from lab.pulumi import Ran
from lab.samples import Sample, Write, documents_log, intervals, outage, read_log, read_writes, reads_log, writes_log
from lab.waiting import until
from lab.world import Lab, LabError
from report.legs import Leg, Legs
from report.model import Report
from settings.names import PROGRAM_NAMESPACE
from settings.roles import ROLES, Role, peer_of

FIRST_ROW = 500_001
"""Number of the first row of the circle's client. The demo's, which writes before, never reaches it."""

LASTING = 25
"""Answers in a row that take long enough to notice a service that flaps: five seconds."""

SEQUENCES = "select sequence from ledger"
SWITCH = "select pg_switch_wal()"
RELEASE = ("up", "-s", "secondary", "--yes", "--config", "k8s-dr:hold=false")


def old_server(generation: int = 1) -> str:
    """The archive that the primary's side wrote under a generation: what `rejoin` gives up."""
    return f"{databases.NAME}-primary-g{generation}"


# Commands


def run(lab: Lab, record: Record, *command: str, shown: str | None = None) -> Ran:
    """Run `pulumi` with `command`, show its output, and note it; `shown` is how a person would have typed it."""
    say(f"\n$ {shown or ' '.join(['pulumi', *command])}")
    ran = lab.pulumi.run(*command, show=True)
    record.ran(replace(ran, command=shown) if shown else ran)
    return ran


def configure(lab: Lab, record: Record, stack: str, key: str, value: str, *, shown: str | None = None) -> None:
    command = ("config", "set", key, value, "-s", stack)
    run(lab, record, *command, shown=f"pulumi config set {key} {shown} -s {stack}" if shown else None)


def up(lab: Lab, record: Record, stack: Role) -> Ran:
    return run(lab, record, "up", "-s", stack, "--yes")


Up = Callable[[Lab, Record, Role], Ran]
"""A `pulumi up` of a stack, or what a test does in its place."""


def told(lab: Lab, stack: str) -> str:
    """What a stack tells the other one in a planned switchover: its output `handover`. Empty in none."""
    return lab.pulumi.run("stack", "output", "handover", "-s", stack).output.strip()


def carry(lab: Lab, record: Record, giver: Role) -> str:
    """Take what stack `giver` prints to the other stack, and return it."""
    text = told(lab, giver)
    if not text:
        raise LabError(f"stack {giver} prints no handover, and says: {lab.pulumi.outputs(giver).get('next')}")
    say(f"\n$ handover=$(pulumi stack output handover -s {giver})")
    configure(lab, record, peer_of(giver), "handover", text, shown='"$handover"')
    return text


# The old primary comes back, and follows


def come_back(lab: Lab, record: Record) -> None:
    """Switch the dead primary on, wait until its guard has stopped it, and let it stand by: its database sleeps with its data."""
    record.happened("region primary switched on")
    lab.heal("primary")
    wait_for_guard(lab)
    record.happened("the guard has stopped the primary")
    stand_by(lab, record)


def wait_for_guard(lab: Lab, *, timeout: float = 120) -> None:
    """Wait until the guard has stopped the primary by itself. It looks every 60 seconds."""
    until(
        "the guard to have stopped the primary",
        lambda: "stopped" in data_of(lab, "primary", GUARD_RECORD),
        timeout=timeout,
        interval=1,
    )


def stand_by(lab: Lab, record: Record) -> None:
    configure(lab, record, "primary", "active", "secondary")
    up(lab, record, "primary")


def set_generation(lab: Lab, generation: int) -> None:
    """Say in Pulumi.yaml, as a person would, under which generation the primary's side of the database is made next."""
    file = lab.paths.project / "Pulumi.yaml"
    project = yaml.safe_load(file.read_text())
    database = project["config"]["databases"]["value"][0]
    database["generations"] = {**database.get("generations", {}), "primary": generation}
    file.write_text(yaml.safe_dump(project, sort_keys=False, width=120))


def rejoin(lab: Lab, record: Record, *, generation: int = 2) -> None:
    """Make the primary's side of the database anew as a follower. What the old side has is kept under claims of other names."""
    set_generation(lab, generation)
    give_up(lab, record, generation=generation - 1)
    make_anew(lab, record)


def give_up(lab: Lab, record: Record, *, generation: int = 1) -> None:
    """The first `up` of a rejoin. It deletes nothing."""
    configure(lab, record, "primary", "rejoin", old_server(generation))
    up(lab, record, "primary")


def make_anew(lab: Lab, record: Record, *, up: Up = up) -> None:
    """The other two: the old volumes are set aside and the new side is made, and the secondary hears of its archive."""
    up(lab, record, "primary")
    record.happened("the primary's database is made anew")
    up(lab, record, "secondary")


# Switchovers


def switch(lab: Lab, to: Role, record: Record, *, hold: bool = False) -> None:
    """Move all to region `to` in good order. With `hold`, everything but the traffic (to the secondary alone): see `release`."""
    hand_over(lab, to, record, hold=hold)
    take_over(lab, to, record)
    if to == "primary":
        move_users(lab, record)


def hand_over(lab: Lab, to: Role, record: Record, *, hold: bool = False, up: Up = up) -> None:
    """The first `up`, in the region that gives up. Tests run one that is killed on the way."""
    giver = peer_of(to)
    if hold:
        configure(lab, record, "secondary", "hold", "true")
    configure(lab, record, giver, "active", to)
    configure(lab, record, giver, "handover", "planned")
    up(lab, record, giver)
    note_token(lab, giver, record)


def take_over(lab: Lab, to: Role, record: Record, *, up: Up = up) -> None:
    """The second `up`, in region `to`, by the other one's token. In the secondary it moves the users too."""
    carry(lab, record, peer_of(to))
    configure(lab, record, to, "active", to)
    up(lab, record, to)
    note_promotion(lab, to, record)


def move_users(lab: Lab, record: Record, *, up: Up = up) -> None:
    """The third `up`, where the primary has taken over: the flag is the secondary's, which moves it by the primary's receipt."""
    carry(lab, record, "primary")
    up(lab, record, "secondary")


def release(lab: Lab, record: Record) -> None:
    """Let users into a secondary that has taken over all but the traffic."""
    run(lab, record, *RELEASE)


def take_back(lab: Lab, record: Record, giver: Role) -> None:
    """Let the region that gave up serve again, where the other one has taken nothing over."""
    run(lab, record, "config", "rm", "handover", "-s", giver)
    configure(lab, record, giver, "active", giver)
    configure(lab, record, giver, "force", "true")
    up(lab, record, giver)
    run(lab, record, "config", "rm", "force", "-s", giver)


def note_token(lab: Lab, giver: Role, record: Record) -> None:
    """When the cluster of the region that gives up had the token."""
    if created := _created(lab, giver, HANDOVER_RECORD):
        record.happened("the handover token is there", created)


def note_promotion(lab: Lab, to: Role, record: Record) -> None:
    """When the Job that asks the database had seen it take writes and archive them."""
    promoted = [each for each in steps_of(lab.pulumi.details(to)) if each.name.startswith("promote ")]
    if promoted:
        record.happened("databases promoted", max(each.end for each in promoted))


# The user, who is there all the time


@dataclass(kw_only=True)
class User:
    """The ledger's client. `kept` are the rows that the survivor of the first failover had when it started, and `kept_documents`
    the files on its volume: none may go."""

    lab: Lab
    log: Path
    stop: Callable[[], None]
    kept: frozenset[int]
    kept_documents: frozenset[int] = frozenset()
    legs: list[Leg] = field(default_factory=list)

    @property
    def writes(self) -> list[Write]:
        return read_writes(writes_log(self.log))

    @property
    def reads(self) -> list[Sample]:
        return read_log(reads_log(self.log))

    @property
    def requests(self) -> list[Sample]:
        return read_log(self.log)

    @property
    def documents(self) -> list[Write]:
        return read_writes(documents_log(self.log))

    def wait_served(self, by: Role, *, timeout: float = 240) -> None:
        """Wait until region `by` serves this user, and go on until that lasts. Where both regions serve, either may."""
        region = None if self.lab.both_serve else by
        logs: dict[str, Callable[[], Sequence[Sample]]] = {
            "service": lambda: self.requests,
            "writes": lambda: self.writes,
            "reads": lambda: self.reads,
        }
        if self.lab.files:
            logs["documents"] = lambda: self.documents
        with step(f"the user is served by the {by}"):
            for what, samples in logs.items():
                until(f"{what} from the {by} to last", partial(_last_from, samples, region), timeout=timeout)

    @contextmanager
    def leg(self, name: str, served_by: Role) -> Iterator[Record]:
        """One leg, which ends once region `served_by` serves the user. What is recorded becomes its commands and events."""
        record, start = Record(), datetime.now(UTC)
        say(f"\n{name}")
        yield record
        self.wait_served(served_by)
        end = datetime.now(UTC)
        note_dns_changes(record, self.lab.cloud.route53_changes(), start)
        leg = measured(name, start, end, requests=self.requests, writes=self.writes, reads=self.reads, record=record)
        self.legs.append(leg)
        say(f"  {name}: {leg.seconds_without_writes} s without writes, {leg.seconds_without_reads} s without reads")

    def must_be_there(self) -> set[int]:
        """The rows that no leg may lose: what the survivor had, and all that was acknowledged since."""
        return {*self.kept, *(write.sequence for write in self.writes if write.ok)}

    def missing(self, region: Role) -> set[int]:
        """Those that a region's database does not have now."""
        return self.must_be_there() - sequences(self.lab, region)

    def documents_due(self) -> set[int]:
        """The files that no leg may lose."""
        return {*self.kept_documents, *(write.sequence for write in self.documents if write.ok)}

    def missing_documents(self, region: Role) -> set[int]:
        return self.documents_due() - self.lab.documents(region)


@contextmanager
def user(lab: Lab, *, cache: bool = False, first_row: int = FIRST_ROW, files_of: Role | None = "secondary") -> Iterator[User]:
    """Start the client, which ends with the block, or earlier. The rows that the secondary has by then must stay, and the files
    that region `files_of` has, which serves; None where no file is there yet."""
    kept = frozenset(sequences(lab, "secondary"))
    documents = frozenset(lab.documents(files_of)) if lab.files and files_of else frozenset()
    log = lab.paths.logs / "circle.jsonl"
    stop = users.start(lab, log, name="circle", cache=cache, first_row=first_row)
    found = User(lab=lab, log=log, stop=stop, kept=kept, kept_documents=documents)
    try:
        yield found
    finally:
        stop()


def lasts(samples: Sequence[Sample], region: Role | None) -> bool:
    """Whether `region` (any, for None) has answered the last requests, of which there are enough."""
    last = samples[-LASTING:]
    return len(last) == LASTING and all(each.ok and region in (None, each.region) for each in last)


def _last_from(samples: Callable[[], Sequence[Sample]], region: Role | None) -> bool:
    return lasts(samples(), region)


def measured(
    name: str,
    start: datetime,
    end: datetime,
    *,
    requests: Iterable[Sample],
    writes: Iterable[Write],
    reads: Iterable[Sample],
    record: Record,
) -> Leg:
    """What one leg cost its user, by the client's logs until its end."""
    of_service, of_writes, of_reads = (
        [each for each in samples if each.time <= end] for samples in (list(requests), list(writes), list(reads))
    )
    acknowledged = [write for write in writes if write.ok and start <= write.time <= end]
    if back := _first_after_an_outage(of_writes, start):
        record.happened(f"first row taken by the {back.region}", back.time)
    return Leg(
        name=name,
        start=start,
        end=end,
        seconds_without_service=outage(of_service, start).seconds,
        seconds_without_writes=outage(of_writes, start).seconds,
        seconds_without_reads=outage(of_reads, start).seconds,
        rows_acknowledged=len(acknowledged),
        commands=tuple(record.commands),
        events=record.sorted_events(),
    )


def _first_after_an_outage(writes: Sequence[Sample], start: datetime) -> Sample | None:
    end = outage(writes, start).end
    return next((write for write in writes if write.ok and end is not None and write.time >= end), None)


def failover_leg(report: Report) -> Leg:
    """The failover as the first leg. Its rows are those that the client was promised after the death, and those lost with it."""
    return Leg(
        name="failover to the secondary",
        start=report.events[0].time,
        end=report.generated,
        seconds_without_service=report.seconds_without_service,
        seconds_without_writes=report.seconds_without_writes,
        seconds_without_reads=report.seconds_without_reads,
        rows_acknowledged=(report.rows_acknowledged or 0) - (report.rows_acknowledged_before_death or 0),
        rows_missing=report.rows_lost or 0,
        commands=report.commands,
        events=report.events,
    )


def legs_of(failover: Report, user: User, missing: Mapping[Role, Collection[int]]) -> Legs:
    """All legs for the report. `missing` are the rows that each region's database lacks in the end."""
    lost = {sequence for rows in missing.values() for sequence in rows}
    times = {write.sequence: write.time for write in user.writes if write.ok}
    later = (
        replace(leg, rows_missing=sum(leg.start <= times[row] <= leg.end for row in lost if row in times)) for leg in user.legs
    )
    return Legs(
        each=(failover_leg(failover), *later),
        rows=len(user.must_be_there()),
        rows_missing={region: len(rows) for region, rows in missing.items()},
        client_requests=(*failover.client_requests, *intervals(user.requests)),
        client_writes=(*failover.client_writes, *intervals(user.writes)),
        client_reads=(*failover.client_reads, *intervals(user.reads)),
    )


# What is in the regions


def sequences(lab: Lab, region: Role) -> set[int]:
    return {int(line) for line in lab.query(SEQUENCES, region).splitlines() if line}


def wait_for_rows(lab: Lab, region: Role, rows: Collection[int], *, timeout: float = 240) -> None:
    """Wait until a region's database has these rows. The other one archives its segment now, and not when that is old."""
    lab.query(SWITCH, peer_of(region))
    until(
        f"the {region}'s database to have {len(rows)} rows",
        lambda: not set(rows) - sequences(lab, region),
        timeout=timeout,
        interval=2,
    )


def cluster_of(lab: Lab, region: Role) -> dict[str, Any]:
    """A region's Cluster. Empty if there is none."""
    get = ("get", "cluster.postgresql.cnpg.io", databases.NAME, "-n", databases.DATABASE_NAMESPACE, "-o", "json")
    text = lab.kubectl(region, *get, "--ignore-not-found", check=False)
    return dict(json.loads(text)) if text.strip() else {}


def data_of(lab: Lab, region: Role, record: str) -> dict[str, str]:
    """What a ConfigMap in the program's namespace holds. Empty if there is none."""
    return dict(_config_map(lab, region, record).get("data") or {})


def _config_map(lab: Lab, region: Role, name: str) -> dict[str, Any]:
    get = ("get", "configmap", name, "-n", PROGRAM_NAMESPACE, "-o", "json", "--ignore-not-found")
    text = lab.kubectl(region, *get, check=False)
    return dict(json.loads(text)) if text.strip() else {}


def _created(lab: Lab, region: Role, name: str) -> datetime | None:
    found = _config_map(lab, region, name)
    return datetime.fromisoformat(found["metadata"]["creationTimestamp"].replace("Z", "+00:00")) if found else None


def is_asleep(lab: Lab) -> bool:
    """Whether the lab is as a failover leaves it once the primary has come back: the secondary serves, the primary stands by."""
    active = {role: _stack(lab, role).get("k8s-dr:active") for role in ROLES}
    return set(active.values()) == {"secondary"} and all(lab.region(role).alive for role in ROLES)


def _stack(lab: Lab, role: Role) -> dict[str, Any]:
    file = lab.paths.project / f"Pulumi.{role}.yaml"
    return dict((yaml.safe_load(file.read_text()) or {}).get("config") or {}) if file.exists() else {}
