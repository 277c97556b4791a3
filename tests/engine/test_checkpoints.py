"""What the other tests here begin from is really put back: each part by itself, and a whole pair."""

from __future__ import annotations

import ast
import importlib
import itertools
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest

from lab.cloud.access_keys import ADMINISTRATOR
from lab.pulumi import touched
from lab.waiting import until
from tests.engine.checkpoints import Moto, keep_files
from tests.engine.conftest import FILES, Deployment, settings_of
from tests.examples import ROOT


@pytest.fixture
def moto(tmp_path: Path) -> Iterator[Moto]:
    started = Moto(tmp_path / "moto.log")
    yield started
    started.stop()


def s3(moto: Moto) -> Any:
    return boto3.client("s3", endpoint_url=moto.endpoint, region_name="us-east-1", **ADMINISTRATOR.client)


def buckets(moto: Moto) -> list[str]:
    return [bucket["Name"] for bucket in s3(moto).list_buckets()["Buckets"]]


def refuses(endpoint: str) -> bool:
    host, _, port = endpoint.removeprefix("http://").partition(":")
    try:
        socket.create_connection((host, int(port)), timeout=1).close()
    except ConnectionRefusedError:
        return True
    return False


def test_aws_returns_to_any_checkpoint_in_any_order(moto: Moto) -> None:
    s3(moto).create_bucket(Bucket="first")
    first = moto.checkpoint()
    s3(moto).create_bucket(Bucket="second")
    second = moto.checkpoint()
    s3(moto).delete_bucket(Bucket="first")
    for put_back, there in ((first, ["first"]), (second, ["first", "second"]), (second, ["first", "second"]), (first, ["first"])):
        put_back()
        assert buckets(moto) == there
        s3(moto).create_bucket(Bucket="passing")


def test_aws_answers_while_others_hold_connections_open_and_say_nothing(moto: Moto) -> None:
    host, _, port = moto.endpoint.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port))), socket.create_connection((host, int(port))):
        assert buckets(moto) == []
        moto.checkpoint()()
        assert buckets(moto) == []


def test_aws_is_gone_once_it_is_stopped_also_where_it_waits_in_a_checkpoint(tmp_path: Path) -> None:
    moto = Moto(tmp_path / "moto.log")
    moto.checkpoint()
    moto.stop()
    until("nobody to listen", lambda: refuses(moto.endpoint), timeout=20)


def test_aws_ends_when_the_tests_are_killed(tmp_path: Path) -> None:
    code = (
        "import pathlib, sys, tests.engine.checkpoints as checkpoints\n"
        "moto = checkpoints.Moto(pathlib.Path(sys.argv[1]))\n"
        "moto.checkpoint()\n"
        "print(moto.endpoint, flush=True)\n"
        "sys.stdin.read()\n"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "moto.log")]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as tests:
        assert tests.stdout is not None
        endpoint = tests.stdout.readline().strip()
        assert not refuses(endpoint)
        tests.send_signal(signal.SIGKILL)
    until("nobody to listen", lambda: refuses(endpoint), timeout=20)


def test_files_are_put_back_and_others_go_except_those_that_no_checkpoint_has(tmp_path: Path) -> None:
    root = tmp_path / "root"
    (root / "kept" / "below").mkdir(parents=True)
    (root / "kept" / "below" / "file").write_text("as it was")
    (root / "left").write_text("as it was")
    put_back = keep_files(root, tmp_path / "checkpoint", besides=["left"])
    for _ in range(2):
        (root / "kept" / "below" / "file").write_text("changed")
        (root / "kept" / "new").write_text("new")
        (root / "new").symlink_to(ROOT)
        (root / "left").write_text("changed")
        put_back()
        files = {str(file.relative_to(root)): file.read_text() for file in root.rglob("*") if file.is_file()}
        assert files == {"kept/below/file": "as it was", "left": "changed"}
    assert (ROOT / "Makefile").exists(), "a link goes, and not what it points to"


@pytest.mark.long
def test_a_pair_after_a_failover_is_put_back_whole(deployment: Deployment) -> None:
    pair = deployment.stand_by()
    before, stack_file = pair.pulumi.resources("secondary"), pair.pulumi.directory / "Pulumi.secondary.yaml"
    deployment.fail_over()
    assert touched(before, pair.pulumi.resources("secondary"))
    assert pair.flag() == "secondary"
    assert pair.restore_names()
    assert pair.calls()

    deployment.stand_by()
    assert touched(before, pair.pulumi.resources("secondary")) == []
    assert pair.flag() == "primary"
    assert pair.restore_names() == set()
    assert pair.calls() == []
    assert "active:" not in stack_file.read_text()
    pair.pulumi.up("secondary", "--expect-no-changes")

    deployment.fail_over()
    assert pair.flag() == "secondary"
    assert pair.restore_names()
    pair.pulumi.up("secondary", "--expect-no-changes")


def fixtures_of(file: Path) -> set[str]:
    """The fixtures that a file's tests and fixtures ask for."""
    functions = [node for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.FunctionDef)]
    asking = [
        each for each in functions if each.name.startswith("test_") or "fixture" in "".join(map(ast.unparse, each.decorator_list))
    ]
    return {argument.arg for each in asking for argument in each.args.args}


def test_every_file_has_its_place_and_those_with_the_same_settings_follow_each_other() -> None:
    here = Path(__file__).parent
    assert sorted(FILES) == sorted(file.name for file in here.glob("test_*.py"))
    deployed = [name for name in FILES if fixtures_of(here / name) & {"pair", "serving_secondary", "deployment"}]
    modules = [importlib.import_module(f"tests.engine.{name.removesuffix('.py')}") for name in deployed]
    runs = [settings for settings, _ in itertools.groupby(map(settings_of, modules))]
    assert not [settings for settings in runs if runs.count(settings) > 1]
