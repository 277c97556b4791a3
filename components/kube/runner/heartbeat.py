"""The step `heartbeat`: calls the URL of each job that is in order, and of no other. Silence is the alarm.

The jobs themselves call nobody. Each of their Pods would need the secret URL and a way out of the cluster: etcd's runs as root in
the network of a control plane, others with an identity at AWS. So none of them can be late or fail because a receiver is away.
And none could say that a *schedule* is fresh: Velero makes its backups in no Pod of this program's, and S3 brings them to the
other region. One step looks at what the API server knows of all of them, as the alerts do. It says every few minutes what a drill
could say but once a month, so that a receiver need wait a quarter of an hour for every job alike.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from .api import Api, ApiError
from .receiver import SECONDS, tell

URLS = Path("/heartbeats")
"""Where the Secret is mounted: a file a job, with its URL."""

_LOOKING_SECONDS = 20
_FENCED = "cnpg.io/fencedInstances"


def run(task: Mapping[str, Any]) -> str:
    """Look, and call. Returns which jobs were told of, which are silent and why, and which receivers did not take it."""
    return beat(Api.in_cluster(seconds=_LOOKING_SECONDS, patience=_LOOKING_SECONDS, answer=_LOOKING_SECONDS), task, URLS)


def beat(
    api: Api,
    task: Mapping[str, Any],
    urls: Path,
    *,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
    seconds: float = SECONDS,
) -> str:
    """As `run`, by this API server, with the URLs of this directory. It fails for no receiver: that one sees its own silence."""
    silent: dict[str, str] = {}
    well: dict[str, str] = {}
    for look, each in ((look, each) for kind, look in _LOOKS.items() for each in task[kind]):
        job = each["job"]
        try:
            wrong = look(api, each, now())
        except ApiError as error:
            wrong = f"cannot be asked: {error}"
        except (KeyError, TypeError, ValueError) as error:
            wrong = f"is not what it should be ({type(error).__name__})"
        if wrong is None:
            try:
                well[job] = (urls / job).read_text().strip()
            except OSError as error:
                wrong = f"has no URL here: {error.strerror}"
        if wrong is not None:
            silent[job] = wrong
    not_taken = tell(well, seconds=seconds)
    told = ", ".join(job for job in well if job not in not_taken) or "nothing"
    lines = [f"told of {told}"]
    lines += [f"silent: {job}: {wrong}" for job, wrong in silent.items()]
    lines += [f"not taken: {job}: {wrong}" for job, wrong in not_taken.items()]
    return "; ".join(lines)


def _cron_job(api: Api, each: Mapping[str, Any], now: datetime) -> str | None:
    """A CronJob that succeeded lately. One whose runs are rare is silent once its last run has failed (`failures`): the next one
    may be a month away."""
    found = api.find(each["path"])
    if found is None:
        return "its CronJob is not there"
    status = found.get("status") or {}
    succeeded = status.get("lastSuccessfulTime")
    if succeeded is None:
        return "it has never succeeded"
    begun = status.get("lastScheduleTime")
    if each["failures"] and begun and _moment(begun) > _moment(succeeded) and not status.get("active"):
        return "its last run has failed"
    return _too_old(_moment(succeeded), each["within"], now, "it last succeeded")


def _backups(api: Api, each: Mapping[str, Any], now: datetime) -> str | None:
    """The newest Completed backup of a schedule of either region: only the one that serves makes any, and S3 brings them."""
    selector = f"velero.io/schedule-name in ({','.join(each['schedules'])})"
    ended = [
        _moment(status["completionTimestamp"])
        for status in (backup.get("status") or {} for backup in api.list(each["path"], selector))
        if status.get("phase") == "Completed" and status.get("completionTimestamp")
    ]
    return _too_old(max(ended), each["within"], now, "its newest backup ended") if ended else "no Completed backup of it is here"


def _database(api: Api, each: Mapping[str, Any], _: datetime) -> str | None:
    """A Cluster that runs and archives, whether it takes writes or follows."""
    found = api.find(each["path"])
    if found is None:
        return "its Cluster is not there"
    if (found["metadata"].get("annotations") or {}).get(_FENCED, "[]") not in ("", "[]"):
        return "it is fenced"
    conditions = {one["type"]: one["status"] for one in (found.get("status") or {}).get("conditions") or []}
    if conditions.get("Ready") != "True":
        return "it is not ready"
    return "it does not archive" if conditions.get("ContinuousArchiving") == "False" else None


_LOOKS: dict[str, Callable[[Api, Mapping[str, Any], datetime], str | None]] = {
    "cronJobs": _cron_job,
    "backups": _backups,
    "databases": _database,
}
"""By the task's lists, how what is in them is looked at: what is wrong, in words; None where it is in order."""


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text.replace("Z", "+00:00"))


def _too_old(moment: datetime, within: int, now: datetime, what: str) -> str | None:
    age = (now - moment).total_seconds()
    return None if age <= within else f"{what} {age:.0f} s ago, and {within} s are allowed"
