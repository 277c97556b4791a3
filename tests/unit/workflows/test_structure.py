"""What holds for each workflow, whatever it does: pinned, with few rights, and none of them stops what it must not."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator, Sequence
from importlib import metadata
from typing import Any

import pytest

from components.iam.delivery import LONGEST_SESSION
from components.iam.delivery_policies import CHECKING
from drctl.show import OK, REFUSED, WARNED
from lab.tools import versions
from tests.examples import ROOT
from tests.workflows import ACTIONS, NAMES, WORKFLOWS, action, workflow

COMPOSITE = ("pulumi", "cluster")
AWS = ("preview", "deploy", "failover", "drift", "check-takeover", "drills")
"""The workflows that need an account, roles and state."""


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
        "actions/cache",
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
    **{(name, "not-configured"): {} for name in AWS},
    ("check", "check"): {"contents": "read"},
    ("rehearsal", "rehearsal"): {"contents": "read"},
    ("preview", "preview"): {"contents": "read", "id-token": "write", "pull-requests": "write"},
    ("preview", "failover"): {"contents": "read", "id-token": "write", "pull-requests": "write"},
    ("preview", "check"): {"contents": "read", "id-token": "write", "pull-requests": "write"},
    ("deploy", "plan"): {"contents": "read", "id-token": "write"},
    ("deploy", "secondary"): {"contents": "read", "id-token": "write"},
    ("deploy", "primary"): {"contents": "read", "id-token": "write"},
    ("failover", "failover"): {"contents": "read", "id-token": "write"},
    ("failover", "record"): {"contents": "write", "pull-requests": "write"},
    ("drift", "drift"): {"contents": "read", "id-token": "write", "issues": "write"},
    ("check-takeover", "check"): {"contents": "read", "id-token": "write", "issues": "write"},
    ("drills", "due"): {"contents": "read", "issues": "read"},
    ("drills", "figures"): {"contents": "read", "id-token": "write"},
    ("drills", "open"): {"contents": "read", "issues": "write"},
}


def test_each_job_has_the_rights_it_needs_and_none_that_writes_the_repository_reaches_aws() -> None:
    assert {(name, job): body["permissions"] for name in NAMES for job, body in workflow(name)["jobs"].items()} == RIGHTS
    assert not [job for job, rights in RIGHTS.items() if rights.get("contents") == "write" and "id-token" in rights]


def test_no_script_has_an_expression_in_it() -> None:
    """What GitHub puts into a script is run; in an environment variable it is text."""
    for step in steps_everywhere():
        assert "${{" not in step.get("run", "")


def test_a_fork_gets_no_role() -> None:
    with_a_role = [job for job in workflow("preview")["jobs"].values() if "id-token" in job["permissions"]]
    assert len(with_a_role) == 3
    for job in with_a_role:
        assert job["if"] == "vars.AWS_ROLES != '' && github.event.pull_request.head.repo.full_name == github.repository"
    triggers = workflow("preview")[True]  # YAML reads `on` as true
    assert triggers.keys() == {"pull_request"}, "pull_request_target would run a fork's code with a role"


def test_a_preview_is_of_both_stacks_as_they_stand_and_failed_over() -> None:
    job = workflow("preview")["jobs"]["preview"]
    assert job["strategy"]["matrix"] == {"stack": ["primary", "secondary"], "active": ["as it stands", "secondary"]}
    assert job["strategy"]["fail-fast"] is False


def test_the_secondary_is_deployed_first_and_the_primary_in_the_same_way() -> None:
    jobs = workflow("deploy")["jobs"]
    assert jobs["primary"]["needs"] == ["plan", "secondary"]
    assert jobs["secondary"]["needs"] == "plan"

    def neutral(job: dict[str, Any]) -> str:
        same = {key: value for key, value in job.items() if key not in ("needs", "if")}
        return re.sub(r"primary|secondary", "STACK", repr(same), flags=re.I)

    assert neutral(jobs["primary"]) == neutral(jobs["secondary"])


def test_a_reviewer_is_asked_after_the_plan_was_shown_and_what_is_applied_is_what_was_shown() -> None:
    jobs = workflow("deploy")["jobs"]
    assert "environment" not in jobs["plan"], "a reviewer would be asked before anything was shown"
    for stack in ("secondary", "primary"):
        assert jobs[stack]["environment"] == "production"
        assert jobs[stack]["env"]["SHOWN"] == f"${{{{ needs.plan.outputs.{stack} }}}}"
        steps = [step.get("name") or step["uses"] for step in jobs[stack]["steps"]]
        assert steps.index("compare") < steps.index("./.github/actions/cluster") < steps.index("deploy")


def test_a_stack_without_changes_asks_no_reviewer_unless_a_person_started_the_run() -> None:
    for stack in ("secondary", "primary"):
        asked = f"needs.plan.outputs.{stack} != 'none' || github.event_name == 'workflow_dispatch'"
        assert asked in workflow("deploy")["jobs"][stack]["if"]


def test_the_primary_is_deployed_where_the_secondary_had_nothing_to_do_and_not_where_it_failed() -> None:
    condition = workflow("deploy")["jobs"]["primary"]["if"]
    assert "!cancelled() && needs.plan.result == 'success'" in condition
    assert "(needs.secondary.result == 'success' || needs.secondary.result == 'skipped')" in condition


@pytest.mark.parametrize("name", AWS)
def test_a_copy_that_is_not_configured_says_so_in_one_line_and_does_nothing(name: str) -> None:
    jobs = workflow(name)["jobs"]
    silent = jobs["not-configured"]
    assert silent["if"] == "vars.AWS_ROLES == ''"
    (step,) = silent["steps"]
    assert "AWS_ROLES is not set" in step["run"]
    assert ("exit 1" in step["run"]) == (name == "failover"), "a button that moved nobody must not be green"
    for job in jobs.values():
        if "id-token" in job["permissions"]:
            assert "needs" in job or "vars.AWS_ROLES != ''" in job["if"]


def test_only_what_is_merged_runs_on_a_machine_that_may_reach_a_cluster() -> None:
    runners = {(name, job): body["runs-on"] for name in NAMES for job, body in workflow(name)["jobs"].items()}
    assert {place for place, runner in runners.items() if runner == "${{ vars.RUNNER || 'ubuntu-24.04' }}"} == {
        ("deploy", "secondary"),
        ("deploy", "primary"),
        ("failover", "failover"),
        ("check-takeover", "check"),
    }
    assert {runner for runner in runners.values() if "vars" not in runner} == {"ubuntu-24.04"}


def test_the_nightly_check_is_of_the_secondary_by_a_role_that_reads_and_in_an_environment_of_its_own() -> None:
    job = workflow("check-takeover")["jobs"]["check"]
    assert job["environment"] == CHECKING
    (pulumi,) = [step["with"] for step in job["steps"] if step.get("uses") == "./.github/actions/pulumi"]
    assert pulumi["role"] == "${{ vars.AWS_ROLES }}-check-${{ vars.AWS_REGION_secondary }}"
    assert job["env"]["STACK"] == "secondary"
    (check,) = [step["run"] for step in job["steps"] if step.get("name") == "check"]
    assert f"{REFUSED}|{WARNED}) echo" in check
    assert f"{OK}) echo" in check


def test_a_pull_request_is_checked_by_the_role_of_its_previews_and_a_refusal_is_red() -> None:
    """It runs the code of the pull request, which must reach no cluster and read no label of a backup."""
    job = workflow("preview")["jobs"]["check"]
    (pulumi,) = [step["with"] for step in job["steps"] if step.get("uses") == "./.github/actions/pulumi"]
    assert pulumi["role"] == "${{ vars.AWS_ROLES }}-preview-${{ vars.AWS_REGION_secondary }}"
    assert "environment" not in job
    assert not [step for step in job["steps"] if step.get("uses") == "./.github/actions/cluster"]
    (check,) = [step["run"] for step in job["steps"] if step.get("name") == "check"]
    assert f"{OK}|{WARNED}) ;;" in check


def test_the_runbook_which_pulumi_reads_too_is_deployed_and_previewed() -> None:
    for name, event in (("deploy", "push"), ("preview", "pull_request")):
        assert triggered(workflow(name)[True][event]["paths"], "docs/runbook.md")


NOT_READ = ("tests/", "lab/", "drctl/", "docs/", "README.md", "CHANGELOG.md", "Makefile", "requirements-dev.txt")


def matches(pattern: str, path: str) -> bool:
    """Whether a pattern of `paths` has a path: `**` stands for any characters, `*` for any but a slash."""
    regular = "".join({"**": ".*", "*": "[^/]*"}.get(part, re.escape(part)) for part in re.split(r"(\*\*|\*)", pattern))
    return re.fullmatch(regular, path) is not None


def triggered(patterns: Sequence[str], path: str) -> bool:
    return any(matches(pattern, path) for pattern in patterns)


@pytest.mark.parametrize(("name", "event"), [("deploy", "push"), ("preview", "pull_request")])
def test_what_pulumi_reads_is_deployed_and_previewed_and_no_test_asks_for_a_release(name: str, event: str) -> None:
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    pulumi = ("__main__.py", "Pulumi", "settings/", "components/", "charts/", "policy/", "requirements.txt", ".github/actions/")
    # A pull request is checked by its own drctl, and nothing is deployed by it.
    program = (*pulumi, "drctl/") if name == "preview" else pulumi
    patterns = workflow(name)[True][event]["paths"]
    for path in tracked:
        if path.startswith(program):
            assert triggered(patterns, path), path
        elif path != "docs/runbook.md" and path.startswith(NOT_READ):
            assert not triggered(patterns, path), path


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
                if step.get("uses") == "./.github/actions/pulumi" and "-deploy-" in step["with"]["role"]:
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
