"""The traffic flag is read where the secondary wrote it. A region that is dead blocks nobody; not being allowed to read does."""

from __future__ import annotations

import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from moto.server import ThreadedMotoServer
from werkzeug.serving import make_server

from components.kube.runner.flag import Flag, parse
from components.traffic.flag_object import FlagUnreadableError, read_flag
from settings.aws import Aws
from settings.names import FLAG_KEY, Names
from settings.roles import ROLES, Role
from settings.topology import Regions, Topology

TOPOLOGY = Topology(organization="acme", account_id="123456789012", regions=Regions(primary="us-east-1", secondary="us-west-2"))
NAMES = Names(topology=TOPOLOGY, role="primary")


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    moto = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    moto.start()
    host, port = moto.get_host_and_port()
    yield f"http://{host}:{port}"
    moto.stop()


@pytest.fixture
def aws(server: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Aws:
    """The endpoint, with credentials in the environment and nothing of whoever runs the tests."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    monkeypatch.delenv("AWS_PROFILE", raising=False)
    return Aws(endpoint=server)


def write(aws: Aws, content: str | None) -> None:
    s3 = boto3.client("s3", endpoint_url=aws.endpoint, region_name="us-west-2")
    with suppress(s3.exceptions.BucketAlreadyOwnedByYou):
        s3.create_bucket(Bucket=NAMES.flag_bucket, CreateBucketConfiguration={"LocationConstraint": "us-west-2"})
    if content is None:
        s3.delete_object(Bucket=NAMES.flag_bucket, Key=FLAG_KEY)
    else:
        s3.put_object(Bucket=NAMES.flag_bucket, Key=FLAG_KEY, Body=content.encode())


def test_a_flag_that_was_never_written_says_nothing(aws: Aws) -> None:
    assert read_flag(NAMES, aws) is None  # not even its bucket is there
    write(aws, None)
    assert read_flag(NAMES, aws) is None


@pytest.mark.parametrize("region", ["primary", "secondary"])
def test_what_the_program_writes_is_what_it_reads(aws: Aws, region: Role) -> None:
    write(aws, Flag(active=region).content())
    found = read_flag(NAMES, aws)
    assert found == Flag(active=region)
    assert found.written is not None, "whether a person has overruled it is told by its time"


def test_a_flag_that_a_person_wrote_with_a_space_says_what_it_means(aws: Aws) -> None:
    write(aws, '{"active": "secondary"}')
    assert read_flag(NAMES, aws) == Flag(active="secondary")


@pytest.mark.parametrize(
    ("content", "reason", "serves"),
    [
        ('{"active":"tertiary"}', "has active 'tertiary'", "primary"),
        ("secondary", "is not JSON", "primary"),
        ('{"active":"secondary","since":"noon"}', "has an unknown field 'since'", "secondary"),
        ("", "is not JSON", "primary"),
    ],
)
def test_a_flag_that_says_something_else_is_refused_with_the_commands_that_mend_it(
    aws: Aws, content: str, reason: str, serves: Role
) -> None:
    write(aws, content)
    with pytest.raises(FlagUnreadableError) as refused:
        read_flag(NAMES, aws)
    told = str(refused.value)
    assert told.startswith(f"the traffic flag s3://{NAMES.flag_bucket}/{FLAG_KEY} ")
    assert reason in told
    assert f"users are sent to the {serves}" in told
    mended = re.findall(r"if the (\w+), \S+, serves: printf '(.*?)' \| aws s3 cp - s3://(\S+) --region us-west-2", told)
    assert [(role, parse(content)) for role, content, _ in mended] == [(role, Flag(active=role)) for role in ROLES]
    assert {address for *_, address in mended} == {f"{NAMES.flag_bucket}/{FLAG_KEY}"}
    assert "\n" not in told


@pytest.mark.parametrize(
    ("body", "sent_to"),
    [
        (b"\xff\xfe", "primary"),
        (b"\xb6" * 1730 + b'{"active":"secondary"}', "secondary"),  # Route 53 counts bytes as they are
        (b" " * 6000 + b'{"active":"secondary"}', "primary"),
    ],
    ids=["nothing", "found-behind-it", "too-far-behind"],
)
def test_a_flag_that_is_not_text_is_refused_and_told_by_what_route_53_finds(aws: Aws, body: bytes, sent_to: Role) -> None:
    write(aws, "")
    s3 = boto3.client("s3", endpoint_url=aws.endpoint, region_name="us-west-2")
    s3.put_object(Bucket=NAMES.flag_bucket, Key=FLAG_KEY, Body=body)
    with pytest.raises(FlagUnreadableError, match=f"users are sent to the {sent_to}"):
        read_flag(NAMES, aws)


def test_a_region_that_does_not_answer_says_nothing(aws: Aws, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "9")  # a person's own patience must not become ours
    started = time.monotonic()
    assert read_flag(NAMES, Aws(endpoint="http://127.0.0.1:1")) is None
    assert time.monotonic() - started < 5


def test_a_region_that_takes_the_question_and_never_answers_says_nothing(aws: Aws, monkeypatch: pytest.MonkeyPatch) -> None:
    """The client waits a twentieth of the time that the program gives it: nobody answers later either."""
    given: dict[str, Any] = {}

    def sooner(**options: Any) -> Config:
        given.update(options)
        return Config(**{**options, "read_timeout": options["read_timeout"] / 20})

    monkeypatch.setattr("botocore.config.Config", sooner)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        started = time.monotonic()
        assert read_flag(NAMES, Aws(endpoint=f"http://127.0.0.1:{silent.getsockname()[1]}")) is None
        assert time.monotonic() - started > given["read_timeout"] / 20
    assert (given["connect_timeout"] + given["read_timeout"]) * given["retries"]["total_max_attempts"] < 10


@pytest.mark.parametrize(("status", "code"), [("503 Slow Down", "SlowDown"), ("500 Internal Server Error", "InternalError")])
def test_an_error_that_passes_is_not_taken_for_a_dead_region(aws: Aws, status: str, code: str) -> None:
    with refusing(status, code, times=2, then=Flag(active="secondary").content().encode()) as endpoint:
        found = read_flag(NAMES, Aws(endpoint=endpoint))
    assert found
    assert found.active == "secondary"


def test_a_region_that_is_half_dead_says_nothing(aws: Aws, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("components.traffic.flag_object._PATIENCE", 0.1)
    with refusing("503 Service Unavailable", "ServiceUnavailable") as endpoint:
        assert read_flag(NAMES, Aws(endpoint=endpoint)) is None


def test_an_operator_without_the_right_to_read_is_told_which(aws: Aws) -> None:
    with refusing("403 Forbidden", "AccessDenied") as endpoint, pytest.raises(FlagUnreadableError) as told:
        read_flag(NAMES, Aws(endpoint=endpoint))
    assert str(told.value).startswith(f"the traffic flag s3://{NAMES.flag_bucket}/{FLAG_KEY} cannot be read: ")
    assert "AccessDenied" in str(told.value)
    assert str(told.value).endswith("allow s3:GetObject on it, and s3:ListBucket on its bucket")
    assert "\n" not in str(told.value)


def test_an_unknown_profile_is_no_answer(aws: Aws) -> None:
    with pytest.raises(FlagUnreadableError, match=r"nobody.*; log in") as told:
        read_flag(NAMES, Aws(endpoint=aws.endpoint, profile="nobody"))
    assert "allow" not in str(told.value)


def test_missing_credentials_are_no_answer(aws: Aws, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(FlagUnreadableError, match="Unable to locate credentials; log in") as told:
        read_flag(NAMES, aws)
    assert "allow" not in str(told.value)


@pytest.mark.parametrize("code", ["ExpiredToken", "InvalidAccessKeyId", "SignatureDoesNotMatch"])
def test_credentials_that_are_not_taken_are_a_matter_of_logging_in_and_not_of_permissions(aws: Aws, code: str) -> None:
    with refusing("403 Forbidden", code) as endpoint, pytest.raises(FlagUnreadableError, match="; log in") as told:
        read_flag(NAMES, Aws(endpoint=endpoint))
    assert "allow" not in str(told.value)


@contextmanager
def refusing(status: str, code: str, *, times: int | None = None, then: bytes = b"") -> Iterator[str]:
    """An S3 that answers requests with one error: every one, or so many, and `then` with an object."""
    body = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>no</Message></Error>".encode()
    asked: list[str] = []

    def answer(request: dict[str, Any], start: Callable[[str, list[tuple[str, str]]], object]) -> list[bytes]:
        asked.append(request["PATH_INFO"])
        if times is not None and len(asked) > times:
            start("200 OK", [("Content-Length", str(len(then))), ("Last-Modified", "Mon, 02 Mar 2026 02:00:00 GMT")])
            return [then]
        start(status, [("Content-Type", "application/xml"), ("Content-Length", str(len(body)))])
        return [body]

    server = make_server("127.0.0.1", 0, answer, threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
