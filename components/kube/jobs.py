"""The program's own Jobs: what a failover does inside a cluster."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pulumi
import pulumi_kubernetes as k8s

from components.kube.objects import after as after_annotation
from components.kube.pods import LABELS, Runner, runner_pod
from settings.names import PROGRAM_NAMESPACE, fitting

_NAME_LENGTH = 54
"""Characters that a Job's name may have here. Pulumi adds nine, and a Pod carries the whole name in a label, which holds 63."""

_START_SECONDS = 120
"""How long a Pod may take until its step begins: the pull of an image, and a new node, beside what a restore has brought."""


def runner_job(
    name: str,
    *,
    runner: Runner,
    step: str,
    task: Mapping[str, Any],
    does: str,
    seconds: int,
    opts: pulumi.ResourceOptions,
    after: Sequence[pulumi.Input[str]] = (),
) -> k8s.batch.v1.Job:
    """A Job in the program's namespace that runs one step of the runner. The engine waits until it has ended.

    `step` is a module of `components/kube/runner`, and `task` what its `run` takes, as JSON. `does` says in one sentence what the
    Job does: a reviewer reads it in the plan (annotation `k8s-dr/does`). The step has `seconds` to do it, which its task should
    say too: a step that ends in time says why it failed, and one that the Job cuts off does not. The Job starts when all outputs
    `after` are known. It fails with the reason BackoffLimitExceeded or DeadlineExceeded only, for which the provider ends its
    wait; the message of its Pod is then the step's own.
    """
    spec = {
        # A step tries again by itself. The Job does so for Pods that were lost: evicted, or on a node that died.
        "backoffLimit": 2,
        "activeDeadlineSeconds": seconds + _START_SECONDS,
        "template": runner_pod(runner, step, task),
    }
    return job(name, spec, opts, seconds=seconds + _START_SECONDS, after=after, annotations={"k8s-dr/does": does})


_ADMISSIONS = 6
"""Pods that may ask for credentials. A Job waits 10 s before it makes the second one, and then each time twice as long: the last
begins after five minutes."""

_ADMITTED_SECONDS = 420


def credentials_job(
    name: str, *, runner: Runner, namespace: str, account: str, variable: str, missing: str, opts: pulumi.ResourceOptions
) -> k8s.batch.v1.Job:
    """A Job that ends once a new Pod of `account` gets credentials for AWS at its admission.

    What keeps running under that account must start after it. EKS gives a role to an account "eventually", seconds after it has
    said that it did; a Pod that is admitted before has no credentials as long as it lives. `runner` is one whose modules are in
    `namespace`; `variable` and `missing` are those of an `Injection`.
    """
    task = {"account": f"{namespace}/{account}", "variable": variable, "missing": missing}
    spec = {
        "backoffLimit": _ADMISSIONS - 1,
        "activeDeadlineSeconds": _ADMITTED_SECONDS + _START_SECONDS,
        "template": runner_pod(runner, "credentials", task, account),
    }
    does = {"k8s-dr/does": f"waits until new Pods of {namespace}/{account} get credentials for AWS"}
    return job(name, spec, opts, seconds=_ADMITTED_SECONDS + _START_SECONDS, namespace=namespace, annotations=does)


def job(
    name: str,
    spec: dict[str, Any],
    opts: pulumi.ResourceOptions,
    *,
    seconds: int,
    after: Sequence[pulumi.Input[str]] = (),
    namespace: str = PROGRAM_NAMESPACE,
    annotations: Mapping[str, str] | None = None,
) -> k8s.batch.v1.Job:
    """A Job that may take `seconds`; the engine waits for it 60 s longer. It starts when all outputs `after` are known.

    Pulumi gives the Job a new name each time, so that one that an interrupted `up` left behind does not block the next.
    """
    # With `replaceUnready` the next `up` replaces a failed Job, and so tries again. Without it the failed Job would stay.
    told = {"pulumi.com/replaceUnready": "true", **(annotations or {}), **after_annotation(after)}
    timeout = f"{seconds + 60}s"
    return k8s.batch.v1.Job(
        fitting(name, room=_NAME_LENGTH),
        metadata={"namespace": namespace, "labels": LABELS, "annotations": told},
        spec=spec,
        opts=pulumi.ResourceOptions.merge(
            opts, pulumi.ResourceOptions(custom_timeouts=pulumi.CustomTimeouts(create=timeout, update=timeout))
        ),
    )
