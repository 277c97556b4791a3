"""What a tier sets where nobody wrote a key, and what no key may take away from its promise."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from settings.tiers import Tier

DEFAULT: Tier = "pilot-light"

_Share = Literal["none", "one", "all"]


@dataclass(frozen=True, kw_only=True)
class Preset:
    """What a tier keeps in the region that stands by: a replica of each database, how many replicas of each workload, whether
    databases stream where a connection is configured, and whether users are sent there too."""

    standby: bool
    workloads: _Share
    streams: bool
    both_regions: bool

    def standby_replicas(self, replicas: int) -> int:
        """How many of a workload's `replicas` must run in the region that stands by."""
        return {"none": 0, "one": 1, "all": replicas}[self.workloads]


PRESETS: dict[Tier, Preset] = {
    "backup-restore": Preset(standby=False, workloads="none", streams=False, both_regions=False),
    "pilot-light": Preset(standby=True, workloads="none", streams=False, both_regions=False),
    "warm-standby": Preset(standby=True, workloads="one", streams=True, both_regions=False),
    "active-active": Preset(standby=True, workloads="all", streams=True, both_regions=True),
}


def filled(raw: Any) -> Any:
    """A configuration as it was read, with the tier's values for the keys that nobody wrote. What is no configuration at all is
    left as it is, for the models to say so."""
    if not isinstance(raw, Mapping) or raw.get("tier", DEFAULT) not in get_args(Tier):
        return raw
    preset = PRESETS[raw.get("tier", DEFAULT)]
    return {
        **raw,
        **_each(raw, "workloads", lambda workload: _workload(preset, workload)),
        **_each(raw, "databases", lambda database: _database(preset, database)),
        **(
            {"dns": {"mode": "both-regions", **raw["dns"]}} if preset.both_regions and isinstance(raw.get("dns"), Mapping) else {}
        ),
    }


def _each(raw: Mapping[str, Any], key: str, fill: Any) -> dict[str, Any]:
    entries = raw.get(key)
    if not isinstance(entries, list):
        return {}
    return {key: [fill(entry) if isinstance(entry, Mapping) else entry for entry in entries]}


def _workload(preset: Preset, workload: Mapping[str, Any]) -> dict[str, Any]:
    replicas = workload.get("replicas")
    if type(replicas) is not int or replicas < 1 or "standby_replicas" in workload:
        return dict(workload)  # its own mistake is told; one of the tier's beside it would not help
    return {"standbyReplicas": preset.standby_replicas(replicas), **workload}


def _database(preset: Preset, database: Mapping[str, Any]) -> dict[str, Any]:
    streams = preset.streams and database.get("streaming") is not None
    return {"standby": preset.standby, **({"replication": "streaming"} if streams else {}), **database}
