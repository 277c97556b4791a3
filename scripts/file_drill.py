"""Files what people practised as a record beside those of the other drills, once and for all: S3 refuses to write over one.

After a full failover drill, from the local reports of the machine that ran the way there and the way back:

    .venv/bin/python -m scripts.file_drill full --by "A. Turner" --passed --report .failover/secondary.json \\
        --report .failover/primary.json --rpo 0s --rto 4m

from the outputs of the stack that serves, for one that has given up tells of no takeover; or of what has no report:

    .venv/bin/python -m scripts.file_drill full --by "A. Turner" --failed "no image in B" --outputs secondary
    .venv/bin/python -m scripts.file_drill tabletop --by "A. Turner" --passed --began 2026-01-20T09:00:00Z --note "12 were there"

It goes into the secondary's bucket. Passed or failed is what people say; an RPO or RTO beyond its target makes it failed all the
same. --print only prints it. It takes s3:PutObject on the prefix drills/ of the bucket, and the use of its key.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any, get_args

import botocore.exceptions

from components.drills.pods import versions
from components.iam.errors import explain
from components.kube.runner.drill_record import Drill, moment, record_of, text
from report.__main__ import of_stack
from report.takeover import NoTakeoverError, Takeover, takeover
from scripts.drill_page import Connect, connect
from scripts.stack_files import settings_of
from settings.durations import parse_duration, spoken
from settings.load import ConfigurationError
from settings.model import Settings
from settings.names import DRILLS_PREFIX, Names
from settings.people import PeoplesKind
from settings.roles import ROLES

Asked = Callable[[str, str | None], Takeover]
"""The takeover of a stack, which is in this backend."""

KINDS: tuple[PeoplesKind, ...] = get_args(PeoplesKind)


class NotFiledError(Exception):
    """Why no record was filed, in one line."""


def record(
    kind: str,
    settings: Settings,
    ways: Sequence[Takeover],
    *,
    by: str,
    failed: Sequence[str],
    notes: Sequence[str] = (),
    began: datetime | None = None,
    ended: datetime,
    rpo: timedelta | None = None,
    rto: timedelta | None = None,
) -> tuple[str, dict[str, Any]]:
    """The record and its key. `ways` are the failovers of which the drill consisted, in any order."""
    ways = sorted(ways, key=lambda way: way.began)
    started = began or (ways[0].began if ways else None)
    if started is None:
        raise NotFiledError("--began: is missing, and no report says when it began; write a time, as in 2026-06-15T09:00:00Z")
    ended = max(way.ended for way in ways) if ways else ended
    if ended < started:
        raise NotFiledError(f"--began: {text(started)} is after {text(ended)}, when it ended; write when it began")
    names, goal = Names(topology=settings.topology, role=settings.role), settings.objectives
    run = sha256(f"{kind} {text(started)}".encode()).hexdigest()[:8]
    drill = Drill(kind=kind, run=run, started=started, reasons=[])
    for way in ways:
        seconds = spoken(timedelta(seconds=way.seconds))
        drill.note(f"{way.region} took over in {seconds}, its steps alone, from {text(way.began)} to {text(way.ended)}")
        drill.count("steps", len(way.steps))
        drill.count("takeovers")
    for line in notes:
        drill.note(line)
    steps = max((way.seconds for way in ways), default=None)
    drill.rpo_seconds = rpo.total_seconds() if rpo is not None else None
    drill.rto_seconds = rto.total_seconds() if rto is not None else steps
    if ways and rto is None:
        drill.note("the RTO is that of the longer takeover's steps; nobody has said how long users waited")
    for reason in failed:
        drill.fail(reason)
    for name, measured, target in (
        ("RPO", drill.rpo_seconds, goal.rpo_seconds),
        ("RTO", drill.rto_seconds, goal.rto_seconds),
    ):
        if measured is not None and measured > target:
            long, promised = spoken(timedelta(seconds=measured)), spoken(timedelta(seconds=target))
            drill.fail(f"its {name} is {long}, and tier {goal.tier} promises {promised}")
    commits = dict.fromkeys(way.commit for way in ways if way.commit)
    task = {
        "region": names.region,
        "role": names.role,
        "targets": {"rpo": goal.rpo_seconds, "rto": goal.rto_seconds},
        "versions": {**versions(settings), **({"commit": ", ".join(commits)} if commits else {})},
    }
    found = {**record_of(drill, task, {}, ended), "by": " ".join(by.split())}
    return f"{DRILLS_PREFIX}/{names.role}/{kind}/{started.astimezone(UTC):%Y%m%dT%H%M%SZ}-{run}.json", found


def file(key: str, found: dict[str, Any], settings: Settings, connecting: Connect = connect) -> str:
    """Add the record to the region's bucket. Returns where it is. Raises NotFiledError; what is there is never written over."""
    bucket = Names(topology=settings.topology, role=settings.role).bucket("velero")
    body = (json.dumps(found, indent=2, ensure_ascii=False) + "\n").encode()
    where = f"s3://{bucket}/{key}"
    try:
        connecting(settings).put_object(
            Bucket=bucket, Key=key, Body=body, ContentType="application/json", ChecksumAlgorithm="SHA256", IfNoneMatch="*"
        )
    except botocore.exceptions.ClientError as error:
        if error.response.get("Error", {}).get("Code") in {"PreconditionFailed", "ConditionalRequestConflict"}:
            raise NotFiledError(f"{where} is there already: this drill was filed, and no record is written over") from None
        raise NotFiledError(f"{where}: {explain(error, f's3:PutObject on {where}')}") from None
    except botocore.exceptions.BotoCoreError as error:
        raise NotFiledError(f"{where}: {explain(error, f's3:PutObject on {where}')}") from None
    return where


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m scripts.file_drill", description="Files what people practised as a record.")
    parser.add_argument("kind", choices=KINDS, help="what was practised")
    parser.add_argument("--by", required=True, help="who led it")
    result = parser.add_mutually_exclusive_group(required=True)
    result.add_argument("--passed", action="store_true", help="it did what it should")
    result.add_argument("--failed", action="append", default=[], metavar="WHY", help="it did not, and why; as often as needed")
    parser.add_argument("--report", action="append", default=[], type=Path, help="a local report, .failover/<stack>.json")
    parser.add_argument("--outputs", action="append", default=[], choices=ROLES, help="a stack whose outputs have the takeover")
    parser.add_argument("--began", help="when it began, where no report says it; as in 2026-06-15T09:00:00Z")
    parser.add_argument("--rpo", help="how much was lost, as people have counted it: 0s, 90s, 5m")
    parser.add_argument("--rto", help="how long users waited, as people have seen it: 90s, 4m30s")
    parser.add_argument("--note", action="append", default=[], help="what is worth telling; as often as needed")
    parser.add_argument("--directory", type=Path, default=Path(), help="where Pulumi.yaml is")
    parser.add_argument("--print", action="store_true", help="print the record, and file none")
    return parser.parse_args(arguments)


def _span(option: str, said: str | None) -> timedelta | None:
    if said is None or said == "0s":
        return None if said is None else timedelta()
    try:
        return parse_duration(said)
    except ValueError as error:
        raise NotFiledError(f"{option}: {said} {error}") from None


def _time(said: str | None) -> datetime | None:
    try:
        return None if said is None else moment(said)
    except ValueError:
        raise NotFiledError(f"--began: {said} is no time; write one as in 2026-06-15T09:00:00Z") from None


def _ways(given: argparse.Namespace, settings: Settings, asked: Asked) -> list[Takeover]:
    backends = settings.topology.backends
    found = [asked(stack, getattr(backends, stack) if backends else None) for stack in given.outputs]
    for file_ in given.report:
        try:
            found.append(takeover(json.loads(file_.read_text()), source=str(file_)))
        except (OSError, ValueError) as error:
            raise NotFiledError(f"{file_}: {getattr(error, 'strerror', None) or 'this is not JSON'}") from None
    return found


def main(
    arguments: Sequence[str] | None = None,
    connecting: Connect = connect,
    asked: Asked = of_stack,
    now: datetime | None = None,
) -> int:
    given = _parse(arguments)
    try:
        settings = settings_of("secondary", given.directory)
        key, found = record(
            given.kind,
            settings,
            _ways(given, settings, asked),
            by=given.by,
            failed=given.failed,
            notes=given.note,
            began=_time(given.began),
            ended=now or datetime.now(UTC),
            rpo=_span("--rpo", given.rpo),
            rto=_span("--rto", given.rto),
        )
        if given.print:
            print(json.dumps(found, indent=2, ensure_ascii=False))
            return 0
        where = file(key, found, settings, connecting)
    except (NotFiledError, NoTakeoverError, ConfigurationError) as error:
        print(error, file=sys.stderr)
        return 1
    print(f"Filed as {'passed' if found['passed'] else 'failed'}: {where}")
    print("\n".join(found["reasons"]), end="\n" if found["reasons"] else "")
    return 0


if __name__ == "__main__":
    sys.exit(main())
