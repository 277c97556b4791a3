"""The log of a client of the application, and the one definition of the time without service, which is computed from it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

from report.measures import Interval


@dataclass(frozen=True, kw_only=True)
class Sample:
    """One request. `time` is when the client got its answer or gave up. `error` says why the request failed (`ok` is false)."""

    time: datetime
    ok: bool
    status: int | None = None
    region: str | None = None
    address: str | None = None
    error: str | None = None

    def to_json(self) -> str:
        values = {name: rfc3339(value) if isinstance(value, datetime) else value for name, value in asdict(self).items()}
        return json.dumps(values)

    @classmethod
    def from_json(cls, line: str) -> Self:
        fields = json.loads(line)
        times = {name: datetime.fromisoformat(fields[name]) for name in ("time", "sent") if name in fields}
        return cls(**fields | times)


@dataclass(frozen=True, kw_only=True)
class Write(Sample):
    """One row that the client asked the application to write.

    `ok` means that the application acknowledged the row, at `time`: from then on the row must not be lost. If `ok` is false, the
    row may still be in the database, because only the answer got lost. `sent` is the client's time in the row.
    """

    sequence: int
    sent: datetime


@dataclass(frozen=True, kw_only=True)
class Outage:
    """How long one user was without service. `outage` defines each field."""

    start: datetime | None
    end: datetime | None
    seconds: float | None
    failed_requests: int
    served_by: str | None


def rfc3339(time: datetime) -> str:
    """The time in UTC, with milliseconds."""
    return time.astimezone(UTC).isoformat(timespec="milliseconds")[:-6] + "Z"


def read_log(path: Path) -> list[Sample]:
    """All requests logged so far, oldest first, without a line that the client is still writing."""
    return [Sample.from_json(line) for line in _lines(path)]


def read_writes(path: Path) -> list[Write]:
    """Like `read_log`, for a log of writes."""
    return [Write.from_json(line) for line in _lines(path)]


def writes_log(log: Path) -> Path:
    """The file for writes to the ledger of a client that logs to `log`."""
    return log.with_stem(f"{log.stem}-writes")


def reads_log(log: Path) -> Path:
    """The file for reads from the ledger of a client that logs to `log`."""
    return log.with_stem(f"{log.stem}-reads")


def documents_log(log: Path) -> Path:
    """The file for documents that a client that logs to `log` has sent."""
    return log.with_stem(f"{log.stem}-documents")


def _lines(path: Path) -> list[str]:
    try:
        lines = path.read_text().splitlines(keepends=True)
    except FileNotFoundError:
        return []
    return [line for line in lines if line.endswith("\n")]


def outage(samples: Sequence[Sample], since: datetime) -> Outage:
    """The time without service that began after `since` (the moment the region died).

    It begins with the last success before the first request that failed at or after `since` (that success may be older than
    `since`; if there is none, it begins with `since`). It ends with the first success after the *last* failure, because a success
    before further failures is flapping, not service. `failed_requests` counts the failures in between. `served_by` is the region
    that gave the newest answer.

    - Nothing failed: 0 seconds, and neither start nor end.
    - The service never came back, or the client logged no request after `since`: `end`, `seconds` and `served_by` are None. A
      log without requests must not count as service.
    """
    failures = [index for index, sample in enumerate(samples) if not sample.ok and sample.time >= since]
    if not failures:
        if not samples or samples[-1].time < since:
            return Outage(start=since, end=None, seconds=None, failed_requests=0, served_by=None)
        return Outage(start=None, end=None, seconds=0.0, failed_requests=0, served_by=samples[-1].region)
    served = [index for index, sample in enumerate(samples[: failures[0]]) if sample.ok]
    began = served[-1] if served else failures[0] - 1
    start = samples[began].time if served else since
    failed = sum(not sample.ok for sample in samples[began + 1 :])
    lasting = samples[failures[-1] + 1 :]
    if not lasting:
        return Outage(start=start, end=None, seconds=None, failed_requests=failed, served_by=None)
    end = lasting[0].time
    seconds = round((end - start).total_seconds(), 3)
    return Outage(start=start, end=end, seconds=seconds, failed_requests=failed, served_by=lasting[-1].region)


def intervals(samples: Sequence[Sample]) -> list[Interval]:
    """The log as intervals of service and of failure without gaps between them, for the report's drawing.

    An interval of failure lasts from the last success to the next one, which is exactly what `outage` measures.
    """
    groups: list[list[Sample]] = []
    for sample in samples:
        if groups and (groups[-1][-1].ok, groups[-1][-1].region) == (sample.ok, sample.region):
            groups[-1].append(sample)
        else:
            groups.append([sample])
    found: list[Interval] = []
    for index, group in enumerate(groups):
        previous = groups[index - 1] if index else None
        following = groups[index + 1] if index + 1 < len(groups) else None
        ok = group[0].ok
        found.append(
            Interval(
                start=previous[-1].time if previous and not ok else group[0].time,
                end=following[0].time if following and (not ok or following[0].ok) else group[-1].time,
                ok=ok,
                region=group[0].region,
                requests=len(group),
            )
        )
    return found


def served_since(samples: Sequence[Sample], region: str, since: datetime) -> datetime | None:
    """Since when `region` has answered every request; never earlier than `since`.

    None if the newest request failed, was answered by another region, or is older than `since`.
    """
    if not samples or samples[-1].time < since:
        return None
    others = [index for index, sample in enumerate(samples) if not (sample.ok and sample.region == region)]
    lasting = samples[others[-1] + 1 :] if others else samples
    return max(lasting[0].time, since) if lasting else None
