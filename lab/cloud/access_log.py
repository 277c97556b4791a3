"""The access log of the lab's AWS: one line of JSON for each request. It proves which region was called, and by whom."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from pathlib import Path

from lab.cloud.lines import read_lines

BLACK_HOLE = "black-hole"
REPLICATOR = "replicator"
HEALTH_CHECKER = "health-checker"
_PART = re.compile(r"\bk8s-dr-lab/(\S+)")


def user_agent(part: str) -> str:
    """The user agent of a part of the lab. It tells the lab's own requests from those of the Pulumi program."""
    return f"k8s-dr-lab/{part}"


@dataclass(frozen=True, kw_only=True)
class Request:
    """One request. `time` is when it arrived (RFC 3339), `source` the caller's address, `region` the one that was called.

    `status` is the HTTP status, or "black-hole" if there was no answer. `regions` are all regions that the request needs: the
    called one, and those of its buckets.
    """

    time: str
    source: str
    agent: str
    service: str
    region: str | None
    regions: list[str]
    bucket: str | None
    method: str
    path: str
    operation: str | None
    status: int | str

    @property
    def part(self) -> str | None:
        """The part of the lab that sent the request (replicator, health-checker); None for every other caller."""
        found = _PART.search(self.agent)
        return found[1] if found else None


def fields(request: Request) -> dict[str, object]:
    return asdict(request)


def read(path: Path) -> list[Request]:
    """All requests logged so far, in the order in which they were answered."""
    return [Request(**line) for line in read_lines(path)]
