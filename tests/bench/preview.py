"""How long the program's previews take, and an `up` that changes nothing, by a program with the same imports and no resource.

It needs no lab: both stacks are deployed by the real CLI into recorded clusters and moto, as the engine's tests have them. But
nothing is forked here, because the imports are what is measured. Each repetition runs the empty program first and the real one
after it, so a ratio is of two runs in the same minute.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from lab import engine, stacks
from lab.console import say, step
from lab.pulumi import Pulumi
from lab.tools import toolbox
from tests.bench import rows, timed
from tests.bench.record import Record
from tests.bench.timed import Timed
from tests.engine import provider_calls
from tests.engine.conftest import DATABASE, Pair, create_user, undeployed_pair

PART = "preview"
MIB = 1 << 20
EMPTY = '''"""The imports of the program, and no resource."""

import pulumi  # noqa: F401

import components.region  # noqa: F401
import settings  # noqa: F401
'''
STACK = "secondary"
"""The stack that is measured: the one that a failover previews."""


@dataclass(frozen=True, kw_only=True)
class Size:
    """How much the settings have: databases, and namespaces with workloads."""

    databases: int = 1
    namespaces: int = 1

    @property
    def all_databases(self) -> tuple[Mapping[str, Any], ...]:
        name = str(DATABASE["name"])
        return tuple({**DATABASE, "name": name if number == 1 else f"{name}-{number}"} for number in range(1, self.databases + 1))

    @property
    def workloads(self) -> tuple[Mapping[str, Any], ...]:
        more = ({"namespace": f"production-{number}", "replicas": 3} for number in range(2, self.namespaces + 1))
        return ({"namespace": "production", "replicas": 3}, *more)


SIZES = {
    "1 database": Size(),
    "10 databases": Size(databases=10),
    "100 databases": Size(databases=100),
    "10 namespaces": Size(namespaces=10),
    "50 namespaces": Size(namespaces=50),
}


def measure(name: str, repetitions: int, record: Record) -> None:
    """Measure a size, and add its row after each repetition."""
    pulumi = toolbox.ensure(["pulumi"]).path("pulumi")
    say(f"\nPreviews with {name}")
    root = Path(tempfile.mkdtemp(prefix="k8s-dr-bench-"))
    try:
        with undeployed_pair(root, pulumi, forked=False, databases=(DATABASE,)) as pair:
            _measure(name, SIZES[name], pair, repetitions, record)
    finally:
        shutil.rmtree(root, ignore_errors=True)


def _measure(name: str, size: Size, pair: Pair, repetitions: int, record: Record) -> None:
    pair.pulumi = unlogged(pair.pulumi)
    _deploy(size, pair)
    empty = _empty(pair)
    resources = len(pair.pulumi.resources(STACK))
    chosen = engine.prepared(pair.root / "engine")
    row = rows.new(PART, name, repetitions, chosen.describe() if chosen else {})
    for number in range(1, repetitions + 1):
        with step(f"{name}: repetition {number} of {repetitions}, {resources} resources"):
            row = row.having(_repeat(pair, empty), resources=resources, databases=size.databases, namespaces=size.namespaces)
        record.add(row)


def unlogged(pulumi: Pulumi) -> Pulumi:
    """The same CLI without the log of every call between its processes, which costs time."""
    return replace(
        pulumi, environment={key: value for key, value in pulumi.environment.items() if key != provider_calls.VARIABLE}
    )


def _deploy(size: Size, pair: Pair) -> None:
    """Both stacks, and in the secondary's cluster what its gate wants to see."""
    with step("both stacks made"):
        stacks.prepare(pair.pulumi, pair.files, partial(create_user, pair.endpoint))
        pair.files = replace(pair.files, databases=size.all_databases)
        _configure(pair.pulumi.directory / "Pulumi.yaml", size)
        _give_passwords(pair.pulumi, size)
    stacks.deploy(pair.pulumi, bring_first_backups=pair.bring_first_backups)
    pair.have_backups()


def _configure(file: Path, size: Size) -> None:
    document = yaml.safe_load(file.read_text())
    check = document["config"]["workloads"]["value"][0]["check"]
    first, *others = size.workloads
    document["config"]["databases"]["value"] = [dict(each) for each in size.all_databases]
    document["config"]["workloads"]["value"] = [{**first, "check": check}, *(dict(each) for each in others)]
    file.write_text(yaml.safe_dump(document, sort_keys=False, width=120))


def _give_passwords(pulumi: Pulumi, size: Size) -> None:
    """Those of all databases in one command: each command of the CLI takes a second, and there are up to 200 of them."""
    secrets = [f'databasePasswords["{each["name"]}"]={stacks.PASSWORD}' for each in size.all_databases]
    for role in stacks.ROLES:
        pulumi.run("config", "set-all", "--path", "-s", role, *(word for secret in secrets for word in ("--secret", secret)))


def _empty(pair: Pair) -> Pulumi:
    """The CLI in a copy of the project whose program has the imports alone, with a stack of its own that is deployed."""
    directory = pair.root / "empty"
    shutil.copytree(pair.pulumi.directory, directory)
    (directory / "__main__.py").write_text(EMPTY)
    for role in stacks.ROLES:
        (directory / f"Pulumi.{role}.yaml").unlink()
    pulumi = replace(pair.pulumi, directory=directory)
    with step("the empty program's stack"):
        pulumi.run("stack", "init", "empty")
        pulumi.up("empty")
    return pulumi


def _repeat(pair: Pair, empty: Pulumi) -> dict[str, float]:
    """One repetition. A stack's first command after a change of its file has nothing to do that later ones have not."""
    found: dict[str, float] = {}
    found["empty preview"] = timed.run(empty, "preview", "-s", "empty").seconds
    preview = timed.run(pair.pulumi, "preview", "-s", STACK)
    found["preview"] = preview.seconds
    found |= {f"preview: {phase}": seconds for phase, seconds in preview.phases.items()}
    found |= _memory("preview", preview)
    pair.pulumi.configure(STACK, "active", "secondary")
    try:
        flip = timed.run(pair.pulumi, "preview", "-s", STACK)
    finally:
        pair.pulumi.run("config", "rm", "active", "-s", STACK)
    found["preview of the flip"] = flip.seconds
    found["empty up"] = timed.run(empty, "up", "-s", "empty", "--yes", "--skip-preview").seconds
    up = timed.run(pair.pulumi, "up", "-s", STACK, "--yes", "--skip-preview", "--expect-no-changes")
    found["up"] = up.seconds
    return {**found, **_memory("up", up)}


def _memory(what: str, ran: Timed) -> dict[str, float]:
    return {f"{what}: program MiB": ran.peaks.program / MIB, f"{what}: engine MiB": ran.peaks.engine / MIB}
