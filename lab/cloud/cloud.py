"""The lab's AWS as the demo and the tests use it: start, stop, silence a region, see who asked for what."""

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
    """A part of the lab's AWS does not run or does not answer; the message says which, and where to look."""


class Cloud:
    """moto with its endpoint, the replicator and the name server: three background processes of one lab.

    `listen` is the address they bind to; port 0 takes a free one. `prefix` goes before each command, so that it runs elsewhere:
    `namespaces.inside("drlab-wan")`. `hosts` are the names of the regions' load balancers and their addresses. `lag` is how many
    seconds after its writing an object is replicated.
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
        """Start what does not run yet, and return when all of it answers. Raises CloudError."""
        self._paths.make()
        endpoint_port, name_server_port = self._ports
        listen = f"{self._listen}:{endpoint_port}"
        # A new endpoint is a new, empty AWS: what was logged of the last one would only mislead.
        self._launch(
            self._endpoint,
            [self._file("endpoint")],
            ["lab.cloud.endpoint", "--listen", listen, "--log", self._access_log, "--state", self._file("endpoint")],
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
        hosts = [option for name, where in self._hosts.items() for option in ("--host", f"{name}={where}")]
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
        """End all of it; moto's memory goes with it, logs stay."""
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
        """Where AWS is. Raises CloudError if it was not started."""
        return str(self._read("endpoint")["url"])

    @property
    def name_server(self) -> tuple[str, int]:
        """Where the name server is. Raises CloudError if it was not started."""
        where = self._read("name-server")
        return where["host"], where["port"]

    def access_log(self) -> list[Request]:
        """Every request so far, answered or swallowed."""
        return access_log.read(self._access_log)

    def route53(self) -> dict[str, Any]:
        """`health_checks` by id and `names` by "NAME TYPE": what each `is`, and since when."""
        return self._read("route53")

    def route53_changes(self) -> list[dict[str, Any]]:
        """Each change of a health check or of a name's answer: `time`, `kind`, `id`, `from`, `to`, `reason`."""
        return read_lines(self._changes_log)

    def replication(self) -> dict[str, Any]:
        """`pending`, `copied`, `failed`, `lag`, and the `last` copy with its age in seconds."""
        return self._read("replicator")

    # What happens to it

    def black_hole(self, region: str) -> None:
        """Nobody gets an answer from this AWS region any more, until `restore`."""
        self._control("PUT", f"black-hole/{region}")

    def restore(self, region: str) -> None:
        self._control("DELETE", f"black-hole/{region}")

    def silent_regions(self) -> list[str]:
        silent: list[str] = self._control("GET", "state")["silent"]
        return silent

    def set_lag(self, seconds: float) -> None:
        """How old an object is before it is replicated, from now on, also for those that wait."""
        self._control("PUT", f"replication-lag/{seconds:g}")

    def create_zone(self, name: str) -> str:
        """The id of the public hosted zone, made if there is none."""
        return str(self._control("PUT", f"zone/{name}")["id"])

    def create_user(self, name: str) -> AccessKey:
        """An access key of the IAM user, made if there is none. It may do what the policies attached to the user say."""
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
        """Start one of them, and wait for the files that it writes when it is ready."""
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
            raise CloudError(f"{daemon.name} ended at once: {' '.join(last)} (see {daemon.log})")

    def _control(self, method: str, path: str) -> Any:
        command = [*self._prefix, sys.executable, "-m", "lab.cloud.control", self.endpoint_url, method, path]
        asked = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, timeout=_CONTROL_TIMEOUT, check=False)
        if asked.returncode:
            raise CloudError(
                f"the AWS endpoint did not do it: {asked.stderr.strip() or asked.returncode}; see {self._endpoint.log}"
            )
        return json.loads(asked.stdout)
