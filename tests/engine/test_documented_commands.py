"""The documentation's own commands, taken from its pages, run as they stand: with the real CLI, and with state in S3 (moto).

The engine and the clusters are those of all tests here (`conftest`, `clusters`). The test answers what a person would: yes to
`up`, and the value of a secret. AWS is moto. Nothing else of a block is changed. A block that cannot run here tells its reader
why.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from lab import project, stacks
from tests.documented import Block, blocks
from tests.engine.conftest import Pair, undeployed_pair
from tests.examples import ROOT

PRELUDE = f"""
set -euo pipefail
pulumi() {{
  case " $* " in
    *" up "*) command pulumi "$@" --yes --skip-preview ;;
    *" config set --secret "*)
      if [ -p /dev/stdin ]; then command pulumi "$@"; else echo -n '{stacks.PASSWORD}' | command pulumi "$@"; fi ;;
    *) command pulumi "$@" ;;
  esac
}}
"""


def page(name: str) -> list[Block]:
    """The blocks of a page that run here. A page without any fails, because it may have lost its fences."""
    found = [block for block in blocks(ROOT / "docs" / name) if block.excuse is None]
    assert found, f"{name} has no commands"
    return found


class Reader:
    """A person at a shell in the project's directory. Each block sees the variables that earlier blocks exported. `backend` takes
    the place of the pages' own, where both stacks have one."""

    def __init__(self, pair: Pair, *, backend: str | None = None) -> None:
        self._pair, self._backend, self._state = pair, backend, pair.root / "exported"
        self._state.touch()

    def does(self, block: Block) -> str:
        """Run one block and return what it printed. A failure names the block's place in the documentation."""
        # moto takes only path-style addresses, and the CLI must be told so. On AWS this is not needed.
        commands = re.sub(r"(s3://[^?'\"]+\?)", r"\1s3ForcePathStyle=true&", block.commands)
        if self._backend:
            commands = re.sub(r"(?<=export PULUMI_BACKEND_URL=)'[^']*'", f"'{self._backend}'", commands)
        script = f"source {self._state}\n{PRELUDE}\n{commands}\nexport -p > {self._state}\n"
        ran = subprocess.run(
            ["bash", "-c", script],
            cwd=self._pair.pulumi.directory,
            env=dict(self._pair.pulumi.environment),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        assert ran.returncode == 0, f"{block}:\n{block.commands}\n{ran.stdout[-3000:]}\n{ran.stderr[-3000:]}"
        return ran.stdout + ran.stderr


@pytest.fixture(scope="module")
def undeployed(tmp_path_factory: pytest.TempPathFactory, pulumi_binary: Path) -> Iterator[Pair]:
    """What a person starts with: an account, two clusters with the operators, a zone, and a copy of this project."""
    # The pages make a key for every part, so every part runs.
    settings = {"databases": (project.lab_database(),), "drills": {}}
    with undeployed_pair(tmp_path_factory.mktemp("documented"), pulumi_binary, **settings) as pair:
        path = os.pathsep.join([str(Path(sys.prefix) / "bin"), pair.pulumi.environment["PATH"]])
        environment = {**pair.pulumi.environment, "PATH": path, "AWS_ENDPOINT_URL": pair.endpoint}
        for chosen in ("PULUMI_BACKEND_URL", "PULUMI_CONFIG_PASSPHRASE"):  # the pages set these
            environment.pop(chosen)
        project.create(pair.pulumi.directory, pair.files)
        yield replace(pair, pulumi=replace(pair.pulumi, environment=environment))


def test_the_first_deployment_and_the_failover_go_as_their_pages_say(undeployed: Pair) -> None:
    reader = Reader(undeployed)
    make, choose, cancel, save, versions, restore = page("state.md")
    for block in (make, choose):
        reader.does(block)
    for block in page("identity.md"):  # the clusters here are not on AWS
        reader.does(block)
    first, *rest = page("first-deployment.md")
    for block in (first, *rest):
        if "peerReady true -s secondary" in block.commands:
            undeployed.bring_first_backups()
        if "stack output protected" in block.commands:
            undeployed.have_backups()
        told = reader.does(block)
        if "--diff" in block.commands:
            assert "dr:failover:Failover" in told
    for block in page("self-managed.md"):
        assert "self-managed" in reader.does(block)
    reader.does(cancel)
    reader.does(save)
    _, version = reader.does(versions).splitlines()[0].split()
    reader.does(replace(restore, commands=f"version={version}\n{restore.commands}"))
    reader.does(save)  # the state that was put back is one that the CLI reads
    assert undeployed.flag() == "primary"
    ask, flag, proof = page("runbook.md")
    file = undeployed.pulumi.directory / "Pulumi.secondary.yaml"
    before = file.read_text()
    assert "dr:failover:Failover" in reader.does(ask)
    assert file.read_text() == before, "whoever decides against it has nothing to take back"
    reader.does(flag)
    assert undeployed.flag() == "secondary"
    assert "us-east-1" in reader.does(proof), "nobody has failed over by the program, and its outputs say so"
