"""The workflows as they stand in the repository, and a runner that runs a job's shell steps as GitHub's would.

What a step `uses` is left out: those need GitHub. Expressions are looked up in what a test says that GitHub knows; one that it
does not know is an error, and so is a variable that no test names.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from tests.examples import ROOT

WORKFLOWS = ROOT / ".github" / "workflows"
ACTIONS = ROOT / ".github" / "actions"
NAMES = ("check", "rehearsal", "preview", "deploy", "failover", "drift", "check-takeover", "drills")

_EXPRESSION = re.compile(r"\$\{\{ (.+?) \}\}")
_BASH = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c"]
"""What GitHub makes of `shell: bash`."""


def workflow(name: str) -> dict[str, Any]:
    return deepcopy(_read(WORKFLOWS / f"{name}.yml"))


def action(name: str) -> dict[str, Any]:
    return deepcopy(_read(ACTIONS / name / "action.yml"))


@cache
def _read(file: Path) -> dict[str, Any]:
    return dict(yaml.safe_load(file.read_text()))


@dataclass(kw_only=True)
class Job:
    """One job that ran: its exit code, what its steps said, and what it tells GitHub."""

    log: str = ""
    failed: bool = False
    outputs: dict[str, str] = field(default_factory=dict)
    """`steps.<id>.outputs.<name>` and `steps.<id>.outcome`."""

    summary: str = ""


def run(
    steps: list[dict[str, Any]],
    *,
    env: Mapping[str, str],
    knows: Mapping[str, str],
    base: Mapping[str, str],
    cwd: Path,
    temp: Path,
) -> Job:
    """Run the shell steps in order. `env` is the job's own, unexpanded; `knows` maps expressions to their values."""
    job = Job()
    temp.mkdir(parents=True, exist_ok=True)
    written = {name: temp / name for name in ("GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY")}
    for file in written.values():
        file.write_text("")

    def expanded(values: Mapping[str, str]) -> dict[str, str]:
        known = {**knows, **job.outputs}
        return {key: _EXPRESSION.sub(lambda found: known[found[1]], str(value)) for key, value in values.items()}

    for step in steps:
        # GitHub goes on after a failure only where a condition asks for it by name.
        if "run" not in step or (job.failed and "!cancelled()" not in step.get("if", "")):
            continue
        assert step.get("shell", "bash") == "bash"
        ran = subprocess.run(
            [*_BASH, step["run"]],
            cwd=cwd,
            env={
                **base,
                **expanded(env),
                **expanded(step.get("env", {})),
                **{name: str(file) for name, file in written.items()},
                "RUNNER_TEMP": str(temp),
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        job.log += ran.stdout
        job.failed = job.failed or ran.returncode != 0
        for line in written["GITHUB_OUTPUT"].read_text().splitlines():
            name, _, value = line.partition("=")
            job.outputs[f"steps.{step['id']}.outputs.{name}"] = value
        if "id" in step:
            job.outputs[f"steps.{step['id']}.outcome"] = "failure" if ran.returncode else "success"
        written["GITHUB_OUTPUT"].write_text("")
    job.summary = written["GITHUB_STEP_SUMMARY"].read_text()
    return job
