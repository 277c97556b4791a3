"""`make test-aws` touches no account that was not opened to it, and deletes what it has made and nothing else."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest

from lab.cloud.access_keys import ADMINISTRATOR
from lab.waiting import until
from tests.aws import __main__ as command
from tests.aws.leftovers import PREFIX, Leftovers
from tests.aws.world import ACCOUNT, boto3_client
from tests.unit.lab.aws import serving

OPENED = "123456789012"
REGION = "us-west-2"


@pytest.fixture(autouse=True)
def _new_session(monkeypatch: pytest.MonkeyPatch) -> None:
    """boto3's default session remembers for the whole process who it was first: in another test, somebody else."""
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)


@pytest.fixture
def account(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The lab's AWS, by the environment of a shell that is logged in."""
    with serving(tmp_path / "log") as url:
        for name, value in {**ADMINISTRATOR.environment, "AWS_ENDPOINT_URL": url}.items():
            monkeypatch.setenv(name, value)
        yield


@pytest.mark.usefixtures("account")
@pytest.mark.parametrize("opened", [None, "210987654321"])
def test_an_account_that_was_not_opened_is_left_alone_and_what_it_would_cost_is_said(
    opened: str | None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv(ACCOUNT, raising=False)
    if opened:
        monkeypatch.setenv(ACCOUNT, opened)
    assert command.main([]) == 2
    said, refused = capsys.readouterr()
    assert "2 KMS keys" in said
    assert "less than\n0.10 $" in said
    assert refused.startswith("nothing was made: TEST_AWS_ACCOUNT is ")
    assert refused.count("\n") == 1
    assert OPENED in refused


def test_without_credentials_one_line_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in (*ADMINISTRATOR.environment, "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv(ACCOUNT, OPENED)
    assert command.main([]) == 2
    refused = capsys.readouterr().err
    assert refused.startswith("nothing was made: AWS does not say whose credentials these are: ")
    assert refused.count("\n") == 1


@pytest.mark.usefixtures("account")
def test_without_pulumis_own_provider_one_line_says_how_to_install_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(ACCOUNT, OPENED)
    monkeypatch.setattr(command.toolbox, "ensure", lambda _: type("Tools", (), {"path": lambda *_: Path("/bin/false")}))
    monkeypatch.setattr(command.engine, "choose", lambda *_: {"language_host": None, "kubernetes": None, "aws": None})
    assert command.main([]) == 2
    refused = capsys.readouterr().err
    assert refused.startswith("nothing was made: not installed: language_host, aws; ")
    assert "pulumi plugin install resource aws v" in refused
    assert refused.count("\n") == 1


@pytest.mark.usefixtures("account")
def test_clean_deletes_what_killed_runs_have_left_and_nothing_of_anybody_else(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(ACCOUNT, OPENED)
    s3, iam, kms, route53 = (boto3_client(service, REGION) for service in ("s3", "iam", "kms", "route53"))
    for owner in (f"{PREFIX}000000", f"{PREFIX}111111", "acme"):
        bucket = f"{owner}-velero-{REGION}-{OPENED}"
        s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": REGION})
        s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
        s3.put_object(Bucket=bucket, Key="a", Body="a")
        s3.delete_object(Bucket=bucket, Key="a")
        s3.create_multipart_upload(Bucket=bucket, Key="b")
        trust = {"Effect": "Allow", "Principal": {"Service": "s3.amazonaws.com"}, "Action": "sts:AssumeRole"}
        role = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
        iam.create_role(RoleName=f"{owner}-dr-replication-{REGION}", AssumeRolePolicyDocument=role)
        key = kms.create_key(Description=f"Backups of {owner} in {REGION}")["KeyMetadata"]["KeyId"]
        kms.create_alias(AliasName=f"alias/{owner}-dr", TargetKeyId=key)
        iam.create_user(UserName=f"{owner}-velero-{REGION}")
        iam.create_access_key(UserName=f"{owner}-velero-{REGION}")
        route53.create_hosted_zone(Name=f"{owner}.test", CallerReference=owner)
    assert command.main(["--clean"]) == 0
    deleted = capsys.readouterr().out
    assert deleted.count("deleted bucket ") == deleted.count("deleted key ") == deleted.count("deleted zone ") == 2
    assert "acme" not in deleted
    everything = Leftovers(clients=boto3_client, regions=[REGION], owner=PREFIX)
    assert everything.find() == []
    assert [bucket["Name"] for bucket in s3.list_buckets()["Buckets"]] == [f"acme-velero-{REGION}-{OPENED}"]
    assert iam.get_user(UserName=f"acme-velero-{REGION}")
    assert iam.get_role(RoleName=f"acme-dr-replication-{REGION}")
    assert [alias["AliasName"] for alias in kms.list_aliases()["Aliases"] if "-dr" in alias["AliasName"]] == ["alias/acme-dr"]
    assert [zone["Name"] for zone in route53.list_hosted_zones()["HostedZones"]] == ["acme.test."]


RUN = """
import os, pathlib, signal, sys
from tests.aws.world import boto3_client
name = os.environ["TEST_AWS_OWNER"] + "-velero"
boto3_client("s3", "us-west-2").create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": "us-west-2"})
pathlib.Path(sys.argv[1]).write_text(name)
signal.pause()
"""
"""In place of pytest: makes a bucket of its run, and is killed by an interrupt before it could clean up."""


@pytest.mark.usefixtures("account")
def test_after_an_interrupt_nothing_is_left_whatever_pytest_did(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made, before = tmp_path / "made", {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    monkeypatch.setattr(command, "pytest_command", lambda _: [sys.executable, "-c", RUN, str(made)])

    def interrupt() -> None:
        until("the run to have made something", made.exists, timeout=60)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt, daemon=True).start()
    try:
        assert command.run_tests(OPENED, []) == 130
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    assert made.read_text().startswith(PREFIX)
    assert boto3_client("s3", REGION).list_buckets()["Buckets"] == []


@pytest.mark.parametrize("owner", ["", "acme", "drtest"])
def test_what_is_not_of_these_tests_cannot_be_named(owner: str) -> None:
    with pytest.raises(ValueError, match="is not of these tests"):
        Leftovers(clients=boto3_client, regions=[REGION], owner=owner)
