"""The failover without clusters, for machines that cannot run the lab.

The rehearsal uses the same stacks and commands, the real Pulumi CLI, moto and the name server. Recorded clusters take the place
of real ones. Its report states what that does not prove.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import boto3
from dnslib import QTYPE, DNSRecord

from lab import engine, project, stacks
from lab.cloud.access_keys import ADMINISTRATOR
from lab.cloud.cloud import Cloud, CloudError
from lab.console import step
from lab.failover import ALIVE, DEAD, Record, fail_over, note_dns_changes, publish, requests_by_region, steps_of
from lab.paths import LabPaths
from lab.pulumi import Pulumi, touched
from lab.regions.spec import PRIMARY, SECONDARY
from lab.standins.archive import put_base_backup
from lab.standins.recorded_cluster import RecordedCluster, write_kubeconfig
from lab.tools import toolbox
from lab.waiting import until
from report.machine import machine_facts
from report.model import Engine, Flip, Report, Witnesses

ADDRESSES = {"primary": "192.0.2.11", "secondary": "192.0.2.12"}
"""Addresses reserved for documentation: the rehearsal only checks which one the name points to, and never calls it."""

NOT_PROVEN = (
    "No Kubernetes cluster ran: the API servers were recordings that accept everything and imitate their controllers at once.",
    "Velero did not run, so nothing was backed up or restored, and no application answered.",
    "PostgreSQL did not run: the promotion is a field of a recorded object, and no row was written, replicated, lost or counted.",
    "The seconds count until the name pointed to the secondary; nobody was served, and restores take no time here.",
    "AWS is moto, and the lab's name server makes the health checks; Route 53 does not.",
    "The Kubernetes provider is a stand-in, and so is every other part of the engine that is marked so.",
)
TTL = 60
DATABASE = project.lab_database()


def backup(schedule: str, phase: str = "Completed") -> dict[str, Any]:
    """A Backup of the peer region's schedule, as Velero would have synced it into this cluster."""
    return {
        "apiVersion": "velero.io/v1",
        "kind": "Backup",
        "metadata": {
            "name": f"{schedule}-20260101020000",
            "namespace": "velero",
            "labels": {"velero.io/schedule-name": schedule},
        },
        "spec": {},
        "status": {"phase": phase},
    }


@dataclass(kw_only=True)
class Rehearsal:
    """Two deployed stacks on recorded clusters."""

    paths: LabPaths
    cloud: Cloud
    clusters: dict[str, RecordedCluster]
    engine: engine.Engine
    pulumi: Pulumi

    def have_backups(self) -> None:
        """Put the Backups into the secondary that a real Velero would have synced from the replica of the primary's bucket."""
        for name in ("daily-full", "hourly-critical"):
            self.clusters["secondary"].put(backup(f"{name}-{PRIMARY.aws_region}"))

    def bring_first_backup(self) -> None:
        """Put the base backup into the primary's bucket that a real database would have taken, and wait for its replica."""
        s3 = boto3.client(
            "s3",
            endpoint_url=self.cloud.endpoint_url,
            region_name=PRIMARY.aws_region,
            **ADMINISTRATOR.client,
        )
        source, copy = (f"acme-database-{spec.aws_region}-123456789012" for spec in (PRIMARY, SECONDARY))
        keys = set(put_base_backup(s3, source, f"{DATABASE['name']}-primary-g1"))

        def copied() -> bool:
            return keys <= {found["Key"] for found in s3.list_objects_v2(Bucket=copy).get("Contents", ())}

        with step("the database's first backup in the secondary's bucket"):
            until("the first backup to be replicated", copied, timeout=60)

    def answer(self) -> str | None:
        """The region whose address the name server gives now, if any."""
        host, port = self.cloud.name_server
        reply = DNSRecord.parse(DNSRecord.question(project.NAME, "A").send(host, port, timeout=2))
        found = {str(record.rdata) for record in reply.rr if QTYPE.get(record.rtype) == "A"}
        return next((role for role, address in ADDRESSES.items() if address in found), None)


@contextmanager
def deployed(paths: LabPaths) -> Iterator[Rehearsal]:
    """Set up and deploy both stacks. Everything stops at the end, also after an error."""
    paths.refuse_if_foreign()
    hosts = {project.load_balancer(role): address for role, address in ADDRESSES.items()}
    cloud = Cloud(paths, hosts=hosts)
    clusters: dict[str, RecordedCluster] = {role: RecordedCluster(operators_installed=True) for role in stacks.ROLES}
    try:
        for directory in (paths.project, paths.state, paths.logs):
            shutil.rmtree(directory, ignore_errors=True)
        paths.make()
        with step("AWS endpoint, replication, name server, two recorded clusters"):
            cloud.start()
            for cluster in clusters.values():
                cluster.start()
            write_kubeconfig(paths.kubeconfig, {f"lab-{role}": cluster.url for role, cluster in clusters.items()})
        chosen = engine.prepare(paths.root / "engine", toolbox.ensure(["pulumi"]).path("pulumi"))
        pulumi = stacks.cli(chosen, paths.root, provider_log=paths.logs / "provider-calls.jsonl")
        files = project.ProjectFiles(
            endpoint=cloud.endpoint_url,
            zone_id=cloud.create_zone(project.ZONE),
            kubeconfig=paths.kubeconfig,
            ttl=TTL,
            databases=(DATABASE,),
        )
        rehearsal = Rehearsal(paths=paths, cloud=cloud, clusters=clusters, engine=chosen, pulumi=pulumi)
        stacks.prepare(pulumi, files, cloud.create_user)
        stacks.deploy(pulumi, bring_first_backups=rehearsal.bring_first_backup)
        yield rehearsal
    finally:
        cloud.stop()
        for cluster in clusters.values():
            cluster.close()


def run(paths: LabPaths, *, began: float | None = None) -> int:
    """Run the whole rehearsal and write its report. Returns the exit code.

    `began` is the moment when the set-up began, in seconds of the monotonic clock, if it was before this call.
    """
    paths.refuse_if_foreign()  # fail now, not after minutes of building tools
    if Cloud(paths).running:
        raise CloudError("a lab or a rehearsal of this checkout is running, and a new one would stop its AWS; run: make down")
    began = time.monotonic() if began is None else began
    toolbox.ensure(["pulumi"])
    setup_seconds = time.monotonic() - began
    with deployed(paths) as rehearsal:
        report = _fail(rehearsal, setup_seconds)
    return publish(paths, report)


def _fail(rehearsal: Rehearsal, setup_seconds: float) -> Report:
    with step("the name points to the primary"):
        until("the name to point to the primary", lambda: rehearsal.answer() == "primary", timeout=90)
    rehearsal.have_backups()
    before = rehearsal.pulumi.resources("secondary")
    record = Record()
    killed = record.happened("region primary killed")
    rehearsal.clusters["primary"].close()
    rehearsal.cloud.black_hole(DEAD)
    fail_over(rehearsal.pulumi, record)
    with step("the name points to the secondary"):
        until("the name to point to the secondary", lambda: rehearsal.answer() == "secondary", timeout=120)
    moved = record.happened("the name points to the secondary")
    note_dns_changes(record, rehearsal.cloud.route53_changes(), killed)
    asked = requests_by_region((request for request in rehearsal.cloud.access_log() if request.part is None), killed)
    return Report(
        kind="rehearsal",
        generated=datetime.now(UTC),
        seconds_without_service=round((moved - killed).total_seconds(), 1),
        served_by=rehearsal.answer(),
        calls_to_dead_region=asked.get(DEAD, 0),
        steps=steps_of(rehearsal.pulumi.details("secondary")),
        flip=Flip.of(touched(before, rehearsal.pulumi.resources("secondary"))),
        commands=tuple(record.commands),
        events=record.sorted_events(),
        client_requests=(),
        witnesses=Witnesses(
            wan_packets_from_engine=None,
            wan_packets_from_live_region=None,
            aws_requests={region: asked[region] for region in (DEAD, ALIVE) if region in asked},
            api_server_changes={},
        ),
        machine=machine_facts(),
        engine=Engine(**rehearsal.engine.describe()),
        setup_seconds=round(setup_seconds, 1),
        dns_ttl=TTL,
        not_proven=NOT_PROVEN,
    )
