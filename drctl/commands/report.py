"""`drctl report`: what failovers and drills have measured, collected; a copy goes to the bucket of the region that serves."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import click

from components.drills.records import Record, RecordsUnreadableError, record_of
from components.telemetry import sending
from drctl import traces
from drctl.commands.options import YES, reads
from drctl.regions import Bucket, BucketUnreadableError, ask_all
from drctl.run import Operator
from drctl.show import FAILED, OK, WARNED
from report.takeover import NoTakeoverError, takeover
from settings.durations import parse_duration
from settings.names import DRILLS_PREFIX
from settings.roles import ROLES, Role

LOCAL = ".failover"
"""Where the program writes its local reports, beside the stack files."""

REPORTS = "reports"
"""The prefix of the copies. Velero's own are below velero/, so it never meets them."""

SECONDS = 60


@dataclass(frozen=True, kw_only=True)
class Drill:
    """A drill's record, as it is and as it was read."""

    told: Mapping[str, Any]
    record: Record

    @property
    def ended(self) -> datetime:
        return self.record.ended


@dataclass(frozen=True, kw_only=True)
class Taken:
    """A takeover, as it was told and when it ended."""

    told: Mapping[str, Any]
    ended: datetime


@click.command(short_help="What takeovers and drills have measured.")
@click.option("--since", metavar="DURATION", help="Only what ended within this time, as in 720h; by default all.")
@click.option("--copy/--no-copy", default=True, help="Whether a copy goes to the bucket of the region that serves.")
@YES
@reads
def report(operator: Operator, since: str | None, copy: bool) -> int:
    """Collect the reports of failovers and the records of drills, of both regions as far as they answer.

    Where a collector of OpenTelemetry is named (OTEL_EXPORTER_OTLP_ENDPOINT), it gets the drills that it has not got yet; with
    --no-copy it gets none, for nothing would remember it.

    Ends with 4 if one of them does not answer, or if something among them is none.
    """
    try:
        first = datetime.now(UTC) - parse_duration(since) if since else datetime.min.replace(tzinfo=UTC)
    except (ValueError, OverflowError) as error:
        raise click.UsageError(f"--since: {since} {error}") from None
    answers = _asked(operator)
    silent = [f"{what}: {' '.join(str(answer).split())}" for what, answer in answers.items() if isinstance(answer, Exception)]
    drills, takeovers, strange = _known(operator, answers)
    silent += strange
    found = _unsent(operator, drills, answers) if copy and sending.wanted() else None
    silent += found.problems if found else ()
    drills = sorted((each for each in drills if each.ended >= first), key=lambda each: each.ended)
    takeovers = _different([each for each in takeovers if each.ended >= first])
    collected = {
        "collected": datetime.now(UTC).isoformat(timespec="seconds"),
        "since": since,
        "takeovers": [each.told for each in takeovers],
        "drills": [each.told for each in drills],
        "silent": silent,
    }
    _show(operator, takeovers, drills, silent)
    where = _keep(operator, collected, answers, found) if copy else None
    if isinstance(where, BucketUnreadableError):
        return operator.finish(FAILED, str(where), report=collected)
    if found and found.traces:
        lines = traces.send(found, _live(operator, answers)[1], f"{datetime.now(UTC):%Y%m%dT%H%M%S.%fZ}.json")
        sent = f"{len(found.traces)} drills were sent as traces"
        operator.screen.say(f"  {'; '.join(lines) or sent}", "yellow" if lines else "")
        silent += lines
    said = f"a copy is in {where}" if where else ""
    return operator.finish(WARNED if silent else OK, said, report=collected, copy=where)


def _asked(operator: Operator) -> dict[str, Any]:
    questions: dict[str, Any] = {}
    for role in ROLES:
        settings, names = operator.project.settings(role), operator.project.names(role)
        prefix, bucket = f"{DRILLS_PREFIX}/{role}/", operator.regions.bucket(settings, names)
        questions[f"drills {role}"] = lambda bucket=bucket, prefix=prefix: [*bucket.documents(prefix)]
        questions[f"state {role}"] = partial(operator.stacks.outputs, role)
        if sending.wanted():
            questions[f"sent {role}"] = lambda bucket=bucket: bucket.last(traces.PREFIX)
    settings, names = operator.project.settings("primary"), operator.project.names("primary")
    questions["flag"] = partial(operator.regions.flag, settings, names)
    with operator.screen.progress("what both regions have left"):
        return ask_all(questions, SECONDS)


def _known(operator: Operator, answers: Mapping[str, Any]) -> tuple[list[Drill], list[Taken], list[str]]:
    """Drills, takeovers, and a line for each that is none: whoever may write there could have written anything."""
    drills, takeovers, strange = [], [], []
    for role in ROLES:
        listed = answers[f"drills {role}"]
        for key, told in () if isinstance(listed, Exception) else listed:
            try:
                drills.append(Drill(told=told, record=record_of(key, json.dumps(told).encode())))
            except (RecordsUnreadableError, RecursionError) as error:
                strange.append(f"drills {role}: {error if isinstance(error, RecordsUnreadableError) else f'{key} is too deep'}")
    for source, told in (*_local(operator), *_of_stacks(answers)):
        try:
            takeovers.append(Taken(told=told, ended=takeover(told, source=source).ended.astimezone(UTC)))
        except NoTakeoverError as error:
            strange.append(str(error))
        except TypeError:
            strange.append(f"{source}: steps: some of their times have a time zone, and some have none")
    return drills, takeovers, strange


def _local(operator: Operator) -> Iterator[tuple[str, dict[str, Any]]]:
    for file in sorted((operator.project.directory / LOCAL).glob("*.json")):
        try:
            content = json.loads(file.read_text())
        except (OSError, ValueError):
            continue
        if isinstance(content, dict):
            yield f"{LOCAL}/{file.name}", content


def _of_stacks(answers: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The last takeover of each stack, by its outputs: no laptop has to have been there."""
    for role in ROLES:
        outputs = answers[f"state {role}"]
        details = outputs.get("details") or {} if isinstance(outputs, Mapping) else {}
        steps = (details.get("failover") or {}).get("steps")
        if steps:
            told = {"stack": role, "active": outputs.get("active"), "steps": steps, "targets": details.get("targets")}
            yield f"state {role}", {**told, "region": (details.get("serving") or {}).get("region")}


def _different(takeovers: list[Taken]) -> list[Taken]:
    """Each takeover once: a local report and a stack may tell of the same one."""
    return list({(each.told["region"], each.ended): each for each in reversed(takeovers)}.values())[::-1]


def _unsent(operator: Operator, drills: Sequence[Drill], answers: Mapping[str, Any]) -> traces.Unsent:
    return traces.unsent(
        operator.project.settings("secondary").topology.organization,
        {drill.record.key: drill.told for drill in drills},
        {role: not isinstance(answers[f"drills {role}"], Exception) for role in ROLES},
        {role: answers[f"sent {role}"] for role in ROLES},
    )


def _live(operator: Operator, answers: Mapping[str, Any]) -> tuple[str, Bucket]:
    """The bucket of the region that serves, with its name."""
    flag = answers["flag"]
    role: Role = flag.active if flag is not None and not isinstance(flag, Exception) else "primary"
    settings, names = operator.project.settings(role), operator.project.names(role)
    return names.bucket("velero"), operator.regions.bucket(settings, names)


def _keep(
    operator: Operator, collected: Mapping[str, Any], answers: Mapping[str, Any], found: traces.Unsent | None
) -> str | BucketUnreadableError:
    name, bucket = _live(operator, answers)
    sends = f", and send {len(found.traces)} drills to the collector" if found and found.traces else ""
    operator.screen.confirm(f"Write a copy into s3://{name}/{REPORTS}/{sends}?")
    try:
        key = f"{REPORTS}/{datetime.now(UTC):%Y%m%dT%H%M%S.%fZ}.json"
        return bucket.keep(key, collected)
    except BucketUnreadableError as error:
        return error


def _show(operator: Operator, takeovers: Sequence[Taken], drills: Sequence[Drill], silent: Sequence[str]) -> None:
    rows = []
    for taken in takeovers:
        rows.append(
            ("takeover", str(taken.told["region"]), f"{taken.ended:%Y-%m-%d %H:%M} UTC", f"{len(taken.told['steps'])} steps")
        )
    for drill in drills:
        measured = ", ".join(
            f"{name} {timedelta(seconds=round(value))}"
            for name, value in (("RPO", drill.record.rpo), ("RTO", drill.record.rto))
            if value is not None
        )
        why = f": {'; '.join(drill.record.reasons)}" if drill.record.passed is False else ""
        what = f"{drill.record.word}{why}{f', {measured}' if measured else ''}"
        kind, region = drill.told.get("kind"), drill.told.get("region")
        rows.append((f"drill {kind}", str(region), f"{drill.ended:%Y-%m-%d %H:%M} UTC", what))
    if rows:
        operator.screen.table("", ("what", "region", "ended", ""), rows)
    operator.screen.lines("does not answer, or is none", silent)
