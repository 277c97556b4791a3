"""Prints a throw-away Cluster in which a database is as it was at a time, beside the live one.

    kubectl --context prod-use1 get clusters.postgresql.cnpg.io,objectstores.barmancloud.cnpg.io -n databases -o json |
      .venv/bin/python -m scripts.point_in_time --context prod-use1 --database app-database --to 2026-03-02T14:00:00Z

For whoever has to bring back what was deleted in both regions; docs/recovery.md has the whole procedure. The script reads what
is live from the standard input, prints one manifest, and says on the standard error what to type next. It touches nothing. The
Cluster archives nothing and follows nobody, so neither region's side notices it.
"""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import yaml

from components.database.specs import PLUGIN
from components.database.stopping import is_fenced
from components.kube.runner.fencing import HIBERNATION
from settings.names import EXCLUDED_FROM_BACKUP

KINDS = "clusters.postgresql.cnpg.io,objectstores.barmancloud.cnpg.io"
EXAMPLE = "2026-03-02T14:00:00Z"

Object = Mapping[str, Any]


class NoWayBackError(Exception):
    """Why no manifest is printed: one line with what was given and what to do."""


def target(text: str, now: datetime) -> datetime:
    """The time that --to names, in UTC."""
    try:
        to = datetime.fromisoformat(text)
    except ValueError:
        raise NoWayBackError(f"--to: {text!r} is no time; write one as in {EXAMPLE}") from None
    if to.tzinfo is None:
        raise NoWayBackError(f"--to: {text!r} has no time zone; write one as in {EXAMPLE}, where Z is UTC")
    if to > now:
        raise NoWayBackError(
            f"--to: {text} is still to come, for it is {stamp(now)}; write the last time at which all was still there"
        )
    return to.astimezone(UTC)


def stamp(time: datetime) -> str:
    """A time as PostgreSQL, CloudNativePG and people read it alike."""
    return time.astimezone(UTC).isoformat().replace("+00:00", "Z")


def objects(text: str, kubectl: str) -> list[Object]:
    """What `kubectl get … -o json` has printed."""
    try:
        found = json.loads(text)["items"]
    except (ValueError, KeyError, TypeError):
        raise NoWayBackError(
            f"the standard input is no list of objects in JSON; pipe into this: {kubectl} get {KINDS} -n NAMESPACE -o json"
        ) from None
    return list(found)


def called(items: Sequence[Object], kind: str, name: str) -> Object | None:
    return next((item for item in items if item["kind"] == kind and item["metadata"]["name"] == name), None)


def live_cluster(items: Sequence[Object], name: str) -> Object:
    """The database's Cluster, which serves. Refuses every other."""
    cluster = called(items, "Cluster", name)
    if cluster is None:
        there = ", ".join(sorted(item["metadata"]["name"] for item in items if item["kind"] == "Cluster")) or "none"
        raise NoWayBackError(f"--database: there is no Cluster {name} in what was piped in; of databases there is: {there}")
    replica = cluster["spec"].get("replica") or {}
    if replica.get("primary") != replica.get("self"):
        raise NoWayBackError(
            f"--database: {name} stands by here and follows {replica['primary']}, so it takes no rows back; "
            "pipe in the objects of the region that serves, and name its context"
        )
    annotations = cluster["metadata"].get("annotations") or {}
    if is_fenced(cluster) or annotations.get(HIBERNATION) == "on":
        raise NoWayBackError(
            f"--database: {name} was stopped here (fenced, or hibernated), so it takes no rows back; "
            "pipe in the objects of the region that serves, and name its context"
        )
    return cluster


def archive_of(cluster: Object, items: Sequence[Object], server: str | None) -> tuple[Object, str]:
    """The ObjectStore to recover from, and the server name in it: those of the database itself, unless `server` is another."""
    own: Mapping[str, str] = next(
        (each.get("parameters") or {} for each in cluster["spec"].get("plugins") or () if each["name"] == PLUGIN), {}
    )
    if not own:
        raise NoWayBackError(
            f"--database: {cluster['metadata']['name']} archives nothing by {PLUGIN}, so there is nothing to recover it from; "
            "name a database of this program"
        )
    server = server or own["serverName"]
    store = own["barmanObjectName"] if server == own["serverName"] else server.rpartition("-g")[0]
    found = called(items, "ObjectStore", store)
    if found is None:
        there = ", ".join(sorted(item["metadata"]["name"] for item in items if item["kind"] == "ObjectStore")) or "none"
        raise NoWayBackError(
            f"--server: {server} would be in ObjectStore {store or server}, which was not piped in; there is: {there}. "
            f"A server is called as in {own['serverName']}; pipe in {KINDS}"
        )
    return found, server


def first_point(store: Object, server: str) -> datetime | None:
    """The earliest time that the archive goes back to: the end of its first base backup. None if nobody has written it down."""
    window = ((store.get("status") or {}).get("serverRecoveryWindow") or {}).get(server) or {}
    first = window.get("firstRecoverabilityPoint")
    return datetime.fromisoformat(first) if first else None


def manifest(cluster: Object, name: str, store: str, server: str, to: datetime) -> dict[str, Any]:
    """The throw-away Cluster: one instance with the live one's image, parameters, volumes and resources.

    It runs under the live one's service account, which is the only one that AWS trusts, and which may read both ObjectStores
    already. Without `plugins` it has no archive, so it cannot write into anybody's.
    """
    live, bootstrap = cluster["spec"], cluster["spec"]["bootstrap"]
    beginning = bootstrap.get("initdb") or bootstrap["recovery"]
    volumes = {
        key: {field: live[key][field] for field in ("storageClass", "size") if field in live[key]}
        for key in ("storage", "walStorage")
        if key in live
    }
    return {
        "apiVersion": cluster["apiVersion"],
        "kind": "Cluster",
        "metadata": {"name": name, "namespace": cluster["metadata"]["namespace"], "labels": dict(EXCLUDED_FROM_BACKUP)},
        "spec": {
            "instances": 1,
            "imageName": live["imageName"],
            "serviceAccountName": cluster["metadata"]["name"],
            "smartShutdownTimeout": 0,
            "enableSuperuserAccess": False,
            "enablePDB": False,
            **volumes,
            **({"resources": live["resources"]} if "resources" in live else {}),
            "affinity": {"enablePodAntiAffinity": False},
            "postgresql": {"parameters": (live.get("postgresql") or {}).get("parameters") or {}},
            "inheritedMetadata": {"labels": dict(EXCLUDED_FROM_BACKUP)},
            "bootstrap": {
                "recovery": {
                    "source": store,
                    "recoveryTarget": {"targetTime": stamp(to)},
                    **{key: beginning[key] for key in ("database", "owner", "secret")},
                }
            },
            "externalClusters": [
                {"name": store, "plugin": {"name": PLUGIN, "parameters": {"barmanObjectName": store, "serverName": server}}}
            ],
        },
    }


def plan(
    items: Sequence[Object], *, database: str, to: datetime, kubectl: str, server: str | None = None
) -> tuple[dict[str, Any], list[str]]:
    """The manifest, and what to tell whoever applies it."""
    cluster = live_cluster(items, database)
    name, namespace = f"{database}-pitr", cluster["metadata"]["namespace"]
    delete = f"{kubectl} delete cluster.postgresql.cnpg.io {name} -n {namespace}"
    if old := called(items, "Cluster", name):
        recovery = ((old["spec"].get("bootstrap") or {}).get("recovery") or {}).get("recoveryTarget") or {}
        raise NoWayBackError(
            f"--database: {name} is there already, as of {recovery.get('targetTime', 'another time')}, and would not be made "
            f"anew; once it is of no more use: {delete}"
        )
    store, server = archive_of(cluster, items, server)
    first = first_point(store, server)
    if first is not None and to < first:
        raise NoWayBackError(
            f"--to: {stamp(to)} is before the end of the first base backup of {server}, {stamp(first)}, and nothing older can be "
            "recovered from it; write a later time, or name an older archive of this database by --server"
        )
    made = manifest(cluster, name, store["metadata"]["name"], server, to)
    inside = f"{kubectl} exec -n {namespace} service/{name}-rw -c postgres -- psql -d"
    lines = [
        f"{database} as of {stamp(to)}, from {server} in ObjectStore {store['metadata']['name']}; its archive goes back to "
        + (stamp(first) if first else "a time that nobody has written down: without a base backup before it the recovery fails"),
        "Nothing was touched. Next, as docs/recovery.md has it (Back to a point in time), once this manifest is applied:",
        f"  {kubectl} wait cluster.postgresql.cnpg.io/{name} -n {namespace} --for=condition=Ready --timeout=4h",
        f"  {inside} {made['spec']['bootstrap']['recovery']['database']} -c '…'",
        f"  {kubectl} logs -n {namespace} job/{name}-1-full-recovery --all-containers  # if it does not become ready",
        f"  {delete}  # at the end",
    ]
    return made, lines


def main(arguments: Sequence[str], text: str, now: datetime) -> tuple[str, str]:
    """What is printed on the standard output, and on the standard error."""
    parser = argparse.ArgumentParser(
        prog="python -m scripts.point_in_time", description="Print a Cluster that has a database as it was at a time."
    )
    parser.add_argument("--context", required=True, help="kubectl's context of the region that serves, for the commands to type")
    parser.add_argument("--database", required=True, help="name of the database, which is that of its Cluster")
    parser.add_argument("--to", required=True, help=f"the time, with its zone, as in {EXAMPLE}")
    parser.add_argument("--server", help="server name of an older archive, as in app-database-primary-g1; by default its own")
    given = parser.parse_args(arguments)
    kubectl = f"kubectl --context {shlex.quote(given.context)}"
    items, to = objects(text, kubectl), target(given.to, now)
    made, lines = plan(items, database=given.database, to=to, kubectl=kubectl, server=given.server)
    return yaml.safe_dump(made, sort_keys=False), "\n".join(lines)


if __name__ == "__main__":
    try:
        printed, told = main(sys.argv[1:], "" if sys.stdin.isatty() else sys.stdin.read(), datetime.now(UTC))
    except NoWayBackError as refused:
        sys.exit(f"point_in_time: {refused}")
    print(told, file=sys.stderr)
    sys.stdout.write(printed)
