"""What a tier sets where nobody wrote a key, and what no key may take away from its promise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

from settings.database import DatabaseSettings
from settings.dns import Dns
from settings.durations import parse_duration
from settings.tiers import Objectives, Tier
from settings.workloads import Workload

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
    return {"standbyReplicas": _least(preset.workloads, replicas), **workload}


def _database(preset: Preset, database: Mapping[str, Any]) -> dict[str, Any]:
    streams = preset.streams and database.get("streaming") is not None
    return {"standby": preset.standby, **({"replication": "streaming"} if streams else {}), **database}


def _least(share: _Share, replicas: int) -> int:
    """How many of `replicas` run in the region that stands by, at the least."""
    return {"none": 0, "one": 1, "all": replicas}[share]


def contradiction(
    goals: Objectives, dns: Dns, workloads: Sequence[Workload], databases: Sequence[DatabaseSettings], *, own_rpo: str | None
) -> str | None:
    """What the configuration takes away from its tier's promise, and the fix, to be read after the tier; None if nothing.

    `own_rpo` is the RPO that the organization wrote in place of the tier's.
    """
    tier, preset = goals.tier, PRESETS[goals.tier]
    if dns.mode != "both-regions" and preset.both_regions:
        return f"sends users to both regions, and dns.mode is {dns.mode}; take mode out, or set tier: warm-standby"
    if dns.mode == "both-regions" and not preset.both_regions:
        return (
            "sends users to one region at a time, and dns.mode is both-regions: that is tier active-active; take mode out, or "
            "set tier: active-active"
        )
    reasons = [
        *(_too_few(preset, tier, f"workloads[{place}]", each) for place, each in enumerate(workloads)),
        *(_no_standby(preset, f"databases[{place}]", each) for place, each in enumerate(databases)),
        *(_archived_too_late(goals, f"databases[{place}]", each, own_rpo) for place, each in enumerate(databases)),
    ]
    return next((reason for reason in reasons if reason), None)


def _too_few(preset: Preset, tier: Tier, key: str, workload: Workload) -> str | None:
    has, least = workload.standby_replicas, _least(preset.workloads, workload.replicas)
    if tier == "backup-restore" and has:
        return (
            f"runs nothing in the region that stands by, and {key}.standbyReplicas is {has}: that is tier warm-standby; take "
            "standbyReplicas out, or set tier: warm-standby"
        )
    if has >= least:
        return None
    what, lower = {"one": ("a part", "pilot-light"), "all": ("all", "warm-standby" if has else "pilot-light")}[preset.workloads]
    return (
        f"runs {what} of every workload in the region that stands by, and {key}.standbyReplicas is {has}; write {least} or more, "
        f"or take it out, or set tier: {lower}"
    )


def _no_standby(preset: Preset, key: str, database: DatabaseSettings) -> str | None:
    if database.standby and not preset.standby:
        return (
            f"runs nothing in the region that stands by, and {key}.standby is true: that is tier pilot-light; take standby out, "
            "or set tier: pilot-light"
        )
    if preset.standby and not database.standby:
        return (
            f"keeps a replica of every database in the region that stands by, and {key}.standby is false; take standby out, or "
            "set tier: backup-restore"
        )
    return None


def _archived_too_late(goals: Objectives, key: str, database: DatabaseSettings, own_rpo: str | None) -> str | None:
    """An archive alone loses up to archiveTimeout of rows; a connection has sent them on by then."""
    waits = parse_duration(database.archive_timeout).total_seconds()
    if database.replication == "streaming" or waits <= goals.rpo_seconds:
        return None
    goal = f"targets.rpo {own_rpo}" if own_rpo else f"an RPO of {goals.rpo_seconds:.0f} s"
    stream = "streaming: {hosts: …, certificates: …} (docs/recovery.md), or " if database.standby else ""
    # Each archived segment is 16 MB before it is compressed: nobody should be advised to one every few seconds.
    sooner = f"an archiveTimeout of {goals.rpo_seconds:.0f}s or less, or " if goals.rpo_seconds >= 10 else ""
    return (
        f"has {goal}, and {key} loses up to archiveTimeout, {database.archive_timeout}, of rows by its archive alone "
        f"(databases[].replication: archive); write {stream}{sooner}a targets.rpo of {database.archive_timeout} or more"
    )
