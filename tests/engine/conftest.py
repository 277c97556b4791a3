"""Both stacks under the real Pulumi CLI, with recorded clusters and moto: every command takes seconds, on any machine."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import boto3
import pytest

from lab import engine, project, stacks
from lab.cloud.access_keys import ADMINISTRATOR, AccessKey
from lab.paths import LabPaths
from lab.processes import Daemon
from lab.pulumi import Pulumi, Ran, touched
from lab.rehearsal import backup
from lab.standins.archive import put_base_backup
from lab.standins.recorded_cluster import RecordedCluster, write_kubeconfig
from lab.tools import toolbox
from lab.waiting import until
from tests.examples import ROOT

SCHEDULES = ("daily-full-us-east-1", "hourly-critical-us-east-1")


@dataclass(kw_only=True)
class Pair:
    """Two deployed stacks, their recorded clusters, and what the providers were asked."""

    pulumi: Pulumi
    clusters: dict[str, RecordedCluster]
    endpoint: str
    zone_id: str
    provider_log: Path
    root: Path
    files: project.ProjectFiles

    @property
    def secondary(self) -> RecordedCluster:
        return self.clusters["secondary"]

    def s3(self) -> Any:
        return self.client("s3")

    def client(self, service: str) -> Any:
        return boto3.client(
            service, endpoint_url=self.endpoint, region_name="us-west-2", aws_access_key_id="lab", aws_secret_access_key="lab"
        )

    def flag(self) -> str:
        body = self.s3().get_object(Bucket="acme-dr-flag-us-west-2-123456789012", Key="dr/active.json")["Body"].read()
        return str(json.loads(body)["active"])

    def calls(self, since: int = 0) -> list[dict[str, Any]]:
        """What the providers were asked after the first `since` calls."""
        return [json.loads(line) for line in self.provider_log.read_text().splitlines()[since:]]

    def have_backups(self, phase: str = "Completed") -> None:
        """What Velero would have synced from the peer's prefix by now."""
        for schedule in SCHEDULES:
            self.secondary.put(backup(schedule, phase))

    def bring_first_backup(self, database: str) -> None:
        """What S3 would have copied from the primary's bucket by now, had a database taken it."""
        put_base_backup(self.s3(), "acme-database-us-west-2-123456789012", f"{database}-primary-g1")

    def bring_first_backups(self) -> None:
        for database in self.files.databases:
            self.bring_first_backup(database["name"])

    def flip(self, *args: str, check: bool = True) -> Ran:
        self.pulumi.run("config", "set", "active", "secondary", "-s", "secondary")
        return self.pulumi.up("secondary", *args, check=check)

    def remake_databases(self) -> None:
        """What somebody does by hand before a secondary whose databases were promoted may stand by: its Clusters follow again."""
        for found in self.secondary.objects("Cluster.postgresql.cnpg.io"):
            metadata = {key: found["metadata"][key] for key in ("name", "namespace")}
            replica = {"primary": f"{metadata['name']}-primary"}
            remade = {"apiVersion": found["apiVersion"], "kind": "Cluster", "metadata": metadata, "spec": {"replica": replica}}
            self.secondary.put(remade, manager="by-hand")

    def stand_by(self) -> None:
        """The way back, with databases made anew; then as if there had never been a failover: nothing is scaled."""
        if "active:" in (self.pulumi.directory / "Pulumi.secondary.yaml").read_text():
            self.remake_databases()
            self.pulumi.run("config", "set", "active", "primary", "-s", "secondary")
            self.pulumi.up("secondary")
            self.pulumi.run("config", "rm", "active", "-s", "secondary")
            self.pulumi.up("secondary")

    def restore_names(self) -> set[str]:
        return {restore["metadata"]["name"] for restore in self.secondary.objects("Restore")}


def start_moto(directory: Path) -> tuple[Daemon, str]:
    """A moto server in a process of its own, on a free port of loopback."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    daemon = Daemon(LabPaths(root=directory), "moto")
    daemon.start([sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)])

    def answers() -> bool:
        with socket.create_connection(("127.0.0.1", port), timeout=1):
            return True

    until("moto to answer", answers, timeout=30)
    return daemon, f"http://127.0.0.1:{port}"


def create_user(endpoint: str, name: str) -> AccessKey:
    """A new access key of an IAM user, in place of those it had. moto looks at no permissions here: the lab's AWS does."""
    iam = boto3.client("iam", endpoint_url=endpoint, region_name="us-east-1", **ADMINISTRATOR.client)
    with suppress(iam.exceptions.EntityAlreadyExistsException):
        iam.create_user(UserName=name)
    for old in iam.list_access_keys(UserName=name)["AccessKeyMetadata"]:
        iam.delete_access_key(UserName=name, AccessKeyId=old["AccessKeyId"])
    key = iam.create_access_key(UserName=name)["AccessKey"]
    return AccessKey(identifier=key["AccessKeyId"], secret=key["SecretAccessKey"])


@pytest.fixture(scope="session")
def pulumi_binary() -> Path:
    return toolbox.ensure(["pulumi"]).path("pulumi")


@pytest.fixture(scope="session")
def policy_environment() -> None:
    """The policy pack's own virtual environment."""
    subprocess.run(["make", "--silent", "policy/.venv/.ready"], cwd=ROOT, check=True)


@contextmanager
def undeployed_pair(root: Path, pulumi_binary: Path, **settings: Any) -> Iterator[Pair]:
    """moto with a zone, two recorded clusters with the operators, the CLI, and `settings` of ProjectFiles; no stack yet."""
    moto, endpoint = start_moto(root)
    clusters = {role: RecordedCluster(operators_installed=True) for role in stacks.ROLES}
    try:
        for cluster in clusters.values():
            cluster.start()
        kubeconfig = root / "kubeconfig"
        write_kubeconfig(kubeconfig, {f"lab-{role}": cluster.url for role, cluster in clusters.items()})
        route53 = boto3.client("route53", endpoint_url=endpoint, region_name="us-east-1", **ADMINISTRATOR.client)
        zone = route53.create_hosted_zone(Name=project.ZONE, CallerReference="lab")["HostedZone"]["Id"].rpartition("/")[2]
        chosen = engine.prepare(root / "engine", pulumi_binary, environ={"LAB_ENGINE": "standin"})
        yield Pair(
            pulumi=stacks.cli(chosen, root, provider_log=root / "providers.jsonl"),
            clusters=clusters,
            endpoint=endpoint,
            zone_id=zone,
            provider_log=root / "providers.jsonl",
            root=root,
            files=project.ProjectFiles(endpoint=endpoint, zone_id=zone, kubeconfig=kubeconfig, **settings),
        )
    finally:
        for cluster in clusters.values():
            cluster.close()
        moto.stop()


@contextmanager
def configured(pair: Pair, key: str, value: str, role: str = "secondary") -> Iterator[None]:
    """A key of one stack, for a while."""
    pair.pulumi.run("config", "set", "--path", key, value, "-s", role)
    try:
        yield
    finally:
        pair.pulumi.run("config", "rm", key.partition(".")[0], "-s", role)


def refused_flip(pair: Pair) -> str:
    """What a flip says that the gate refuses; and that it touched nothing."""

    def databases() -> list[Any]:
        return [found["spec"] for found in pair.secondary.objects("Cluster.postgresql.cnpg.io")]

    before, were, calls = pair.pulumi.resources("secondary"), databases(), len(pair.calls())
    with configured(pair, "failover.preflight", "1s"):
        refused = pair.flip(check=False)
    assert refused.exit_code
    assert touched(before, pair.pulumi.resources("secondary")) == []
    assert not [call for call in pair.calls(calls) if call["method"] in ("Create", "Update", "Delete")]
    assert pair.flag() == "primary"
    assert databases() == were
    pair.pulumi.run("config", "rm", "active", "-s", "secondary")
    return refused.output


@pytest.fixture(scope="module")
def deployed(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, pulumi_binary: Path) -> Iterator[Pair]:
    """Both stacks after the README's four ups; once a module, for it takes a quarter of a minute.

    A module that sets TIER is of that tier; MODE, its traffic is moved that way; DATABASES, it has those.
    """
    mode, tier = (getattr(request.module, name, None) for name in ("MODE", "TIER"))
    databases = getattr(request.module, "DATABASES", ())
    with undeployed_pair(tmp_path_factory.mktemp("pair"), pulumi_binary, mode=mode, tier=tier, databases=databases) as pair:
        stacks.prepare(pair.pulumi, pair.files, partial(create_user, pair.endpoint))
        stacks.deploy(pair.pulumi, bring_first_backups=pair.bring_first_backups)
        yield pair


@pytest.fixture
def pair(deployed: Pair) -> Iterator[Pair]:
    """The pair in its ordinary state: primary serves, secondary stands by and has the primary's backups."""
    deployed.have_backups()
    yield deployed
    deployed.secondary.outcomes.ordered.clear()
    deployed.stand_by()


@pytest.fixture
def serving_secondary(pair: Pair) -> Pair:
    """After a failover that went well."""
    pair.flip()
    return pair
