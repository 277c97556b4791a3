"""Computes what a plan past the lab's size comes to: times of a failover, rates and quotas, and the number at which each breaks.

    .venv/bin/python -m scripts.scale            # prints the tables of docs/scale.md
    .venv/bin/python -m scripts.scale --write    # writes them into docs/scale.md

For whoever plans for many namespaces, databases or terabytes. Nothing here was run at that size: it is arithmetic
(`scripts/scale_plan.py`) on docs/scale.yaml, where each figure has its source, and on docs/volume-rates.json. Change `Plan` to
your own.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta

from components.database.freshness import DEADLINE
from components.database.lost import MARK_SLACK
from scripts.scale_plan import (
    DAY,
    DOCS,
    TB,
    Figures,
    Plan,
    Rate,
    between_marks,
    job_seconds,
    load_figures,
    load_rate,
    object_seconds,
    puts_a_second,
    replicated_gbit,
    round_seconds,
    rpo,
    rto,
    small_files,
    state_bytes,
    state_seconds,
    volume_seconds,
    volumes,
)
from settings.durations import spoken
from settings.velero import VeleroSettings

PAGE = DOCS / "scale.md"
BEGIN, END = "<!-- computed: .venv/bin/python -m scripts.scale --write -->", "<!-- end of what was computed -->"


@dataclass(frozen=True, kw_only=True)
class Row:
    """One thing that grows, in one pair. `limit` is what it may come to, and `per` what of the plan it grows with."""

    what: str
    value: Callable[[Plan], float]
    limit: float
    shown: Callable[[float], str]
    allowed: str
    per: str


def rows(figures: Figures, rate: Rate) -> list[Row]:
    """What grows in one pair. Times are compared with the RTO of the default tier."""
    within = f"RTO, {_time(rto())}"
    qps = VeleroSettings().client_qps
    late = rpo() + MARK_SLACK.total_seconds()
    return [
        Row(
            what="marks of all databases, one round",
            value=lambda plan: round_seconds(plan, figures),
            limit=DEADLINE,
            shown=_time,
            allowed=f"the Job's deadline, {DEADLINE:g} s",
            per="databases",
        ),
        Row(
            what="from a database's mark to its next",
            value=lambda plan: between_marks(plan, figures),
            limit=late,
            shown=_time,
            allowed=f"what the gate bears, {_time(late)}",
            per="databases",
        ),
        Row(
            what="one VolumeSnapshot of each volume",
            value=lambda plan: volumes(plan) / figures["snapshots_a_second"],
            limit=60 * 60,
            shown=_time,
            allowed="an hourly schedule, 1 h",
            per="volumes_tb",
        ),
        Row(
            what="S3 replication, an average day",
            value=replicated_gbit,
            limit=figures["s3_replication_gbit"],
            shown=lambda value: f"{value:.1f} Gbit/s",
            allowed=f"{figures['s3_replication_gbit']:g} Gbit/s",
            per="databases",
        ),
        Row(
            what="states that the engine writes in a flip",
            value=lambda plan: state_seconds(plan, figures),
            limit=rto(),
            shown=_time,
            allowed=within,
            per="databases",
        ),
        Row(
            what=f"Jobs of a flip, {figures['parallel_of_a_core'] * 4:g} at a time",
            value=lambda plan: job_seconds(plan, figures),
            limit=rto(),
            shown=_time,
            allowed=within,
            per="namespaces",
        ),
        Row(
            what="the program itself, each `up` or preview",
            value=lambda plan: plan.databases * figures["preview_seconds_of_a_database"],
            limit=rto(),
            shown=_time,
            allowed=within,
            per="databases",
        ),
        Row(
            what=f"objects, at Velero's own {figures['velero_default_qps']:g} requests a second",
            value=lambda plan: object_seconds(plan, figures, figures["velero_default_qps"]),
            limit=rto(),
            shown=_time,
            allowed=within,
            per="namespaces",
        ),
        Row(
            what=f"objects, at `velero.clientQps` {qps}",
            value=lambda plan: object_seconds(plan, figures, qps),
            limit=rto(),
            shown=_time,
            allowed=within,
            per="namespaces",
        ),
        Row(
            what="data of volumes, in large files",
            value=lambda plan: volume_seconds(plan, rate),
            limit=rto(),
            shown=_time,
            allowed=within,
            per="volumes_tb",
        ),
        Row(
            what="PUTs of archives and marks",
            value=puts_a_second,
            limit=figures["s3_puts_a_second"],
            shown=lambda value: f"{value:.1f} a second",
            allowed=f"{figures['s3_puts_a_second']:,.0f} a second and prefix",
            per="databases",
        ),
        Row(
            what="Pod identity associations",
            value=lambda plan: figures["associations_of_a_stack"] + plan.databases,
            limit=figures["pod_identity_associations"],
            shown=lambda value: f"{value:,.0f}",
            allowed=f"{figures['pod_identity_associations']:,.0f} a cluster",
            per="databases",
        ),
        Row(
            what="namespaces",
            value=lambda plan: plan.namespaces + plan.databases,
            limit=figures["namespaces_of_a_cluster"],
            shown=lambda value: f"{value:,.0f}",
            allowed=f"{figures['namespaces_of_a_cluster']:,.0f} a cluster",
            per="namespaces",
        ),
    ]


def holds_up_to(row: Row, plan: Plan) -> float:
    """The part or the multiple of the plan at which a row reaches its limit, with all else of the plan grown alike."""
    low, high = 0.0, 1.0
    while row.value(plan.times(high)) < row.limit:
        low, high = high, high * 2
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if row.value(plan.times(middle)) < row.limit else (low, middle)
    return low


def block(plan: Plan, figures: Figures, rate: Rate) -> str:
    """The part of docs/scale.md that is computed."""
    parts = [*_table(plan, figures, rate), "", *_of_an_account(plan, figures), "", *_also(plan, figures, rate)]
    return "\n".join([BEGIN, "", *parts, "", END])


def _table(plan: Plan, figures: Figures, rate: Rate) -> Iterator[str]:
    each = plan.times(1 / plan.pairs)
    held = sorted(((holds_up_to(row, plan), row) for row in rows(figures, rate)), key=lambda pair: pair[0])
    yield (
        f"The plan: {plan.namespaces:,} namespaces of {plan.objects} objects, {plan.databases} databases, {plan.volumes_tb:g} TB "
        f"of volumes of {plan.volume} GB each, {plan.changed:.0%} of it new each day; of each database a base backup of "
        f"{plan.base_backup} GB and {plan.wal} GB of WAL a day; data movers on {plan.nodes} nodes of {plan.node_gbit:g} Gbit/s; "
        f"`pulumi up` on {plan.cores} cores."
    )
    yield ""
    head = ("what, in the order in which it breaks", "all in one pair", f"each of {plan.pairs} pairs", "the limit")
    yield f"| {' | '.join(head)} | one pair holds up to |"
    yield "|---|---:|---:|---|---|"
    for factor, row in held:
        cells = (row.what, _marked(row, plan), _marked(row, each), row.allowed)
        yield f"| {' | '.join(cells)} | {_amount(row.per, factor, plan)} |"


def _marked(row: Row, plan: Plan) -> str:
    value = row.value(plan)
    return f"**{row.shown(value)}**" if value > row.limit else row.shown(value)


def _amount(per: str, factor: float, plan: Plan) -> str:
    scaled = getattr(plan, per) * factor
    if per == "volumes_tb":
        return f"{scaled:,.1f} TB" if scaled < 10 else f"{scaled:,.0f} TB"
    digits = 10 ** max(len(str(int(scaled))) - 2, 0)
    return f"{int(scaled // digits * digits):,} {per}"


def _of_an_account(plan: Plan, figures: Figures) -> Iterator[str]:
    yield f"| quota of an account | a pair | {plan.pairs} pairs | the limit | pairs that fit |"
    yield "|---|---:|---:|---:|---:|"
    quotas = (
        ("IAM roles", 2 * figures["iam_roles_of_a_stack"], figures["iam_roles"]),
        ("buckets", figures["buckets_of_a_pair"], figures["s3_buckets"]),
        ("health checks, `standby-takes-over`", 1, figures["health_checks"]),
        ("health checks, `both-regions`, one name", 6, figures["health_checks"]),
    )
    for what, one, limit in quotas:
        yield f"| {what} | {one:g} | {one * plan.pairs:g} | {limit:,.0f} | {limit // one:,.0f} |"


def _also(plan: Plan, figures: Figures, rate: Rate) -> Iterator[str]:
    first = plan.volumes_tb * TB * 8 / (figures["s3_replication_gbit"] * 1e9)
    yield f"- The first copy of {plan.volumes_tb:g} TB takes {_time(first)} at {figures['s3_replication_gbit']:g} Gbit/s."
    yield (
        f"- The state of the secondary is {state_bytes(plan, figures) / 1e6:.0f} MB in one pair, and "
        f"{state_bytes(plan.times(1 / plan.pairs), figures) / 1e6:.0f} MB in each of {plan.pairs}."
    )
    yield (
        f"- Of small files all data movers bring {small_files(plan, rate) / 1e6:.0f} million within the RTO "
        f"({rate.small:.0f} a second each), however little data that is."
    )
    yield (
        f"- EBS keeps {figures['ebs_snapshots']:,.0f} snapshots in a Region: {figures['ebs_snapshots'] / volumes(plan):.0f} of "
        f"each of {volumes(plan):,.0f} volumes. Velero deletes a snapshot once its data are in S3."
    )


def _time(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    if seconds < 120 * 60:
        return f"{seconds / 60:.0f} min"
    return spoken(timedelta(seconds=seconds)) if seconds >= 2 * DAY else f"{seconds / 3600:.1f} h"


def replaced(page: str, new: str) -> str:
    """The page with `new` in place of its old block. Raises ValueError if it has none."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError(f"{PAGE.name} has no block between {BEGIN} and {END}")
    return f"{before}{new}{after}"


def main() -> None:
    parser = argparse.ArgumentParser(description="What a plan past the lab's size comes to, and where it breaks.")
    parser.add_argument("--write", action="store_true", help="put it into docs/scale.md")
    new = block(Plan(), load_figures(), load_rate())
    if parser.parse_args().write:
        PAGE.write_text(replaced(PAGE.read_text(), new))
    else:
        print(new)


if __name__ == "__main__":
    main()
