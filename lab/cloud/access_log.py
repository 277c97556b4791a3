"""What was asked of AWS: one line of JSON a request. The lab's witness of which region was called, whatever the caller says."""

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
    """What a part of the lab calls itself, so that its requests can be told from the program's."""
    return f"k8s-dr-lab/{part}"


@dataclass(frozen=True, kw_only=True)
class Request:
    """One request. `time` is when it arrived (RFC 3339), `source` the caller's address, `region` the one that was asked.

    `status` is the HTTP status, or "black-hole" where there was no answer. `regions` are all regions that the request needs: the
    one asked, and those where its buckets live.
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
        """The part of the lab that asked (replicator, health-checker); None for everybody else."""
        found = _PART.search(self.agent)
        return found[1] if found else None


def fields(request: Request) -> dict[str, object]:
    return asdict(request)


def read(path: Path) -> list[Request]:
    """Every request that has been logged so far, in the order of the answers."""
    return [Request(**line) for line in read_lines(path)]
