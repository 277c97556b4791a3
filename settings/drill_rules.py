"""Rules on drills: what they name is there, and can be drilled."""

from __future__ import annotations

import re
from datetime import timedelta

from settings.drills import LATEST
from settings.durations import format_duration, parse_duration
from settings.mistake import Mistake
from settings.model import Settings
from settings.rule import Mistakes, Rule

_DAYS = {"d": 1, "w": 7, "m": 30}


def retained(retention: str) -> timedelta:
    """How far back an archive can recover at least: Barman Cloud counts a month as 30 days or more."""
    found = re.fullmatch(r"(\d+)([dwm])", retention)
    assert found is not None  # checked with the database
    return timedelta(days=int(found[1]) * _DAYS[found[2]])


def drilled_databases_are_known(settings: Settings) -> Mistakes:
    known = [database.name for database in settings.databases]
    for place, name in enumerate(settings.drills.database.databases):
        if name not in known:
            there = f"there are {', '.join(known)}" if known else "there are none"
            yield Mistake(f"{{}} is none of databases ({there}); write one of them, or take it out", name, at=(place,))


def a_check_asks_a_database_that_is_drilled(settings: Settings) -> Mistakes:
    drilled = [database.name for database in settings.drilled_databases]
    for place, check in enumerate(settings.drills.database.checks):
        if check.database not in drilled:
            there = f"those are {', '.join(drilled)}" if drilled else "there are none"
            text = f"{{}} is no database that the drill recovers ({there}); write one of them, or take the check out"
            yield Mistake(text, check.database, at=(place, "database"))


def an_archive_reaches_back_to_the_point_that_is_drilled(settings: Settings) -> Mistakes:
    point = settings.drills.database.point_in_time
    for database in settings.drilled_databases if point != LATEST else ():
        if parse_duration(point) >= (kept := retained(database.retention)):
            yield Mistake(
                "{} is further back than the archive of {} is kept, {}; write less than {}, or latest",
                point,
                database.name,
                database.retention,
                format_duration(kept),
            )


def a_drilled_namespace_is_in_a_backup(settings: Settings) -> Mistakes:
    drill = settings.drills.namespace
    if drill.namespace and settings.drills.enabled and drill.enabled and settings.drilled_namespace is None:
        yield Mistake(
            "{} is restored from no entry of backups, by its include, exclude or restore; write a namespace that one brings, or "
            "enabled: false for this drill",
            drill.namespace,
        )


def no_pod_of_a_workload_runs_where_pods_come_for_their_volumes(settings: Settings) -> Mistakes:
    """A StatefulSet's Pods have the names of those that come, which must rest: it would never have one of its own."""
    drill, namespace = settings.drills.namespace, settings.drilled_namespace
    if not (namespace and drill.replicas and "namespace" in settings.drilled):
        return
    for place, backup in enumerate(settings.backups):
        if backup.pods == "all" and backup.brings(namespace):
            yield Mistake(
                f"{{}} runs workloads of {namespace}, and backups[{place}] has pods: all, whose Pods come for their volumes "
                "alone; write 0, or pods: bare for that backup",
                str(drill.replicas),
            )
            return


RULES: tuple[Rule, ...] = (
    Rule(key="drills.database.databases", mistakes=drilled_databases_are_known),
    Rule(key="drills.database.checks", mistakes=a_check_asks_a_database_that_is_drilled),
    Rule(key="drills.database.pointInTime", mistakes=an_archive_reaches_back_to_the_point_that_is_drilled),
    Rule(key="drills.namespace.replicas", mistakes=no_pod_of_a_workload_runs_where_pods_come_for_their_volumes),
    Rule(key="drills.namespace.namespace", mistakes=a_drilled_namespace_is_in_a_backup),
)
