"""The AWS endpoint knows which region is asked, logs it, falls silent for it, and refuses what AWS refuses."""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import ClientError, ReadTimeoutError

from lab.cloud import access_log
from lab.cloud.access_keys import ADMINISTRATOR
from lab.cloud.cloud import Cloud, CloudError
from lab.cloud.network import control, resolve
from lab.cloud.operations import operation
from lab.cloud.scope import Source, Target, target
from lab.paths import LabPaths
from lab.waiting import until
from tests.unit.lab.aws import client, serving

EAST, WEST = "us-east-1", "us-west-2"
SILENCE = 0.2
"""Seconds without an answer that count as none: many times what this server needs."""

COPIED = Source(bucket="from", key="a key", version=None)
SCOPE = "AWS4-HMAC-SHA256 Credential=lab/20261124/{region}/{service}/aws4_request, SignedHeaders=host, Signature=0"


class Lab:
    def __init__(self, url: str, log: Path) -> None:
        self.url, self.log = url, log
        self.where = (str(urlsplit(url).hostname), int(urlsplit(url).port or 0))

    def client(self, service: str, region: str, *, patience: float = 10) -> Any:
        return client(self.url, service, region, patience=patience)

    def bucket(self, name: str, region: str, *, versioned: bool = True) -> str:
        s3 = self.client("s3", region)
        place = {} if region == EAST else {"CreateBucketConfiguration": {"LocationConstraint": region}}
        s3.create_bucket(Bucket=name, **place)
        if versioned:
            s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
        return name

    def get(self, path: str, host: str) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection(*self.where, timeout=10)
        connection.request("GET", path, headers={"Host": host})
        answer = connection.getresponse()
        return answer.status, answer.read()

    def logged(self, **wanted: Any) -> list[access_log.Request]:
        requests = access_log.read(self.log)
        return [found for found in requests if all(getattr(found, name) == value for name, value in wanted.items())]


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    log = tmp_path_factory.mktemp("endpoint") / "access.jsonl"
    with serving(log) as url:
        yield Lab(url, log)


@pytest.fixture
def silent(lab: Lab) -> Iterator[Callable[[str], None]]:
    """Makes a region silent, until the end of the test."""
    yield lambda region: control(lab.url, f"black-hole/{region}", method="PUT")
    for region in (EAST, WEST):
        control(lab.url, f"black-hole/{region}", method="DELETE")


# Which service and region


@pytest.mark.parametrize(
    ("headers", "path", "query", "expected"),
    [
        (
            {"Authorization": SCOPE.format(region=WEST, service="s3"), "Host": "172.30.0.1:5555"},
            "/bucket/a/key",
            "versionId=7",
            Target(service="s3", region=WEST, bucket="bucket", key="a/key", version="7"),
        ),
        (
            {"Authorization": SCOPE.format(region=EAST, service="kms"), "Host": "172.30.0.1:5555"},
            "/",
            "",
            Target(service="kms", region=EAST),
        ),
        (
            {"Host": "172.30.0.1:5555"},
            "/bucket/key",
            "X-Amz-Credential=lab%2F20261124%2Fus-west-2%2Fs3%2Faws4_request",
            Target(service="s3", region=WEST, bucket="bucket", key="key"),
        ),
        (
            {"Host": "my.bucket.s3.us-west-2.amazonaws.com"},
            "/dr/active.json",
            "",
            Target(service="s3", region=WEST, bucket="my.bucket", key="dr/active.json", virtual_host=True),
        ),
        (
            {"Host": "s3.us-west-2.amazonaws.com:443"},
            "/bucket/key%20with%20spaces",
            "",
            Target(service="s3", region=WEST, bucket="bucket", key="key with spaces"),
        ),
        ({"Host": "sts.us-west-2.amazonaws.com"}, "/", "", Target(service="sts", region=WEST)),
        ({"Host": "iam.amazonaws.com"}, "/", "", Target(service="iam", region=EAST)),
        ({"Host": "172.30.0.1:5555"}, "/known/key", "", Target(service="s3", region=WEST, bucket="known", key="key")),
        ({"Host": "172.30.0.1:5555"}, "/unknown/key", "", Target(service="s3", region=None, bucket="unknown", key="key")),
        (
            {"Authorization": SCOPE.format(region=EAST, service="s3"), "Host": "x", "x-amz-copy-source": "/from/a%20key"},
            "/to/key",
            "",
            Target(service="s3", region=EAST, bucket="to", key="key", copied_from=COPIED),
        ),
    ],
)
def test_service_and_region_are_those_of_signature_host_or_bucket(
    headers: dict[str, str], path: str, query: str, expected: Target
) -> None:
    assert target(headers, path, query, {"known": WEST}.get) == expected


@pytest.mark.parametrize(
    ("service", "method", "address", "headers", "expected"),
    [
        ("s3", "PUT", "/b/k", {}, "PutObject"),
        ("s3", "PUT", "/b/a/deep/key?x-id=PutObject", {}, "PutObject"),
        ("s3", "PUT", "/b/k", {"x-amz-copy-source": "/c/k"}, "CopyObject"),
        ("s3", "PUT", "/b/k?partNumber=1&uploadId=2", {}, "UploadPart"),
        ("s3", "POST", "/b/k?uploadId=2", {}, "CompleteMultipartUpload"),
        ("s3", "PUT", "/b", {}, "CreateBucket"),
        ("s3", "PUT", "/b/?replication", {}, "PutBucketReplication"),
        ("s3", "PUT", "/b?lifecycle", {}, "PutBucketLifecycleConfiguration"),
        ("s3", "GET", "/b?list-type=2&prefix=a", {}, "ListObjectsV2"),
        ("s3", "GET", "/b?versions", {}, "ListObjectVersions"),
        ("s3", "POST", "/b?delete", {}, "DeleteObjects"),
        ("s3", "HEAD", "/b", {}, "HeadBucket"),
        ("route53", "POST", "/2013-04-01/hostedzone/Z1/rrset/", {}, "ChangeResourceRecordSets"),
        ("kms", "POST", "/", {"X-Amz-Target": "TrentService.Decrypt"}, "Decrypt"),
        ("nosuch", "GET", "/", {}, None),
    ],
)
def test_operations_have_the_names_of_the_api_reference(
    service: str, method: str, address: str, headers: dict[str, str], expected: str | None
) -> None:
    path, _, query = address.partition("?")
    assert operation(service, method, path, query, headers) == expected


def test_every_request_is_one_line_of_the_access_log(lab: Lab) -> None:
    bucket = lab.bucket("acme-log", WEST)
    lab.client("s3", WEST).put_object(Bucket=bucket, Key="a key", Body=b"x")
    (line,) = lab.logged(bucket=bucket, operation="PutObject")
    assert (line.service, line.region, line.regions, line.status, line.source) == ("s3", WEST, [WEST], 200, "127.0.0.1")
    assert line.path == "/acme-log/a%20key"
    assert line.part is None
    lab.client("sts", WEST).get_caller_identity()
    assert [found.region for found in lab.logged(service="sts", operation="GetCallerIdentity")] == [WEST]


def test_an_object_survives_the_way_through_byte_by_byte(lab: Lab, tmp_path: Path) -> None:
    bucket, body = lab.bucket("acme-bytes", EAST), bytes(range(256)) * 42_000
    s3 = lab.client("s3", EAST)
    s3.put_object(Bucket=bucket, Key="whole", Body=body)
    upload = s3.create_multipart_upload(Bucket=bucket, Key="parts")["UploadId"]
    half = len(body) // 2
    parts = [
        {
            "PartNumber": number,
            "ETag": s3.upload_part(Bucket=bucket, Key="parts", UploadId=upload, PartNumber=number, Body=piece)["ETag"],
        }
        for number, piece in ((1, body[:half]), (2, body[half:]))
    ]
    s3.complete_multipart_upload(Bucket=bucket, Key="parts", UploadId=upload, MultipartUpload={"Parts": parts})
    for key in ("whole", "parts"):
        assert s3.get_object(Bucket=bucket, Key=key)["Body"].read() == body
        assert s3.head_object(Bucket=bucket, Key=key)["ContentLength"] == len(body)


def test_chunked_signed_uploads_arrive_without_their_framing(lab: Lab) -> None:
    """What the Go SDK sends over plain HTTP: aws-chunked with a trailing checksum, after asking to go on."""
    bucket = lab.bucket("acme-chunked", WEST)
    body = b"5\r\nhello\r\n0\r\nx-amz-checksum-crc32:NhCmhg==\r\n\r\n"
    headers = {
        "X-Amz-Trailer": "x-amz-checksum-crc32",
        "X-Amz-Decoded-Content-Length": "5",
        "Content-Encoding": "aws-chunked",
        "Content-Length": str(len(body)),
    }
    request = AWSRequest(method="PUT", url=f"http://172.30.0.1:5555/{bucket}/framed", headers=headers)
    request.context["checksum"] = {"request_algorithm": {"in": "trailer"}}
    S3SigV4Auth(Credentials(ADMINISTRATOR.identifier, ADMINISTRATOR.secret), "s3", WEST).add_auth(request)
    lines = (f"{name}: {value}\r\n" for name, value in request.headers.items())
    head = f"PUT /{bucket}/framed HTTP/1.1\r\nHost: 172.30.0.1:5555\r\nExpect: 100-continue\r\n{''.join(lines)}\r\n"
    with socket.create_connection(lab.where, timeout=10) as connection:
        connection.sendall(head.encode())
        assert connection.recv(4096) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(body)
        assert connection.recv(4096).startswith(b"HTTP/1.1 200")
    assert lab.client("s3", WEST).get_object(Bucket=bucket, Key="framed")["Body"].read() == b"hello"


def test_an_anonymous_reader_of_a_virtual_host_gets_what_the_bucket_policy_allows(lab: Lab) -> None:
    bucket, s3 = lab.bucket("acme-flag", WEST), lab.client("s3", WEST)
    s3.put_object(Bucket=bucket, Key="dr/active.json", Body=b'{"active":"primary"}')
    host = f"{bucket}.s3.{WEST}.amazonaws.com"
    assert lab.get("/dr/active.json", host)[0] == 403
    statement = {
        "Effect": "Allow",
        "Principal": "*",
        "Action": "s3:GetObject",
        "Resource": f"arn:aws:s3:::{bucket}/dr/active.json",
    }
    s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps({"Version": "2012-10-17", "Statement": [statement]}))
    assert lab.get("/dr/active.json", host) == (200, b'{"active":"primary"}')


# The black hole


def test_a_silent_region_holds_the_connection_and_answers_again_afterwards(lab: Lab, silent: Callable[[str], None]) -> None:
    bucket = lab.bucket("acme-hole", WEST)
    silent(WEST)
    with pytest.raises(ReadTimeoutError):
        lab.client("s3", WEST, patience=SILENCE).list_objects_v2(Bucket=bucket)
    until("the held request to be logged", lambda: lab.logged(bucket=bucket, status="black-hole"), timeout=5, interval=0.02)
    with pytest.raises(ReadTimeoutError):
        lab.client("kms", WEST, patience=SILENCE).list_keys()
    control(lab.url, f"black-hole/{WEST}", method="DELETE")
    assert lab.client("s3", WEST).list_objects_v2(Bucket=bucket)["KeyCount"] == 0
    assert "Keys" in lab.client("kms", WEST).list_keys()


def test_the_other_region_goes_on_and_its_signature_opens_no_bucket_of_the_silent_one(
    lab: Lab, silent: Callable[[str], None]
) -> None:
    here, there = lab.bucket("acme-here", EAST), lab.bucket("acme-there", WEST)
    silent(WEST)
    assert lab.client("s3", EAST).list_objects_v2(Bucket=here)["KeyCount"] == 0
    with pytest.raises(ReadTimeoutError):
        lab.client("s3", EAST, patience=SILENCE).list_objects_v2(Bucket=there)
    with pytest.raises(ReadTimeoutError):
        lab.client("s3", EAST, patience=SILENCE).copy_object(Bucket=here, Key="k", CopySource={"Bucket": there, "Key": "k"})


def test_without_us_east_1_objects_can_be_written_elsewhere_but_nothing_global_can_change(
    lab: Lab, silent: Callable[[str], None]
) -> None:
    bucket = lab.bucket("acme-survivor", WEST)
    silent(EAST)
    lab.client("s3", WEST).put_object(Bucket=bucket, Key="dr/active.json", Body=b"{}")
    for change in (
        lambda: lab.client("s3", WEST, patience=SILENCE).put_bucket_versioning(
            Bucket=bucket, VersioningConfiguration={"Status": "Enabled"}
        ),
        lambda: lab.client("iam", EAST, patience=SILENCE).list_roles(),
        lambda: lab.client("route53", EAST, patience=SILENCE).list_hosted_zones(),
    ):
        with pytest.raises(ReadTimeoutError):
            change()


def test_a_silent_region_does_not_even_say_that_an_upload_may_go_on(lab: Lab, silent: Callable[[str], None]) -> None:
    bucket = lab.bucket("acme-quiet", WEST)
    silent(WEST)
    with socket.create_connection(lab.where, timeout=SILENCE) as connection:
        connection.sendall(f"PUT /{bucket}/k HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nExpect: 100-continue\r\n\r\n".encode())
        with pytest.raises(TimeoutError):
            connection.recv(1)


def test_an_upload_under_way_when_the_region_falls_silent_is_lost(lab: Lab, silent: Callable[[str], None]) -> None:
    bucket = lab.bucket("acme-cut", WEST)
    with socket.create_connection(lab.where, timeout=SILENCE) as connection:
        head = f"PUT /{bucket}/k HTTP/1.1\r\nHost: x\r\nAuthorization: {SCOPE.format(region=WEST, service='s3')}\r\n"
        connection.sendall(f"{head}Content-Length: 2\r\n\r\na".encode())
        silent(WEST)
        connection.sendall(b"b")
        with pytest.raises(TimeoutError):
            connection.recv(1)
    until(
        "the upload to be logged as swallowed", lambda: lab.logged(bucket=bucket, status="black-hole"), timeout=5, interval=0.02
    )
    control(lab.url, f"black-hole/{WEST}", method="DELETE")
    assert lab.client("s3", WEST).list_objects_v2(Bucket=bucket)["KeyCount"] == 0


def test_what_was_held_is_closed_when_the_region_comes_back(lab: Lab, silent: Callable[[str], None]) -> None:
    silent(WEST)
    with socket.create_connection(lab.where, timeout=30) as connection:
        # The log has the requests of other tests too. No other asks for this bucket.
        connection.sendall(f"GET /held HTTP/1.1\r\nHost: s3.{WEST}.amazonaws.com\r\n\r\n".encode())
        until("the request to be held", lambda: lab.logged(status="black-hole", region=WEST, path="/held"), timeout=30)
        control(lab.url, f"black-hole/{WEST}", method="DELETE")
        try:
            answer = connection.recv(1)
        except ConnectionResetError:  # closed as well, before it had read everything
            answer = b""
        assert answer == b""


def test_the_state_names_the_silent_regions(lab: Lab, silent: Callable[[str], None]) -> None:
    assert control(lab.url, "state")["silent"] == []
    silent(EAST)
    assert control(lab.url, "state")["silent"] == [EAST]


# What AWS refuses


def test_route_53_refuses_a_second_primary_and_forgets_none_of_the_others(lab: Lab) -> None:
    zone = control(lab.url, "zone/example.com", method="PUT")["id"]
    assert control(lab.url, "zone/example.com", method="PUT")["id"] == zone
    route53 = lab.client("route53", EAST)

    def change(action: str, identifier: str, role: str, name: str = "app.example.com") -> None:
        record = {
            "Name": name,
            "Type": "CNAME",
            "TTL": 60,
            "SetIdentifier": identifier,
            "Failover": role,
            "ResourceRecords": [{"Value": f"lb-{identifier}.lab.internal"}],
        }
        batch = {"Changes": [{"Action": action, "ResourceRecordSet": record}]}
        route53.change_resource_record_sets(HostedZoneId=zone, ChangeBatch=batch)

    def stored() -> set[tuple[str, str]]:
        found = route53.list_resource_record_sets(HostedZoneId=zone)["ResourceRecordSets"]
        return {(record["Name"], record["Failover"]) for record in found if "Failover" in record}

    change("CREATE", "one", "PRIMARY")
    change("CREATE", "one", "PRIMARY", name="api.example.com")
    with pytest.raises(ClientError) as refused:
        change("CREATE", "two", "PRIMARY")
    assert refused.value.response["Error"]["Code"] == "InvalidChangeBatch"
    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400
    assert stored() == {("app.example.com.", "PRIMARY"), ("api.example.com.", "PRIMARY")}
    change("DELETE", "one", "PRIMARY")
    assert stored() == {("api.example.com.", "PRIMARY")}
    change("CREATE", "one", "PRIMARY")
    assert stored() == {("app.example.com.", "PRIMARY"), ("api.example.com.", "PRIMARY")}


def replication(destination: str) -> dict[str, Any]:
    return {
        "Role": "arn:aws:iam::123456789012:role/replication",
        "Rules": [
            {
                "ID": "to-peer",
                "Status": "Enabled",
                "Priority": 1,
                "Filter": {"Prefix": "velero/primary/"},
                "DeleteMarkerReplication": {"Status": "Enabled"},
                "SourceSelectionCriteria": {"SseKmsEncryptedObjects": {"Status": "Enabled"}},
                "Destination": {"Bucket": f"arn:aws:s3:::{destination}", "StorageClass": "STANDARD"},
            }
        ],
    }


@pytest.mark.parametrize(
    ("source_versioned", "destination_versioned", "reason"),
    [
        (True, None, "Destination bucket must exist"),
        (True, False, "Destination bucket must have versioning enabled"),
        (False, True, "Versioning must be 'Enabled'"),
    ],
)
def test_replication_needs_two_buckets_with_versions(
    lab: Lab, source_versioned: bool, destination_versioned: bool | None, reason: str
) -> None:
    number = f"{source_versioned}-{destination_versioned}".lower()
    source = lab.bucket(f"acme-source-{number}", EAST, versioned=source_versioned)
    destination = f"acme-destination-{number}"
    if destination_versioned is not None:
        lab.bucket(destination, WEST, versioned=destination_versioned)
    with pytest.raises(ClientError, match=reason) as refused:
        lab.client("s3", EAST).put_bucket_replication(Bucket=source, ReplicationConfiguration=replication(destination))
    assert refused.value.response["Error"]["Code"] == "InvalidRequest"


def test_a_replication_configuration_reads_back_as_it_was_written(lab: Lab) -> None:
    source, destination = lab.bucket("acme-rules-east", EAST), lab.bucket("acme-rules-west", WEST)
    s3 = lab.client("s3", EAST)
    s3.put_bucket_replication(Bucket=source, ReplicationConfiguration=replication(destination))
    assert s3.get_bucket_replication(Bucket=source)["ReplicationConfiguration"] == replication(destination)
    s3.delete_bucket_replication(Bucket=source)
    with pytest.raises(ClientError, match="ReplicationConfigurationNotFoundError"):
        s3.get_bucket_replication(Bucket=source)


# All three processes


def test_the_lab_s_aws_starts_answers_and_ends_and_leaves_its_logs(tmp_path: Path) -> None:
    cloud = Cloud(LabPaths(root=tmp_path), prefix=["env"], hosts={"lb-primary.lab.internal": "172.30.0.11"})
    with pytest.raises(CloudError, match="does not run"):
        cloud.endpoint_url  # noqa: B018 - asking is the test
    cloud.start()
    try:
        assert cloud.running
        cloud.start()
        zone = cloud.create_zone("example.com")
        s3 = client(cloud.endpoint_url, "s3", EAST)
        s3.create_bucket(Bucket="acme")
        assert cloud.create_zone("example.com") == zone
        assert resolve("lb-primary.lab.internal", *cloud.name_server) == ("172.30.0.11", 60)
        cloud.black_hole(WEST)
        assert control(cloud.endpoint_url, "state")["silent"] == [WEST]
        cloud.restore(WEST)
        assert control(cloud.endpoint_url, "state")["silent"] == []
        cloud.set_lag(7)
        until("the replicator to know its lag", lambda: cloud.replication()["lag"] == 7, timeout=10)
    finally:
        cloud.stop()
    assert not cloud.running
    assert [(found.operation, found.region) for found in cloud.access_log()] == [("CreateBucket", EAST)]


def test_a_part_that_cannot_start_says_why(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        cloud = Cloud(LabPaths(root=tmp_path), endpoint_port=taken.getsockname()[1])
        with pytest.raises(CloudError, match="aws-endpoint ended right after its start"):
            cloud.start()
