"""The lab's AWS lets the users of the backup tools do what the program's policies say, and nothing else."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest

from components.iam.permissions import (
    database_policy,
    drill_database_policy,
    drills_policy,
    etcd_policy,
    freshness_policy,
    guard_policy,
    velero_policy,
)
from components.kube.runner.flag import Flag
from lab import project
from lab.cloud.access_keys import ADMINISTRATOR, AccessKey
from lab.cloud.network import control
from settings.names import FLAG_KEY, Names
from settings.parts import PARTS, Part
from settings.roles import ROLES, Role
from tests.permissions import DENIED, PURPOSES, Call, allowed, forbidden, outcome
from tests.unit.lab.aws import client, serving

EVERYBODY = [(part, role) for part in PARTS for role in ROLES]


def policy_of(part: Part, names: Names) -> dict[str, Any]:
    match part:
        case "velero":
            return velero_policy(names)
        case "database":
            return database_policy(names, reads_peer=False)
        case "etcd":
            return etcd_policy(names)
        case "freshness":
            return freshness_policy(names)
        case "guard":
            return guard_policy(names)
        case "drills":
            return drills_policy(names)
        case "drill-database":
            return drill_database_policy(names)


class Account:
    """Both regions' keys, buckets and users, as the program and the person leave them."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.keys: dict[tuple[Part, Role], AccessKey] = {}
        for role in ROLES:
            self._prepare(project.names(role))

    def _prepare(self, names: Names) -> None:
        kms, s3, iam = (client(self.url, service, names.region) for service in ("kms", "s3", "iam"))
        key = kms.create_key()["KeyMetadata"]["KeyId"]
        kms.create_alias(AliasName=names.key_alias, TargetKeyId=key)
        place = {} if names.region == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": names.region}}
        encryption = {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": key}
        rules = [{"ApplyServerSideEncryptionByDefault": encryption, "BucketKeyEnabled": True}]
        for purpose in set(PURPOSES.values()):
            s3.create_bucket(Bucket=names.bucket(purpose), **place)
            s3.put_bucket_versioning(Bucket=names.bucket(purpose), VersioningConfiguration={"Status": "Enabled"})
            s3.put_bucket_encryption(Bucket=names.bucket(purpose), ServerSideEncryptionConfiguration={"Rules": rules})
        if names.role == "secondary":
            s3.create_bucket(Bucket=names.flag_bucket, **place)
            s3.put_object(Bucket=names.flag_bucket, Key=FLAG_KEY, Body=Flag(active="primary").content())
        for part in PARTS:
            user = names.principal(part)
            self.keys[part, names.role] = AccessKey(**control(self.url, f"user/{user}", method="PUT"))
            iam.put_user_policy(UserName=user, PolicyName=user, PolicyDocument=json.dumps(policy_of(part, names)))

    def asked(self, calls: list[Call], key: AccessKey) -> dict[str, str]:
        return {str(call): outcome(call, self.url, **key.client) for call in calls}

    def as_user(self, name: str, *statements: dict[str, Any]) -> AccessKey:
        """A user with these permissions."""
        key = AccessKey(**control(self.url, f"user/{name}", method="PUT"))
        document = json.dumps({"Version": "2012-10-17", "Statement": list(statements)})
        client(self.url, "iam", "us-east-1").put_user_policy(UserName=name, PolicyName=name, PolicyDocument=document)
        return key


@pytest.fixture(scope="module")
def account(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Account]:
    with serving(tmp_path_factory.mktemp("aws") / "access.jsonl") as url:
        yield Account(url)


@pytest.mark.parametrize(("part", "role"), EVERYBODY)
def test_each_part_does_what_it_lives_on(account: Account, part: Part, role: Role) -> None:
    for call, expected in allowed(part, project.names(role)):
        assert (str(call), outcome(call, account.url, **account.keys[part, role].client)) == (str(call), expected)


@pytest.mark.parametrize(("part", "role"), EVERYBODY)
def test_no_part_does_what_would_lose_a_backup_or_move_the_traffic(account: Account, part: Part, role: Role) -> None:
    outcomes = account.asked(forbidden(part, project.names(role)), account.keys[part, role])
    assert {call: came for call, came in outcomes.items() if came != DENIED} == {}


def test_a_key_that_nobody_has_opens_nothing_and_neither_does_a_wrong_signature(account: Account) -> None:
    call = Call(service="s3", region="us-east-1", operation="list_buckets", arguments={})
    unknown, wrong = AccessKey(identifier="AKIAUNKNOWN", secret="x"), AccessKey(identifier=ADMINISTRATOR.identifier, secret="x")
    assert outcome(call, account.url, **unknown.client) == "InvalidAccessKeyId"
    assert outcome(call, account.url, **wrong.client) == "SignatureDoesNotMatch"


def get(url: str) -> int:
    """The status of an answer to a request that is not signed but in its URL."""
    try:
        with urlopen(url, timeout=10) as answer:
            return int(answer.status)
    except HTTPError as refused:
        return refused.code


def test_everybody_may_do_what_a_bucket_says_and_only_from_where_it_says(account: Account) -> None:
    names, s3 = project.names("secondary"), client(account.url, "s3", "us-west-2")
    url = f"{account.url}/{names.flag_bucket}/{FLAG_KEY}"
    s3.put_object(Bucket=names.flag_bucket, Key=FLAG_KEY, Body=b"{}")
    assert get(url) == 403

    def open_to(network: str) -> None:
        read = {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": f"arn:aws:s3:::{names.flag_bucket}/*"}
        condition = {"Condition": {"IpAddress": {"aws:SourceIp": network}}}
        document = {"Version": "2012-10-17", "Statement": [{**read, **condition}]}
        s3.put_bucket_policy(Bucket=names.flag_bucket, Policy=json.dumps(document))

    open_to("127.0.0.0/8")
    assert get(url) == 200
    # Whoever may not list is not told that nothing is there.
    assert get(f"{url}-not-there") == 403
    open_to("192.0.2.0/24")
    assert get(url) == 403


def test_a_presigned_url_may_what_its_signer_may_until_it_is_over(account: Account) -> None:
    names = project.names("primary")
    own, peer = f"{names.velero_prefix('primary')}/a+b c", f"{names.velero_prefix('secondary')}/x"
    s3 = client(account.url, "s3", names.region, key=account.keys["velero", "primary"])
    s3.put_object(Bucket=names.bucket("velero"), Key=own, Body=b"log")

    def presign(method: str, key: str, seconds: int = 60) -> str:
        return str(s3.generate_presigned_url(method, Params={"Bucket": names.bucket("velero"), "Key": key}, ExpiresIn=seconds))

    assert get(presign("get_object", own)) == 200
    assert get(presign("get_object", own).replace("Signature=", "Signature=0")) == 403
    assert get(presign("get_object", own, -1)) == 403
    assert get(presign("get_object", f"{own}/none")) == 404
    other = client(account.url, "s3", names.region, key=account.keys["etcd", "primary"])
    params = {"Bucket": names.bucket("velero"), "Key": own}
    assert get(other.generate_presigned_url("get_object", Params=params)) == 403
    assert get(presign("get_object", peer)) == 404


def test_a_copy_has_to_read_its_source_and_its_source_s_key(account: Account) -> None:
    names, s3 = project.names("primary"), client(account.url, "s3", "us-east-1")
    bucket, arn = names.bucket("velero"), f"arn:aws:s3:::{names.bucket('velero')}"
    s3.put_object(Bucket=bucket, Key="source", Body=b"x")
    copy = Call(
        service="s3",
        region="us-east-1",
        operation="copy_object",
        arguments={"Bucket": bucket, "Key": "copy", "CopySource": {"Bucket": bucket, "Key": "source"}},
    )
    write = {"Effect": "Allow", "Action": ["s3:PutObject", "kms:GenerateDataKey"], "Resource": "*"}
    read = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": f"{arn}/source"}
    decrypt = {"Effect": "Allow", "Action": "kms:Decrypt", "Resource": "*"}
    for statements, expected in (((write,), DENIED), ((write, read), DENIED), ((write, read, decrypt), "done")):
        key = account.as_user("copier", *statements)
        assert outcome(copy, account.url, **key.client) == expected


@pytest.mark.parametrize("service", ["s3", "kms"])
def test_an_encrypted_bucket_needs_its_key_through_s3(account: Account, service: str) -> None:
    names = project.names("primary")
    put = Call(
        service="s3",
        region="us-east-1",
        operation="put_object",
        arguments={"Bucket": names.bucket("etcd"), "Key": "a", "Body": "x"},
    )
    write = {"Effect": "Allow", "Action": "s3:PutObject", "Resource": "*"}
    encrypt = {
        "Effect": "Allow",
        "Action": "kms:GenerateDataKey",
        "Resource": "arn:aws:kms:us-east-1:123456789012:key/*",
        "Condition": {"StringEquals": {"kms:ViaService": f"{service}.us-east-1.amazonaws.com"}},
    }
    key = account.as_user("writer", write, encrypt)
    assert outcome(put, account.url, **key.client) == ("done" if service == "s3" else DENIED)


def test_what_they_may_not_do_the_administrator_may(account: Account) -> None:
    """So the calls are well made, and it is the permission that they lack. Last, for it is done."""
    calls = [call for part in PARTS for call in forbidden(part, project.names("primary"))]
    assert [call for call, came in account.asked(calls, ADMINISTRATOR).items() if came == DENIED] == []
