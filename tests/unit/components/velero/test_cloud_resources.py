"""Objects that are resources at AWS, which two controllers would fight over once both regions have them."""

from __future__ import annotations

from typing import Any

import pytest

from components.velero.cloud_resources import is_of_a_cloud
from components.velero.lacking import findings, warnings_by_day
from settings.backup import Backup
from tests.unit.components.velero.test_age import made
from tests.unit.components.velero.test_lacking import BACKUP, region, standby
from tests.unit.fakes import FakeCluster, FakeFiles

S3, SQS = "s3.services.k8s.aws/v1alpha1", "sqs.aws.m.upbound.io/v1beta1"


def here(**served: list[dict[str, str]]) -> FakeCluster:
    cluster = region()
    kinds = {"s3": (S3, "Bucket", "buckets"), "sqs": (SQS, "Queue", "queues")}
    for version, kind, plural in kinds.values():
        resources = [{"kind": kind, "name": plural}, {"kind": kind, "name": f"{plural}/status"}]
        cluster.paths[f"/apis/{version}"] = {"resources": served.get(plural, resources)}
    return cluster


def holding(**held: list[str]) -> FakeFiles:
    return FakeFiles(held={made(10)["metadata"]["name"]: held})


def told(cluster: FakeCluster, files: FakeFiles, backup: Backup = BACKUP) -> list[str]:
    return [line for line in warnings_by_day(cluster, files, standby(backup)) if "resources at AWS" in line]


@pytest.mark.parametrize(
    ("version", "is_one"),
    [
        (S3, True),
        (SQS, True),
        ("nop.crossplane.io/v1alpha1", True),
        ("pulumi.com/v1", True),
        ("auto.pulumi.com/v1alpha1", True),
        ("infra.contrib.fluxcd.io/v1alpha2", True),
        ("app.terraform.io/v1alpha2", True),
        ("cluster.x-k8s.io/v1beta1", True),
        ("infrastructure.cluster.x-k8s.io/v1beta2", True),
        ("elbv2.k8s.aws/v1beta1", False),
        ("kueue.x-k8s.io/v1beta1", False),
        ("mycluster.x-k8s.io/v1", False),
        ("source.toolkit.fluxcd.io/v1", False),
        ("notpulumi.com/v1", False),
        ("apps/v1", False),
        ("v1", False),
    ],
)
def test_the_groups_of_controllers_that_keep_resources_at_aws_are_known(version: str, is_one: bool) -> None:
    assert is_of_a_cloud(version) is is_one


def test_groups_that_would_be_restored_are_told_with_the_kinds_to_leave_out() -> None:
    files = holding(**{f"{S3}/Bucket": ["shop/uploads"], f"{SQS}/Queue": ["shop/orders"], "v1/ConfigMap": ["shop/a"]})
    assert told(here(), files) == [
        "the backups hold objects of s3.services.k8s.aws, sqs.aws.m.upbound.io, which stand for resources at AWS: once a restore "
        "has made them here, the controllers of both regions act on the same resources, and undo or delete each other's: write "
        "excludeResources: [buckets.s3.services.k8s.aws, queues.sqs.aws.m.upbound.io] to the entry of k8s-dr:backups, and let "
        "the tool that made them make those of this region"
    ]


def test_it_stops_no_failover() -> None:
    judged = findings(here(), holding(**{f"{S3}/Bucket": ["shop/uploads"]}), standby())
    assert len(judged.later) == 1
    assert judged.problems == []
    assert judged.unknown == []


@pytest.mark.parametrize(
    ("held", "changes"),
    [
        ({"v1/ConfigMap": ["shop/a"]}, {}),
        ({f"{S3}/Bucket": ["elsewhere/uploads"]}, {}),
        ({f"{S3}/Bucket": ["uploads"]}, {}),
        ({f"{S3}/Bucket": ["shop/uploads"]}, {"exclude_resources": ["buckets.s3.services.k8s.aws"]}),
    ],
    ids=[
        "none",
        "in a namespace that is not restored",
        "of the whole cluster",
        "left out",
    ],
)
def test_what_no_restore_brings_is_not_told(held: dict[str, list[str]], changes: dict[str, Any]) -> None:
    assert told(here(), holding(**held), BACKUP.model_copy(update=changes)) == []


def test_a_kind_without_its_controller_here_is_a_kind_that_is_missing() -> None:
    cluster = here(buckets=[])
    files = holding(**{f"{S3}/Bucket": ["shop/uploads"]})
    assert told(cluster, files) == []
    assert any("Bucket (s3.services.k8s.aws/v1alpha1)" in line for line in findings(cluster, files, standby()).problems)
