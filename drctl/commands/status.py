"""`drctl status`: both regions side by side, from what each can tell. What does not answer is a line."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import click

from components.database.by_day import warnings_by_day
from components.drills.records import Records
from components.failover.backups import standby_of
from components.kube.cluster_api import ClusterApi
from components.kube.records import GUARD_RECORD, SERVING_RECORD
from components.velero import age
from drctl.commands.options import reads
from drctl.regions import ask_all
from drctl.run import Operator
from drctl.show import OK, WARNED
from drctl.steps import told
from settings import Settings
from settings.durations import format_duration, spoken
from settings.roles import ROLES, Role, peer_of


@dataclass(kw_only=True)
class Seen:
    """What is known of one region."""

    region: str
    serves: str = "not known"
    databases: str = "not known"
    promised: str = "not known"
    last_takeover: str = "not known"
    last_drills: str = "not known"
    guard: str = "not known"
    newest_mark: str = ""
    takeover: str = ""
    """Whether a takeover by this region would meet anything that is seen here; only the gate knows all."""

    stale: list[str] = field(default_factory=list)
    """What a failover to this region would lose or lack now."""

    silent: list[str] = field(default_factory=list)
    """What did not answer."""


@click.command(short_help="Both regions side by side: who serves, and what is stale.")
@click.option("--watch", is_flag=True, help="Ask again and again, until Ctrl-C.")
@click.option("--interval", type=click.IntRange(min=1), default=10, show_default=True, help="Seconds between two looks.")
@click.option(
    "--seconds", type=click.IntRange(min=1), default=30, show_default=True, help="How long each part may take to answer."
)
@reads
def status(operator: Operator, watch: bool, interval: int, seconds: int) -> int:
    """Both regions side by side: who serves, what a failover would lose, how long one takes, and what is stale.

    Ends with 4 if something is stale or does not answer. Whether the gate would open: drctl check.
    """
    if not watch:
        return _look(operator, seconds)
    code = OK
    with suppress(KeyboardInterrupt):  # its only way to end
        while True:
            code = _look(operator, seconds)
            time.sleep(interval)
    return code


def _look(operator: Operator, seconds: int) -> int:
    operator.stacks.read_seconds = min(operator.stacks.read_seconds, seconds)
    configured = {role: operator.project.settings(role) for role in ROLES}
    questions: dict[str, Any] = {"flag": partial(operator.regions.flag, configured["primary"], operator.project.names("primary"))}
    for role, settings in configured.items():
        names, cluster = operator.project.names(role), operator.regions.cluster(settings)
        questions |= {
            f"state {role}": partial(operator.stacks.outputs, role),
            f"cluster {role}": partial(_records, cluster),
            f"drills {role}": partial(_last_drills, settings, operator.regions.records(settings, names)),
        }
        # Which region stands by is an answer itself, so both are asked at once.
        archive = operator.regions.archive(settings, names)
        questions |= {
            f"late {role}": partial(_late, settings, operator, cluster, archive),
            f"mark {role}": partial(_newest_mark, settings, archive),
        }
    questions["checkers"] = partial(operator.regions.flag_unseen, configured["secondary"])
    with operator.screen.progress("both regions"):
        answers = ask_all(questions, seconds)
    seen = {role: _seen(operator, role, configured[role], answers) for role in ROLES}
    flag = _flag_in_words(answers["flag"])
    _show(operator, seen, flag)
    bad = [line for each in seen.values() for line in (*each.stale, *each.silent)]
    code = WARNED if bad or isinstance(answers["flag"], Exception) else OK
    return operator.finish(code, "", flag=flag, regions={role: asdict(each) for role, each in seen.items()})


def _seen(operator: Operator, role: Role, settings: Settings, answers: Mapping[str, Any]) -> Seen:
    seen = Seen(region=settings.topology.region(role))
    outputs, records, drill = (answers[f"{what} {role}"] for what in ("state", "cluster", "drills"))
    for what, answer in (("state", outputs), ("cluster", records), ("drills", drill)):
        if isinstance(answer, Exception):
            seen.silent.append(f"{what}: {_line(answer)}")
    if isinstance(outputs, Mapping) and (says := told(outputs, operator.project.configured(role))):
        details = outputs["details"]
        seen.databases = ", ".join(f"{name}: {side}" for name, side in says.databases.items()) or "none"
        seen.serves = f"yes, since {says.since}" if says.since else f"no, {says.active} does"
        targets = details.get("targets") or {}
        seen.promised = ", ".join(
            f"{name} {format_duration(timedelta(seconds=targets[key]))}"
            for name, key in (("RPO", "rpoSeconds"), ("RTO", "rtoSeconds"))
            if key in targets
        )
        taken = (details.get("failover") or {}).get("seconds")
        seen.last_takeover = f"{taken:g} s" if taken is not None else "none"
    elif isinstance(outputs, Mapping):
        seen.silent.append("state: the stack has no outputs; it was never brought up to its end")
    if isinstance(records, Mapping):
        serving, stopped = records["serving"], records["guard"]
        seen.guard = (
            f"has stopped this region, last at {stopped['at']}" if stopped and stopped.get("at") else "has stopped nothing"
        )
        if isinstance(outputs, Mapping) and (serving is not None) is not seen.serves.startswith("yes"):
            seen.stale.append(f"its stack and its cluster do not agree on whether it serves; run: pulumi up -s {role}")
    if not isinstance(drill, Exception):
        seen.last_drills = drill or "none"
    # Where its state does not answer, what its stack file says of it counts.
    stands_by = seen.serves.startswith("no, ") or (seen.serves == "not known" and settings.serving_role != role)
    if stands_by:
        mark = answers[f"mark {role}"]
        # Whether the checkers read the flag decides whether users follow a failover to the secondary.
        for what in (f"late {role}", *(["checkers"] if role == "secondary" else [])):
            told_of = answers[what]
            seen.stale += [f"not known: {_line(told_of)}"] if isinstance(told_of, Exception) else told_of
        seen.newest_mark = _line(mark) if isinstance(mark, Exception) else mark
        seen.takeover = _takeover(seen)
    return seen


def _takeover(seen: Seen) -> str:
    against = len(seen.stale) + len(seen.silent)
    if not against:
        return "nothing here stands against it"
    return f"{against} {'thing stands' if against == 1 else 'things stand'} against it, below"


def _records(cluster: ClusterApi) -> dict[str, dict[str, str] | None]:
    return {"serving": cluster.read_record(SERVING_RECORD), "guard": cluster.read_record(GUARD_RECORD)}


def _late(settings: Settings, operator: Operator, cluster: ClusterApi, archive: Any) -> list[str]:
    """What a takeover by this region would meet or lose now, in the words of an `up` by day."""
    rpo, role = timedelta(seconds=settings.objectives.rpo_seconds), settings.role
    expected = standby_of(settings, operator.project.names(role)).expected
    databases = warnings_by_day(cluster, archive, settings.databases, rpo, role) if settings.databases else []
    return [*databases, *age.warnings_by_day(cluster, expected, rpo, peer_of(role))]


def _newest_mark(settings: Settings, archive: Any) -> str:
    """How old the other region's newest word is on what it has archived: what is newer may be lost."""
    ages = []
    for database in settings.databases:
        mark = archive.mark(database.server(peer_of(settings.role)))
        ages.append(f"{database.name}: {f'{spoken(datetime.now(UTC) - mark.written)} old' if mark else 'none has come'}")
    return ", ".join(ages)


def _last_drills(settings: Settings, records: Records) -> str:
    """The last drill of each kind here, how it ended, and how long its recovery took."""
    lines = []
    for kind in settings.drilled:
        last = records.last(kind)
        took = f", recovered in {last.rto:g} s" if last and last.rto is not None else ""
        lines.append(f"{kind}: {f'{last.word}, {last.ended:%Y-%m-%d %H:%M} UTC{took}' if last else 'none yet'}")
    return "\n".join(lines)


def _flag_in_words(flag: Any) -> str:
    if isinstance(flag, Exception):
        return _line(flag)
    if flag is None:
        return "there is none, or its region does not answer"
    return f"{flag.active}, written {flag.written:%Y-%m-%d %H:%M:%S} UTC" if flag.written else str(flag.active)


def _line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def _show(operator: Operator, seen: Mapping[Role, Seen], flag: str) -> None:
    each = list(seen.values())
    rows = [
        ("region", *(one.region for one in each)),
        ("serves", *(one.serves for one in each)),
        ("databases", *(one.databases for one in each)),
        ("promised", *(one.promised for one in each)),
        ("last takeover", *(one.last_takeover for one in each)),
        ("last drills", *(one.last_drills for one in each)),
        ("guard", *(one.guard for one in each)),
        ("the other region's mark", *(one.newest_mark or "–" for one in each)),
        ("a takeover now", *(one.takeover or "–" for one in each)),
    ]
    operator.screen.table(f"traffic flag: {flag}; asked at {datetime.now(UTC):%H:%M:%S} UTC", ("", *seen), rows)
    for role, one in seen.items():
        operator.screen.lines(f"the {role} does not answer", one.silent)
        operator.screen.lines(f"stale in the {role}", one.stale)
