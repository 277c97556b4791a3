"""What holds for each workflow, whatever it does: pinned, with few rights, and none of them stops what it must not."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib import metadata
from typing import Any

import pytest

from components.iam.delivery import LONGEST_SESSION
from lab.tools import versions
from tests.examples import ROOT
from tests.workflows import ACTIONS, NAMES, WORKFLOWS, action, workflow

COMPOSITE = ("pulumi", "cluster")


def steps_everywhere() -> Iterator[dict[str, Any]]:
    for name in NAMES:
        for job in workflow(name)["jobs"].values():
            yield from job["steps"]
    for name in COMPOSITE:
        yield from action(name)["runs"]["steps"]


def test_no_workflow_and_no_action_is_left_out_of_these_tests() -> None:
    assert {file.stem for file in WORKFLOWS.iterdir()} == set(NAMES)
    assert {file.name for file in ACTIONS.iterdir()} == set(COMPOSITE)


def test_actions_of_others_are_pinned_by_commit() -> None:
    used = {step["uses"] for step in steps_everywhere() if "uses" in step}
    theirs = {each for each in used if not each.startswith("./")}
    assert {each.partition("@")[0] for each in theirs} == {
        "actions/checkout",
        "actions/setup-python",
        "aws-actions/configure-aws-credentials",
        "pulumi/actions",
    }
    assert all(re.fullmatch(r"[\w/-]+@[0-9a-f]{40}", each) for each in theirs)
    assert used - theirs == {f"./.github/actions/{name}" for name in COMPOSITE}


def test_no_checkout_leaves_its_token_behind() -> None:
    for step in steps_everywhere():
        if step.get("uses", "").startswith("actions/checkout@"):
            assert step["with"]["persist-credentials"] is False


@pytest.mark.parametrize("name", NAMES)
def test_a_workflow_has_no_rights_but_those_of_its_jobs(name: str) -> None:
    assert workflow(name)["permissions"] == {}


RIGHTS = {
    ("preview", "preview"): {"contents": "read", "id-token": "write", "pull-requests": "write"},
    ("deploy", "secondary"): {"contents": "read", "id-token": "write"},
    ("deploy", "primary"): {"contents": "read", "id-token": "write"},
    ("failover", "failover"): {"contents": "read", "id-token": "write"},
    ("failover", "record"): {"contents": "write", "pull-requests": "write"},
    ("drift", "drift"): {"contents": "read", "id-token": "write", "issues": "write"},
}


def test_each_job_has_the_rights_it_needs_and_none_that_writes_the_repository_reaches_aws() -> None:
    assert {(name, job): body["permissions"] for name in NAMES for job, body in workflow(name)["jobs"].items()} == RIGHTS
    assert not [job for job, rights in RIGHTS.items() if rights.get("contents") == "write" and "id-token" in rights]


def test_no_script_has_an_expression_in_it() -> None:
    """What GitHub puts into a script is run; in an environment variable it is text."""
    for step in steps_everywhere():
        assert "${{" not in step.get("run", "")


def test_a_fork_gets_no_role() -> None:
    (job,) = workflow("preview")["jobs"].values()
    assert job["if"] == "github.event.pull_request.head.repo.full_name == github.repository"
    triggers = workflow("preview")[True]  # YAML reads `on` as true
    assert triggers.keys() == {"pull_request"}, "pull_request_target would run a fork's code with a role"


def test_a_preview_is_of_both_stacks_as_they_stand_and_failed_over() -> None:
    (job,) = workflow("preview")["jobs"].values()
    assert job["strategy"]["matrix"] == {"stack": ["primary", "secondary"], "active": ["as it stands", "secondary"]}
    assert job["strategy"]["fail-fast"] is False


def test_the_secondary_is_deployed_first_and_the_primary_in_the_same_way() -> None:
    jobs = workflow("deploy")["jobs"]
    assert jobs["primary"]["needs"] == "secondary"
    assert "needs" not in jobs["secondary"]

    def neutral(job: dict[str, Any]) -> str:
        return re.sub(
            r"primary|secondary", "STACK", repr({key: value for key, value in job.items() if key != "needs"}), flags=re.I
        )

    assert neutral(jobs["primary"]) == neutral(jobs["secondary"])


@pytest.mark.parametrize(("name", "groups"), [("deploy", {"deploy-primary", "deploy-secondary"}), ("failover", {"failover-"})])
def test_what_changes_something_is_never_cancelled(name: str, groups: set[str]) -> None:
    body = workflow(name)
    found = [part["concurrency"] for part in (body, *body["jobs"].values()) if "concurrency" in part]
    assert {each["group"].partition("${{")[0] for each in found} == groups
    assert not any(each["cancel-in-progress"] for each in found)


def test_a_failover_waits_in_no_queue_of_a_deployment_and_for_no_check() -> None:
    body = workflow("failover")
    assert body[True].keys() == {"workflow_dispatch"}
    assert "needs" not in body["jobs"]["failover"]
    (pulumi,) = [step for step in body["jobs"]["failover"]["steps"] if step.get("uses") == "./.github/actions/pulumi"]
    assert pulumi["with"]["policy-pack"] == "false"
    options = {name: given["options"] for name, given in body[True]["workflow_dispatch"]["inputs"].items() if "options" in given}
    assert options == {"stack": ["secondary", "primary"], "active": ["secondary", "primary"]}


def test_a_failover_never_takes_the_kubeconfig_of_the_other_cluster() -> None:
    """An empty secret is false: `a && b || c` would fall through to `c`."""
    (cluster,) = [
        step for step in workflow("failover")["jobs"]["failover"]["steps"] if step.get("uses") == "./.github/actions/cluster"
    ]
    alternatives = cluster["with"]["kubeconfig"].removeprefix("${{ ").removesuffix(" }}").split(" || ")
    assert alternatives == [
        "inputs.stack == 'primary' && secrets.KUBECONFIG_PRIMARY",
        "inputs.stack == 'secondary' && secrets.KUBECONFIG_SECONDARY",
        "''",
    ]


def test_credentials_come_after_every_installation() -> None:
    steps = action("pulumi")["runs"]["steps"]
    assert steps[-1]["uses"].startswith("aws-actions/configure-aws-credentials@")


def test_the_credentials_of_a_deployment_last_as_long_as_the_role_allows() -> None:
    for name in ("deploy", "failover"):
        for job in workflow(name)["jobs"].values():
            for step in job["steps"]:
                if step.get("uses") == "./.github/actions/pulumi":
                    assert int(step["with"]["session-seconds"]) == LONGEST_SESSION


def test_the_engine_is_the_one_that_the_tests_run() -> None:
    (installed,) = [
        step["with"] for step in action("pulumi")["runs"]["steps"] if step.get("uses", "").startswith("pulumi/actions@")
    ]
    assert f"v{installed['pulumi-version']}" == versions.PULUMI


def test_the_requirements_that_pulumi_install_reads_are_what_runs_here() -> None:
    """`pulumi install` gives requirements.txt to pip; every pin in it must be the version that the tests ran with."""
    pins = dict(re.findall(r"^([a-zA-Z0-9._-]+)==(\S+)", (ROOT / "requirements.txt").read_text(), re.MULTILINE))
    assert {"pulumi", "pulumi-aws", "pulumi-kubernetes", "pydantic", "kubernetes", "boto3"} <= pins.keys()
    assert {name: metadata.version(name) for name in pins} == pins
