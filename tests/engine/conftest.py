"""Runs both stacks under the real Pulumi CLI, with moto and small clusters, so a command takes seconds.

Each configuration is deployed once, and kept as a checkpoint. Each test begins from there (`pair`) or from after a failover
(`serving_secondary`), whatever an earlier test did.

LAB_ENGINE chooses the engine, as in the lab. The clusters are of the kind that its Kubernetes provider accepts (`clusters`).
The mark `only_with_standin` is for a test that only a stand-in can pass. Where the real part runs, that test is skipped, and its
reason is told.
"""

from __future__ import annotations

import atexit
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from types import ModuleType
from typing import Any

import boto3
import pytest

from components.kube.runner.flag import parse
from lab import engine, project, stacks
from lab.cloud.access_keys import ADMINISTRATOR, AccessKey
from lab.pulumi import Pulumi, Ran, touched
from lab.rehearsal import backup
from lab.standins.archive import put_base_backup, put_mark
from lab.tools import toolbox
from settings.names import FLAG_KEY
from settings.roles import Role
from tests.engine import clusters, provider_calls
from tests.engine.checkpoints import Moto, PutBack, keep_files
from tests.engine.clusters import Cluster
from tests.engine.prefork import Prefork
from tests.examples import ROOT

FILES = (
    # no database
    "test_flip.py",
    "test_workflow_steps.py",
    "test_database_creation.py",
    "test_restores.py",
    "test_policy.py",
    "test_gate.py",
    "test_protection.py",
    "test_this_cluster.py",
    "test_checkpoints.py",
    "test_prefork.py",
    "test_break_glass.py",
    "test_drctl.py",
    "test_bucket_settings.py",
    # a database
    "test_databases.py",
    "test_guard.py",
    "test_faults.py",
    "test_switchover.py",
    "test_rejoin.py",
    "test_secrets.py",
    # others, and none
    "test_recovered_database.py",
    "test_documented_commands.py",
    "test_states.py",
    "test_both_regions.py",
    "test_pipeline_roles.py",
    "test_record_mode.py",
    "test_identity.py",
    "test_clusters.py",
    "test_engine_choice.py",
)
"""The order of the files. A process that has ended one takes the next. It keeps its deployment if that has the same settings;
and the last ones are short, so that neither process works alone for long."""

LEFT = ("engine", "processes", "checkpoints")
"""Entries of a pair's directory that no checkpoint has: the CLI with its plugins, what moto and the clusters write as they run,
and the checkpoints themselves."""

DATABASE = project.lab_database(archiveTimeout="10s", walRetrieveRetryInterval="10s")
"""The database of the modules that need one. Its WAL comes and goes often enough for the RPO of ten seconds that a test sets."""

each_command = pytest.mark.parametrize(
    "command",
    [
        pytest.param(("preview",), marks=pytest.mark.long),
        ("up", "--yes"),
        pytest.param(("up", "--yes", "--skip-preview"), marks=pytest.mark.long),
    ],
    ids=" ".join,
)
"""For a test of what each command says: all of them run the program."""

SCHEDULES = ("daily-full-us-east-1", "hourly-critical-us-east-1")


@dataclass(kw_only=True)
class Pair:
    """Two deployed stacks, their clusters, and a log of what the engine asked the providers for."""

    pulumi: Pulumi
    clusters: dict[str, Cluster]
    moto: Moto
    zone_id: str
    call_log: Path
    root: Path
    files: project.ProjectFiles

    @property
    def endpoint(self) -> str:
        return self.moto.endpoint

    @property
    def secondary(self) -> Cluster:
        return self.clusters["secondary"]

    def s3(self) -> Any:
        return self.client("s3")

    def client(self, service: str) -> Any:
        return boto3.client(
            service, endpoint_url=self.endpoint, region_name="us-west-2", aws_access_key_id="lab", aws_secret_access_key="lab"
        )

    def flag(self) -> Role:
        body = self.s3().get_object(Bucket="acme-dr-flag-us-west-2-123456789012", Key=FLAG_KEY)["Body"].read()
        return parse(body.decode()).active

    def calls(self, since: int = 0) -> list[dict[str, Any]]:
        """The engine's calls to the providers, without the first `since`."""
        return provider_calls.read(self.call_log)[since:]

    def have_backups(self, phase: str = "Completed") -> None:
        """Put the peer's backups into the secondary's cluster, as Velero's sync would."""
        for schedule in SCHEDULES:
            self.secondary.put(backup(schedule, phase))

    def bring_first_backup(self, database: str) -> None:
        """Put a database's first base backup into the secondary's bucket, as S3 replication would."""
        put_base_backup(self.s3(), "acme-database-us-west-2-123456789012", f"{database}-primary-g1")

    def bring_first_backups(self) -> None:
        for database in self.files.databases:
            self.bring_first_backup(database["name"])

    def mark_archives(self) -> None:
        """Let the primary's marks be as new as its CronJob would keep them."""
        for database in self.files.databases:
            put_mark(self.s3(), "acme-database-us-west-2-123456789012", f"{database['name']}-primary-g1")

    def flip(self, *args: str, check: bool = True) -> Ran:
        self.pulumi.run("config", "set", "active", "secondary", "-s", "secondary")
        return self.pulumi.up("secondary", *args, check=check)

    def remake_databases(self) -> None:
        """Make each promoted Cluster follow again. A person does this by hand before the secondary may stand by."""
        for found in self.secondary.objects("Cluster.postgresql.cnpg.io"):
            metadata = {key: found["metadata"][key] for key in ("name", "namespace")}
            replica = {"primary": f"{metadata['name']}-primary"}
            remade = {"apiVersion": found["apiVersion"], "kind": "Cluster", "metadata": metadata, "spec": {"replica": replica}}
            self.secondary.put(remade, manager="by-hand")

    def leave(self) -> None:
        """Let the secondary stand by without a handover. A region that serves does so with `force` alone."""
        self.pulumi.configure("secondary", "active", "primary")
        self.pulumi.configure("secondary", "force", "true")
        self.pulumi.up("secondary")
        self.pulumi.run("config", "rm", "force", "-s", "secondary")

    def stand_by(self) -> None:
        """Move back, with databases made anew. Then remove `active`, so that no workload is scaled, as before any failover."""
        self.remake_databases()
        self.leave()
        self.pulumi.run("config", "rm", "active", "-s", "secondary")
        self.pulumi.up("secondary")

    def restore_names(self) -> set[str]:
        return {restore["metadata"]["name"] for restore in self.secondary.objects("Restore")}

    def checkpoint(self) -> PutBack:
        """Keep the stacks, the project, moto and the clusters as they are. No command may be running, now and at each return."""
        checkpoints = self.root / "checkpoints"
        checkpoints.mkdir(exist_ok=True)
        kept = checkpoints / str(len([*checkpoints.iterdir()]))
        parts = [
            keep_files(self.root, kept, besides=LEFT),
            self.moto.checkpoint(),
            *(cluster.checkpoint() for cluster in self.clusters.values()),
        ]

        def put_back() -> None:
            for part in parts:
                part()

        return put_back


def create_user(endpoint: str, name: str) -> AccessKey:
    """Replace an IAM user's access keys with a new one. moto checks no permissions here; the lab's AWS does."""
    iam = boto3.client("iam", endpoint_url=endpoint, region_name="us-east-1", **ADMINISTRATOR.client)
    with suppress(iam.exceptions.EntityAlreadyExistsException):
        iam.create_user(UserName=name)
    for old in iam.list_access_keys(UserName=name)["AccessKeyMetadata"]:
        iam.delete_access_key(UserName=name, AccessKeyId=old["AccessKeyId"])
    key = iam.create_access_key(UserName=name)["AccessKey"]
    return AccessKey(identifier=key["AccessKeyId"], secret=key["SecretAccessKey"])


@cache
def _pulumi() -> Path:
    return toolbox.ensure(["pulumi"]).path("pulumi")


@pytest.fixture(scope="session")
def pulumi_binary() -> Path:
    return _pulumi()


@cache
def _parts() -> dict[str, engine.Part | None]:
    """Each part of the engine that has a stand-in: the real part, or None if the stand-in runs."""
    return engine.choose(_pulumi(), os.environ)


def chosen_engine(root: Path, pulumi_binary: Path, *, forked: bool = True) -> engine.Engine:
    """The engine of every test here. Its files are below `root`. If its stand-ins are not `forked`, each does its own imports."""
    chosen = engine.prepare(root / "engine", pulumi_binary)
    if forked:
        _prefork().start_stand_ins(root / "engine")
    return chosen


@cache
def _prefork() -> Prefork:
    """Starts stand-ins and programs, for all tests of this process."""
    made = Prefork()
    atexit.register(made.stop)
    return made


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: _place(item.path))


def _place(file: Path) -> int:
    if file.parent != Path(__file__).parent:
        return -1
    return FILES.index(file.name) if file.name in FILES else len(FILES)


def pytest_runtest_setup(item: pytest.Item) -> None:
    for mark in item.iter_markers("only_with_standin"):
        (part,), reason = mark.args, mark.kwargs["reason"]
        if _parts()[part]:
            pytest.skip(f"{_ONLY_STANDIN} for {part}: {reason}")


_ONLY_STANDIN = "needs the stand-in"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say which engine ran, and how many tests were skipped because of it."""
    reports = [report for reports in terminalreporter.stats.values() for report in reports]
    if not any("tests/engine/" in str(getattr(report, "nodeid", "")) for report in reports):
        return
    left_out = [report for report in terminalreporter.stats.get("skipped", ()) if _ONLY_STANDIN in str(report.longrepr)]
    parts = ", ".join(f"{name} {f'real {part.version}' if part else 'stand-in'}" for name, part in _parts().items())
    terminalreporter.write_line(f"engine: {parts}; skipped because only a stand-in can answer: {len(left_out)}")


@pytest.fixture(scope="session")
def policy_environment() -> None:
    """The policy pack's own virtual environment."""
    subprocess.run(["make", "--silent", "policy/.venv/.ready"], cwd=ROOT, check=True)


def virtual_environment(*, forked: bool = True) -> str:
    """For the projects of tests. A real language host wants a real environment."""
    return sys.prefix if _parts()["language_host"] or not forked else str(_prefork().virtual_environment)


@contextmanager
def undeployed_pair(root: Path, pulumi_binary: Path, *, forked: bool = True, **settings: Any) -> Iterator[Pair]:
    """A pair without stacks: moto with a zone, two clusters with the operators, and the CLI. `settings` go to ProjectFiles.

    `forked` starts stand-ins and programs as forks, which have their imports already. Whoever measures wants them as they are.
    """
    chosen, processes = chosen_engine(root, pulumi_binary, forked=forked), root / "processes"
    processes.mkdir()
    moto = Moto(processes / "moto.log")
    pair = {role: clusters.make(chosen, processes / role) for role in stacks.ROLES}
    try:
        for cluster in pair.values():
            cluster.start()
        kubeconfig = root / "kubeconfig"
        clusters.write_kubeconfig(kubeconfig, {f"lab-{role}": cluster for role, cluster in pair.items()})
        route53 = boto3.client("route53", endpoint_url=moto.endpoint, region_name="us-east-1", **ADMINISTRATOR.client)
        zone = route53.create_hosted_zone(Name=project.ZONE, CallerReference="lab")["HostedZone"]["Id"].rpartition("/")[2]
        yield Pair(
            pulumi=logged(stacks.cli(chosen, root, provider_log=root / "providers.jsonl"), root / "calls.jsonl"),
            clusters=pair,
            moto=moto,
            zone_id=zone,
            call_log=root / "calls.jsonl",
            root=root,
            files=project.ProjectFiles(
                endpoint=moto.endpoint,
                zone_id=zone,
                kubeconfig=kubeconfig,
                virtual_environment=virtual_environment(forked=forked),
                **settings,
            ),
        )
    finally:
        for cluster in pair.values():
            cluster.close()
        moto.stop()


def logged(pulumi: Pulumi, file: Path) -> Pulumi:
    """The same CLI, but it appends every call between its processes to `file`."""
    return replace(pulumi, environment={**pulumi.environment, provider_calls.VARIABLE: str(file)})


@contextmanager
def configured(pair: Pair, key: str, value: str, role: str = "secondary") -> Iterator[None]:
    """Set a key of one stack until the block ends."""
    pair.pulumi.run("config", "set", "--path", key, value, "-s", role)
    try:
        yield
    finally:
        pair.pulumi.run("config", "rm", key.partition(".")[0], "-s", role)


def told_plainly(ran: Ran, *words: str) -> bool:
    """Whether a command failed, one line of its output has all of `words`, and the output has no traceback. The traceback could
    be the program's own. It could also come from the interrupt that the engine sends to a program whose hook has refused."""
    in_one_line = any(all(word in line for word in words) for line in ran.output.splitlines())
    traced = any(sign in ran.output for sign in ("Traceback", "KeyboardInterrupt", '  File "'))
    return bool(ran.exit_code) and in_one_line and not traced


def refused_flip(pair: Pair, *words: str) -> None:
    """Flip, and expect a refusal of the gate: the flip says `words` in one line, and it touches nothing."""

    def databases() -> list[Any]:
        return [found["spec"] for found in pair.secondary.objects("Cluster.postgresql.cnpg.io")]

    before, were, calls = pair.pulumi.resources("secondary"), databases(), len(pair.calls())
    with configured(pair, "failover.preflight", "1s"):
        refused = pair.flip(check=False)
    assert told_plainly(refused, *words), refused.output
    assert touched(before, pair.pulumi.resources("secondary")) == []
    assert not [call for call in pair.calls(calls) if call["method"] in ("Create", "Update", "Delete")]
    assert pair.flag() == "primary"
    assert databases() == were
    pair.pulumi.run("config", "rm", "active", "-s", "secondary")


@dataclass(kw_only=True)
class Deployment:
    """A deployed pair, and checkpoints of it."""

    pair: Pair
    standing_by: PutBack
    serving: PutBack | None = None

    def stand_by(self) -> Pair:
        """The pair in its ordinary state: the primary serves; the secondary stands by and has the primary's backups."""
        self.standing_by()
        self.pair.mark_archives()
        return self.pair

    def fail_over(self) -> Pair:
        """The pair after a failover that succeeded. The failover itself runs once."""
        if self.serving:
            self.serving()
            self.pair.mark_archives()
        else:
            self.stand_by().flip()
            self.serving = self.pair.checkpoint()
        return self.pair


class Deployments:
    """Deploys each configuration once. Only the last one stays: the modules of one configuration follow each other."""

    def __init__(self, directories: pytest.TempPathFactory, pulumi_binary: Path) -> None:
        self._directories, self._pulumi_binary = directories, pulumi_binary
        self._last = ExitStack()
        self._settings: Mapping[str, Any] | None = None
        self._deployment: Deployment

    def of(self, settings: Mapping[str, Any]) -> Deployment:
        """Both stacks after the README's four ups. `settings` go to ProjectFiles."""
        if settings != self._settings:
            self.close()
            root = self._directories.mktemp("pair")
            pair = self._last.enter_context(undeployed_pair(root, self._pulumi_binary, **settings))
            stacks.prepare(pair.pulumi, pair.files, partial(create_user, pair.endpoint))
            stacks.deploy(pair.pulumi, bring_first_backups=pair.bring_first_backups)
            pair.have_backups()
            pair.call_log.unlink()
            self._deployment = Deployment(pair=pair, standing_by=pair.checkpoint())
            self._settings = settings
        return self._deployment

    def close(self) -> None:
        self._settings = None
        self._last.close()


def settings_of(module: ModuleType) -> dict[str, Any]:
    """What a module of tests sets: TIER (the tier), MODE (how the traffic moves) and DATABASES, or nothing of it."""
    return {name.lower(): getattr(module, name) for name in ("MODE", "TIER", "DATABASES") if hasattr(module, name)}


@pytest.fixture(scope="session")
def deployments(tmp_path_factory: pytest.TempPathFactory, pulumi_binary: Path) -> Iterator[Deployments]:
    made = Deployments(tmp_path_factory, pulumi_binary)
    yield made
    made.close()


@pytest.fixture(scope="module")
def deployment(request: pytest.FixtureRequest, deployments: Deployments) -> Deployment:
    return deployments.of(settings_of(request.module))


@pytest.fixture
def pair(deployment: Deployment) -> Pair:
    return deployment.stand_by()


@pytest.fixture
def serving_secondary(deployment: Deployment) -> Pair:
    return deployment.fail_over()
