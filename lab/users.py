"""Users of the lab's application. Each is a process in the WAN's network namespace, and logs what it saw."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from lab import project
from lab.application import manifests
from lab.console import step
from lab.paths import CHECKOUT
from lab.processes import Daemon
from lab.regions import namespaces, network
from lab.regions.spec import REGIONS, named
from lab.samples import Write, documents_log, outage, read_log, read_writes, reads_log, writes_log
from lab.waiting import until
from lab.world import Lab
from report.model import Spared

NAMESERVER = f"{network.WAN_ADDRESS}:53"

SECOND_USERS_ROWS = 1_000_001
"""Number of the second user's first row. It is high enough that the first user never reaches it."""

_REQUESTS_TO_SEE_BOTH = 30
"""Both regions serve if they answered all of this many requests in a row, and each answered at least one."""


def start(
    lab: Lab,
    log: Path,
    *,
    name: str = "client",
    cache: bool = True,
    writes: bool = True,
    served_by: str | None = None,
    first_row: int = 1,
) -> Callable[[], None]:
    """Start a user that logs to `log`. Call the returned function to stop it.

    If the lab has a database, the user also writes and reads rows, and logs that to files beside `log`. Two users at the same
    time need different names and different `first_row`s. If both regions answer, `served_by` says which one serves this user:
    the user starts once its resolver has got that region's address.
    """
    for file in (log, writes_log(log), reads_log(log), documents_log(log)):
        file.unlink(missing_ok=True)
    daemon = Daemon(lab.paths, name)
    daemon.start(
        [
            *network.inside(namespaces.WAN),
            sys.executable,
            "-m",
            "lab.client",
            "--name",
            project.NAME,
            "--server",
            NAMESERVER,
            "--port",
            "80",
            "--log",
            str(log),
            *([] if cache else ["--no-cache"]),
            *(["--begin-at", named(served_by).address] if served_by else []),
            *(["--write", "--first-row", str(first_row)] if lab.plan and writes else []),
            *(["--documents", str(manifests.ARCHIVE_PORT)] if lab.files and writes else []),
        ],
        cwd=CHECKOUT,
    )
    return daemon.stop


@dataclass(frozen=True, kw_only=True)
class SecondUser:
    """A user that the secondary serves from the start, while the region that dies serves the first user.

    The demo has one only if both regions serve.
    """

    log: Path
    stop: Callable[[], None]

    @property
    def writes(self) -> list[Write]:
        return read_writes(writes_log(self.log))

    def saw(self, killed: datetime) -> Spared:
        logs = (read_log(self.log), read_log(reads_log(self.log)), self.writes)
        service, reads, writes = (outage(samples, killed).seconds for samples in logs)
        return Spared(seconds_without_service=service, seconds_without_reads=reads, seconds_without_writes=writes)


def start_second(lab: Lab) -> SecondUser:
    log = lab.paths.logs / "client-secondary.jsonl"
    stop = start(lab, log, name="client-secondary", served_by="secondary", first_row=SECOND_USERS_ROWS)
    return SecondUser(log=log, stop=stop)


def see_both_serve(lab: Lab) -> None:
    """Wait until both regions' endpoints are healthy, and a user without a DNS cache gets answers from both."""
    roles = {spec.name for spec in REGIONS}
    endpoints = {project.load_balancer(role) for role in roles}

    def healthy() -> bool:
        checks = lab.cloud.route53()["health_checks"].values()
        return endpoints == {check["target"] for check in checks if check["target"] in endpoints and check["is"] == "healthy"}

    log = lab.paths.logs / "client-both.jsonl"

    def all_answer() -> bool:
        last = read_log(log)[-_REQUESTS_TO_SEE_BOTH:]
        answered = len(last) == _REQUESTS_TO_SEE_BOTH and all(sample.ok for sample in last)
        return answered and {sample.region for sample in last} == roles

    with step("both regions serve users, and both endpoints are healthy"):
        until("both endpoints to be healthy", healthy, timeout=120)
        stop = start(lab, log, name="client-both", cache=False, writes=False)
        try:
            until("both regions to answer at the name", all_answer, timeout=60)
        finally:
            stop()
