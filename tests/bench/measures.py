"""The measures of `make bench`, by their names, from the rows of its parts. Each is a spread over the repetitions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from tests.bench.figures import Spread, spread
from tests.bench.rows import Row

Measure = Mapping[str, Any]

PHASES = ("engine", "imports", "settings", "registration", "gate", "waits", "end")
"""What a failover's seconds beyond its critical path are made of (tests/bench/flip.py)."""

IN_A_SECOND = "objects in a second"


def of(rows: Iterable[Row]) -> dict[str, Measure]:
    """Every measure that something was measured for."""
    by_part: dict[str, list[Row]] = {}
    for row in rows:
        by_part.setdefault(row.part, []).append(row)
    found = {
        **of_previews(by_part.get("preview", [])),
        **of_failovers(by_part.get("ready", [])),
        **of_restores(by_part.get("velero", [])),
    }
    return {name: measure for name, measure in found.items() if measure}


def of_previews(rows: Sequence[Row]) -> dict[str, Measure]:
    sizes = {row.size: row for row in rows}
    growth = {"per resource": growth_per_resource(sizes), "per further database": growth_per_database(sizes)}
    return {
        "preview_ratio_to_empty": _each(rows, "preview", "empty preview"),
        "preview_of_flip_ratio_to_empty": _each(rows, "preview of the flip", "empty preview"),
        "up_ratio_to_empty": _each(rows, "up", "empty up"),
        "preview_per_resource_growth_1_to_100": {name: asdict(value) for name, value in growth.items() if value},
        "memory_mib": _spreads(rows, "preview: program MiB", "preview: engine MiB", "up: program MiB", "up: engine MiB"),
    }


def of_failovers(rows: Sequence[Row]) -> dict[str, Measure]:
    phases = ("overhead", *(f"overhead: {phase}" for phase in PHASES))
    return {
        "ready_ratio_to_guide": _each(rows, "program ready", "guide ready"),
        "ready_ratio_to_floor": _each(rows, "program ready", "program floor"),
        "ready_seconds": _spreads(rows, "guide ready", "program ready", "program floor", "program preview"),
        "overhead_seconds": _spreads(rows, *(f"program {phase}" for phase in phases)),
        "switch_seconds": _spreads(rows, "program switch", "program switch floor", "guide switch", "guide switch floor"),
        "guide_head_start_seconds": {row.size: asdict(found) for row in rows if (found := head_start(row))},
    }


def head_start(row: Row) -> Spread | None:
    """How much sooner the guide sends users, before anything is ready for them."""
    pairs = zip(row.values("program flag"), row.values("guide flag"), strict=False)
    return spread([program - guide for program, guide in pairs])


def of_restores(rows: Sequence[Row]) -> dict[str, Measure]:
    return {"velero_objects_per_second": {row.size: asdict(found) for row in rows if (found := row.spread(IN_A_SECOND))}}


def _spreads(rows: Sequence[Row], *names: str) -> dict[str, Any]:
    """For each size the spreads of these figures, by their names."""
    found = {row.size: {name: asdict(one) for name in names if (one := row.spread(name))} for row in rows}
    return {size: figures for size, figures in found.items() if figures}


def _each(rows: Sequence[Row], name: str, other: str) -> dict[str, Any]:
    return {row.size: asdict(found) for row in rows if (found := row.ratio(name, other))}


def growth_per_resource(sizes: Mapping[str, Row]) -> Spread | None:
    """What a preview costs above the empty program's for each resource, with 100 databases by the same with one."""
    one, hundred = sizes.get("1 database"), sizes.get("100 databases")
    if not (one and hundred):
        return None
    pairs = zip(_per_resource(hundred), _per_resource(one), strict=False)
    return spread([many / few for many, few in pairs if few > 0])


def _per_resource(row: Row) -> list[float]:
    pairs = zip(row.values("preview"), row.values("empty preview"), strict=False)
    return [(whole - empty) / row.facts["resources"] for whole, empty in pairs]


def growth_per_database(sizes: Mapping[str, Row]) -> Spread | None:
    """What each further database costs from 10 to 100, by what it costs from 1 to 10: what all have in common is in neither."""
    one, ten, hundred = (sizes.get(size) for size in ("1 database", "10 databases", "100 databases"))
    if not (one and ten and hundred):
        return None
    triples = zip(one.values("preview"), ten.values("preview"), hundred.values("preview"), strict=False)
    return spread([((many - some) / 90) / ((some - few) / 9) for few, some, many in triples if some > few])
