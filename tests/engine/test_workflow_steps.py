"""Runs the workflows' shell steps exactly as they are written, with the real CLI and a fake GitHub that records every call.

Steps with `uses` (checkout, installation, credentials) are left out, because they need GitHub and AWS.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from lab import stacks
from lab.waiting import until
from tests.engine.conftest import Pair
from tests.examples import ROOT
from tests.fake_github import FakeGitHub
from tests.workflows import Job, action, run, workflow

BUCKET = "acme-velero-us-west-2-123456789012"


@dataclass(kw_only=True)
class Runner:
    """A GitHub runner with the project checked out. `knows` has the values of the workflow's expressions."""

    pair: Pair
    hub: FakeGitHub
    temp: Path
    runs: int = 0
    knows: dict[str, str] = field(default_factory=dict)

    @property
    def project(self) -> Path:
        return self.pair.pulumi.directory

    @property
    def base(self) -> dict[str, str]:
        """The runner's environment. The workflow itself must set the backend and the passphrase."""
        inherited = dict(self.pair.pulumi.environment)
        for name in ("PULUMI_BACKEND_URL", "PULUMI_CONFIG_PASSPHRASE"):
            del inherited[name]
        path = os.pathsep.join([str(self.hub.directory), str(Path(sys.prefix) / "bin"), inherited["PATH"]])
        return {**inherited, **self.hub.environment, "PATH": path, "HOME": str(self.temp)}

    def run(self, name: str, job: str, **knows: str) -> Job:
        """Run one job of a workflow."""
        self.runs += 1
        body = workflow(name)["jobs"][job]
        known = {**self._settings(), **self.knows, **{key.replace("__", "."): value for key, value in knows.items()}}
        return run(
            body["steps"],
            env=body["env"],
            knows=known,
            base=self.base,
            cwd=self.project,
            temp=self.temp / str(self.runs),
        )

    def _settings(self) -> dict[str, str]:
        """The repository's variables and secrets, for either stack."""
        backend = self.pair.pulumi.environment["PULUMI_BACKEND_URL"]
        chosen = {f"vars[format('PULUMI_BACKEND_URL_{{0}}', {source}.stack)]": backend for source in ("matrix", "inputs")}
        return {
            **chosen,
            "vars.PULUMI_BACKEND_URL_primary": backend,
            "vars.PULUMI_BACKEND_URL_secondary": backend,
            "secrets.PULUMI_CONFIG_PASSPHRASE": stacks.PASSPHRASE,
            "vars.POLICY_CONFIG": "policy/static-identity.json",
            "vars.OTEL_EXPORTER_OTLP_ENDPOINT": "",
            "vars.OTEL_EXPORTER_OTLP_PROTOCOL": "",
            "secrets.OTEL_EXPORTER_OTLP_HEADERS": "",
            **{f"needs.plan.outputs.{stack}": "none" for stack in stacks.ROLES},
            "github.token": "token",
        }

    def preview(self, stack: str, active: str) -> Job:
        return self.run("preview", "preview", matrix__stack=stack, matrix__active=active)

    def compare(self, stack: str, change: Callable[[Path], None]) -> Job:
        """Run the job that compares failovers, for a pull request that makes `change` in the project."""
        base = self.project / "base"
        files = [file for file in self.project.iterdir() if file.name != "base"]
        base.mkdir()
        for file in files:
            (shutil.copytree if file.is_dir() else shutil.copy2)(file, base / file.name)
        change(self.project)
        return self.run("preview", "failover", matrix__stack=stack)

    def deploy(self, stack: str) -> Job:
        """Run both jobs of a deployment: the one that shows the plan, and the one that a reviewer has released."""
        plan = self.run("deploy", "plan", matrix__stack=stack)
        assert not plan.failed, plan.log
        shown = plan.outputs[f"steps.plan.outputs.{stack}"]
        assert plan.summary.startswith(f"<!-- k8s-dr: What a deployment changes in {stack} -->")
        return self.run("deploy", stack, **{f"needs__plan__outputs__{stack}": shown})

    def drift(self, stack: str) -> Job:
        return self.run("drift", "drift", matrix__stack=stack)

    def failover(self, stack: str, active: str, *, unlock: bool = False) -> Job:
        told = {"inputs__stack": stack, "inputs__active": active}
        return self.run("failover", "failover", **told, inputs__unlock=str(unlock).lower())

    def record(self, stack: str, active: str, of: Job) -> Job:
        """Run the second job of a failover, with the outputs of the first."""
        self.knows["needs.failover.outputs.stack-file"] = of.outputs["steps.failover.outputs.stack-file"]
        return self.run("failover", "record", inputs__stack=stack, inputs__active=active)

    def check_out(self, stack: str) -> None:
        """Check out a stack file from the main branch."""
        name = f"Pulumi.{stack}.yaml"
        (self.project / name).write_bytes(self.hub.content("main", name))

    def comments(self) -> dict[str, str]:
        """The pull request's comments: by title, the text."""
        return {comment["body"].split("\n")[1].removeprefix("### "): comment["body"] for comment in self.hub.state["comments"]}


@pytest.fixture
def runner(pair: Pair, tmp_path: Path) -> Runner:
    project = pair.pulumi.directory
    shutil.copytree(ROOT / "scripts", project / "scripts")
    (project / "policy").symlink_to(ROOT / "policy")
    files = [project / "Pulumi.yaml", *(project / f"Pulumi.{role}.yaml" for role in stacks.ROLES)]
    hub = FakeGitHub.start(tmp_path / "github", {file.name: file.read_bytes() for file in files})
    return Runner(pair=pair, hub=hub, temp=tmp_path / "runner", knows={"github.event.pull_request.number": "7"})


def lose_clusters(pair: Pair) -> None:
    """From now on the clusters do not answer, as on GitHub's runners."""
    text = pair.files.kubeconfig.read_text()
    for cluster in pair.clusters.values():
        text = text.replace(cluster.url, "http://127.0.0.1:9")
    pair.files.kubeconfig.write_text(text)


@pytest.mark.usefixtures("policy_environment")
def test_a_reviewer_reads_all_four_plans_without_a_cluster(runner: Runner) -> None:
    lose_clusters(runner.pair)
    for stack in stacks.ROLES:
        for active in ("as it stands", "secondary"):
            job = runner.preview(stack, active)
            assert not job.failed, job.log
            assert job.summary.startswith(f"<!-- k8s-dr: Preview of {stack}, active: {active} -->")
            if active == "as it stands":
                assert "to create" not in job.summary
            runner.check_out(stack)
    assert_failover_is_shown(runner)
    assert len(runner.comments()) == 4


@pytest.mark.long
@pytest.mark.usefixtures("policy_environment")
def test_a_reviewer_reads_the_failovers_plan_where_there_is_no_kubeconfig_at_all(runner: Runner) -> None:
    runner.pair.files.kubeconfig.unlink()
    job = runner.preview("secondary", "secondary")
    assert not job.failed, job.log
    assert_failover_is_shown(runner)


def assert_failover_is_shown(runner: Runner) -> None:
    plan = runner.comments()["Preview of secondary, active: secondary"]
    assert "failover-restores-hourly-critical" in plan
    assert "whether this region can take over was not checked" in plan


@pytest.mark.long
@pytest.mark.usefixtures("policy_environment")
def test_a_second_push_edits_its_comment_and_one_that_cannot_be_previewed_says_why(runner: Runner) -> None:
    assert not runner.preview("secondary", "as it stands").failed
    project = (runner.project / "Pulumi.yaml").read_text()
    (runner.project / "Pulumi.yaml").write_text(project.replace("hourly-critical", "hourly_critical"))
    job = runner.preview("secondary", "as it stands")
    assert job.failed
    assert [method for method, _ in runner.hub.writes()] == ["POST", "PATCH"]
    (text,) = runner.comments().values()
    assert "hourly_critical is not a Kubernetes name" in text


@pytest.mark.usefixtures("policy_environment")
def test_what_was_merged_is_deployed(runner: Runner) -> None:
    project = (runner.project / "Pulumi.yaml").read_text()
    (runner.project / "Pulumi.yaml").write_text(project.replace("keep: 168h", "keep: 169h"))
    assert "keep: 169h" in (runner.project / "Pulumi.yaml").read_text()
    for stack in ("secondary", "primary"):
        job = runner.deploy(stack)
        assert not job.failed, job.log
        (schedule,) = [
            each for each in runner.pair.pulumi.resources(stack) if each["urn"].endswith("::schedules-hourly-critical")
        ]
        assert schedule["inputs"]["spec"]["template"]["ttl"] == "169h"


@pytest.mark.long
@pytest.mark.usefixtures("policy_environment")
def test_a_deployment_that_would_do_something_else_than_was_shown_touches_nothing(runner: Runner) -> None:
    file = runner.project / "Pulumi.yaml"
    plan = runner.run("deploy", "plan", matrix__stack="secondary")
    assert plan.outputs["steps.plan.outputs.secondary"] == "none", plan.log
    file.write_text(file.read_text().replace("keep: 168h", "keep: 170h"))
    before = runner.pair.pulumi.resources("secondary")
    refused = runner.run("deploy", "secondary", needs__plan__outputs__secondary="none")
    assert refused.failed
    assert "no longer the plan that was shown, so nothing was touched" in refused.log
    assert "Schedule schedules-hourly-critical" in refused.log
    assert runner.pair.pulumi.resources("secondary") == before


@pytest.mark.long
def test_a_reviewer_reads_what_a_failover_would_do_otherwise(runner: Runner) -> None:
    lose_clusters(runner.pair)

    def change(project: Path) -> None:
        file = project / "Pulumi.yaml"
        file.write_text(file.read_text().replace("replicas: 3", "replicas: 5"))

    job = runner.compare("secondary", change)
    assert not job.failed, job.log
    (told,) = runner.comments().values()
    assert "What a failover of secondary would change" in told
    assert "failover-workloads" in told
    assert "A failover would change" in told
    assert "Schedule" not in told, "a failover resumes them as it does on the base branch"


@pytest.mark.long
def test_a_reviewer_reads_whether_the_secondary_could_take_over_as_far_as_no_cluster_is_asked(runner: Runner) -> None:
    lose_clusters(runner.pair)
    (runner.project / ".venv").symlink_to(sys.prefix)
    for folder in ("drctl", "report"):
        (runner.project / folder).symlink_to(ROOT / folder)
    file = runner.project / "Pulumi.yaml"
    file.write_text(file.read_text().replace("keep: 168h", "keep: 169h"))
    job = runner.run("preview", "check")
    assert not job.failed, job.log
    told = runner.comments()["Could the secondary take over?"]
    assert "(1 to update: Schedule schedules-hourly-critical)" in told
    assert "whether this region can take over was not checked" in told
    (runner.project / "Pulumi.yaml").write_text("config: {}\n")
    assert runner.run("preview", "check").failed
    assert "topology" in runner.comments()["Could the secondary take over?"]


@pytest.mark.usefixtures("policy_environment")
def test_the_button_moves_users_and_no_deployment_undoes_it(runner: Runner) -> None:
    pair = runner.pair
    moved = runner.failover("secondary", "secondary")
    assert not moved.failed, moved.log
    assert pair.flag() == "secondary"
    assert "**Done.** Users are sent to us-west-2 since" in moved.summary
    assert "| traffic |" in moved.summary
    assert "**Next:** users arrive within" in moved.summary

    runner.check_out("secondary")  # the main branch does not have the change yet
    before = pair.pulumi.resources("secondary")
    refused = runner.run("deploy", "secondary")
    assert refused.failed
    assert "the stack was deployed with secondary: a deployment moves no users" in refused.log
    assert pair.pulumi.resources("secondary") == before

    assert not runner.record("secondary", "secondary", moved).failed
    runner.check_out("secondary")
    assert "active: secondary" in (runner.project / "Pulumi.secondary.yaml").read_text()
    deployed = runner.deploy("secondary")
    assert not deployed.failed, deployed.log
    pair.pulumi.up("secondary", "--expect-no-changes")
    assert pair.flag() == "secondary"


def test_a_failover_that_ends_half_way_is_recorded_too_and_the_button_goes_on(runner: Runner) -> None:
    pair = runner.pair
    pair.secondary.outcomes.order(
        {"kind": "Job", "name": "failover-workloads-verify", "phase": "Failed", "message": "no endpoints"}
    )
    stuck = runner.failover("secondary", "secondary")
    assert stuck.failed
    assert "no endpoints" in stuck.log
    assert "**Not done.**" in stuck.summary
    assert "no endpoints" in stuck.summary
    runner.check_out("secondary")
    refused = runner.run("deploy", "secondary")
    assert refused.failed, "a deployment from an older commit would send users back"
    assert "a deployment moves no users" in refused.log
    assert not runner.record("secondary", "secondary", stuck).failed
    assert b"active: secondary" in runner.hub.content("main", "Pulumi.secondary.yaml")
    pair.secondary.outcomes.ordered.clear()
    runner.check_out("secondary")
    assert not runner.failover("secondary", "secondary").failed
    assert pair.flag() == "secondary"


@pytest.mark.long
def test_a_failover_passes_the_lock_of_a_run_that_was_killed_only_if_told_to(runner: Runner) -> None:
    pair = runner.pair
    locks = pair.root / "state" / ".pulumi" / "locks"
    killed = pair.pulumi.start("up", "-s", "secondary", "--yes", "--skip-preview")
    until("the state to be locked", lambda: [file for file in locks.rglob("*.json") if "secondary" in str(file)], timeout=60)
    killed.kill()
    killed.wait()
    refused = runner.failover("secondary", "secondary")
    assert refused.failed
    assert "locked" in refused.log
    assert pair.flag() == "primary"
    moved = runner.failover("secondary", "secondary", unlock=True)
    assert not moved.failed, moved.log
    assert pair.flag() == "secondary"


def test_drift_is_an_issue_until_it_is_gone(runner: Runner) -> None:
    s3 = runner.pair.s3()
    runner.pair.files.kubeconfig.unlink()
    clean = runner.drift("secondary")
    assert not clean.failed, clean.log
    assert runner.hub.writes() == []

    s3.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Suspended"})
    for _ in range(2):
        found = runner.drift("secondary")
        assert not found.failed, found.log
    (issue,) = runner.hub.state["issues"]
    assert (issue["title"], issue["state"]) == ("Drift of secondary", "open")
    assert "storage-velero-versioning" in issue["body"]
    assert "Suspended" in issue["body"]

    s3.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
    assert not runner.drift("secondary").failed
    (issue,) = runner.hub.state["issues"]
    assert issue["state"] == "closed"


@pytest.mark.long
def test_what_was_merged_and_not_deployed_is_drift(runner: Runner) -> None:
    file = runner.project / "Pulumi.yaml"
    document = file.read_text()
    file.write_text(document.replace("  storage:\n", "") + "  storage:\n    value: {noncurrentDays: 61}\n")
    found = runner.drift("primary")
    assert not found.failed, found.log
    (issue,) = runner.hub.state["issues"]
    assert "61" in issue["body"]


@pytest.mark.long
def test_a_comparison_that_failed_is_no_drift_and_closes_nothing(runner: Runner) -> None:
    runner.knows["secrets.PULUMI_CONFIG_PASSPHRASE"] = "wrong"
    failed = runner.drift("secondary")
    assert failed.failed
    assert "passphrase" in failed.log
    assert runner.hub.state["calls"] == []


AWS = """#!/bin/sh
echo "$@" >> "$HOME/asked"
"""


@pytest.mark.parametrize("distribution", ["eks", "self-managed"])
def test_a_deployment_reaches_the_cluster_that_its_stack_file_names(runner: Runner, distribution: str) -> None:
    (runner.hub.directory / "aws").write_text(AWS)
    (runner.hub.directory / "aws").chmod(0o755)
    runner.pair.pulumi.run("config", "set", "--path", "cluster.distribution", distribution, "-s", "primary")
    steps = action("cluster")["runs"]["steps"]

    def reach(kubeconfig: str) -> Job:
        return run(
            steps,
            env={"PULUMI_BACKEND_URL": runner.pair.pulumi.environment["PULUMI_BACKEND_URL"], "PULUMI_CONFIG_PASSPHRASE": "lab"},
            knows={"inputs.stack": "primary", "inputs.kubeconfig": kubeconfig},
            base=runner.base,
            cwd=runner.project,
            temp=runner.temp,
        )

    asked, written = runner.temp / "asked", runner.temp / ".kube" / "config"
    job = reach("apiVersion: v1\n")
    assert not job.failed, job.log
    if distribution == "eks":
        assert asked.read_text() == "eks update-kubeconfig --name lab-primary --alias lab-primary\n"
    else:
        assert written.read_text() == "apiVersion: v1\n"
        assert written.stat().st_mode & 0o077 == 0, "a kubeconfig is a credential"
        refused = reach("")
        assert refused.failed
        assert "KUBECONFIG_primary: is not set" in refused.log
