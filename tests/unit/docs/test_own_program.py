"""The program of one's own on the page of decision 15 builds the same region as the committed one."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pulumi
import pytest
from pulumi.runtime import mocks
from pulumi.runtime import settings as runtime

from components import region
from settings.roles import Role
from tests.examples import PASSWORD, PROJECT, REMOVED, example
from tests.unit.docs.test_copies import block
from tests.unit.fakes import FakeArchive, FakeCluster
from tests.unit.recorder import Answers, Recorder, run_program

PAGE = "decisions/15-the-repository-not-a-package.md"
PROGRAM = block(PAGE, "python", "import json").replace('sys.path.insert(0, "k8s-dr")  # the checkout\n', "")
OWN = ("cluster", "endpoint", "peerReady")


@pytest.mark.parametrize("stack", ["primary", "secondary"])
def test_it_registers_what_the_committed_program_registers_with_the_same_settings(
    stack: Role, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    committed = example(stack)
    configured = {f"{PROJECT}:{key}": committed[key] for key in OWN} | {f"{PROJECT}:backupEncryptionPassword": PASSWORD}
    monkeypatch.setattr(region, "LiveCluster", lambda *_, **__: FakeCluster())
    monkeypatch.setattr(region, "LiveArchive", lambda *_, **__: FakeArchive())
    monkeypatch.setattr(region, "read_flag", lambda *_, **__: None)
    monkeypatch.chdir(tmp_path)
    recorder = Recorder(Answers())
    seen: dict[str, Any] = {}

    @pulumi.runtime.test
    def body() -> None:
        exec(compile(PROGRAM, PAGE, "exec"), seen)

    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    try:
        runtime.reset_options(project=PROJECT, stack=stack)
        pulumi.runtime.set_all_config(configured, [f"{PROJECT}:backupEncryptionPassword"])
        mocks.set_mocks(recorder.mocks, project=PROJECT, stack=stack, preview=False, monitor=recorder)
        body()
    finally:
        pulumi.runtime.set_all_config({}, [])
        loop.close()
        asyncio.set_event_loop(None)

    same = run_program(stack, {**seen["SHARED"], "databasePasswords": REMOVED})
    assert {(one.type, one.name) for one in recorder.seen} == {(one.type, one.name) for one in same.seen}
    assert [one for one in recorder.seen if one.type == "dr:failover:Failover"]
