"""Computes what the second region of each tier costs a month, for one example workload and a list of prices.

    .venv/bin/python -m scripts.tier_costs            # prints the block of docs/tiers.md
    .venv/bin/python -m scripts.tier_costs --write    # writes it into docs/tiers.md, and the sums into README.md

For whoever has to choose a tier: it shows the order of magnitude, and what makes it. Change `Example` to your own workload.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import get_args

import yaml

from settings.drills import Kind
from settings.durations import format_duration
from settings.presets import DEFAULT, PRESETS, Preset
from settings.tiers import Targets, Tier, objectives

ROOT = Path(__file__).resolve().parent.parent
PRICES, PAGE = ROOT / "docs" / "prices.yaml", ROOT / "docs" / "tiers.md"
README = ROOT / "README.md"
BEGIN, END = "<!-- costs: .venv/bin/python -m scripts.tier_costs --write -->", "<!-- end of costs -->"
HOURS, DAYS = 730, 30
TIERS: tuple[Tier, ...] = get_args(Tier)

Prices = Mapping[str, float]
"""Dollars by the names of docs/prices.yaml."""


@dataclass(frozen=True, kw_only=True)
class Example:
    """The workload whose costs are computed. Sizes are in GB, traffic in GB a day."""

    replicas: int = 3
    """Replicas of the application, each on an m7g.large."""

    platform_nodes: int = 2
    """Nodes (m7g.large) for what runs in every tier: Velero, the operators, cluster services."""

    instances: int = 3
    """Instances of PostgreSQL in each region, each on an m7g.xlarge (two m7g.large)."""

    volume: int = 120
    """Volumes of each instance: storage 100Gi and walStorage 20Gi."""

    base_backup: int = 30
    """One base backup, compressed. One is made each day, and kept for `retention` days."""

    wal: int = 5
    """WAL that is archived, compressed."""

    wal_as_written: int = 15
    """WAL that a connection streams, not compressed."""

    retention: int = 30
    velero: int = 50
    """Velero's backups, deduplicated, of which `velero_changed` are new each day."""

    velero_changed: int = 2
    puts: int = 3000
    """Objects a day that one archive takes: a WAL segment a minute, base backups in parts, and Velero's."""

    namespace_volumes: int = 50
    """Volumes of the namespace that is drilled, all together."""

    namespace_hours: float = 1
    database_hours: float = 2
    """How long a drill has its volumes, and a node that nothing else would need: one m7g.large for the Pods and data movers of a
    namespace, one m7g.xlarge for the throw-away instance."""

    read_megabytes: float = 4
    """What one GET reads of a volume's data or of a base backup."""

    integrity_gets: int = 1000
    """Objects that one verification reads: what Velero keeps of the newest backups, labels of base backups, marks."""


@dataclass(frozen=True, kw_only=True)
class Costs:
    """Dollars a month, by what they are for."""

    lines: Mapping[str, float]

    @property
    def total(self) -> float:
        return sum(self.lines.values())


def load_prices(path: Path = PRICES) -> dict[str, float]:
    return {name: float(entry["price"]) for name, entry in yaml.safe_load(path.read_text()).items()}


def unread(path: Path = PRICES) -> list[str]:
    """Names of the prices that nobody has read in a source."""
    return [name for name, entry in yaml.safe_load(path.read_text()).items() if entry["checked"] is None]


def archives(tier: Tier) -> int:
    """How many archives are written: a standby re-archives what it has replayed, under its own name."""
    return 2 if PRESETS[tier].standby else 1


def replicated_gb(tier: Tier, example: Example) -> float:
    """GB that S3 copies between the regions in a month, each archive to the other region."""
    archive = example.base_backup + example.wal
    return DAYS * (archives(tier) * archive + example.velero_changed)


def costs(tier: Tier, example: Example, prices: Prices) -> Costs:
    """What a month of the second region costs, with what the first region has only for its sake."""
    preset = PRESETS[tier]
    databases = example.instances if preset.standby else 0
    application = {"none": 0, "one": 1, "all": example.replicas}[preset.workloads]
    kept = example.retention * (example.base_backup + example.wal)
    # Each archive has two copies. The first copy of the primary's archive exists without a second region too.
    stored = (2 * archives(tier) - 1) * kept + example.velero
    moved = replicated_gb(tier, example) + (DAYS * example.wal_as_written if preset.streams else 0)
    written = DAYS / 1000 * example.puts * (2 * archives(tier) - 1)
    balancers = 1 + (2 if preset.streams else 0)
    node = HOURS * prices["m7g_large_hour"]
    return Costs(
        lines={
            "control plane": HOURS * prices["eks_hour"],
            "nodes: platform": node * example.platform_nodes,
            "nodes: database": node * 2 * databases,
            "nodes: application": node * application,
            "volumes": prices["gp3_gb_month"] * databases * example.volume,
            "load balancers": HOURS * prices["load_balancer_hour"] * balancers,
            "S3: storage": prices["s3_gb_month"] * stored,
            "S3: requests": prices["s3_thousand_puts"] * written,
            "between the regions": prices["region_transfer_gb"] * moved,
            "KMS key, health checks": prices["kms_key_month"] + _health_checks(preset.both_regions, prices),
            "drills, in both regions": sum(each.total for each in drill_costs(example, prices).values()),
        }
    )


@dataclass(frozen=True, kw_only=True)
class DrillCosts:
    """Dollars a month of one drill in both regions, by what they are for."""

    nodes: float = 0
    volumes: float = 0
    requests: float

    @property
    def total(self) -> float:
        return self.nodes + self.volumes + self.requests


def drill_costs(example: Example, prices: Prices) -> Mapping[Kind, DrillCosts]:
    """What the drills add in a month by the default calendar, in both regions together.

    No tier changes it: each drill reads what the region that serves has written, and a throw-away instance runs on no node of a
    standby.
    """
    gets, lists = prices["s3_thousand_gets"] / 1000, prices["s3_thousand_puts"] / 1000
    gp3_hour, node = prices["gp3_gb_month"] / HOURS, prices["m7g_large_hour"]
    kept = example.puts * example.retention
    integrity = 2 * DAYS / 7 * (gets * example.integrity_gets + lists * (kept / 1000 + 1))
    namespace = DrillCosts(
        nodes=node * example.namespace_hours,
        volumes=gp3_hour * example.namespace_volumes * example.namespace_hours,
        requests=gets * 1000 * example.namespace_volumes / example.read_megabytes + lists,
    )
    base, segments = 1000 * example.base_backup / example.read_megabytes, example.puts
    return {
        "integrity": DrillCosts(requests=integrity),
        # It runs in the region that stands by; in the other one it ends at once.
        "namespace": namespace,
        "database": DrillCosts(
            nodes=2 * 2 * node * example.database_hours,
            volumes=2 * gp3_hour * example.volume * example.database_hours,
            requests=2 * (gets * (base + segments) + lists * (kept / 1000 + 1)),
        ),
    }


def _health_checks(both_regions: bool, prices: Prices) -> float:
    """Dollars a month for health checks. One checks the traffic flag, with three options: HTTPS, string matching, short interval.
    If both regions serve, two check the flag, two the endpoints without string matching, and two combine these."""
    checks, options = (6, 2 * 3 + 2 * 2) if both_regions else (1, 3)
    return checks * prices["health_check_month"] + options * prices["health_check_option_month"]


def block(example: Example, prices: Prices, not_read: list[str]) -> str:
    """The part of docs/tiers.md that is computed."""
    tables = [*_table(example, prices), "", *_drills(example, prices), ""]
    return "\n".join([BEGIN, "", *tables, *_assumptions(example, not_read), "", END])


def _table(example: Example, prices: Prices) -> Iterator[str]:
    by_tier = [costs(tier, example, prices) for tier in TIERS]
    yield "| dollars a month | " + " | ".join(f"`{tier}`" for tier in TIERS) + " |"
    yield "|---|" + "---:|" * len(TIERS)
    for line in by_tier[0].lines:
        yield f"| {line} | " + " | ".join(_dollars(each.lines[line]) for each in by_tier) + " |"
    yield "| **together** | " + " | ".join(f"**{_dollars(each.total)}**" for each in by_tier) + " |"
    extra = [prices["s3_rtc_gb"] * replicated_gb(tier, example) for tier in TIERS]
    yield "| with `storage.replicationTimeControl`, more | " + " | ".join(map(_dollars, extra)) + " |"


def _drills(example: Example, prices: Prices) -> Iterator[str]:
    yield "Of these, by drill, and the same in every tier:"
    yield ""
    yield "| dollars a month, both regions | nodes for its time | volumes for its time | requests to S3 | together |"
    yield "|---|---:|---:|---:|---:|"
    for kind, each in drill_costs(example, prices).items():
        cells = " | ".join(f"{amount:.2f}" for amount in (each.nodes, each.volumes, each.requests, each.total))
        yield f"| `{kind}` | {cells} |"


def _assumptions(example: Example, not_read: list[str]) -> Iterator[str]:
    e = example
    yield f"Reckoned with: {e.instances} instances of the database in each region, on an m7g.xlarge each, with {e.volume} GB of"
    yield f"gp3; a base backup of {e.base_backup} GB and {e.wal} GB of WAL a day, kept for {e.retention} days (compressed;"
    yield f"streamed, {e.wal_as_written} GB of WAL); {e.velero} GB of Velero's, {e.velero_changed} GB of them new each day;"
    yield f"{e.puts} objects a day; {e.replicas} replicas of the application, on an m7g.large each; {e.platform_nodes} m7g.large"
    yield "for the platform. Drills, by the default calendar: an m7g.large with"
    yield f"{e.namespace_volumes} GB of gp3 for {e.namespace_hours:g} h for the namespace, an m7g.xlarge with {e.volume} GB for"
    yield f"{e.database_hours:g} h for the database in each region, where nodes have no room for them;"
    yield f"{e.read_megabytes:g} MB a GET of what is restored; {e.integrity_gets} GETs a verification, and a list of all that the"
    yield "archive keeps. Verifying takes minutes of the platform's nodes, and records have some KB: neither is"
    yield "reckoned."
    yield ""
    yield "Prices: [prices.yaml](prices.yaml), each with its source and date. From general knowledge, and not read in any source:"
    yield f"{', '.join(f'`{name}`' for name in not_read)}."


def _dollars(amount: float) -> str:
    return f"{amount:,.0f}" if amount >= 10 or amount == 0 else f"{amount:.2f}"


def sums(example: Example, prices: Prices) -> str:
    """The part of README.md that is computed: what each tier keeps, promises and costs."""
    rows = ["| tier | kept in the second region | RPO | RTO | dollars a month |", "|---|---|---|---|---:|"]
    for tier in TIERS:
        targets = objectives(tier, Targets())
        promised = (_spoken(seconds) for seconds in (targets.rpo_seconds, targets.rto_seconds))
        name = f"`{tier}`, the default" if tier == DEFAULT else f"`{tier}`"
        cells = (name, _kept(PRESETS[tier]), *promised, _dollars(costs(tier, example, prices).total))
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join([BEGIN, "", *rows, "", END])


def _kept(preset: Preset) -> str:
    databases = "a replica of each database" if preset.standby else "backups alone"
    workloads = {"none": "", "one": ", one replica of each workload", "all": ", each workload in full"}[preset.workloads]
    return f"{databases}{workloads}{', and half of the users' if preset.both_regions else ''}"


def _spoken(seconds: float) -> str:
    """A target as people say it: `24 h`, `5 min`, `30 s`."""
    amount = format_duration(timedelta(seconds=seconds))
    return f"{amount[:-1]} {'min' if amount[-1] == 'm' else amount[-1]}"


def replaced(page: str, new: str, name: str = PAGE.name) -> str:
    """The page with `new` in place of its old block. Raises ValueError, with the page's `name`, if it has none."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError(f"{name} has no block between {BEGIN} and {END}")
    return f"{before}{new}{after}"


def main() -> None:
    parser = argparse.ArgumentParser(description="What the second region of each tier costs a month.")
    parser.add_argument("--write", action="store_true", help="put it into docs/tiers.md and README.md")
    new = block(Example(), load_prices(), unread())
    if parser.parse_args().write:
        PAGE.write_text(replaced(PAGE.read_text(), new))
        README.write_text(replaced(README.read_text(), sums(Example(), load_prices()), README.name))
    else:
        print(new)


if __name__ == "__main__":
    main()
