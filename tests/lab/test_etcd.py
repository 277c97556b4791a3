"""The program's own CronJob backs up the etcd of a real cluster. The cluster loses it, and it is restored from the bucket.

The tests run in the order of the file: the last ones restore the backup that the first ones made.
"""

from __future__ import annotations

import copy
import json
import re
import shutil
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from components.etcd import backup as component
from lab import etcd, packages
from lab.regions import kubeconfig, layout, network, pki
from lab.regions.region import Region
from lab.regions.spec import PRIMARY, SECONDARY
from lab.tools import images
from lab.waiting import until
from lab.world import Lab
from settings.names import Names
from settings.topology import Topology
from tests.lab.conftest import Keeper, asked_by_pods, bring_back_the_primary
from tests.lab.pod_keys import key_of, outcomes
from tests.permissions import DENIED, forbidden

NAMES = Names(
    topology=Topology.model_validate(
        {
            "organization": "acme",
            "accountId": "123456789012",
            "regions": {"primary": PRIMARY.aws_region, "secondary": SECONDARY.aws_region},
        }
    ),
    role="primary",
)
BUCKET = NAMES.bucket("etcd")
OLD_COPY, RECENT_COPY = "etcd-snapshot-20200101T000000Z-lab-primary-r1.db", "etcd-snapshot-29990101T000000Z-lab-primary-r1.db"
NAME = re.compile(r"etcd/primary/(etcd-snapshot-\d{8}T\d{6}Z-lab-primary-r(\d+)\.db)")
Change = Callable[[dict[str, Any]], None]


class Setting:
    """One region with the CronJob, and the lab's AWS."""

    def __init__(self, lab: Lab, region: Region, restorer: etcd.Restorer, aws_cli: str) -> None:
        self.lab, self.region, self.restorer, self.aws_cli = lab, region, restorer, aws_cli
        self.directory = layout.on_disk(region.disk, layout.ETCD_BACKUPS)
        self.template: dict[str, Any] = {}

    def kubectl(self, *args: str, **options: Any) -> str:
        return self.lab.kubectl("primary", *args, **options)

    def objects(self) -> dict[str, dict[str, Any]]:
        """Every object of the bucket, by key."""
        listed = self.restorer.run("aws", "s3api", "list-objects-v2", "--bucket", BUCKET, "--output", "json")
        return {found["Key"]: found for found in json.loads(listed or "{}").get("Contents", [])}

    def copies(self) -> set[str]:
        """Names of the finished copies in the node's directory."""
        return {path.name for path in self.directory.glob("etcd-snapshot-*")}

    def start_job(self, name: str, change: Change | None = None) -> None:
        """Start a Job of the CronJob, changed to have a fault. It has one attempt, because the fault does not go away."""
        spec = copy.deepcopy(self.template)
        spec["spec"]["backoffLimit"] = 0
        if change:
            change(spec["spec"]["template"]["spec"])
        job = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name, "namespace": component.ETCD_NAMESPACE}, **spec}
        self.kubectl("create", "-f", "-", stdin=json.dumps(job))

    def ended(self, name: str) -> str:
        """Wait for the Job's end: `Complete` or `Failed`."""

        def condition() -> str:
            job = json.loads(self.kubectl("get", "job", name, "-n", component.ETCD_NAMESPACE, "-o", "json"))
            true = {each["type"] for each in job.get("status", {}).get("conditions", []) if each["status"] == "True"}
            return next((kind for kind in ("Complete", "Failed") if kind in true), "")

        return until(f"the job {name} to end, whose pod is {self.pod(name)}", condition, timeout=90, interval=0.5)

    def pod(self, job: str) -> dict[str, Any]:
        selector = f"--selector=batch.kubernetes.io/job-name={job}"
        pods = json.loads(self.kubectl("get", "pods", "-n", component.ETCD_NAMESPACE, selector, "-o", "json"))["items"]
        return pods[0] if pods else {}

    def steps(self, job: str) -> dict[str, dict[str, Any]]:
        """The end of each step of the pod: `exitCode`, `message`, `startedAt`, `finishedAt`. Empty for a step that never ran."""
        status = self.pod(job)["status"]
        every = (*status["initContainerStatuses"], *status["containerStatuses"])
        return {step["name"]: step["state"].get("terminated", {}) for step in every}

    def back_up(self, name: str) -> tuple[str, dict[str, Any]]:
        """Make a backup; returns the key and the listing of the one object that it adds."""
        before = self.objects()
        self.kubectl("create", "job", name, f"--from=cronjob/{component.NAME}", "-n", component.ETCD_NAMESPACE)
        assert self.ended(name) == "Complete", self.steps(name)
        (key,) = set(after := self.objects()) - set(before)
        return key, after[key]


def start_one_region(lab: Lab) -> None:
    packages.ensure()
    _ = lab.tools
    lab.down()
    lab.forget()
    network.up(lab.paths)
    lab.cloud.start()
    region = lab.region("primary")
    region.start()
    kubeconfig.write(lab.paths.kubeconfig, kubeconfig.for_people({PRIMARY: region.certificates}))


@pytest.fixture(scope="module")
def setting(keeper: Keeper, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Setting]:
    """In the lab that the tests of volumes or of the failover have left, or else in a region alone."""
    kept = keeper.take()
    lab = kept or Lab()
    try:
        if kept:
            bring_back_the_primary(kept)
        else:
            start_one_region(lab)
        region = lab.region("primary")
        made = images.ensure(lab.tools, ("pause", *images.ETCD))
        restorer = etcd.Restorer(tmp_path_factory.mktemp("restorer"), lab.tools.built["etcdutl"], lab.cloud.endpoint_url)
        region.load_images(image.archive for image in made.values())
        region.wait_ready()
        setting = Setting(lab, region, restorer, made["aws-cli"].reference)
        key = lab.cloud.create_user(NAMES.principal("etcd"))
        restorer.make_bucket(NAMES)
        references = {name: image.reference for name, image in made.items()}
        documents = etcd.manifests(etcd.arguments(NAMES, references, lab.cloud.endpoint_url, key))
        setting.kubectl("apply", "--server-side", "-f", "-", stdin=yaml.safe_dump_all(documents))
        cron_job = json.loads(setting.kubectl("get", "cronjob", component.NAME, "-n", component.ETCD_NAMESPACE, "-o", "json"))
        setting.template = {"spec": cron_job["spec"]["jobTemplate"]["spec"]}
        yield setting
    finally:
        lab.down()


@pytest.fixture(scope="module")
def snapshot(setting: Setting) -> tuple[str, dict[str, Any]]:
    """The first backup. The cluster has one ConfigMap to find again, and the node has older copies."""
    setting.kubectl("create", "configmap", "before", "--from-literal=made=before")
    setting.directory.mkdir()
    for name in (OLD_COPY, RECENT_COPY, "notes.txt"):
        (setting.directory / name).write_text("an earlier one")
    return setting.back_up("first")


def test_the_key_of_its_pods_does_nothing_that_would_lose_a_backup_or_move_the_traffic(setting) -> None:
    answers = outcomes(setting.lab, forbidden("etcd", NAMES), key_of(setting.lab, "primary", "etcd"))
    # A region alone does not have the other buckets.
    assert {call: came for call, came in answers.items() if came not in (DENIED, "NoSuchBucket")} == {}
    assert list(answers.values()).count(DENIED) > 20


def test_a_backup_is_in_the_bucket_under_a_name_that_sorts_by_time_and_says_cluster_and_revision(setting, snapshot) -> None:
    key, _ = snapshot
    name = NAME.fullmatch(key)
    assert name
    status = setting.restorer.run("etcdutl", "snapshot", "status", str(setting.directory / name[1]), "--write-out=json")
    assert json.loads(status)["revision"] == int(name[2])


def test_what_is_in_the_bucket_has_the_size_and_the_checksum_of_what_stays_on_the_node(setting, snapshot) -> None:
    key, listed = snapshot
    local = setting.directory / key.rpartition("/")[2]
    head = json.loads(
        setting.restorer.run(
            *("aws", "s3api", "head-object", "--bucket", BUCKET, "--key", key, "--checksum-mode", "ENABLED", "--output", "json")
        )
    )
    digest = setting.restorer.run("sh", "-c", f"openssl dgst -sha256 -binary '{local}' | base64").strip()
    assert head["ContentLength"] == listed["Size"] == local.stat().st_size
    assert head["ChecksumSHA256"] == digest
    assert local.stat().st_mode & 0o077 == 0, "a snapshot holds every Secret of the cluster"


def test_copies_on_the_node_are_deleted_when_they_are_old_and_nothing_else_is(setting, snapshot) -> None:
    key, _ = snapshot
    left = {path.name for path in setting.directory.iterdir()}
    assert left == {RECENT_COPY, "notes.txt", key.rpartition("/")[2]}


def test_two_backups_never_run_at_once_not_even_when_somebody_starts_another_by_hand(setting, snapshot) -> None:
    for name in ("one", "another"):
        setting.start_job(name)
    assert {setting.ended("one"), setting.ended("another")} == {"Complete"}
    spans = []
    for name in ("one", "another"):
        steps = setting.steps(name)
        spans.append((instant(steps["reach"]["startedAt"]), instant(steps["upload"]["finishedAt"])))
    earlier, later = sorted(spans)
    assert earlier[1] <= later[0]


def test_what_its_pods_ask_of_aws_they_ask_of_their_own_region(setting, snapshot) -> None:
    """Each by the variables of its environment, as a Pod that names the other region shows."""
    since = datetime.now(UTC)
    setting.back_up("asked")
    asked = [request for request in asked_by_pods(setting.lab, PRIMARY, since) if "aws-cli" in request.agent]
    assert asked
    assert {request.region for request in asked} == {PRIMARY.aws_region}
    assert {region for request in asked for region in request.regions} == {PRIMARY.aws_region}

    def astray(pod: dict[str, Any]) -> None:
        for variable in pod["containers"][0]["env"]:
            if variable["name"] in ("AWS_REGION", "AWS_DEFAULT_REGION"):
                variable["value"] = SECONDARY.aws_region

    since = datetime.now(UTC)
    setting.start_job("astray", astray)
    setting.ended("astray")
    asked = [request for request in asked_by_pods(setting.lab, PRIMARY, since) if "aws-cli" in request.agent]
    assert SECONDARY.aws_region in {request.region for request in asked}


def between_save_and_verify(setting: Setting, command: str) -> Change:
    """A change to the pod: the command runs after the snapshot is saved and before it is verified."""

    def change(pod: dict[str, Any]) -> None:
        steps = pod["initContainers"]
        (place,) = (index for index, step in enumerate(steps) if step["name"] == "save")
        fault = {**steps[place], "name": "fault", "image": setting.aws_cli, "command": ["/bin/bash", "-c", command]}
        steps.insert(place + 1, fault)

    return change


@pytest.mark.parametrize(
    ("name", "size", "step", "reason"),
    [
        # etcdutl fails in one of several ways. It does not check the digest that etcd appends.
        ("half", "20000", "verify", "integrity check failed|panic|freepages|file size|fault|goroutine"),
        ("digest", "-32", "upload", "etcd backup: the snapshot is truncated"),
    ],
)
def test_a_truncated_snapshot_fails_and_those_before_it_stand(setting, snapshot, name, size, step, reason) -> None:
    command = f"truncate --size={size} {layout.ETCD_BACKUPS}/incoming.db"
    assert_fails(setting, f"truncated-{name}", between_save_and_verify(setting, command), step, reason)


def test_a_wrong_certificate_fails_and_earlier_snapshots_stand(setting, snapshot, tmp_path: Path) -> None:
    pki.ensure(tmp_path, PRIMARY)
    for end in ("crt", "key"):
        shutil.copy(tmp_path / "etcd" / f"healthcheck-client.{end}", setting.region.certificates / "etcd" / f"stranger.{end}")

    def change(pod: dict[str, Any]) -> None:
        for step in pod["initContainers"]:
            step["command"] = [part.replace("healthcheck-client", "stranger") for part in step["command"]]

    # With TLS 1.3 the server refuses after the handshake. If the connection breaks first, the client learns only that.
    reason = "unhealthy: failed to commit"
    told = "unknown certificate authority|broken pipe|connection reset by peer"
    assert_fails(setting, "stranger", change, "reach", f"({told})(.|\n)*{reason}")


def test_an_unreachable_bucket_fails_and_earlier_snapshots_stand(setting, snapshot) -> None:
    def change(pod: dict[str, Any]) -> None:
        (endpoint,) = (each for each in pod["containers"][0]["env"] if each["name"] == "AWS_ENDPOINT_URL")
        endpoint["value"] = f"http://{network.WAN_ADDRESS}:9"

    assert_fails(
        setting, "unreachable", change, "upload", "Could not connect to the endpoint URL(.|\n)*the upload to s3://.* failed"
    )


def test_a_bucket_that_is_not_there_fails(setting, snapshot) -> None:
    def change(pod: dict[str, Any]) -> None:
        (bucket,) = (each for each in pod["containers"][0]["env"] if each["name"] == "BUCKET")
        bucket["value"] = "acme-etcd-nowhere"

    assert_fails(setting, "no-bucket", change, "upload", "NoSuchBucket")


def test_a_full_disk_fails_and_earlier_snapshots_stand(setting, snapshot) -> None:
    setting.region.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(layout.ETCD_BACKUPS)])
    try:
        assert_fails(setting, "full", None, "save", "no space left on device")
        seen = setting.region.run(["ls", "-A", str(layout.ETCD_BACKUPS)])
        assert seen == "", "a part of a snapshot is left"
    finally:
        setting.region.run(["umount", str(layout.ETCD_BACKUPS)])


def test_an_etcd_that_was_lost_serves_its_old_objects_again(setting, snapshot) -> None:
    key, _ = setting.back_up("last")
    assert not list(setting.directory.glob("incoming*")), "every fault above left something, and this backup nothing"
    setting.kubectl("create", "configmap", "after", "--from-literal=made=after")
    old = int(setting.kubectl("get", "configmap", "after", "-o", "jsonpath={.metadata.resourceVersion}"))
    etcd.lose(setting.region)

    said = setting.restorer.restore(setting.region, "--latest", f"s3://{BUCKET}/{NAMES.etcd_prefix}")
    assert key in said
    setting.region.start()
    setting.region.wait_ready()

    assert setting.kubectl("get", "configmap", "before", "-o", "jsonpath={.data.made}") == "before"
    assert setting.kubectl("get", "configmap", "after", "--ignore-not-found") == "", "it was made after the snapshot"
    setting.kubectl("create", "configmap", "anew", "--from-literal=made=anew")
    new = int(setting.kubectl("get", "configmap", "anew", "-o", "jsonpath={.metadata.resourceVersion}"))
    assert new > old + 900_000_000, "no watch may take the restored cluster for the one that it knew"


def test_a_restored_cluster_backs_itself_up(setting, snapshot) -> None:
    key, _ = setting.back_up("restored")
    assert key == max(setting.objects()), "its name comes after those from before the loss"


def instant(text: str) -> datetime:
    return datetime.fromisoformat(text.replace("Z", "+00:00"))


def assert_fails(setting: Setting, name: str, change: Change | None, step: str, reason: str) -> None:
    """The Job fails in that step, its status has the reason, and every earlier snapshot is still there."""
    objects, copies = setting.objects(), setting.copies()
    setting.start_job(name, change)
    assert setting.ended(name) == "Failed"
    steps = setting.steps(name)
    assert steps[step].get("exitCode"), steps
    assert re.search(reason, steps[step]["message"]), steps[step]["message"]
    assert setting.objects() == objects
    assert setting.copies() == copies
