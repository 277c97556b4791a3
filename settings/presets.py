"""The values that a tier sets for keys that nobody wrote. `settings.rules` refuses written values that break its promise."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from settings.tiers import Tier

DEFAULT: Tier = "pilot-light"

_Share = Literal["none", "one", "all"]


@dataclass(frozen=True, kw_only=True)
class Preset:
    """What a tier keeps in the region that stands by."""

    standby: bool
    """Whether each database has a replica there."""
    workloads: _Share
    """How many of each workload's replicas run there, at least."""
    streams: bool
    """Whether databases use streaming replication, where a connection is configured."""
    both_regions: bool
    """Whether users are sent there too, while both regions are well."""

    def standby_replicas(self, replicas: int) -> int:
        """How many of a workload's `replicas` must run in the region that stands by."""
        return {"none": 0, "one": 1, "all": replicas}[self.workloads]


PRESETS: dict[Tier, Preset] = {
    "backup-restore": Preset(standby=False, workloads="none", streams=False, both_regions=False),
    "pilot-light": Preset(standby=True, workloads="none", streams=False, both_regions=False),
    "warm-standby": Preset(standby=True, workloads="one", streams=True, both_regions=False),
    "active-active": Preset(standby=True, workloads="all", streams=True, both_regions=True),
}


def with_tier_values(raw: Any) -> Any:
    """Return the configuration `raw` with the tier's values for the keys that nobody wrote.

    Parts of `raw` that are malformed stay as they are, because the models tell what is wrong with them.
    """
    if not isinstance(raw, Mapping) or raw.get("tier", DEFAULT) not in get_args(Tier):
        return raw
    preset = PRESETS[raw.get("tier", DEFAULT)]
    return {
        **raw,
        **_with_each_entry(raw, "workloads", lambda workload: _workload_with_values(preset, workload)),
        **_with_each_entry(raw, "databases", lambda database: _database_with_values(preset, database)),
        **(
            {"dns": {"mode": "both-regions", **raw["dns"]}} if preset.both_regions and isinstance(raw.get("dns"), Mapping) else {}
        ),
    }


def _with_each_entry(raw: Mapping[str, Any], key: str, fill: Any) -> dict[str, Any]:
    entries = raw.get(key)
    if not isinstance(entries, list):
        return {}
    return {key: [fill(entry) if isinstance(entry, Mapping) else entry for entry in entries]}


def _workload_with_values(preset: Preset, workload: Mapping[str, Any]) -> dict[str, Any]:
    replicas = workload.get("replicas")
    if type(replicas) is not int or replicas < 1 or "standby_replicas" in workload:
        return dict(workload)  # The model refuses this workload. A value of the tier would only add a second complaint.
    return {"standbyReplicas": preset.standby_replicas(replicas), **workload}


def _database_with_values(preset: Preset, database: Mapping[str, Any]) -> dict[str, Any]:
    streams = preset.streams and database.get("streaming") is not None
    return {"standby": preset.standby, **({"replication": "streaming"} if streams else {}), **database}


def with_the_managed_class(raw: Any) -> Any:
    """Return the configuration `raw` with `storageClass.name`, where that is written, for databases that name no class.

    A claim of a class that does not exist stays Pending, and the Cluster is waited for in vain.
    """
    written = raw.get("storageClass") if isinstance(raw, Mapping) else None
    name = written.get("name") if isinstance(written, Mapping) else None
    if not isinstance(name, str):
        return raw
    return {**raw, **_with_each_entry(raw, "databases", lambda database: {"storageClass": name, **database})}
