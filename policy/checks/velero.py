"""Backups run where the application runs, expire, and include every database's namespace; no region writes the peer's backups."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from .model import UNKNOWN, Config, Policy, Resource, Stack, Violation, items

_SCHEDULE = "kubernetes:velero.io/v1:Schedule"
_LOCATION = "kubernetes:velero.io/v1:BackupStorageLocation"
_CLUSTER = "kubernetes:postgresql.cnpg.io/v1:Cluster"


def check(stack: Stack, config: Config) -> Iterator[Violation]:
    del config
    schedules = stack.of(_SCHEDULE)
    for schedule in schedules:
        for objection in _of_schedule(schedule, serves=stack.serves):
            yield Violation(resource=schedule, message=objection)
    for location in stack.of(_LOCATION):
        if location.get("spec", "accessMode") not in ("ReadOnly", UNKNOWN) and not _own(location, stack.name):
            message = (
                "is another region's and can be written to from here: set accessMode: ReadOnly (this stack's own has a prefix "
                f"that ends in /{stack.name})"
            )
            yield Violation(resource=location, message=message)
    for database in stack.of(_CLUSTER) if schedules else ():
        namespace = database.get("metadata", "namespace")
        if isinstance(namespace, str) and not any(_includes(schedule, namespace) for schedule in schedules):
            message = f"its namespace {namespace} is in no schedule: include it in one of k8s-dr:backups"
            yield Violation(resource=database, message=message)


def _of_schedule(schedule: Resource, *, serves: bool) -> Iterator[str]:
    if not schedule.get("spec", "template", "ttl"):
        yield "its backups are kept as long as Velero's own default says: set template.ttl"
    if serves and schedule.get("spec", "paused") is True:
        yield "is paused in the region that serves, which is then not backed up: set paused to false"


def _own(location: Resource, stack: str) -> bool:
    """Whether the location's prefix is the stack's own. A location without a prefix is alone in its bucket, so it is own too."""
    prefix: Any = location.get("spec", "objectStorage", "prefix")
    return prefix in (None, "", UNKNOWN) or str(prefix).rstrip("/").rpartition("/")[2] == stack


def _includes(schedule: Resource, namespace: str) -> bool:
    included = items(schedule.get("spec", "template", "includedNamespaces"))
    excluded = items(schedule.get("spec", "template", "excludedNamespaces"))
    return (not included or namespace in included or "*" in included) and namespace not in excluded


POLICY = Policy(
    name="velero-backups",
    description="Schedules have a TTL, run while their region serves and cover every database; the peer's location is read-only.",
    level="mandatory",
    stack=check,
)
