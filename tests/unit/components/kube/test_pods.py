"""The template of the Pods that run a step: what they run, what a strict cluster asks of them, and who gets a token."""

from __future__ import annotations

import ast
import json
from pathlib import Path
from typing import Any

import pulumi
import pytest

from components.kube import pods
from components.kube.jobs import runner_job
from components.kube.pods import Runner, outward_only, pod_metadata, runner_code_name, runner_modules, runner_pod
from components.kube.runner.__main__ import STEPS
from tests.examples import ROOT
from tests.unit.components.alone import registered
from tests.unit.recorder import Seen

RUNNER = Runner(image="registry.example.com/python:3", code="runner-0123456789")
MODULES = ROOT / "components" / "kube" / "runner"


def container(step: str, task: dict[str, Any] | None = None) -> dict[str, Any]:
    (only,) = runner_pod(RUNNER, step, task or {})["spec"]["containers"]
    return dict(only)


def environment(step: str, task: dict[str, Any] | None = None) -> dict[str, str]:
    return {each["name"]: each["value"] for each in container(step, task)["env"]}


def test_a_pod_runs_one_step_from_the_modules_of_the_configmap() -> None:
    assert container("verify")["image"] == RUNNER.image
    assert container("verify")["command"] == ["python3", "-m", "runner", "verify"]
    (mount,) = container("verify")["volumeMounts"]
    assert Path(mount["mountPath"]).parent == Path(environment("verify")["PYTHONPATH"])
    assert Path(mount["mountPath"]).name == "runner", "the package's name"
    (volume,) = runner_pod(RUNNER, "verify", {})["spec"]["volumes"]
    assert volume == {"name": mount["name"], "configMap": {"name": "runner-0123456789"}}


def test_the_task_is_the_same_text_for_the_same_task() -> None:
    one, other = environment("verify", {"a": 1, "b": None}), environment("verify", {"b": None, "a": 1})
    assert one == other, "another text would make the Job anew"
    assert json.loads(one["TASK"]) == {"a": 1, "b": None}


def test_a_pod_cannot_write_its_file_system_and_python_does_not_try() -> None:
    assert container("ask")["securityContext"]["readOnlyRootFilesystem"] is True
    assert environment("ask")["PYTHONDONTWRITEBYTECODE"] == "1"


def test_a_container_says_all_four_numbers_that_a_quota_may_ask_for() -> None:
    resources = container("ask")["resources"]
    assert {(kind, what) for kind in resources for what in resources[kind]} == {
        (kind, what) for kind in ("requests", "limits") for what in ("cpu", "memory")
    }


def test_a_pod_may_use_a_whole_cpu_for_users_wait_while_it_compiles_what_it_imports() -> None:
    assert container("scale")["resources"]["limits"]["cpu"] == "1"


def test_the_name_of_a_steps_container_is_one_that_kubernetes_accepts() -> None:
    assert container("stand_by")["name"] == "stand-by"


def calls_the_api(step: str, seen: frozenset[str] = frozenset()) -> bool:
    """Whether a module imports the client of the API, itself or by another module."""
    tree = ast.parse((MODULES / f"{step}.py").read_text())
    others = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.level and node.module}
    return "api" in others or any(calls_the_api(other, seen | others) for other in others - seen)


THROUGH_THE_API = {"verify"}
"""Steps that import the client of the API and need it only where their task says so."""

ASKS_NOBODY = {"drill_choose"}
"""Steps that import what the step before them asks by, and read what it has written down."""


def gets_a_token(step: str, task: dict[str, Any]) -> bool:
    return bool(runner_pod(RUNNER, step, task)["spec"]["automountServiceAccountToken"])


@pytest.mark.parametrize("step", STEPS)
def test_only_a_step_that_calls_the_api_server_gets_a_token(step: str) -> None:
    assert gets_a_token(step, {}) is (calls_the_api(step) and step not in THROUGH_THE_API | ASKS_NOBODY)


@pytest.mark.parametrize("step", sorted(THROUGH_THE_API))
def test_a_step_that_may_ask_by_way_of_the_api_server_gets_a_token_only_where_its_task_says_so(step: str) -> None:
    assert calls_the_api(step)
    assert gets_a_token(step, {"via": "api-server"})
    assert not gets_a_token(step, {"via": "pod"}), "a server that is asked directly must never see it"


def test_the_injectors_that_are_known_leave_a_pod_alone() -> None:
    metadata = pod_metadata()
    told = {**metadata["annotations"], **metadata["labels"]}
    assert set(told.values()) - {"k8s-dr", "true"} <= {"false", "disabled", "none"}
    for mesh in ("sidecar.istio.io", "kuma.io"):  # older versions read the annotation, newer ones the label
        assert [key for key in metadata["annotations"] if key.startswith(mesh)] == [
            key for key in metadata["labels"] if key.startswith(mesh)
        ]


def test_the_name_of_the_modules_follows_their_content(monkeypatch: pytest.MonkeyPatch) -> None:
    assert set(runner_modules()) == {file.name for file in MODULES.glob("*.py")}
    before = runner_code_name()
    monkeypatch.setattr(pods, "runner_modules", lambda: {**runner_modules(), "ask.py": "pass\n"})
    assert runner_code_name() != before
    assert before.startswith("runner-")


def test_a_policy_selects_no_pod_of_anybody_else() -> None:
    own = outward_only()["podSelector"]["matchLabels"]
    assert own == {"app.kubernetes.io/part-of": "k8s-dr"}
    assert own.items() <= pod_metadata()["labels"].items()


@pytest.fixture
def job() -> Seen:
    def make() -> None:
        task, does = {"namespace": "production"}, "asks a question"
        after = [pulumi.Output.from_input("restored")]
        opts = pulumi.ResourceOptions()
        runner_job("a-job", runner=RUNNER, step="verify", task=task, does=does, seconds=300, opts=opts, after=after)

    return registered(make)["a-job"]


def test_a_job_says_what_it_does_and_waits_for_what_it_needs(job: Seen) -> None:
    annotations = {key: value for key, value in job.metadata["annotations"].items() if key.startswith("k8s-dr/")}
    assert annotations == {"k8s-dr/does": "asks a question", "k8s-dr/after": "restored"}
    assert job.metadata["namespace"] == "k8s-dr"


def test_a_job_cuts_no_step_off_before_its_time_and_the_engine_no_job(job: Seen) -> None:
    assert 300 < job.spec["activeDeadlineSeconds"] < int(job.timeout.removesuffix("s"))
    assert job.timeout == job.update_timeout


def test_a_job_makes_few_pods_anew_because_a_step_tries_again_by_itself(job: Seen) -> None:
    assert job.spec["backoffLimit"] == 2
    assert job.spec["template"]["spec"]["restartPolicy"] == "Never"
