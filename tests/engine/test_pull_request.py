"""The steps of the preview workflow, run as they stand in it, with no reachable cluster."""

from __future__ import annotations

import re
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.engine.conftest import Pair
from tests.examples import ROOT

WORKFLOW: dict[str, Any] = yaml.safe_load((ROOT / ".github" / "workflows" / "preview.yml").read_text())
JOB = WORKFLOW["jobs"]["preview"]
STEPS = {step["name"]: step["run"] for step in JOB["steps"] if "run" in step}


def test_actions_are_pinned_by_commit_and_the_job_may_write_nothing() -> None:
    for step in JOB["steps"]:
        if "uses" in step:
            assert len(step["uses"].partition("@")[2]) == 40, step["uses"]
    assert WORKFLOW["permissions"] == {"contents": "read", "id-token": "write"}
    assert "head.repo.full_name == github.repository" in JOB["if"]


@pytest.mark.parametrize("stack", JOB["strategy"]["matrix"]["stack"])
@pytest.mark.parametrize("active", JOB["strategy"]["matrix"]["active"])
def test_a_reviewer_reads_both_plans_without_a_cluster(pair: Pair, tmp_path: Path, stack: str, active: str) -> None:
    summary, kubeconfig = tmp_path / "summary.md", pair.files.kubeconfig
    good = kubeconfig.read_text()
    stack_file = pair.pulumi.directory / f"Pulumi.{stack}.yaml"
    configured = stack_file.read_text()
    try:
        kubeconfig.write_text(good.replace(pair.clusters[stack].url, "http://127.0.0.1:9"))
        ran = subprocess.run(
            ["bash", "-e", "-c", STEPS["preview"]],
            cwd=pair.pulumi.directory,
            env={**pair.pulumi.environment, "STACK": stack, "ACTIVE": active, "GITHUB_STEP_SUMMARY": str(summary)},
            capture_output=True,
            text=True,
            check=False,
        )
    finally:
        kubeconfig.write_text(good)
        stack_file.write_text(configured)
    assert ran.returncode == 0, summary.read_text()
    text = summary.read_text()
    if (stack, active) == ("secondary", "secondary"):
        assert "failover-restores-hourly-critical" in text
        assert "whether this region can take over was not checked" in text
    if active == "as it stands":
        assert "to create" not in text


def test_the_requirements_that_pulumi_install_reads_are_what_runs_here() -> None:
    """`pulumi install` gives requirements.txt to pip; every pin in it must be the version that the tests ran with."""
    pins = dict(re.findall(r"^([a-zA-Z0-9._-]+)==(\S+)", (ROOT / "requirements.txt").read_text(), re.MULTILINE))
    assert {"pulumi", "pulumi-aws", "pulumi-kubernetes", "pydantic", "kubernetes", "boto3"} <= pins.keys()
    assert {name: metadata.version(name) for name in pins} == pins
