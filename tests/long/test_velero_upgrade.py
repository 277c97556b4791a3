"""Upgrades Velero by one patch version in a region that is in use. The earlier backups stay, and the newer Velero restores them.

The tests run in the order of the file, on one region. The peer would be upgraded in the same way, on its own.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
import yaml

from components.velero.specs import VELERO_NAMESPACE, crd_job_name
from lab.application import manifests
from lab.pulumi import touched
from lab.regions import kubeconfig, network
from lab.regions.spec import PRIMARY
from lab.tools import images, toolbox
from lab.waiting import until
from lab.world import SCHEDULES, Lab

OF_SCHEDULES = tuple(f"{name}-{PRIMARY.aws_region}" for name in SCHEDULES)


@dataclass(kw_only=True)
class Upgrade:
    """One region that starts with the older Velero, and its state before and after the `up` that installs the newer one."""

    lab: Lab
    old: str
    new: str
    crds: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Velero's CustomResourceDefinitions before the upgrade, by name. `backups` are from the same time."""
    backups: dict[str, dict[str, Any]] = field(default_factory=dict)
    changes: list[dict[str, str]] = field(default_factory=list)

    def kubectl(self, *args: str) -> str:
        return self.lab.kubectl("primary", *args)

    def listed(self, kind: str, *args: str) -> dict[str, dict[str, Any]]:
        items = json.loads(self.kubectl("get", kind, "-n", VELERO_NAMESPACE, "-o", "json", *args))["items"]
        return {item["metadata"]["name"]: item for item in items}

    def definitions(self) -> dict[str, dict[str, Any]]:
        found = self.listed("customresourcedefinitions", "-l", "component=velero")
        return {name: crd for name, crd in found.items() if crd["spec"]["group"] == "velero.io"}

    def say_image(self, reference: str) -> None:
        """Set Velero's image in Pulumi.yaml. Whoever upgrades changes only this."""
        file = self.lab.paths.project / "Pulumi.yaml"
        project = yaml.safe_load(file.read_text())
        project["config"]["images"]["value"]["velero"] = reference
        file.write_text(yaml.safe_dump(project, sort_keys=False))


def restore_fields(crds: dict[str, dict[str, Any]]) -> set[str]:
    (version,) = crds["restores.velero.io"]["spec"]["versions"]
    return set(version["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"])


@pytest.fixture(scope="module")
def older() -> Iterator[Upgrade]:
    """The region with the older Velero, the application, and a backup of each schedule."""
    lab = Lab()
    lab.set_up()
    made = images.ensure(lab.tools) | images.ensure(toolbox.ensure(["velero-previous"]), images.UPGRADES)
    lab.down()
    lab.forget()
    try:
        network.up(lab.paths)
        lab.cloud.start()
        region = lab.region("primary")
        region.start()
        region.load_images(image.archive for image in made.values())
        region.wait_ready()
        kubeconfig.write(lab.paths.kubeconfig, kubeconfig.for_people({PRIMARY: region.certificates}))
        lab.prepare_project()
        upgrade = Upgrade(lab=lab, old=made["velero-previous"].reference, new=made["velero"].reference)
        upgrade.say_image(upgrade.old)
        lab.pulumi.up("primary")
        lab.install_application()
        for schedule in OF_SCHEDULES:
            lab.velero("primary", "backup", "create", "--from-schedule", schedule, "--wait")
        yield upgrade
    finally:
        lab.down()


@pytest.fixture(scope="module")
def upgraded(older: Upgrade) -> Upgrade:
    """The same region after one `pulumi up` with the newer tag."""
    older.crds, older.backups = older.definitions(), older.listed("backups.velero.io")
    older.say_image(older.new)
    before = older.lab.pulumi.resources("primary")
    older.lab.pulumi.up("primary")
    older.changes = touched(before, older.lab.pulumi.resources("primary"))
    return older


def test_the_older_velero_ran_and_backed_up(older: Upgrade) -> None:
    assert older.old.rpartition(":")[0] == older.new.rpartition(":")[0], "one image, two tags"
    assert {status["image"] for status in running(older)} == {older.old}
    backups = older.listed("backups.velero.io")
    assert {name.rpartition("-")[0] for name in backups} == set(OF_SCHEDULES)
    assert {backup["status"]["phase"] for backup in backups.values()} == {"Completed"}
    assert "resourcePolicy" not in restore_fields(older.definitions()), "the newer version's CRDs could not be told from these"


def running(upgrade: Upgrade) -> list[dict[str, Any]]:
    """The containers of Velero's server and node agent, as the kubelet runs them."""
    pods = upgrade.listed("pods", "-l", "component=velero,!job").values()
    living = [pod for pod in pods if "deletionTimestamp" not in pod["metadata"]]
    containers = [status for pod in living for status in pod["status"]["containerStatuses"]]
    assert {status["name"] for status in containers} == {"velero", "node-agent"}
    assert all(status["ready"] for status in containers)
    return containers


def test_the_upgrade_replaces_the_installer_of_the_crds_and_updates_server_and_node_agent_alone(upgraded: Upgrade) -> None:
    assert {(change["name"], change["operation"]) for change in upgraded.changes} == {
        ("velero-crds", "replace"),
        ("velero-server", "update"),
        ("velero-node-agent", "update"),
    }


def test_the_newer_crds_are_there_before_the_newer_server(upgraded: Upgrade) -> None:
    jobs = upgraded.listed("jobs")
    assert set(jobs) == {crd_job_name(upgraded.new)}, "the older installer is gone"
    (job,) = jobs.values()
    (container,) = job["spec"]["template"]["spec"]["containers"]
    assert container["image"] == upgraded.new
    (server,) = [
        found
        for found in upgraded.listed("replicasets", "-l", "deploy=velero").values()
        if found["spec"]["template"]["spec"]["containers"][0]["image"] == upgraded.new
    ]
    assert job["status"]["completionTime"] <= server["metadata"]["creationTimestamp"]


def test_crds_are_moved_to_the_newer_version_and_never_made_anew(upgraded: Upgrade) -> None:
    after = upgraded.definitions()
    assert {name: crd["metadata"]["uid"] for name, crd in after.items()} == {
        name: crd["metadata"]["uid"] for name, crd in upgraded.crds.items()
    }
    assert restore_fields(after) - restore_fields(upgraded.crds) == {"resourcePolicy"}
    moved = {name for name, crd in after.items() if crd["metadata"]["generation"] > upgraded.crds[name]["metadata"]["generation"]}
    assert moved == {"restores.velero.io"}, "the only one that differs between the two versions"


def test_server_and_node_agent_run_the_newer_version(upgraded: Upgrade) -> None:
    assert {status["image"] for status in running(upgraded)} == {upgraded.new}


def test_every_backup_from_before_is_still_there_as_it_was(upgraded: Upgrade) -> None:
    after = upgraded.listed("backups.velero.io")
    assert {name.rpartition("-")[0] for name in upgraded.backups} == set(OF_SCHEDULES)
    for name, backup in upgraded.backups.items():
        assert after[name]["metadata"]["uid"] == backup["metadata"]["uid"]
        assert after[name]["spec"] == backup["spec"]
        assert after[name]["status"] == backup["status"]


def test_a_second_up_changes_nothing(upgraded: Upgrade) -> None:
    upgraded.lab.pulumi.up("primary", "--expect-no-changes")


def test_the_schedules_go_on_by_themselves(upgraded: Upgrade) -> None:
    (schedule,) = [name for name in OF_SCHEDULES if name.startswith("hourly")]
    known = set(upgraded.listed("backups.velero.io"))
    # Make the schedule due, as if its last backup were long ago. The server looks once a minute.
    due = json.dumps({"status": dict.fromkeys(("lastBackup", "lastSkipped"), "2026-01-01T00:00:00Z")})
    upgraded.kubectl("patch", "schedules.velero.io", schedule, "-n", VELERO_NAMESPACE, "--type=merge", f"--patch={due}")

    def phase() -> str:
        found = upgraded.listed("backups.velero.io").items()
        made = {name: backup for name, backup in found if name not in known and name.startswith(schedule)}
        backup = made[min(made)]  # if a new hour begins meanwhile, there is a second one
        assert backup["metadata"]["labels"]["velero.io/schedule-name"] == schedule
        return str(backup.get("status", {}).get("phase", ""))

    until("the schedule's next backup to end", lambda: phase() in ("Completed", "PartiallyFailed", "Failed"), timeout=120)
    assert phase() == "Completed"


def test_a_backup_of_the_older_version_is_restored_by_the_newer(upgraded: Upgrade) -> None:
    backup = min(name for name in upgraded.backups if name.startswith("daily"))
    upgraded.kubectl("delete", "namespace", manifests.APPLICATION_NAMESPACE, "--wait=true", "--timeout=120s")
    upgraded.lab.velero("primary", "restore", "create", "after-the-upgrade", "--from-backup", backup, "--wait")
    assert upgraded.listed("restores.velero.io")["after-the-upgrade"]["status"]["phase"] == "Completed"
    upgraded.kubectl("rollout", "status", "-n", manifests.APPLICATION_NAMESPACE, f"deployment/{manifests.NAME}", "--timeout=120s")
    token = upgraded.kubectl(
        "get", "secret", manifests.NAME, "-n", manifests.APPLICATION_NAMESPACE, "-o", "jsonpath={.data.token}"
    )
    assert token, "what only a restore can bring"
