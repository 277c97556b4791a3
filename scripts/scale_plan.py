"""The arithmetic of docs/scale.md: a plan, the figures of docs/scale.yaml, and what the one comes to by the other."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import yaml

from components.database.freshness import AT_ONCE, DEADLINE, EVERY, TURN
from settings.database import DatabaseSettings
from settings.durations import parse_duration
from settings.presets import DEFAULT
from settings.tiers import Targets, objectives
from settings.velero import VeleroSettings

DOCS = Path(__file__).resolve().parent.parent / "docs"
INPUTS, RATES = DOCS / "scale.yaml", DOCS / "volume-rates.json"
DAY = 24 * 60 * 60
GB, TB = 1e9, 1e12

Figures = Mapping[str, float]
"""The values of docs/scale.yaml, by name."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What is to be protected, and with what. Sizes are in GB, the volumes together in TB."""

    regions: int = 10
    namespaces: int = 1000
    databases: int = 500
    volumes_tb: float = 100

    objects: int = 60
    """Objects of a namespace that a restore brings."""

    volume: int = 50
    """One volume."""

    changed: float = 0.02
    """The part of all volumes' data that is new each day, after Velero has found what it has already."""

    base_backup: int = 30
    wal: int = 5
    """One base backup and the WAL of a day, of each database, compressed."""

    nodes: int = 50
    """Nodes of a region on which data movers run."""

    node_gbit: float = 2.5
    """Gbit/s that such a node gets from S3 for hours."""

    cores: int = 4
    """Cores of the machine that runs `pulumi up`."""

    @property
    def pairs(self) -> int:
        return self.regions // 2

    def times(self, factor: float) -> Plan:
        """The same plan, larger or smaller in all that is protected."""
        return replace(
            self,
            namespaces=round(self.namespaces * factor),
            databases=round(self.databases * factor),
            volumes_tb=self.volumes_tb * factor,
        )


@dataclass(frozen=True, kw_only=True)
class Rate:
    """How fast a data mover restores: bytes or files a second, and seconds for each volume before and after it."""

    large: float
    small: float
    around: float


def load_figures(path: Path = INPUTS) -> dict[str, float]:
    return {name: float(entry["value"]) for name, entry in yaml.safe_load(path.read_text()).items()}


def load_rate(path: Path = RATES) -> Rate:
    """The restores of docs/volume-rates.json: of one large file, and of many small ones."""
    restores = [each for each in json.loads(path.read_text())["moves"] if each["what"] == "restore"]
    large, small = (next(each for each in restores if (each["files"] == 1) is one) for one in (True, False))
    return Rate(
        large=large["size"] / large["mover_seconds"],
        small=small["files"] / small["mover_seconds"],
        around=large["seconds"] - large["mover_seconds"],
    )


def state_bytes(plan: Plan, figures: Figures) -> float:
    """The secondary's state after a flip."""
    resources = figures["stack_resources"] + plan.databases * (figures["database_resources"] + 1) + plan.namespaces
    inputs = (
        figures["stack_kilobytes"]
        + plan.databases * figures["database_kilobytes"]
        + plan.namespaces * figures["namespace_kilobytes"]
    )
    return 1000 * (inputs * figures["state_factor"] + resources * figures["state_kilobytes_of_a_resource"])


def state_seconds(plan: Plan, figures: Figures) -> float:
    """What the engine writes in a flip, one state after the other."""
    changes = (
        figures["flip_changes"]
        + plan.namespaces * figures["flip_changes_of_a_namespace"]
        + plan.databases * figures["flip_changes_of_a_database"]
    )
    upload = state_bytes(plan, figures) / (figures["upload_megabytes_a_second"] * 1e6)
    each = figures["requests_of_a_write"] * figures["s3_request_seconds"] + upload
    return changes * figures["writes_of_a_change"] * each


def job_seconds(plan: Plan, figures: Figures) -> float:
    """The Jobs of a flip: a namespace's scaling, a database's promotion, as many at a time as the engine works on."""
    return (plan.namespaces + plan.databases) * figures["job_seconds"] / (figures["parallel_of_a_core"] * plan.cores)


def object_seconds(plan: Plan, figures: Figures, qps: float) -> float:
    """Velero's restore of objects, one request after the other."""
    requests = plan.namespaces * plan.objects * figures["requests_of_an_object"]
    return requests * max(1 / qps, figures["api_request_seconds"])


def volume_seconds(plan: Plan, rate: Rate) -> float:
    """The restore of all volumes' data, if it is in large files, by all data movers of the region."""
    movers = plan.nodes * VeleroSettings().data_movers.concurrency
    per_mover = min(rate.large, plan.node_gbit * 1e9 / 8 * plan.nodes / movers)
    return (plan.volumes_tb * TB / per_mover + volumes(plan) * rate.around) / movers


def small_files(plan: Plan, rate: Rate) -> float:
    """Files that all data movers restore within the RTO."""
    return rate.small * plan.nodes * VeleroSettings().data_movers.concurrency * rto()


def replicated_gbit(plan: Plan) -> float:
    """What S3 copies from one region into the other on an average day."""
    day = plan.volumes_tb * TB * plan.changed + plan.databases * (plan.base_backup + plan.wal) * GB
    return day * 8 / DAY / 1e9


def puts_a_second(plan: Plan) -> float:
    """Objects of databases: a WAL segment each archiveTimeout, and a mark every two minutes."""
    archive = parse_duration(DatabaseSettings.model_fields["archive_timeout"].default).total_seconds()
    return plan.databases * (1 / archive + 1 / EVERY)


def round_seconds(plan: Plan, figures: Figures) -> float:
    """One round of marks, if nothing ended it."""
    return plan.databases * figures["mark_calls"] * figures["mark_call_seconds"] / AT_ONCE


def runs_until_marked(share: float) -> int:
    """How many runs it takes until each database has a mark, whichever run is the first of them and where each has time for a
    `share` of all. Where they begin is spread around the databases, and the largest gap must be no larger than that."""
    begins: list[float] = []
    while True:
        begins = sorted([*begins, len(begins) * TURN / 1e6 % 1])
        if max(after - before for before, after in pairwise([*begins, 1.0])) <= share:
            return len(begins)


def between_marks(plan: Plan, figures: Figures) -> float:
    """The longest time from one mark of a database to its next: it may come first in one run, and last in another."""
    whole = round_seconds(plan, figures)
    took = min(whole, DEADLINE)
    return runs_until_marked(took / whole if whole else 1.0) * EVERY + took


def volumes(plan: Plan) -> float:
    return plan.volumes_tb * TB / (plan.volume * GB)


def rpo() -> float:
    return objectives(DEFAULT, Targets()).rpo_seconds


def rto() -> float:
    return objectives(DEFAULT, Targets()).rto_seconds
