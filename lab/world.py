"""The whole lab: two regions, AWS, the engine, both stacks and the application. It starts, damages and stops them."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from lab import databases, engine, etcd, inhabitants, operators, packages, project, stacks
from lab.application import manifests
from lab.cloud.cloud import Cloud
from lab.console import say, step
from lab.deletion import delete_tree
from lab.paths import LabPaths
from lab.pulumi import Pulumi
from lab.regions import kubeconfig, layout, namespaces, network, ownership, preflight, teardown
from lab.regions.region import Region
from lab.regions.spec import REGIONS, RegionSpec, named
from lab.tools import images, toolbox
from lab.tools.groups import GROUPS, LAB
from lab.waiting import until

SCHEDULES = ("daily-full", "hourly-critical")


WITH_ARCHIVE: tuple[dict[str, Any], ...] = (
    {"namespace": manifests.APPLICATION_NAMESPACE, "names": [f"deployment/{manifests.NAME}"], "replicas": manifests.REPLICAS},
    {"namespace": manifests.APPLICATION_NAMESPACE, "names": [f"statefulset/{manifests.ARCHIVE}"], "replicas": 1},
)
"""`workloads` of the settings, where the application keeps files too."""

_VOLUMES: dict[str, Any] = {
    "snapshotClass": {"managed": True},
    "volumes": [{"labels": {"tier": "cache"}, "action": "skip"}],
    "storageClasses": {named("primary").storage_class: named("secondary").storage_class},
}
"""Keys of `velero` of the settings, where the regions have disks."""


class LabError(Exception):
    """The lab cannot do what it was asked; the message says why."""


@dataclass(frozen=True)
class OnDemand(Mapping[str, Path]):
    """The lab's programs and the regions' files. They are found or built when the first one is used, because showing or stopping
    a region needs none."""

    ask: Callable[[], toolbox.Toolbox]

    def __getitem__(self, tool: str) -> Path:
        tools = self.ask()
        return tools.files.get(tool) or tools.path(tool)

    def __iter__(self) -> Iterator[str]:
        return iter((*layout.TOOLS, *layout.DISK_TOOLS, *layout.DISK_KINDS))

    def __len__(self) -> int:
        return len(list(iter(self)))


@dataclass(kw_only=True)
class Lab:
    """The lab of one checkout."""

    paths: LabPaths = field(default_factory=LabPaths)
    setup_seconds: float = 0.0
    ttl: int = 60
    plan: databases.Plan | None = None
    """How the database is replicated. None for a lab without a database."""

    files: bool = False
    """Whether the application keeps files too, on a volume that a backup brings to the other region."""

    disks: bool = False
    """Whether both regions have disks that take snapshots, also while the application keeps no files."""

    mode: str | None = None
    """`dns.mode` of the settings; None leaves it to the tier."""

    drills: Mapping[str, Any] | None = None
    """`drills` of the settings, and with them the backups of etcd; None for a lab without drills. They need a database."""

    collector: str | None = None
    """The URL of a collector of OpenTelemetry, for the `pulumi` of this lab; None for none. It is asked from the namespace of the
    operators."""

    inhabited: bool = False
    """Whether the primary region has more than the application: see `lab.inhabitants`."""

    _tools: toolbox.Toolbox | None = None
    _engine: engine.Engine | None = None

    @property
    def tools(self) -> toolbox.Toolbox:
        if self._tools is None:
            self._tools = toolbox.ensure(self._groups)
        return self._tools

    @property
    def _groups(self) -> tuple[str, ...]:
        needed = {"cnpg": self.plan is not None, "storage": self.files or self.disks}
        return tuple(group for group in LAB if needed.get(group, True))

    @cached_property
    def _region_tools(self) -> toolbox.Toolbox:
        return self._tools or toolbox.ensure(["region", *(["storage"] if self._has_disks else [])])

    @property
    def _drilled(self) -> bool:
        return self.drills is not None

    @property
    def _has_disks(self) -> bool:
        return any(self.region(spec.name).has_disks for spec in REGIONS)

    @property
    def _running_engine(self) -> engine.Engine | None:
        return engine.prepared(self._engine_directory) if self.cloud.running else None

    @property
    def engine(self) -> engine.Engine:
        """A running lab keeps the engine that it was started with, because a `pulumi` may be using its files right now."""
        if self._engine is None:
            self._engine = self._running_engine or engine.prepare(self._engine_directory, self.tools.path("pulumi"))
        return self._engine

    @property
    def _engine_directory(self) -> Path:
        return self.paths.root / "engine"

    @property
    def both_serve(self) -> bool:
        """Whether DNS sends users to both regions."""
        return self.plan is not None and self.plan.preset.both_regions

    @property
    def cloud(self) -> Cloud:
        hosts = {project.load_balancer(spec.name): spec.address for spec in REGIONS}
        prefix = network.inside(namespaces.WAN)
        return Cloud(self.paths, listen=network.WAN_ADDRESS, endpoint_port=5555, name_server_port=53, prefix=prefix, hosts=hosts)

    @property
    def provider_log(self) -> Path:
        return self.paths.logs / "provider-calls.jsonl"

    @property
    def pulumi(self) -> Pulumi:
        found = stacks.cli(self.engine, self.paths.root, provider_log=self.provider_log, namespace=namespaces.OPS)
        told = {"OTEL_EXPORTER_OTLP_ENDPOINT": self.collector} if self.collector else {}
        return replace(found, environment={**found.environment, **told})

    def region(self, name: str) -> Region:
        return Region(self.paths, named(name), OnDemand(lambda: self._region_tools), disks=self.files or self.disks)

    # Up and down

    def set_up(self) -> None:
        """Build and install what a machine needs once. Raises LabError if the machine cannot run the lab."""
        if obstacles := preflight.obstacles():
            raise LabError("; ".join(obstacles))
        began = time.monotonic()
        self.paths.make()
        packages.ensure()
        _ = self.tools
        self._images = images.ensure(
            self.tools,
            (*images.BASIC, *(images.DATABASES if self.plan else ()), *(images.ETCD if self.drills is not None else ())),
        )
        self.setup_seconds += time.monotonic() - began

    def up(self, *, fresh: bool = False) -> None:
        """Start both regions, AWS and the name server, and wait until they are ready. Safe to repeat.

        With `fresh`, also make the copy of the project, which takes as long as the clusters and needs none.
        """
        network.up(self.paths)
        with step("AWS endpoint, replication, name server"):
            self.cloud.start()
        clusters = "two Kubernetes clusters, one for each region"
        with step(f"{clusters}; both stacks and their secrets" if fresh else clusters), ThreadPoolExecutor() as pool:
            prepared = pool.submit(self.prepare_project) if fresh else None
            list(pool.map(self._start, REGIONS))
            if prepared:
                prepared.result()
        certificates = {spec: self.region(spec.name).certificates for spec in REGIONS}
        kubeconfig.write(self.paths.kubeconfig, kubeconfig.for_people(certificates))
        self._write_wrappers()
        if self.plan:
            with step("CloudNativePG and its Barman Cloud plugin in both regions"), ThreadPoolExecutor() as pool:
                list(pool.map(self._install_operators, REGIONS))

    def _install_operators(self, spec: RegionSpec) -> None:
        operators.install(self.kubectl, spec.name, self._images, self.tools.files)
        operators.wait_ready(self.kubectl, spec.name)

    def _start(self, spec: RegionSpec) -> None:
        region = self.region(spec.name)
        region.start()
        region.load_images(image.archive for image in self._images.values())
        region.wait_ready()

    def deploy(self) -> None:
        """Deploy both stacks and the application of a fresh lab, and make backups, which `wait_backed_up` waits for."""
        if self.plan and self.plan.replication == "streaming":
            databases.bring_certificates(self.kubectl)
        if self.inhabited:
            self._apply("primary", inhabitants.kinds())
        # Once its database has its first backup, the primary region lacks nothing that its application needs. Without a database
        # the application comes last: an `up` of its region would write down what it needs while half of it is there.
        with ThreadPoolExecutor(1) as beside:
            installed: list[Future[None]] = []

            def bring_first_backups() -> None:
                self.wait_replicated()
                installed.append(beside.submit(self._install_at_home))

            stacks.deploy(self.pulumi, bring_first_backups=bring_first_backups, with_databases=self.plan is not None)
            standby = {"none": 0, "one": 1, "all": manifests.REPLICAS}[self.plan.preset.workloads] if self.plan else 0
            with step(f"the application in the primary region{'' if standby else ' only'}"):
                for each in installed or [beside.submit(self._install_at_home)]:
                    each.result()
        if standby:
            with step(f"the application in the secondary region too, {standby} of {manifests.REPLICAS} replicas"):
                self.install_application("secondary", standby)
        if self.inhabited:
            with step("what else lives in a production cluster"):
                self._settle()
        if not self.files:  # otherwise a client must have written first
            with step("a backup from each schedule"):
                self.make_backups()

    def _install_at_home(self) -> None:
        """Install the application in the primary region and, if it keeps files, the part of it that has a volume."""
        self.install_application()
        if self.files:
            self.install_archive()

    def _settle(self) -> None:
        """Bring all inhabitants, and wait until those that can run do."""
        for spec in REGIONS:
            self._apply(spec.name, inhabitants.around_the_program())
        home = named("primary")
        self._apply(home.name, inhabitants.documents(home.aws_region))
        bindings = ("get", "targetgroupbindings.elbv2.k8s.aws", "-n", inhabitants.NAMESPACE, "-o", "name")
        until("the load balancer's bindings", lambda: len(self.kubectl(home.name, *bindings).split()) == 2, timeout=30)
        self._apply(home.name, inhabitants.latecomers())
        wanted = inhabitants.AVAILABLE
        until(f"{wanted} to be available", lambda: wanted.items() <= self.available(home.name).items(), timeout=180, interval=1)

    def available(self, region: str) -> dict[str, int]:
        """How many Pods of each workload in the application's namespace are available, by `kind/name`."""
        listed = self.kubectl(region, "get", "deployments,statefulsets", "-n", inhabitants.NAMESPACE, "-o", "json")
        return {
            f"{item['kind'].lower()}/{item['metadata']['name']}": item["status"].get("availableReplicas", 0)
            for item in json.loads(listed)["items"]
        }

    def _apply(self, region: str, documents: Iterable[Mapping[str, Any]]) -> str:
        """Apply the documents, and return the API server's words about each."""
        apply = ("apply", "--server-side", "--field-manager=k8s-dr-lab", "-f", "-")
        return self.kubectl(region, *apply, stdin=yaml.safe_dump_all(documents))

    def prepare_project(self) -> None:
        references = {name: image.reference for name, image in self._images.items()}
        files = project.ProjectFiles(
            endpoint=self.cloud.endpoint_url,
            zone_id=self.cloud.create_zone(project.ZONE),
            kubeconfig=self.paths.kubeconfig,
            images={
                "velero": references["velero"],
                "veleroPluginForAws": references["velero-plugin-for-aws"],
                "python": references["python"],
                **({"awsCli": references["aws-cli"]} if self.plan else {}),
                **({"etcd": references["etcd"]} if self._drilled else {}),
            },
            kubelet_roots={spec.name: layout.KUBELET_ROOT for spec in REGIONS},
            ttl=self.ttl,
            mode=self.mode,
            databases=(self.plan.configuration(references["postgresql"]),) if self.plan else (),
            tier=self.plan.tier if self.plan else None,
            workloads=inhabitants.WORKLOADS if self.inhabited else WITH_ARCHIVE if self.files else (),
            # A restore of it would end PartiallyFailed, and name this way on: the other region has no operator for it.
            excluded=(inhabitants.CACHES,) if self.inhabited else (),
            guard=self.plan is not None,
            drills=self.drills if self.drills is not None else project.OFF,
            etcd=etcd.CONFIGURATION if self._drilled else project.OFF,
            velero={
                **({"counterparts": inhabitants.counterparts(*(spec.aws_region for spec in REGIONS))} if self.inhabited else {}),
                **(_VOLUMES if self.files or self.disks else {}),
            },
            probe=f"http://{project.load_balancer('primary') if self.both_serve else project.NAME}/",
            # /healthz says whether the application runs; /readyz would ask whether it can write. After the writer's region
            # died, no region can write, and DNS would find both regions unhealthy.
            check={"protocol": "http", "path": "/healthz"} if self.both_serve else None,
        )
        stacks.prepare(self.pulumi, files, self.cloud.create_user)

    def down(self) -> None:
        """Stop everything that any command of this lab started. Raises LabError with a list of what is still there.

        Stopping needs none of the lab's tools. Stopping a rehearsal needs no root, because starting one needs none.
        """
        self._refuse_without_root()
        self.cloud.stop()
        teardown.down(self.paths)
        if self.another:
            return
        if left := teardown.leftovers(self.paths):
            raise LabError(f"still there after taking the lab down: {', '.join(left)}")

    @property
    def another(self) -> Path | None:
        """The state directory of another checkout's lab that is up on this machine; None if there is none."""
        return ownership.owner() if ownership.is_anothers(self.paths.root) else None

    @property
    def up_here(self) -> bool:
        """Whether the regions' network exists and belongs to this checkout."""
        return bool(namespaces.present()) and ownership.owner() == self.paths.root

    def require_up(self) -> None:
        """Raise LabError unless this checkout's lab is up and this user may enter its namespaces."""
        if not self.up_here:
            raise LabError("the lab of this checkout is not up; start it with: make lab")
        self._refuse_without_root()

    def _refuse_without_root(self) -> None:
        if self.up_here and os.geteuid() != 0:
            raise LabError(f"the lab of this checkout was started by root: {preflight.AS_ROOT}")

    def forget(self) -> None:
        """Delete what the last lab left on disk. Only the tools and images stay for the next lab."""
        for spec in REGIONS:
            self.region(spec.name).wipe()
        engine.record(self._engine_directory).unlink(missing_ok=True)
        for path in (self.paths.project, self.paths.state, self.paths.logs, self._engine_directory):
            if path.is_dir():
                delete_tree(path)
        self.paths.make()

    # The application and its backups

    def kubectl(self, region: str, *args: str, stdin: str | None = None, check: bool = True) -> str:
        """Run kubectl against one region, from the operations network namespace, and return its output."""
        command = [
            *network.inside(namespaces.OPS),
            str(self.tools.path("kubectl")),
            f"--kubeconfig={self.paths.kubeconfig}",
            f"--context={named(region).context}",
            "--request-timeout=20s",
            *args,
        ]
        ran = subprocess.run(command, input=stdin, capture_output=True, text=True, check=False)
        if check and ran.returncode:
            raise LabError(f"kubectl {shlex.join(args)} ({region}): {ran.stderr.strip() or ran.stdout.strip()}")
        return ran.stdout

    def install_application(self, region: str = "primary", replicas: int = manifests.REPLICAS) -> None:
        database = self._application_database(region, self.plan) if self.plan else None
        documents = manifests.documents(self._images["shop"].reference, replicas, database=database)
        self.kubectl(region, "apply", "-f", "-", stdin=yaml.safe_dump_all(documents))
        self.kubectl(
            region, "rollout", "status", "-n", manifests.APPLICATION_NAMESPACE, f"deployment/{manifests.NAME}", "--timeout=120s"
        )

    def install_archive(self) -> None:
        """Install the part of the application that keeps files, in the primary region."""
        region = named("primary")
        self._apply(region.name, manifests.archive(self._images["shop"].reference, region.storage_class))
        what = ("-n", manifests.APPLICATION_NAMESPACE, f"statefulset/{manifests.ARCHIVE}")
        self.kubectl(region.name, "rollout", "status", *what, "--timeout=120s")

    def _application_database(self, region: str, plan: databases.Plan) -> manifests.Database:
        """The region's own database. With streaming and an application in both regions, also the other region's database.

        The application relays writes to that one while its own database is a standby.
        """
        own = manifests.Database(username=databases.OWNER, password=stacks.PASSWORD, host=databases.ADDRESS)
        if plan.preset.workloads == "none" or plan.replication != "streaming":
            return own
        peer = project.load_balancer("secondary" if region == "primary" else "primary")
        return replace(own, peer=peer, authority=databases.authority(self.kubectl, region))

    def make_backups(self) -> None:
        """Make a Backup from each of the primary's schedules now."""
        for name in SCHEDULES:
            self.velero("primary", "backup", "create", "--from-schedule", f"{name}-{named('primary').aws_region}", "--wait")

    def wait_backed_up(self) -> None:
        """Wait until the secondary's Velero knows the newest Backup of each of the primary's schedules."""
        with step("the backups are replicated and seen by the secondary's Velero"):
            until("the backups to be seen by the secondary's Velero", self._synced, timeout=240, interval=1)

    def wait_replicated(self, *, timeout: float = 120) -> None:
        """Wait until S3 replication has nothing left to copy."""
        until("replication to have nothing left to copy", lambda: self.cloud.replication()["pending"] == 0, timeout=timeout)

    def documents(self, region: str) -> set[int]:
        """The numbers of the documents that a region's application has as files."""
        url = f"http://{named(region).address}:{manifests.ARCHIVE_PORT}/documents"
        program = "import sys, urllib.request as r; sys.stdout.write(r.urlopen(sys.argv[1], timeout=20).read().decode())"
        command = [*network.inside(namespaces.WAN), sys.executable, "-c", program, url]
        answer = subprocess.run(command, check=True, capture_output=True, text=True)
        return {int(document["sequence"]) for document in json.loads(answer.stdout)}

    def query(self, sql: str, region: str = "secondary") -> str:
        """The answer of a region's database to `sql`, as `psql -At` prints it."""
        return databases.query(self.kubectl, region, sql)

    def _synced(self) -> bool:
        """Whether the secondary's Velero knows the primary's newest completed backup of each schedule."""
        made, seen = (self.completed_backups(region) for region in ("primary", "secondary"))
        newest = {max((name for name in made if name.startswith(schedule)), default="") for schedule in SCHEDULES}
        return newest <= seen

    def completed_backups(self, region: str) -> set[str]:
        """Names of the primary's backups that a region's Velero knows as Completed."""
        found = json.loads(self.kubectl(region, "get", "backups.velero.io", "-n", "velero", "-o", "json"))["items"]
        of_the_primary = f"-{named('primary').aws_region}-"
        return {
            item["metadata"]["name"]
            for item in found
            if item.get("status", {}).get("phase") == "Completed" and of_the_primary in item["metadata"]["name"]
        }

    def velero(self, region: str, *args: str) -> str:
        command = [
            *network.inside(namespaces.OPS),
            str(self.tools.path("velero")),
            f"--kubeconfig={self.paths.kubeconfig}",
            f"--kubecontext={named(region).context}",
            *args,
        ]
        ran = subprocess.run(
            command, capture_output=True, text=True, check=False, env={**os.environ, "HOME": str(self.paths.root)}
        )
        if ran.returncode:
            raise LabError(f"velero {shlex.join(args)} ({region}): {ran.stderr.strip()}")
        return ran.stdout

    # Damage

    def kill(self, region: str) -> None:
        """Stop a region's cluster, its network and its part of AWS at once, as if its data centre had lost power."""
        self.require_up()
        self.cloud.black_hole(named(region).aws_region)
        self.region(region).kill()

    def heal(self, region: str) -> None:
        """Start a killed region again, with the disk that it had."""
        self.require_up()
        network.heal(named(region))
        self.region(region).start()
        self.region(region).wait_ready()
        self.cloud.restore(named(region).aws_region)

    @contextmanager
    def object_missing(self, bucket: str, *keys: str) -> Iterator[None]:
        """Remove objects from a bucket and put them back at the end, as if they were lost or not replicated yet."""
        aside = {key: f"set-aside/{key}" for key in keys}
        self._rename(bucket, aside)
        try:
            yield
        finally:
            self._rename(bucket, {there: key for key, there in aside.items()})

    def _rename(self, bucket: str, names: Mapping[str, str]) -> None:
        copy = f"s3.copy_object(Bucket={bucket!r}, Key=new, CopySource={{'Bucket': {bucket!r}, 'Key': old}})"
        self._s3(f"[({copy}, s3.delete_object(Bucket={bucket!r}, Key=old)) for old, new in {[*names.items()]!r}]")

    @contextmanager
    def object_replaced(self, bucket: str, key: str, content: str) -> Iterator[None]:
        """Put other content into an object of a bucket, and put it back at the end."""
        with self.object_missing(bucket, key):
            self._s3(f"s3.put_object(Bucket={bucket!r}, Key={key!r}, Body={content.encode()!r})")
            yield

    def objects(self, bucket: str, prefix: str) -> dict[str, int]:
        """The bytes of each object of a bucket below `prefix`, by its key."""
        pages = f"s3.get_paginator('list_objects_v2').paginate(Bucket={bucket!r}, Prefix={prefix!r})"
        found = self._s3(f"[print(each['Size'], each['Key']) for page in {pages} for each in page.get('Contents', ())]")
        return {key: int(size) for size, _, key in (line.partition(" ") for line in found.splitlines())}

    def content(self, bucket: str, key: str) -> str:
        """The text of one object of a bucket."""
        return self._s3(f"print(s3.get_object(Bucket={bucket!r}, Key={key!r})['Body'].read().decode())")

    def lose(self, bucket: str, keys: Iterable[str]) -> None:
        """Delete objects, as if they had never been replicated."""
        for key in keys:
            self._s3(f"s3.delete_object(Bucket={bucket!r}, Key={key!r})")

    def _s3(self, statement: str) -> str:
        """Run a statement that calls S3, and return what it printed. It runs in the WAN's network namespace: the AWS endpoint can
        only be reached from the lab's network."""
        program = f"import boto3, sys; s3 = boto3.client('s3', endpoint_url=sys.argv[1], region_name='us-west-2'); {statement}"
        command = [*network.inside(namespaces.WAN), sys.executable, "-c", program]
        environment = dict(self.pulumi.environment)
        ran = subprocess.run([*command, self.cloud.endpoint_url], check=True, capture_output=True, text=True, env=environment)
        return ran.stdout

    # What an observer sees

    def api_server_changes(self, region: str, since: datetime) -> dict[str, int]:
        """What the Pulumi engine and its hooks changed in a cluster: how often for each `verb resource` in its audit log."""
        counts: dict[str, int] = {}
        for line in self.region(region).audit_log.read_text().splitlines():
            event = json.loads(line)
            when = datetime.fromisoformat(event["requestReceivedTimestamp"].replace("Z", "+00:00"))
            from_engine = network.OPS_ADDRESS in event.get("sourceIPs", [])
            if (
                from_engine
                and when >= since
                and event["verb"] in ("create", "update", "patch", "delete")
                and "objectRef" in event
            ):
                if "dryRun=All" in event["requestURI"]:
                    continue
                key = f"{event['verb']} {event['objectRef']['resource']}"
                counts[key] = counts.get(key, 0) + 1
        return counts

    # For people

    def environment(self) -> Mapping[str, str]:
        """The variables that `python -m lab env` exports, so that `pulumi` and `kubectl` in a shell work on the lab.

        Raises LabError if no lab is up. It builds nothing, because the shell would run a build's output as commands.
        """
        if not (self.up_here and self._running_engine):
            raise LabError("the lab of this checkout is not up; start it with: make lab")
        wanted = ("PULUMI_BACKEND_URL", "PULUMI_CONFIG_PASSPHRASE", "PULUMI_HOME", "PULUMI_SKIP_UPDATE_CHECK",
                  "PULUMI_IGNORE_AMBIENT_PLUGINS", "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION", "AWS_ACCESS_KEY_ID",
                  "AWS_SECRET_ACCESS_KEY", "AWS_EC2_METADATA_DISABLED")  # fmt: skip
        inner = self.pulumi.environment
        return {key: inner[key] for key in wanted if key in inner} | {"KUBECONFIG": str(self.paths.kubeconfig)}

    def _write_wrappers(self) -> None:
        programs = {"pulumi": self.engine.pulumi, "kubectl": self.tools.path("kubectl"), "velero": self.tools.path("velero")}
        for name, program in programs.items():
            command = shlex.join([*network.inside(namespaces.OPS), str(program)])
            wrapper = self.paths.bin / name
            wrapper.write_text(f'#!/bin/sh\nexec {command} "$@"\n')
            wrapper.chmod(0o755)

    def status(self) -> dict[str, Any]:
        """What runs and what does not. This needs none of the lab's tools; it builds and changes nothing."""
        return {
            "engine": self._engine_in_short(),
            "tools": {group: toolbox.place(GROUPS[group]) for group in self._groups},
            "regions": {spec.name: "up" if self.region(spec.name).alive else "down" for spec in REGIONS},
            "aws": "up" if self.cloud.running else "down",
            "answers": self.cloud.route53() if self.cloud.running else {},
            "replication": self._replication_in_short() if self.cloud.running else {},
        }

    def _engine_in_short(self) -> dict[str, str]:
        if self._running_engine:
            return self._running_engine.describe()
        try:
            return engine.would_be(toolbox.look(["pulumi"]).find("pulumi"))
        except engine.EngineError as error:
            return {"error": str(error)}

    def _replication_in_short(self) -> dict[str, Any]:
        whole = self.cloud.replication()
        return {key: whole[key] for key in ("pending", "copied", "failed", "lag", "last")}

    def say_how_to_use(self) -> None:
        lab = shlex.join([os.path.relpath(sys.executable), "-m", "lab"])
        dig = shlex.join([*network.inside(namespaces.WAN), "dig", f"@{network.WAN_ADDRESS}", project.NAME])
        say(
            "\nThe lab is running. In another shell, in this directory:\n\n"
            f'    eval "$({lab} env)"\n\n'
            "    kubectl --context lab-primary get pods -A          # the other region: lab-secondary\n"
            f"    pulumi -C {os.path.relpath(self.paths.project)} stack output next -s secondary\n"
            f"    {lab} dig {project.NAME}      # or: {dig}\n\n"
            f"    {lab} kill primary             # heal primary starts it again\n"
            f"    cd {os.path.relpath(self.paths.project)}\n"
            "    pulumi config set active secondary -s secondary\n"
            "    pulumi up -s secondary\n\n"
            "make down stops the lab."
        )
