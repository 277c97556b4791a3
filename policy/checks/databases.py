"""A database survives the loss of a node by its instances, and the loss of its region by its archive."""

from __future__ import annotations

from collections.abc import Iterator

from .model import Config, Policy, Resource, Stack, Violation, dig, items

_GROUP = "kubernetes:postgresql.cnpg.io/v1"


def check(stack: Stack, config: Config) -> Iterator[Violation]:
    backed_up = {
        (backup.get("metadata", "namespace"), backup.get("spec", "cluster", "name"))
        for backup in stack.of(f"{_GROUP}:ScheduledBackup")
    }
    for database in stack.of(f"{_GROUP}:Cluster"):
        objections = list(_of_cluster(database))
        instances = database.get("spec", "instances")
        minimum = config["minimumInstances"]
        if stack.serves and isinstance(instances, (int, float)) and instances < minimum:
            objections.append(f"has {instances:g} instances in the region that serves: set {minimum:g} or more")
        if stack.active is not None and not stack.serves and not database.get("spec", "replica", "source"):
            objections.append("follows no other side in the region that stands by: set replica.source to the peer's side")
        if (database.get("metadata", "namespace"), database.get("metadata", "name")) not in backed_up:
            objections.append("has no base backups to be recovered from: add a ScheduledBackup of it")
        for objection in objections:
            yield Violation(resource=database, message=objection)


def _of_cluster(database: Resource) -> Iterator[str]:
    archivers = [plugin for plugin in items(database.get("spec", "plugins")) if dig(plugin, "isWALArchiver") is True]
    if not archivers and not database.get("spec", "backup"):
        yield "archives no WAL: configure the Barman Cloud plugin with isWALArchiver"
    instances = database.get("spec", "instances")
    if isinstance(instances, (int, float)) and instances > 1:
        if database.get("spec", "affinity", "enablePodAntiAffinity") is False:
            yield "may have all its instances on one node: leave affinity.enablePodAntiAffinity on"
        if database.get("spec", "enablePDB") is False:
            yield "may lose all its instances when nodes are drained: leave enablePDB on"


POLICY = Policy(
    name="database-redundancy",
    description="Databases have several instances where they serve, on several nodes, an archive, base backups and a source.",
    level="mandatory",
    stack=check,
    schema={
        "minimumInstances": {
            "type": "integer",
            "minimum": 1,
            "default": 2,
            "description": "instances that a database has in the region that serves, or more",
        }
    },
)
