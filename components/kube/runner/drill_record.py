"""What a drill leaves for a machine and an auditor to read: its record, which the Pod's last container uploads.

A drill's step runs after the containers that fetch, and beside the one that uploads. It always ends with 0 and leaves three
files: `record.json`; `key`, where in the bucket it belongs; and `verdict`, whose first line is `passed`, `skipped` or `failed`
and whose second says why. So the status of the Job, its termination message and the record never disagree.

The task of every drill: `kind`; `region` and `role` of this region; `prefix`, below which its records are; `targets`, the
seconds of `rpo` and `rto`; `versions`, by name. The environment names the run: JOB_NAME, CRONJOB and POD_UID.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from .api import ApiError
from .drill_end import ToldToEndError, ends_when_told, shows_that_it_lives
from .failure import StepFailedError

SCHEMA = 1
LABEL, RUN_LABEL = "k8s-dr/drill", "k8s-dr/drill-run"
"""Labels of everything that a drill makes: its kind, and which run made it."""

DIRECTORY = Path("/work")
RECORD, KEY, VERDICT = "record.json", "key", "verdict"
ASKED = "asked.json"
"""What the cluster has said, for the steps that come later."""

PASSED, SKIPPED, FAILED = "passed", "skipped", "failed"

_MOST_REASONS = 50
"""Reasons that a record holds. A bucket that is empty has thousands of them, all alike."""

_ROOM = 3500
"""Bytes of the verdict: a termination message has 4096."""


def now_in_utc() -> datetime:
    return datetime.now(UTC)


def text(moment: datetime) -> str:
    """As in 2026-03-01T12:00:00Z."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def moment(written: str) -> datetime:
    """A time in RFC 3339, of any precision. Raises ValueError."""
    # Python 3.11 reads Z, and at most six digits of a second; S3, Velero and PostgreSQL write more.
    parsed = datetime.fromisoformat(re.sub(r"(\.\d{6})\d+", r"\1", written))
    return parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)


@dataclass(kw_only=True)
class Drill:
    """One run of a drill: what it has found so far. `run` tells its objects and its record from those of every other run."""

    kind: str
    run: str
    started: datetime
    reasons: list[str] = field(default_factory=list)
    skipped: str | None = None
    used: list[dict[str, str]] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    """What is worth telling and fails nothing, as the left-overs of an earlier run that were deleted."""

    versions: dict[str, str] = field(default_factory=dict)
    rpo_seconds: float | None = None
    rto_seconds: float | None = None

    @property
    def labels(self) -> dict[str, str]:
        """Labels of everything that this run makes."""
        return {LABEL: self.kind, RUN_LABEL: self.run}

    def fail(self, reason: str) -> None:
        """The drill has failed, and goes on: a second thing may be wrong too."""
        line = " ".join(reason.split())
        if line not in self.reasons:
            self.reasons.append(line)

    def note(self, line: str) -> None:
        self.notes.append(" ".join(line.split()))

    def skip(self, why: str) -> None:
        """There is nothing to drill in this region now."""
        self.skipped = why

    def use(self, what: str, name: str, when: datetime | None = None, **more: str) -> None:
        """A backup that this drill has used: what it is (velero-backup, base-backup, etcd-snapshot, …), its name, its time."""
        self.used.append({"what": what, "name": name, **({"time": text(when)} if when else {}), **more})

    def count(self, name: str, number: int = 1) -> None:
        self.counts[name] = self.counts.get(name, 0) + number


def run_drill(
    task: Mapping[str, Any],
    work: Callable[[Drill], None],
    *,
    directory: Path = DIRECTORY,
    environment: Mapping[str, str] = os.environ,
    now: Callable[[], datetime] = now_in_utc,
) -> str:
    """Do `work`, and leave the record whatever happens in it. Returns what the step says; it raises nothing but OSError, where
    the record itself cannot be written."""
    drill = Drill(kind=task["kind"], run=run_of(environment), started=now())
    with shows_that_it_lives(directory):
        try:
            with ends_when_told():
                work(drill)
        except (StepFailedError, ApiError) as failure:
            drill.fail(str(failure))
        except ToldToEndError:
            drill.fail(
                "the drill was told to end before it was done: its Job is over its deadline or was deleted, or its node drained"
            )
        except Exception as error:  # noqa: BLE001 - a drill that broke is a drill that failed, and its record must say so
            drill.fail(f"the drill itself failed: {type(error).__name__}: {error}")
        return _leave(drill, task, directory, environment, now())


def _leave(drill: Drill, task: Mapping[str, Any], directory: Path, environment: Mapping[str, str], ended: datetime) -> str:
    record = record_of(drill, task, environment, ended)
    stamp = drill.started.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")
    word, told = verdict(record)
    (directory / RECORD).write_text(json.dumps(record, indent=2, ensure_ascii=False) + "\n")
    (directory / KEY).write_text(f"{task['prefix']}/{drill.kind}/{stamp}-{drill.run}.json")
    unfinished = directory / f"{VERDICT}.part"
    unfinished.write_text(f"{word}\n{told}\n")
    unfinished.rename(directory / VERDICT)  # the container that uploads waits for it
    return f"{word}: {told}"


def record_of(drill: Drill, task: Mapping[str, Any], environment: Mapping[str, str], ended: datetime) -> dict[str, Any]:
    """The record as it is kept. It holds no secret and no contents of a row or an object, only names, counts and times."""
    reasons, targets = drill.reasons, task["targets"]
    if len(reasons) > _MOST_REASONS:
        reasons = [*reasons[:_MOST_REASONS], f"and {len(reasons) - _MOST_REASONS} more"]
    passed = False if reasons else None if drill.skipped else True
    return {
        "schema": SCHEMA,
        "kind": drill.kind,
        "region": task["region"],
        "role": task["role"],
        "run": drill.run,
        "started": text(drill.started),
        "ended": text(ended),
        "passed": passed,
        "skipped": drill.skipped if passed is None else None,
        "reasons": reasons,
        "used": drill.used,
        "rpo": {"target": targets["rpo"], "measured": drill.rpo_seconds},
        "rto": {"target": targets["rto"], "measured": drill.rto_seconds},
        "counts": drill.counts,
        "notes": drill.notes,
        "by": by(environment),
        "versions": {**task["versions"], **drill.versions},
    }


def without_verdict(kind: str, task: Mapping[str, Any]) -> str:
    """The record of a drill whose step has left none, for the container that uploads. It fills in what is between @."""
    nowhen = datetime.fromtimestamp(0, UTC)
    drill = Drill(kind=kind, run="@RUN@", started=nowhen, reasons=["@REASON@"])
    return json.dumps({**record_of(drill, task, {}, nowhen), "started": "@STARTED@", "ended": "@ENDED@", "by": "@BY@"})


def verdict(record: Mapping[str, Any]) -> tuple[str, str]:
    """One word, and one line of why, short enough for a termination message."""
    if record["reasons"]:
        line = " | ".join(record["reasons"]).encode()
        cut = line[:_ROOM].decode(errors="ignore")
        return FAILED, cut if len(line) <= _ROOM else f"{cut} …"
    if record["skipped"]:
        return SKIPPED, record["skipped"]
    return PASSED, ", ".join(f"{number} {name}" for name, number in record["counts"].items()) or "nothing was found wrong"


def run_of(environment: Mapping[str, str]) -> str:
    """The name of this run, short enough for a label and for the names of what it makes."""
    with suppress(KeyError):
        return re.sub(r"[^0-9a-z]", "", environment["POD_UID"].lower())[:8]
    raise StepFailedError("POD_UID is not set, by which a drill tells its objects from those of another run")


def by(environment: Mapping[str, str]) -> str:
    """Who ran it. The CronJob controller names its Jobs by the minute for which they were due (getJobName in Kubernetes'
    cronjob_controllerv2.go), which has eight digits until 2160; a person chooses another name in kubectl create job
    --from=cronjob/NAME, as with the second, which has ten."""
    job, cron_job = environment.get("JOB_NAME", ""), environment.get("CRONJOB", "")
    if cron_job and re.fullmatch(re.escape(cron_job) + r"-\d{8}", job):
        return f"CronJob/{cron_job}"
    return f"Job/{job or 'unknown'}, made by a person"
