#!/usr/bin/env python3
"""Show which rows of a database only a kept volume has: what an old primary took in, and its successor never got.

    .venv/bin/python -m scripts.only_kept --context prod-use1 --namespace databases --cluster app-database

A Pod starts PostgreSQL on the kept volume, where no client reaches it, and compares each ordinary table with the running
database, to which it writes nothing. Large objects and sequences are not compared.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Any

import kubernetes
import urllib3
import yaml

from components.kube.kubeconfig import client_from, reason_without_contents
from scripts.kept_database import Api, ComparisonError, Plan, plan, pod

_TIMEOUTS = (3.0, 60.0)
_START_SECONDS = 600
"""How long the Pod may wait for its node, its volumes and its image."""


@dataclass(kw_only=True)
class Table:
    """What was found of one table. `missing` are rows of which the running database has none with their key, or, without a key,
    none that is the same; `changed` are those that it has with another content. Both end at the limit; the numbers do not."""

    name: str
    rows: int = 0
    only_kept: int = 0
    only_kept_changed: int = 0
    key: str = ""
    note: str = ""
    unread: str | None = None
    missing: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)


def compared(api: Api, planned: Plan, *, limit: int, seconds: int) -> list[Table]:
    """Run the Pod, and say what it found. The Pod is deleted in the end. Raises ComparisonError."""
    refuse_used(api, planned)
    made = api.create(planned.pods, pod(planned, limit=limit, seconds=seconds))
    if made is None:
        raise ComparisonError(f"there is no namespace {planned.namespace}")
    try:
        return parsed(_output(api, planned))
    finally:
        api.delete(f"{planned.pods}/{planned.pod}", made["metadata"]["uid"])


def refuse_used(api: Api, planned: Plan) -> None:
    """Raises ComparisonError if a Pod uses a kept claim: a second server on a volume would destroy it."""
    for each in (api.read(planned.pods) or {}).get("items") or ():
        used = {(volume.get("persistentVolumeClaim") or {}).get("claimName") for volume in each["spec"].get("volumes") or ()}
        ended = (each.get("status") or {}).get("phase") in ("Succeeded", "Failed") and each["metadata"]["name"] != planned.pod
        if not ended and used & {planned.claim, planned.wal_claim} - {None}:
            name = each["metadata"]["name"]
            raise ComparisonError(
                f"Pod {name} uses the kept claim {planned.claim}: wait for its end, or delete it: kubectl delete pod {name} -n "
                f"{planned.namespace}"
            )


def _output(api: Api, planned: Plan) -> str:
    """What the Pod printed, once it has ended well."""
    deadline = time.monotonic() + _START_SECONDS
    while True:
        found = api.read(f"{planned.pods}/{planned.pod}")
        if found is None:
            raise ComparisonError(f"somebody deleted Pod {planned.pod}; run this again")
        phase = (found.get("status") or {}).get("phase")
        if phase == "Failed":
            # A Pod that its node has put out says why in its status: its log ends where it was cut off, and may be gone.
            reason = found["status"].get("message") or found["status"].get("reason") or ""
            said = "" if reason else api.log(f"{planned.pods}/{planned.pod}/log")
            raise ComparisonError(reason.strip() or (said.strip().splitlines() or ["it said nothing"])[-1])
        if phase == "Succeeded":
            return api.log(f"{planned.pods}/{planned.pod}/log")
        if phase != "Running" and time.monotonic() > deadline:
            where = f"kubectl describe pod {planned.pod} -n {planned.namespace}"
            raise ComparisonError(f"Pod {planned.pod} did not start within {_START_SECONDS} s{_waits(found)} ({where})")
        time.sleep(1)


def _waits(found: dict[str, Any]) -> str:
    """What a Pod waits for, as its status says."""
    status = found.get("status") or {}
    waiting = [(each.get("state") or {}).get("waiting") for each in status.get("containerStatuses") or ()]
    unmet = [each for each in status.get("conditions") or () if each.get("status") == "False" and each.get("message")]
    reasons = [each.get("message") or each.get("reason") for each in (*filter(None, waiting), *unmet)]
    return f": {'; '.join(filter(None, reasons))}" if any(reasons) else ""


def parsed(text: str) -> list[Table]:
    """The tables of what the Pod printed. Raises ComparisonError if the end of it is missing."""
    tables: list[Table] = []
    for line in text.split("\n"):
        kind, *fields = line.split("\t")
        if kind == "table" and len(fields) == 6:
            name, rows, only, changed, key, note = fields
            tables.append(
                Table(name=name, rows=int(rows), only_kept=int(only), only_kept_changed=int(changed), key=key, note=note)
            )
        elif kind == "row" and tables and len(fields) == 2:
            (tables[-1].changed if fields[0] == "changed" else tables[-1].missing).append(fields[1])
        elif kind == "unread" and len(fields) == 2:
            tables.append(Table(name=fields[0], unread=fields[1]))
        elif kind == "end" and fields == [str(len(tables))]:
            return tables
    raise ComparisonError(
        "the Pod's log has no end: the node keeps only the last part of a long one; run this again with a lower --limit"
    )


_ESCAPED = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}


def plain(row: str) -> str:
    """A row as PostgreSQL has it: COPY writes line breaks, tabs and backslashes with a backslash."""
    return re.sub(r"\\(.)", lambda found: _ESCAPED.get(found[1], found[1]), row)


def as_json(planned: Plan, tables: Sequence[Table]) -> str:
    found = [
        {**asdict(each), "missing": list(map(plain, each.missing)), "changed": list(map(plain, each.changed))} for each in tables
    ]
    said = {"kept": planned.claim, "against": planned.host, "database": planned.database, "tables": found}
    return json.dumps(said, indent=2)


def described(planned: Plan, tables: Sequence[Table]) -> Iterator[str]:
    """The lines for a person: the tables with rows that only the kept volume has, and then what could not be compared."""
    yield f"Database {planned.database}: {planned.claim} (kept) against {planned.host} (running)."
    differing = [each for each in tables if each.only_kept]
    for each in differing:
        yield ""
        yield from _described(each)
    unread = [each for each in tables if each.unread is not None]
    same = len(tables) - len(differing) - len(unread)
    yield ""
    yield f"{same} of {len(tables)} tables have no row that the running database does not have."
    yield from (f"{each.name}: {each.note}." for each in tables if each.note and not each.only_kept)
    yield from (f"NOT COMPARED {each.name}: {each.unread}" for each in unread)


def _described(table: Table) -> Iterator[str]:
    note = f" ({table.note})" if table.note else ""
    yield f"{table.name}: {table.only_kept} of {table.rows} rows are in the kept volume alone{note}"
    missing = (
        f"not in the running database, by their key ({table.key})" if table.key else "not in the running database as they are"
    )
    changed = f"in the running database with the same key ({table.key}) and another content"
    for number, rows, what in (
        (table.only_kept - table.only_kept_changed, table.missing, missing),
        (table.only_kept_changed, table.changed, changed),
    ):
        if number:
            yield f"  {number} {what}:"
            yield from (f"    {row}" for row in rows)
        if number > len(rows):
            yield f"    … and {number - len(rows)} more (--limit)"


class Cluster:
    """`Api` over the Kubernetes API."""

    def __init__(self, kubeconfig: str | None, context: str) -> None:
        load = partial(kubernetes.config.load_kube_config, kubeconfig, context)
        try:
            self._client = client_from(load)
        except (kubernetes.config.ConfigException, yaml.YAMLError, OSError, TypeError, ValueError) as error:
            reason = reason_without_contents(error, kubeconfig)
            raise ComparisonError(f"--context: {context} cannot be used from the kubeconfig: {reason}") from None

    def read(self, path: str) -> dict[str, Any] | None:
        answer = self._send("GET", path)
        return None if answer is None else dict(json.loads(answer))

    def create(self, path: str, body: dict[str, Any]) -> dict[str, Any] | None:
        answer = self._send("POST", path, body)
        return None if answer is None else dict(json.loads(answer))

    def delete(self, path: str, uid: str) -> None:
        self._send("DELETE", path, {"preconditions": {"uid": uid}})

    def log(self, path: str) -> str:
        return (self._send("GET", path) or b"").decode(errors="replace")

    def _send(self, verb: str, path: str, body: dict[str, Any] | None = None) -> bytes | None:
        """The body of the answer; None if there is nothing at the path."""
        headers = {"Accept": "application/json, */*", "Content-Type": "application/json"}
        options = {"auth_settings": ["BearerToken"], "_request_timeout": _TIMEOUTS, "_preload_content": False}
        try:
            answer = self._client.call_api(path, verb, header_params=headers, body=body, _return_http_data_only=True, **options)
            return bytes(answer.data)
        except kubernetes.client.ApiException as error:
            if error.status == 404:
                return None
            try:
                said = json.loads(error.body)["message"]
            except (TypeError, ValueError, KeyError):
                said = error.reason
            raise ComparisonError(f"the API server refused {verb} {path}: {error.status} {said}") from None
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise ComparisonError(f"the API server does not answer: {error}") from None


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    description = (__doc__ or "").partition("\n\n")[0]
    parser = argparse.ArgumentParser(prog="only_kept", description=description, allow_abbrev=False)
    parser.add_argument("--context", required=True, help="the kubeconfig's context of the cluster that has the kept volume")
    parser.add_argument("--kubeconfig", help="the kubeconfig; by default the one that kubectl uses")
    parser.add_argument("--namespace", required=True, help="namespace of the Cluster")
    parser.add_argument("--cluster", required=True, help="the CloudNativePG Cluster that runs now")
    parser.add_argument("--of", help="which archive's volumes, as in app-database-primary-g1, if several are kept")
    parser.add_argument("--claim", help="the kept claim of the data; by default the old primary's")
    parser.add_argument("--wal-claim", help="the kept claim of its WAL; by default the one that belongs to --claim")
    parser.add_argument("--database", help="the database; by default the Cluster's own")
    parser.add_argument("--against", help="Service of the running database in the same namespace; by default CLUSTER-rw")
    parser.add_argument("--secret", help="Secret of the user that reads the running database; by default the owner's")
    parser.add_argument("--image", help="PostgreSQL's image; by default the Cluster's")
    parser.add_argument("--limit", type=_number, default=100, help="rows of each table that are shown (100)")
    parser.add_argument("--seconds", type=_number, default=1800, help="how long PostgreSQL may recover the kept volume (1800)")
    parser.add_argument("--json", action="store_true", help="print JSON")
    return parser.parse_args(arguments)


def _number(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text} is not a whole number")
    return int(text)


def main(arguments: Sequence[str] | None = None, api: Api | None = None) -> int:
    """Returns 0 if every table was compared, 1 if there is no comparison, 3 if some tables could not be read."""
    options = parse(arguments)
    try:
        api = api or Cluster(options.kubeconfig, options.context)
        planned = plan(api, options)
        tables = compared(api, planned, limit=options.limit, seconds=options.seconds)
    except ComparisonError as error:
        print(f"only_kept: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("only_kept: interrupted; the kept volume is as it was", file=sys.stderr)
        return 130
    print(as_json(planned, tables) if options.json else "\n".join(described(planned, tables)))
    return 3 if any(each.unread is not None for each in tables) else 0


if __name__ == "__main__":
    sys.exit(main())
