"""How many objects Velero restores in a second, by their number, and what the server's own options change of it.

Backups are made in the lab's primary region, and restored in the secondary from the copies in its bucket. The seconds are
those of `velero restore create --wait`: Velero's own times are whole seconds.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from components.velero.specs import VELERO_NAMESPACE
from lab.console import say, step
from lab.waiting import until
from lab.world import Lab, LabError
from tests.bench import load, rows
from tests.bench.measures import IN_A_SECOND
from tests.bench.record import Record
from tests.lab.conftest import deployed

PART = "velero"
OBJECTS: Mapping[str, int] = {"100 objects": 100, "1,000 objects": 1000, "10,000 objects": 10_000}
KNOBS = "options"
SIZES = (*OBJECTS, KNOBS)
AS_DEPLOYED = "as deployed"
WITH_KNOBS = "1,000 objects"
"""The size at which the options are tried."""

WARM_UP = "100 objects"
"""What is restored first by a server that has just started: it loads its plugins and asks for the cluster's kinds."""

_CPU = "/spec/template/spec/containers/0/resources/limits/cpu"
_ARGUMENTS = "/spec/template/spec/containers/0/args/-"


@dataclass(frozen=True, kw_only=True)
class Option:
    """What is changed of Velero's Deployment: arguments of the server (velero 1.18, pkg/cmd/server/config), or its limit."""

    arguments: Sequence[str] = ()
    cpu_limit: str | None = None

    @property
    def patch(self) -> list[dict[str, str]]:
        limit = [{"op": "add", "path": _CPU, "value": self.cpu_limit}] if self.cpu_limit else []
        return [*({"op": "add", "path": _ARGUMENTS, "value": argument} for argument in self.arguments), *limit]


OPTIONS = {
    AS_DEPLOYED: Option(),
    "--client-qps=300 --client-burst=600": Option(arguments=("--client-qps=300", "--client-burst=600")),
    "--client-qps=1000 --client-burst=2000": Option(arguments=("--client-qps=1000", "--client-burst=2000")),
    "--disable-informer-cache": Option(arguments=("--disable-informer-cache",)),
    "--max-concurrent-k8s-connections=100": Option(arguments=("--max-concurrent-k8s-connections=100",)),
    "--client-page-size=0": Option(arguments=("--client-page-size=0",)),
    "--item-block-worker-count=4": Option(arguments=("--item-block-worker-count=4",)),
    "--resource-timeout=1m": Option(arguments=("--resource-timeout=1m",)),
    "--log-level=warning": Option(arguments=("--log-level=warning",)),
    "CPU limit 2": Option(cpu_limit="2"),
}


def namespace_of(size: str) -> str:
    return f"{load.LOAD}-{OBJECTS[size]}"


def measure(name: str, repetitions: int, record: Record) -> None:
    """Measure a size, or every option at one size, in a lab of its own."""
    wanted = [WARM_UP, WITH_KNOBS] if name == KNOBS else list(dict.fromkeys((WARM_UP, name)))
    lab = Lab()
    with deployed(lab):
        velero = Velero(lab=lab)
        for size in wanted:
            velero.back_up(size)
        if name == KNOBS:
            for words, option in OPTIONS.items():
                velero.configure(words, option)
                _measure(velero, f"{WITH_KNOBS}, {words}", WITH_KNOBS, repetitions, record)
        else:
            velero.restore(WARM_UP)
            _measure(velero, name, name, repetitions, record)
    lab.forget()  # after a failure it stays, with its logs


def _measure(velero: Velero, row_name: str, size: str, repetitions: int, record: Record) -> None:
    row = rows.new(PART, row_name, repetitions, velero.lab.engine.describe())
    for number in range(1, repetitions + 1):
        with step(f"{row_name}: restore {number} of {repetitions}"):
            seconds, items = velero.restore(size)
        say(f"    {items} items in {seconds:.1f} s: {items / seconds:.0f} in a second")
        row = row.having({"seconds": seconds, IN_A_SECOND: items / seconds}, items=items)
        record.add(row)


@dataclass(kw_only=True)
class Velero:
    """Both regions' Velero."""

    lab: Lab
    _restores: int = 0
    _arguments: Sequence[str] | None = None
    _cpu: str | None = None

    def back_up(self, size: str) -> None:
        """Make a namespace of that many objects in the primary, and its backup, and wait until the secondary's Velero has it."""
        lab, namespace = self.lab, namespace_of(size)
        with step(f"{size}: made in the primary"):
            load.put(lab, namespace, OBJECTS[size])
        with step(f"{size}: the backup"):
            lab.velero("primary", "backup", "create", namespace, "--include-namespaces", namespace, "--wait")
            _ended_well("Backup", self._get("primary", f"backups.velero.io/{namespace}"))
        with step(f"{size}: the backup is replicated and seen by the secondary's Velero"):
            lab.wait_replicated(timeout=300)
            until(
                "the backup to be seen", lambda: self._get("secondary", f"backups.velero.io/{namespace}"), timeout=300, interval=1
            )

    def restore(self, size: str) -> tuple[float, int]:
        """Restore a namespace in the secondary and delete it again. Returns the seconds of the restore, and how many items."""
        self._restores += 1
        name, namespace = f"bench-{self._restores}", namespace_of(size)
        began = time.monotonic()
        self.lab.velero("secondary", "restore", "create", name, "--from-backup", namespace, "--wait")
        seconds = time.monotonic() - began
        made = self._get("secondary", f"restores.velero.io/{name}")
        _ended_well("Restore", made)
        self._delete(namespace)
        return seconds, int(made["status"]["progress"]["itemsRestored"])

    def configure(self, words: str, option: Option) -> None:
        """Have the secondary's Velero run with an option alone, and restore something with it, so that it has started."""
        with step(f"Velero {words}"):
            container = self._get("secondary", "deployment/velero")["spec"]["template"]["spec"]["containers"][0]
            if self._arguments is None:
                self._arguments, self._cpu = container["args"], container["resources"]["limits"]["cpu"]
            patch: list[dict[str, Any]] = [
                {"op": "replace", "path": _ARGUMENTS.removesuffix("/-"), "value": self._arguments},
                {"op": "replace", "path": _CPU, "value": self._cpu},
                *option.patch,
            ]
            in_velero = ("-n", VELERO_NAMESPACE)
            self.lab.kubectl("secondary", "patch", "deployment/velero", *in_velero, "--type=json", "-p", json.dumps(patch))
            self.lab.kubectl("secondary", "rollout", "status", "deployment/velero", *in_velero, "--timeout=180s")
            until("the former server to be gone", self._one_server, timeout=120, interval=1)
            self.restore(WARM_UP)

    def _one_server(self) -> bool:
        pods = self.lab.kubectl("secondary", "get", "pods", "-n", VELERO_NAMESPACE, "-l", "deploy=velero", "-o", "name")
        return len(pods.split()) == 1

    def _get(self, region: str, what: str) -> dict[str, Any]:
        """One object of Velero's namespace; empty if there is none."""
        text = self.lab.kubectl(region, "get", what, "-n", VELERO_NAMESPACE, "-o", "json", "--ignore-not-found")
        return dict(json.loads(text)) if text.strip() else {}

    def _delete(self, namespace: str) -> None:
        self.lab.kubectl("secondary", "delete", "namespace", namespace, "--wait=false")
        gone = ("get", "namespace", namespace, "--ignore-not-found", "-o", "name")
        until(f"{namespace} to be gone", lambda: not self.lab.kubectl("secondary", *gone).strip(), timeout=600, interval=1)


def _ended_well(kind: str, found: Mapping[str, Any]) -> None:
    phase = (found.get("status") or {}).get("phase")
    if phase != "Completed":
        name = (found.get("metadata") or {}).get("name", "?")
        raise LabError(f"{kind} {name} ended {phase}; see in the lab: velero {kind.lower()} describe {name} --details")
