"""Where the tests of this folder run: in an AWS account that somebody has opened to them, else in the lab's AWS (moto)."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import boto3
import pytest
import yaml
from dnslib import QTYPE, DNSRecord

from components.traffic.checkers import unseen
from lab import engine, project, stacks
from lab.cloud.access_keys import ADMINISTRATOR, AccessKey
from lab.cloud.cloud import Cloud
from lab.paths import LabPaths
from lab.pulumi import Pulumi
from lab.waiting import until
from settings.model import Aws
from settings.names import Names
from settings.parts import PARTS, Part, key_of
from settings.roles import ROLES, Role
from settings.topology import Regions, Topology
from tests.aws.leftovers import PREFIX, Leftovers

PROGRAM = Path(__file__).with_name("program.py")
ACCOUNT, OWNER = "TEST_AWS_ACCOUNT", "TEST_AWS_OWNER"
"""Environment variables: the account that is opened to the tests, and the organization that this run's names begin with."""

REGIONS = {"primary": "us-east-1", "secondary": "us-west-2"}


def new_owner() -> str:
    """An organization that no other run has."""
    return f"{PREFIX}{secrets.token_hex(3)}"


def boto3_client(service: str, region: str) -> Any:
    """A client with the caller's own credentials."""
    return boto3.client(service, region_name=region)


@dataclass(kw_only=True)
class World:
    """Two stacks without clusters. `patience` is how many seconds something may take that AWS calls eventual."""

    topology: Topology
    patience: float
    interval: float
    pulumi: Pulumi
    cloud: Cloud | None = None
    """The lab's AWS; None in an account."""

    keys: dict[tuple[Role, Part], AccessKey] = field(default_factory=dict)
    zone_id: str = ""

    @property
    def zone(self) -> str:
        return f"{self.topology.organization}.test"

    @property
    def host(self) -> str:
        return f"app.{self.zone}"

    @property
    def endpoint(self) -> str | None:
        return self.cloud.endpoint_url if self.cloud else None

    def names(self, role: Role) -> Names:
        return Names(topology=self.topology, role=role)

    def client(self, service: str, region: str) -> Any:
        """A client with an administrator's credentials."""
        if self.cloud is None:
            return boto3_client(service, region)
        return boto3.client(service, endpoint_url=self.endpoint, region_name=region, **ADMINISTRATOR.client)

    def leftovers(self) -> Leftovers:
        return Leftovers(clients=self.client, regions=list(REGIONS.values()), owner=self.topology.organization)

    def unseen_by_checkers(self) -> list[str]:
        """What the program itself says by day of Route 53's checkers and the flag; nothing if all can read it."""
        route53 = self.client("route53", "us-east-1")
        (check,) = [
            each["Id"]
            for page in route53.get_paginator("list_health_checks").paginate()
            for each in page["HealthChecks"]
            if each["HealthCheckConfig"].get("FullyQualifiedDomainName") == self.names("secondary").flag_host
        ]
        with pytest.MonkeyPatch.context() as patch:
            for name, value in ADMINISTRATOR.environment.items() if self.cloud else ():
                patch.setenv(name, value)
            return unseen(Aws(endpoint=self.endpoint), {"flag": check})

    def answer(self) -> str:
        """Where the zone's own name server sends users now. The zone is delegated to nobody, so it is asked itself."""
        if self.cloud:
            server, port = self.cloud.name_server
        else:
            zone = self.client("route53", "us-east-1").get_hosted_zone(Id=self.zone_id)
            server, port = zone["DelegationSet"]["NameServers"][0], 53
        reply = DNSRecord.parse(DNSRecord.question(self.host, "CNAME").send(server, port, timeout=5))
        return ", ".join(str(each.rdata).removesuffix(".") for each in reply.rr if QTYPE.get(each.rtype) == "CNAME")

    def serve_from(self, role: Role) -> None:
        """What a failover, or the way back, does at AWS."""
        self.pulumi.configure("secondary", "active", role)
        if role == "primary":
            self.pulumi.configure("secondary", "force", "true")  # it serves, and leaves without a handover
        self.pulumi.up("secondary")
        if role == "primary":
            self.pulumi.run("config", "rm", "force", "-s", "secondary")

    def deploy(self) -> None:
        """Both regions, by the four `pulumi up` of the README."""
        route53 = self.client("route53", "us-east-1")
        made = route53.create_hosted_zone(Name=self.zone, CallerReference=self.topology.organization)
        self.zone_id = made["HostedZone"]["Id"].rpartition("/")[2]
        self._write_project()
        for role in ROLES:
            self.pulumi.run("stack", "init", role)
            self.pulumi.secret(role, "backupEncryptionPassword", stacks.PASSWORD)
            stacks.give_password(self.pulumi, role, "app-database")
            for part in PARTS:
                key = self.keys[role, part] = self._user(self.names(role).principal(part))
                stacks.give_secret(self.pulumi, role, f"staticCredentials.{key_of(part)}.accessKeyId", key.identifier)
                stacks.give_secret(self.pulumi, role, f"staticCredentials.{key_of(part)}.secretAccessKey", key.secret)
        stacks.deploy(self.pulumi)

    def _user(self, name: str) -> AccessKey:
        iam = self.client("iam", "us-east-1")
        iam.create_user(UserName=name)
        key = iam.create_access_key(UserName=name)["AccessKey"]
        return AccessKey(identifier=key["AccessKeyId"], secret=key["SecretAccessKey"])

    def _write_project(self) -> None:
        """The copy of the project, with the program of this folder."""
        directory = self.pulumi.directory
        files = project.ProjectFiles(
            endpoint=self.endpoint or "",
            zone_id=self.zone_id,
            kubeconfig=directory / "no-kubeconfig",
            databases=(project.lab_database(),),
            etcd={"enabled": True},
            drills={},
        )
        project.create(directory, files)
        (directory / "__main__.py").write_text(PROGRAM.read_text())

        def about_both(document: dict[str, Any]) -> None:
            document["config"]["topology"]["value"] |= self.topology.model_dump(exclude_none=True, by_alias=True)
            document["config"]["dns"]["value"]["names"] = [self.host]

        _change(directory / "Pulumi.yaml", about_both)
        if self.cloud is None:
            for role in ROLES:
                _change(directory / f"Pulumi.{role}.yaml", lambda document: document["config"].pop("k8s-dr:aws"))


def _change(file: Path, change: Any) -> None:
    document = yaml.safe_load(file.read_text())
    change(document)
    file.write_text(yaml.safe_dump(document, sort_keys=False))


@contextmanager
def world(root: Path, pulumi: Path, environ: Mapping[str, str] = os.environ) -> Iterator[World]:
    """The world that the environment chooses, with nothing in it. At the end nothing of it is left, whatever happened."""
    cli = stacks.cli(engine.prepare(root / "engine", pulumi), root, provider_log=root / "providers.jsonl")
    account, owner = environ.get(ACCOUNT, ""), environ.get(OWNER) or new_owner()
    topology = Topology(organization=owner, account_id=account or "123456789012", regions=Regions(**REGIONS))
    if account:
        caller = {name: value for name, value in environ.items() if name.startswith("AWS_")}
        kept = {name: value for name, value in cli.environment.items() if not name.startswith("AWS_")}
        # S3 copies within 15 minutes nearly always, and an alias of a key may take five to be known to IAM.
        found = World(topology=topology, patience=1200, interval=10, pulumi=replace(cli, environment={**kept, **caller}))
        with _cleaned(found):
            yield found
        return
    cloud = Cloud(LabPaths(root=root / "cloud"), lag=0.2)
    try:
        cloud.start()
        found = World(topology=topology, patience=60, interval=0.2, pulumi=cli, cloud=cloud)
        with _cleaned(found):
            yield found
    finally:
        cloud.stop()


@contextmanager
def _cleaned(found: World) -> Iterator[None]:
    try:
        yield
    finally:
        left = found.leftovers()
        left.delete()
        # A first attempt may meet what AWS has not yet forgotten, as an object that S3 has copied meanwhile.
        again = found.leftovers()
        again.delete()
        assert not again.failed, "\n".join([*again.failed, "delete the rest with: make test-aws ARGS=--clean"])
        until("nothing to be left", lambda: not found.leftovers().find(), timeout=found.patience, interval=found.interval)
