"""The step that asks whether a Pod got credentials at its admission."""

from __future__ import annotations

import pytest

from components.iam.access import BY_ANNOTATION, BY_ASSOCIATION, Injection
from components.kube.runner import credentials
from components.kube.runner.failure import StepFailedError


def task(injection: Injection) -> dict[str, str]:
    return {"account": "velero/velero", "variable": injection.variable, "missing": injection.missing}


@pytest.mark.parametrize("injection", [BY_ASSOCIATION, BY_ANNOTATION])
def test_a_pod_that_got_credentials_succeeds(injection: Injection) -> None:
    assert credentials.run(task(injection), {injection.variable: "given"}) == f"{injection.variable} is set"


@pytest.mark.parametrize("environment", [{}, {"AWS_CONTAINER_CREDENTIALS_FULL_URI": ""}, {"AWS_REGION": "us-west-2"}])
def test_a_pod_that_got_none_fails_and_says_in_one_line_who_got_none_and_what_to_look_at(environment: dict[str, str]) -> None:
    with pytest.raises(StepFailedError) as failed:
        credentials.run(task(BY_ASSOCIATION), environment)
    assert str(failed.value) == (
        "Pods of velero/velero get no credentials for AWS: AWS_CONTAINER_CREDENTIALS_FULL_URI is not set; see whether EKS lists "
        "the association (aws eks list-pod-identity-associations) and the add-on eks-pod-identity-agent, then run pulumi up again"
    )
