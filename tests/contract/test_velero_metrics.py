"""Alerts on Velero by the very series that its server gives: a backup is refused, another and a restore end PartiallyFailed, a
location loses its bucket, and promtool is told what the server said before and after.

What Prometheus adds to a series, as the program's PodMonitor has it do, is added here.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import urllib3

from components.monitoring.metrics import METRICS
from components.velero.specs import OWN, PEER, VELERO_NAMESPACE
from lab.waiting import until
from tests import isolation
from tests.api_server import running as api_server
from tests.contract import velero_server
from tests.contract.alert_cases import CASES
from tests.contract.alert_series import MINUTES, Case, Value, healthy
from tests.contract.conftest import tool
from tests.contract.test_alerts import judge, rules_of
from tests.contract.test_isolation import needs_root
from tests.contract.test_restores import (
    SCHEDULE,
    SHOP,
    WIDGET,
    Object,
    backup,
    crd,
    policies,
    refused,
    restored,
    saved,
    thing,
    widgets_refused,
)
from tests.contract.velero_server import VeleroServer, location, text

pytestmark = needs_root
ADDED = {
    "container": "velero",
    "endpoint": "metrics",
    "instance": "10.0.0.1:8085",
    "job": "k8s-dr/velero",
    "namespace": VELERO_NAMESPACE,
    "pod": "velero-0",
}
"""The labels of the target. Prometheus gives a label of Velero's own that is called so another name."""

ONE = thing(WIDGET, "Widget", "one", spec={"size": 1})
HAPPENS = 30
"""The minute of the second scrape."""

_LINE = re.compile(r"^(?P<name>velero_\w+)(?:\{(?P<labels>.*)\})? (?P<value>\S+)$", re.MULTILINE)
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')

Series = tuple[str, tuple[tuple[str, str], ...]]
"""A metric's name, and its labels in order."""


@dataclass(frozen=True, kw_only=True)
class Scrape:
    """What Velero said of itself, and when."""

    values: Mapping[Series, float]
    at: float

    @classmethod
    def of(cls, server: VeleroServer) -> Scrape:
        said = urllib3.request("GET", server.metrics, timeout=10).data.decode()
        found = {
            (each["name"], tuple(sorted(_LABEL.findall(each["labels"] or "")))): float(each["value"])
            for each in _LINE.finditer(said)
        }
        return cls(values=found, at=time.time())

    def names(self) -> set[str]:
        return {name for name, _ in self.values}

    def value(self, series: Series, minute: int) -> float | None:
        """On promtool's clock, which begins at 0, and on which this scrape was made in `minute`."""
        found = self.values.get(series)
        if found is not None and series[0].endswith("_timestamp"):
            return round(found - self.at + 60 * minute, 3)
        return found


def as_stored(series: Series) -> str:
    """The series as Prometheus stores it."""
    name, labels = series
    told = {(f"exported_{key}" if key in ADDED else key): value for key, value in labels}
    pairs = (f'{key}="{value}"' for key, value in sorted({**told, **ADDED}.items()))
    return f"{name}{{{','.join(pairs)}}}"


def stored(before: Scrape, after: Scrape) -> dict[str, Value]:
    """The series of both scrapes, the second from the minute on in which it was made."""
    found: dict[str, Value] = {}
    for series in sorted({*before.values, *after.values}):
        was, became = before.value(series, 0), after.value(series, HAPPENS)
        first = f"_x{HAPPENS}" if was is None else f"{was}+0x{HAPPENS - 1}"
        then = "" if became is None else f" {became}+0x{MINUTES - HAPPENS}"
        found[as_stored(series)] = first + then
    return found


@dataclass(frozen=True, kw_only=True)
class Told:
    """What Velero said once a backup had completed, and again once everything had failed."""

    before: Scrape
    after: Scrape

    def region(self, *, failed: bool) -> dict[str, Value]:
        """The series of a region that serves, Velero's own among them as its server gave them."""
        others = {series: value for series, value in healthy("primary", "primary").items() if not series.startswith("velero_")}
        return {**others, **stored(self.before, self.after if failed else self.before)}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, crds: list[Object]) -> Iterator[VeleroServer]:
    etcd, kube_apiserver, programs = tool("region", "etcd"), tool("region", "kube-apiserver"), tool("velero", "velero").parent
    directory = tmp_path_factory.mktemp("v")
    with isolation.alone("Velero's metrics") as place, api_server(etcd, kube_apiserver, directory, place) as api:
        api.define([crd("example.com", "widgets", "Widget")])
        with velero_server.running(programs, api, directory, crds) as server:
            for item in (*policies(), {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": SHOP}}, ONE):
                assert api.apply(item).status in (200, 201)
            yield server


@pytest.fixture(scope="module")
def told(server: VeleroServer) -> Told:
    own = location(server.store, OWN, "own")
    bucket = f"{server.store}/own"
    assert urllib3.request("PUT", bucket).status == 200
    assert server.api.apply(own).status == 201
    until("the own location to be available", lambda: phase(server, own) == "Available", timeout=60)
    name = saved(server, backup())
    before = until("Velero to tell of both", lambda: told_of(server, 1, "backup_success"), timeout=60)

    # A location that Velero reaches no more, and a backup into it.
    urllib3.request("DELETE", bucket)
    until("the own location to be unavailable", lambda: phase(server, own) == "Unavailable", timeout=60)
    makes(server, "FailedValidation", includedNamespaces=[SHOP], storageLocation=OWN)
    makes(server, "PartiallyFailed", includedNamespaces=["gone"], storageLocation=PEER)
    server.api.delete(ONE)
    with widgets_refused(server.api):
        until("the policy to be in force", lambda: refused(server.api), timeout=30)
        restore = restored(server, backup(**{"from": name}))
    assert restore["status"]["phase"] == "PartiallyFailed", text(restore)
    kinds = ("backup_validation_failure", "backup_partial_failure", "restore_partial_failure")
    return Told(before=before, after=until("Velero to tell of all", lambda: told_of(server, 0, *kinds), timeout=60))


def phase(server: VeleroServer, item: Object) -> str:
    return str(((server.api.read(item) or {}).get("status") or {}).get("phase"))


def told_of(server: VeleroServer, own: int, *kinds: str) -> Scrape | None:
    """A scrape in which the own location has this status, and each of `kinds` is counted; None if this one is not it.

    What Velero says of a location is what it found when it looked the time before. An event is counted a moment after its object
    says so.
    """
    scrape = Scrape.of(server)
    counted = {name for (name, _), value in scrape.values.items() if value}
    status = scrape.values.get(("velero_backup_location_status_gauge", (("backup_location_name", OWN),)))
    return scrape if status == own and {f"velero_{kind}_total" for kind in kinds} <= counted else None


def makes(server: VeleroServer, ends: str, **spec: Any) -> None:
    """Make a Backup as the schedule does, and see that it ends so."""
    made = server.made("Backup", {**spec, "snapshotVolumes": False}, labels={"velero.io/schedule-name": SCHEDULE})
    assert made["status"]["phase"] == ends, text(made)


def test_velero_has_every_metric_of_its_own_that_an_alert_reads(told: Told) -> None:
    read = {name for name, of in METRICS.items() if of == "velero"}
    assert read - told.after.names() == {"velero_repo_maintenance_failure_total"}, "no repository was maintained here"


def test_the_series_of_the_other_cases_have_the_labels_that_velero_gives(told: Told) -> None:
    real = {name: {key for key, _ in labels} for name, labels in told.after.values}
    typed = {series for case in CASES for series in case.changes} | set(healthy("primary", "primary"))
    compared = {}
    for series in typed:
        name, _, labels = series.partition("{")
        if name in real:
            compared[series] = {key for key, _ in _LABEL.findall(labels)} - ADDED.keys() == real[name]
    assert len({series.partition("{")[0] for series in compared}) > 6
    assert [series for series, alike in compared.items() if not alike] == []


def test_nothing_fires_while_nothing_has_failed(told: Told, tmp_path: Path) -> None:
    newest = as_stored(("velero_backup_last_successful_timestamp", (("schedule", SCHEDULE),)))
    region = told.region(failed=False)
    assert newest in region
    case = Case(says="a backup has completed", fires={}, at=20)
    judged = judge(tmp_path, rules_of("primary", "k8s-dr"), {**region, newest: f"0+60x{MINUTES}"}, case)
    assert judged.returncode == 0, judged.stdout + judged.stderr


FIRES = {
    "VeleroBackupFailed": 1,
    "VeleroBackupPartiallyFailed": 1,
    "VeleroBackupLocationUnavailable": 1,
    "VeleroRestoreFailed": 1,
}


@pytest.mark.parametrize(
    ("at", "fires"),
    [
        (HAPPENS + 15, FIRES),
        # The counters stay as they are, and the newest backup that completed becomes old.
        (HAPPENS + 100, {"VeleroBackupLocationUnavailable": 1, "VeleroBackupStale": 1}),
    ],
    ids=["at-once", "long-after"],
)
def test_what_failed_fires(told: Told, at: int, fires: dict[str, int], tmp_path: Path) -> None:
    case = Case(says="it failed", fires=fires, at=at)
    judged = judge(tmp_path, rules_of("primary", "k8s-dr"), told.region(failed=True), case)
    assert judged.returncode == 0, judged.stdout + judged.stderr
