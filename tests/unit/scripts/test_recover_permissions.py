"""The permissions of docs/worst-day.md are enough to recover, and a writer's own are not enough to make that impossible."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import boto3
import pytest

from components.iam.permissions import velero_policy
from lab import project
from lab.cloud.access_keys import ADMINISTRATOR, AccessKey
from lab.cloud.network import control
from scripts import recover_prefix
from tests.lab import intruder
from tests.lab.compromised_writer import documented_policy, moment
from tests.unit.lab.aws import client, serving

NAMES = project.names("primary")
BUCKET, PREFIX = NAMES.bucket("velero"), NAMES.velero_prefix("primary")


@pytest.fixture
def endpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The lab's AWS, which enforces policies, with the bucket as the program makes it and two backups in it."""
    with serving(tmp_path / "access.jsonl") as url:
        monkeypatch.setenv("AWS_ENDPOINT_URL", url)
        monkeypatch.setenv("AWS_REGION", NAMES.region)
        monkeypatch.setenv("AWS_DEFAULT_REGION", NAMES.region)
        act_as(monkeypatch, ADMINISTRATOR)
        kms, s3 = (client(url, service, NAMES.region) for service in ("kms", "s3"))
        key = kms.create_key()["KeyMetadata"]
        kms.create_alias(AliasName=NAMES.key_alias, TargetKeyId=key["KeyId"])
        s3.create_bucket(Bucket=BUCKET)
        s3.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
        encryption = {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": key["Arn"]}
        rules = [{"ApplyServerSideEncryptionByDefault": encryption, "BucketKeyEnabled": True}]
        s3.put_bucket_encryption(Bucket=BUCKET, ServerSideEncryptionConfiguration={"Rules": rules})
        for backup in ("a", "b"):
            s3.put_object(Bucket=BUCKET, Key=f"{PREFIX}/backups/{backup}/velero-backup.json", Body=backup.encode())
        yield url


def act_as(monkeypatch: pytest.MonkeyPatch, key: AccessKey) -> None:
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)  # which remembers who it was
    for name, value in key.environment.items():
        monkeypatch.setenv(name, value)


def user(endpoint: str, name: str, policy: dict[str, Any] | None = None) -> AccessKey:
    key = AccessKey(**control(endpoint, f"user/{name}", method="PUT"))
    if policy:
        iam = client(endpoint, "iam", "us-east-1")
        iam.put_user_policy(UserName=name, PolicyName="allowed", PolicyDocument=json.dumps(policy))
    return key


def recover(at: datetime, *options: str) -> int:
    return recover_prefix.main([BUCKET, PREFIX, "--at", at.isoformat(), *options])


def test_what_a_writer_destroys_is_brought_back_with_the_documented_permissions(
    endpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, existing = intruder.contents(BUCKET, PREFIX), set(intruder.versions(BUCKET, PREFIX))
    at = moment()

    act_as(monkeypatch, user(endpoint, "writer", velero_policy(NAMES)))
    assert set(intruder.attempts(BUCKET, f"{PREFIX}/").values()) == {"AccessDenied"}
    intruder.spoil(BUCKET, f"{PREFIX}/", f"{PREFIX}/backups/a/")
    assert recover(at) == 1, "a writer does not even see what it was"

    act_as(monkeypatch, user(endpoint, "break-glass", json.loads(documented_policy())))
    assert recover(at, "--apply", "--delete-newer") == 0
    act_as(monkeypatch, ADMINISTRATOR)
    assert intruder.contents(BUCKET, PREFIX) == before
    assert existing <= set(intruder.versions(BUCKET, PREFIX))


def test_whoever_lacks_a_permission_is_told_so_in_one_line(
    endpoint: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    act_as(monkeypatch, user(endpoint, "nobody"))
    assert recover(datetime.now(UTC)) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "AccessDenied" in line
    assert line.endswith("allow s3:ListBucketVersions")
