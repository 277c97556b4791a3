"""The stacks as a command meets them, without Pulumi: a checkout in a directory, and what each `up` makes of the outputs."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from click.testing import CliRunner, Result

from components.kube.runner.flag import Flag
from drctl.__main__ import main
from drctl.project import Project
from drctl.regions import Regions
from drctl.run import Operator
from drctl.show import Screen
from drctl.stacks import Heard, OnEvent, StackFailedError, Stacks
from settings.explain import PROJECT
from settings.roles import ROLES, Role, peer_of
from tests.examples import ROOT
from tests.unit.fakes import FakeArchive, FakeCluster, FakeRecords

SINCE = "2026-03-01T00:00:00Z"
LATER = "2026-03-02T00:00:00Z"


def outputs(role: Role, *, serves: bool, handover: str = "none", since: str = SINCE, **details: Any) -> dict[str, Any]:
    """The outputs of a stack whose region serves or stands by."""
    own = {
        "serving": {"region": role, "since": since if serves else None, "names": ["app.example.com"]},
        "databases": {"app-database": "primary" if serves else "replica"},
        "archives": {"app-database": f"app-database-{role}-g1"},
        "peerArchives": {"app-database": f"app-database-{peer_of(role)}-g1"},
        "givenUp": False,
        "targets": {"tier": "warm-standby", "rpoSeconds": 300, "rtoSeconds": 900},
        "failover": {"steps": [], "seconds": None},
        **details,
    }
    return {"active": role if serves else peer_of(role), "handover": handover, "details": own, "next": "…"}


@dataclass(kw_only=True)
class FakeStacks(Stacks):
    """Stacks whose outputs are a table. `ups` has what each `up` does; a test may raise there."""

    said: dict[Role, dict[str, Any]] = field(default_factory=dict)
    ups: list[Callable[[FakeStacks], None]] = field(default_factory=list)
    ran: list[str] = field(default_factory=list)
    heard: Heard = field(default_factory=Heard)
    previews: list[Mapping[str, Any]] = field(default_factory=list)

    def outputs(self, role: Role) -> dict[str, Any]:
        if role not in self.said:
            raise StackFailedError(f"the state of stack {role} did not answer")
        return self.said[role]

    def configure(self, role: Role, key: str, value: str) -> None:
        self.ran.append(f"config set {key} {value} -s {role}")
        file = self.project.file(role)
        content = yaml.safe_load(file.read_text())
        content["config"][f"{PROJECT}:{key}"] = value
        file.write_text(yaml.safe_dump(content))

    def up(self, role: Role, on_event: OnEvent) -> Heard:
        self.ran.append(f"up -s {role}")
        self.ups.pop(0)(self)
        return self.heard

    def unlock(self, role: Role) -> None:
        self.ran.append(f"cancel -s {role}")

    def preview(self, role: Role, on_event: OnEvent, *, config_file: Path | None = None, by_day: bool = False) -> Heard:
        read = yaml.safe_load(config_file.read_text())["config"] if config_file else {}
        self.previews.append({"stack": role, "active": read.get(f"{PROJECT}:active"), "by_day": by_day, "file": config_file})
        if self.ups:
            self.ups.pop(0)(self)
        return self.heard


@dataclass(kw_only=True)
class FakeBucket:
    """A bucket's JSON objects, by key."""

    objects: dict[str, dict[str, Any]] = field(default_factory=dict)
    error: Exception | None = None

    def documents(self, prefix: str) -> Iterator[tuple[str, dict[str, Any]]]:
        if self.error:
            raise self.error
        yield from ((key, found) for key, found in self.objects.items() if key.startswith(prefix))

    def last(self, prefix: str) -> dict[str, Any] | None:
        found = dict(self.documents(prefix))
        return found[max(found)] if found else None

    def keep(self, key: str, document: Mapping[str, Any]) -> str:
        if self.error:
            raise self.error
        self.objects[key] = dict(document)
        return f"s3://bucket/{key}"


@dataclass(kw_only=True)
class FakeRegions:
    """Both regions as a test wants them."""

    clusters: dict[Role, FakeCluster] = field(default_factory=lambda: {role: FakeCluster() for role in ROLES})
    archive: FakeArchive = field(default_factory=FakeArchive)
    buckets: dict[Role, FakeBucket] = field(default_factory=lambda: {role: FakeBucket() for role in ROLES})
    records: dict[Role, FakeRecords] = field(default_factory=lambda: {role: FakeRecords() for role in ROLES})
    flag: Callable[[], Flag | None] = lambda: Flag(active="primary")
    flag_unseen: Callable[[], Sequence[str]] = list

    @property
    def regions(self) -> Regions:
        return Regions(
            cluster=lambda settings: self.clusters[settings.role],
            archive=lambda settings, names: self.archive,
            bucket=lambda settings, names: self.buckets[names.role],
            records=lambda settings, names: self.records[names.role],
            flag=lambda settings, names: self.flag(),
            flag_unseen=lambda settings: self.flag_unseen(),
        )


def checkout(directory: Path) -> Path:
    for name in ("Pulumi.yaml", *(f"Pulumi.{role}.yaml" for role in ROLES)):
        shutil.copy(ROOT / name, directory / name)
    return directory


def drctl(stacks: FakeStacks, *arguments: str, regions: FakeRegions | None = None) -> Result:
    """Run the command line as a pipeline would: no terminal."""

    def operator(project: Project, screen: Screen) -> Operator:
        return Operator(project=project, stacks=stacks, screen=screen, regions=(regions or FakeRegions()).regions)

    return CliRunner().invoke(main, [*arguments, "--directory", str(stacks.project.directory)], obj=operator)
