"""The lab's AWS for the demo and the tests: start it, stop it, silence a region, and read its logs."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lab.cloud import access_log
from lab.cloud.access_keys import AccessKey
from lab.cloud.access_log import Request
from lab.cloud.lines import read_lines, read_state
from lab.paths import CHECKOUT, LabPaths
from lab.processes import Daemon
from lab.waiting import until

_START_TIMEOUT = 60.0
_CONTROL_TIMEOUT = 30.0


class CloudError(Exception):
    """A part of the lab's AWS does not run or does not answer; the message names the part and its log."""


class Cloud:
    """Three background processes of one lab: the endpoint with moto, the replicator, and the name server.

    They bind to address `listen`; port 0 takes a free port. `prefix` is put before each command to run it elsewhere, for example
    `namespaces.inside("drlab-wan")`. `hosts` maps the names of the regions' load balancers to addresses. The replicator copies an
    object `lag` seconds after it was written.
    """

    def __init__(
        self,
        paths: LabPaths,
        *,
        listen: str = "127.0.0.1",
        endpoint_port: int = 0,
        name_server_port: int = 0,
        prefix: Sequence[str] = (),
        hosts: Mapping[str, str] | None = None,
        lag: float = 1.0,
    ) -> None:
        self._listen, self._ports, self._prefix = listen, (endpoint_port, name_server_port), tuple(prefix)
        self._hosts, self._lag = dict(hosts or {}), lag
        self._paths, self._directory = paths, paths.root / "cloud"
        self._endpoint, self._replicator, self._name_server = (
            Daemon(paths, name) for name in ("aws-endpoint", "s3-replicator", "name-server")
        )
        self._access_log = paths.logs / "aws-access.jsonl"
        self._changes_log = paths.logs / "route53-changes.jsonl"

    # Start and stop

    def start(self) -> None:
        """Start the processes that do not run yet, and wait until all answer. Raises CloudError."""
        self._paths.make()
        endpoint_port, name_server_port = self._ports
        listen = f"{self._listen}:{endpoint_port}"
        hosts = [option for name, where in self._hosts.items() for option in ("--host", f"{name}={where}")]
        # A new endpoint is a new, empty AWS. The log of the last one would mislead.
        self._launch(
            self._endpoint,
            [self._file("endpoint")],
            ["lab.cloud.endpoint", "--listen", listen, "--log", self._access_log, "--state", self._file("endpoint"), *hosts],
            forget=[self._access_log],
        )
        self._launch(
            self._replicator,
            [self._file("replicator")],
            [
                *("lab.cloud.replicator", "--endpoint", self.endpoint_url),
                *("--state", self._file("replicator"), "--lag", self._lag),
            ],
        )
        self._launch(
            self._name_server,
            [self._file("name-server"), self._file("route53")],
            [
                *("lab.cloud.nameserver", "--listen", f"{self._listen}:{name_server_port}", "--endpoint", self.endpoint_url),
                *("--state", self._file("route53"), "--address", self._file("name-server"), "--changes", self._changes_log),
                *hosts,
            ],
            forget=[self._changes_log],
        )

    def stop(self) -> None:
        """Stop all processes. Everything stored in moto is lost; the logs stay."""
        for daemon in self._daemons:
            daemon.stop()
        for name in ("endpoint", "replicator", "name-server", "route53"):
            self._file(name).unlink(missing_ok=True)

    @property
    def running(self) -> bool:
        return all(daemon.pid is not None for daemon in self._daemons)

    # What others need to know

    @property
    def endpoint_url(self) -> str:
        """The URL of the AWS endpoint. Raises CloudError if it was not started."""
        return str(self._read("endpoint")["url"])

    @property
    def name_server(self) -> tuple[str, int]:
        """The host and port of the name server. Raises CloudError if it was not started."""
        where = self._read("name-server")
        return where["host"], where["port"]

    def access_log(self) -> list[Request]:
        """All requests so far, also those that got no answer."""
        return access_log.read(self._access_log)

    def route53(self) -> dict[str, Any]:
        """`health_checks` by id, and `names` by "NAME TYPE". Each has its current state as `is`, and `since` when."""
        return self._read("route53")

    def route53_changes(self) -> list[dict[str, Any]]:
        """Each change of a health check or of a name's answer: `time`, `kind`, `id`, `from`, `to`, `reason`."""
        return read_lines(self._changes_log)

    def replication(self) -> dict[str, Any]:
        """The replicator's state: `pending`, `copied`, `failed`, `lag`, and the `last` copy with its age in seconds."""
        return self._read("replicator")

    # Change it

    def black_hole(self, region: str) -> None:
        """Silence an AWS region: it answers no request until `restore`."""
        self._control("PUT", f"black-hole/{region}")

    def restore(self, region: str) -> None:
        self._control("DELETE", f"black-hole/{region}")

    def set_lag(self, seconds: float) -> None:
        """How many seconds after its writing an object is replicated. This also applies to objects that wait already."""
        self._control("PUT", f"replication-lag/{seconds:g}")

    def create_zone(self, name: str) -> str:
        """The id of the public hosted zone `name`. The zone is created if it does not exist."""
        return str(self._control("PUT", f"zone/{name}")["id"])

    def create_user(self, name: str) -> AccessKey:
        """An access key of the IAM user `name`. User and key are created if they do not exist, without any policy."""
        return AccessKey(**self._control("PUT", f"user/{name}"))

    # Details

    @property
    def _daemons(self) -> tuple[Daemon, ...]:
        return self._name_server, self._replicator, self._endpoint

    def _file(self, name: str) -> Path:
        return self._directory / f"{name}.json"

    def _read(self, name: str) -> dict[str, Any]:
        state = read_state(self._file(name))
        if state is None:
            raise CloudError(f"the lab's AWS does not run ({self._file(name)} is missing); start it with: make lab")
        return state

    def _launch(self, daemon: Daemon, ready: Sequence[Path], command: Sequence[object], *, forget: Sequence[Path] = ()) -> None:
        """Start one process, and wait for the files that it writes when it is ready."""
        if daemon.pid is not None:
            return
        for file in (*ready, *forget):
            file.unlink(missing_ok=True)
        daemon.start([*self._prefix, sys.executable, "-m", *map(str, command)], cwd=CHECKOUT)

        def started_or_ended() -> bool:
            return all(file.exists() for file in ready) or daemon.pid is None

        until(f"{daemon.name} to be ready", started_or_ended, timeout=_START_TIMEOUT, interval=0.05)
        if daemon.pid is None:
            last = daemon.log.read_text(errors="replace").strip().splitlines()[-1:]
            raise CloudError(f"{daemon.name} ended right after its start: {' '.join(last)} (see {daemon.log})")

    def _control(self, method: str, path: str) -> Any:
        command = [*self._prefix, sys.executable, "-m", "lab.cloud.control", self.endpoint_url, method, path]
        asked = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, timeout=_CONTROL_TIMEOUT, check=False)
        if asked.returncode:
            why = asked.stderr.strip() or asked.returncode
            raise CloudError(f"the AWS endpoint did not serve {method} {path}: {why}; see {self._endpoint.log}")
        return json.loads(asked.stdout)
