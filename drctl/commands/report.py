"""`drctl report`: what failovers and drills have measured, collected; a copy goes to the bucket of the region that serves."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import click

from drctl.commands.options import YES, reads
from drctl.regions import BucketUnreadableError, ask_all
from drctl.run import Operator
from drctl.show import FAILED, OK, WARNED
from settings.durations import parse_duration
from settings.names import DRILLS_PREFIX
from settings.roles import ROLES, Role

LOCAL = ".failover"
"""Where the program writes its local reports, beside the stack files."""

REPORTS = "reports"
"""The prefix of the copies. Velero's own are below velero/, so it never meets them."""

SECONDS = 60


@click.command()
@click.option("--since", metavar="DURATION", help="Only what ended within this time, as in 720h; by default all.")
@click.option("--copy/--no-copy", default=True, help="Whether a copy goes to the bucket of the region that serves.")
@YES
@reads
def report(operator: Operator, since: str | None, copy: bool) -> int:
    """Collect the reports of failovers and the records of drills, of both regions as far as they answer.

    Ends with 4 if one of them does not answer.
    """
    try:
        first = datetime.now(UTC) - parse_duration(since) if since else datetime.min.replace(tzinfo=UTC)
    except (ValueError, OverflowError) as error:
        raise click.UsageError(f"--since: {since} {error}") from None
    answers = _asked(operator)
    silent = [f"{what}: {' '.join(str(answer).split())}" for what, answer in answers.items() if isinstance(answer, Exception)]
    drills = [record for role in ROLES for record in _listed(answers[f"drills {role}"]) if _ended(record) >= first]
    takeovers = [each for each in (*_local(operator), *_of_stacks(answers)) if _ended(each) >= first]
    collected = {
        "collected": datetime.now(UTC).isoformat(timespec="seconds"),
        "since": since,
        "takeovers": _different(takeovers),
        "drills": sorted(drills, key=lambda record: str(record.get("ended", ""))),
        "silent": silent,
    }
    _show(operator, collected)
    where = _keep(operator, collected, answers) if copy else None
    if isinstance(where, BucketUnreadableError):
        return operator.finish(FAILED, str(where), report=collected)
    said = f"a copy is in {where}" if where else ""
    return operator.finish(WARNED if silent else OK, said, report=collected, copy=where)


def _asked(operator: Operator) -> dict[str, Any]:
    questions: dict[str, Any] = {}
    for role in ROLES:
        settings, names = operator.project.settings(role), operator.project.names(role)
        prefix, bucket = f"{DRILLS_PREFIX}/{role}/", operator.regions.bucket(settings, names)
        questions[f"drills {role}"] = lambda bucket=bucket, prefix=prefix: [found for _, found in bucket.documents(prefix)]
        questions[f"state {role}"] = partial(operator.stacks.outputs, role)
    settings, names = operator.project.settings("primary"), operator.project.names("primary")
    questions["flag"] = partial(operator.regions.flag, settings, names)
    return ask_all(questions, SECONDS)


def _listed(answer: Any) -> list[dict[str, Any]]:
    return [] if isinstance(answer, Exception) else list(answer)


def _ended(record: Mapping[str, Any]) -> datetime:
    """When a drill or a takeover ended; long ago if it does not say."""
    ends = [record.get("ended"), *(step.get("end") for step in record.get("steps") or () if isinstance(step, Mapping))]
    try:
        found = max(str(end) for end in ends if end)
        moment = datetime.fromisoformat(found.replace("Z", "+00:00"))
    except ValueError:
        return datetime.min.replace(tzinfo=UTC)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _local(operator: Operator) -> list[dict[str, Any]]:
    found = []
    for file in sorted((operator.project.directory / LOCAL).glob("*.json")):
        try:
            content = json.loads(file.read_text())
        except (OSError, ValueError):
            continue
        if isinstance(content, dict):
            found.append(content)
    return found


def _of_stacks(answers: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The last takeover of each stack, by its outputs: no laptop has to have been there."""
    found = []
    for role in ROLES:
        outputs = answers[f"state {role}"]
        details = outputs.get("details") or {} if isinstance(outputs, Mapping) else {}
        steps = (details.get("failover") or {}).get("steps")
        if steps:
            region = (details.get("serving") or {}).get("region")
            found.append({"stack": role, "region": region, "steps": steps, "targets": details.get("targets")})
    return found


def _different(takeovers: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Each takeover once: a local report and a stack may tell of the same one."""
    return list({(each.get("region"), _ended(each)): each for each in reversed(takeovers)}.values())[::-1]


def _keep(operator: Operator, collected: Mapping[str, Any], answers: Mapping[str, Any]) -> str | BucketUnreadableError:
    flag = answers["flag"]
    role: Role = flag.active if flag is not None and not isinstance(flag, Exception) else "primary"
    settings, names = operator.project.settings(role), operator.project.names(role)
    operator.screen.confirm(f"Write a copy into s3://{names.bucket('velero')}/{REPORTS}/?")
    try:
        key = f"{REPORTS}/{datetime.now(UTC):%Y%m%dT%H%M%S.%fZ}.json"
        return operator.regions.bucket(settings, names).keep(key, collected)
    except BucketUnreadableError as error:
        return error


def _show(operator: Operator, collected: Mapping[str, Any]) -> None:
    rows = []
    for each in collected["takeovers"]:
        steps = each.get("steps") or ()
        rows.append(("takeover", str(each.get("region")), f"{_ended(each):%Y-%m-%d %H:%M} UTC", f"{len(steps)} steps"))
    for each in collected["drills"]:
        measured = ", ".join(
            f"{name.upper()} {timedelta(seconds=round(value))}"
            for name in ("rpo", "rto")
            if (value := (each.get(name) or {}).get("measured")) is not None
        )
        why = "; ".join(map(str, each.get("reasons") or ()))
        how = {True: "passed", None: "skipped"}.get(each.get("passed"), f"failed: {why}")
        what = f"{how}{f', {measured}' if measured else ''}"
        rows.append((f"drill {each.get('kind')}", str(each.get("region")), f"{_ended(each):%Y-%m-%d %H:%M} UTC", what))
    rows += [("does not answer", "", "", line) for line in collected["silent"]]
    if rows:
        operator.screen.table("", ("what", "region", "ended", ""), rows)
