"""What a person may write about backups and restores, and each slip in one line with key, value and fix."""

from __future__ import annotations

from typing import Any

import pytest

from settings import ConfigurationError, load
from settings.backup import Backup
from settings.kinds import DATABASE_KINDS, LEFT_OUT, MADE_BY_CONTROLLERS, NOT_FOR_ANOTHER_REGION, REFUSED_BY_VELERO, check_kind
from settings.load import SECRETS
from tests.examples import example


def entry(**changes: Any) -> dict[str, Any]:
    return {"name": "a", "cron": "0 * * * *", "keep": "24h", **changes}


def backup(**changes: Any) -> Backup:
    return Backup.model_validate(entry(**changes))


def told(**changes: Any) -> list[str]:
    """What is said about a configuration with these changes."""
    with pytest.raises(ConfigurationError) as mistakes:
        load("secondary", example("secondary", changes), SECRETS)
    return str(mistakes.value).splitlines()


RESTORE = "is not one of true, false, everything; write one of them, true and false without quotes"
MEANT = "is not a kind, plural with its group; did you mean"
NO_KIND = "is not a kind; write its plural with its group, as in ingresses.networking.k8s.io"
NO_GROUP = "has no group; write it too, as in deployments.apps (kubectl api-resources -o name has all of them)"

KAFKAS = "kafkas.kafka.strimzi.io"

SLIPS: list[tuple[dict[str, Any], str]] = [
    ({"restore": "all"}, f".restore: all {RESTORE}"),
    ({"restore": "false"}, f".restore: false {RESTORE}"),
    ({"restore": 1}, f".restore: 1 {RESTORE}"),
    ({"excludeResources": ["TargetGroupBinding"]}, f".excludeResources[0]: TargetGroupBinding {NO_KIND}"),
    ({"excludeResources": ["*"]}, f".excludeResources[0]: * {NO_KIND}"),
    ({"excludeResources": ["deployments"]}, ".excludeResources[0]: deployments has no group; did you mean deployments.apps?"),
    ({"excludeResources": ["pvc"]}, f".excludeResources[0]: pvc {MEANT} persistentvolumeclaims?"),
    ({"excludeResources": ["Deployment"]}, f".excludeResources[0]: Deployment {MEANT} deployments.apps?"),
    (
        {"excludeResources": ["ingress.networking.k8s.io"]},
        f".excludeResources[0]: ingress.networking.k8s.io {MEANT} ingresses.networking.k8s.io?",
    ),
    ({"excludeResources": ["batch/v1/CronJob"]}, f".excludeResources[0]: batch/v1/CronJob {MEANT} cronjobs.batch?"),
    ({"includeResources": ["backups"]}, f".includeResources[0]: backups {NO_GROUP}"),
    ({"excludeResources": ["pods", "pods"]}, ": names the kind of excludeResources pods twice; keep one"),
    (
        {"includeResources": ["jobs.batch"], "excludeResources": ["jobs.batch"]},
        ": has jobs.batch in both excludeResources and includeResources; keep it in one of them",
    ),
    ({"includeResources": ["nodes"]}, ": has nodes in includeResources, which Velero never restores; take it out"),
    (
        {"includeResources": ["clusters.postgresql.cnpg.io"]},
        ": has clusters.postgresql.cnpg.io in includeResources, and databases come from their own archive; take it out, or see "
        "databases",
    ),
    (
        {"includeResources": ["configmaps"]},
        ": has configmaps in includeResources, which is not left out; take it out of includeResources",
    ),
    (
        {"restore": False, "from": "a-us-east-1-20260302"},
        ": has from, and restore is false, which restores nothing; take one of them out",
    ),
    (
        {"from": "A Backup"},
        ".from: A Backup is not the name of a Kubernetes object; write one as in daily-full-us-east-1-20260302",
    ),
    ({"restoreStatus": ["Kafka"]}, f".restoreStatus[0]: Kafka {NO_KIND}"),
    ({"restoreStatus": ["kafkas"]}, f".restoreStatus[0]: kafkas {NO_GROUP}"),
    ({"restoreStatus": [KAFKAS, KAFKAS]}, f": names the kind of restoreStatus {KAFKAS} twice; keep one"),
    (
        {"restoreStatus": [KAFKAS, "services"]},
        ".restoreStatus[1]: services is a kind of Kubernetes, whose status would tell of the other region's Pods and addresses; "
        "take it out",
    ),
    (
        {"restoreStatus": [KAFKAS, "resourceclaims.resource.k8s.io"]},
        ".restoreStatus[1]: resourceclaims.resource.k8s.io is a kind of Kubernetes, whose status would tell of the other "
        "region's Pods and addresses; take it out",
    ),
    ({"restoreStatus": ["workloads.kueue.x-k8s.io"]}, ".restoreStatus[0]: workloads.kueue.x-k8s.io is not restored; take it out"),
    ({"restoreStatus": [KAFKAS], "excludeResources": [KAFKAS]}, f".restoreStatus[0]: {KAFKAS} is not restored; take it out"),
    (
        {"restoreStatus": [KAFKAS], "restore": False},
        ": has restoreStatus, and restore is false, which restores nothing; take one of them out",
    ),
    ({"existing": "replace"}, ".existing: replace is not one of 'keep', 'update'; write one of them"),
    ({"pods": "none"}, ".pods: none is not one of 'bare', 'all'; write one of them"),
]


@pytest.mark.parametrize(("changes", "line"), SLIPS, ids=[line[:40] for _, line in SLIPS])
def test_a_slip_is_one_line(changes: dict[str, Any], line: str) -> None:
    assert told(backups=[entry(**changes)]) == [f"k8s-dr:backups[0]{line}"]


VELERO: list[tuple[dict[str, Any], str]] = [
    (
        {"modifiers": [{"conditions": {"groupResource": "services"}}]},
        "k8s-dr:velero.modifiers[0]: has none or several of patches, mergePatches, strategicPatches; write one of them",
    ),
    (
        {"modifiers": [{"conditions": {"groupResource": "services", "name": "x"}, "mergePatches": [{"patchData": "{}"}]}]},
        "k8s-dr:velero.modifiers[0].conditions.name: unknown key",
    ),
    (
        {"counterparts": {"a": "b\tc"}},
        'k8s-dr:velero.counterparts.a: "b\\tc" is not a value in one line, without spaces around it',
    ),
    ({"storageClasses": {"gp3": "GP3"}}, "k8s-dr:velero.storageClasses.gp3: GP3 is not the name of a StorageClass"),
    (
        {"storageClasses": {"gp2": "gp3", "old": "gp3", "slow": "sc1"}},
        "k8s-dr:velero.storageClassesBack: does not say what becomes of gp3 on the way back, which stands for gp2 and for old in "
        "storageClasses; write the one that it becomes, as in gp3: gp2",
    ),
    (
        {"counterparts": {"sg-a": "sg-b", "sg-c": "sg-b"}, "counterpartsBack": {"sg-d": "sg-a"}},
        "k8s-dr:velero.counterpartsBack: does not say what becomes of sg-b on the way back, which stands for sg-a and for sg-c "
        "in counterparts; write the one that it becomes, as in sg-b: sg-a",
    ),
]


@pytest.mark.parametrize(
    ("changes", "line"), VELERO, ids=["no-patch", "condition", "counterpart", "class", "unclear-class", "unclear"]
)
def test_a_slip_in_what_a_restore_changes_is_one_line(changes: dict[str, Any], line: str) -> None:
    (said,) = told(velero=changes)
    assert said.startswith(line)


@pytest.mark.parametrize("restore", [True, False, "everything"])
def test_restore_is_true_false_or_everything(restore: Any) -> None:
    assert backup(restore=restore).restore is restore


def test_every_kind_of_the_lists_is_one_that_a_person_could_write() -> None:
    for kind in (*DATABASE_KINDS, *LEFT_OUT, *REFUSED_BY_VELERO):
        assert check_kind(kind) == kind
    assert list(MADE_BY_CONTROLLERS) == sorted(MADE_BY_CONTROLLERS)
    assert list(NOT_FOR_ANOTHER_REGION) == sorted(NOT_FOR_ANOTHER_REGION)


@pytest.mark.parametrize(
    "kind",
    [
        "jobs.batch",
        "perconaxtradbclusterrestores.pxc.percona.com",
        "perconaservermongodbrestores.psmdb.percona.com",
        "perconaservermysqlrestores.ps.percona.com",
        "perconapgrestores.pgv2.percona.com",
        "databaseclusterrestores.everest.percona.com",
        "restores.k8s.mariadb.com",
        "pytorchjobs.kubeflow.org",
    ],
)
def test_what_would_run_again_without_its_status_is_backed_up_and_not_restored(kind: str) -> None:
    assert kind in backup().not_restored
    assert kind not in backup().not_backed_up


def test_what_runs_by_a_schedule_of_its_own_comes_back() -> None:
    assert not {"cronjobs.batch", "cronworkflows.argoproj.io", "backups.k8s.mariadb.com"} & {*backup().not_restored}


@pytest.mark.parametrize("kind", LEFT_OUT)
def test_each_kind_that_is_left_out_can_be_brought_back(kind: str) -> None:
    assert kind in backup().not_restored
    assert kind not in backup(includeResources=[kind]).not_restored
    assert kind not in backup(includeResources=[kind]).not_backed_up
