"""The program's own Jobs: what a failover does inside a cluster.

Each container runs one command of an official image, without a shell. So a reviewer reads in the plan what it does, and it works
with any Deployment or StatefulSet, whoever deployed it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pulumi
import pulumi_kubernetes as k8s

from components.kube.objects import after as after_annotation
from components.kube.pods import CONTAINER_SECURITY, pod_security
from settings.names import EXCLUDED_FROM_BACKUP, PROGRAM_NAMESPACE, fitting

ACCOUNT = "job-runner"
"""The ServiceAccount of the Jobs that run kubectl, in the program's namespace."""

LABELS = {"app.kubernetes.io/part-of": PROGRAM_NAMESPACE, **EXCLUDED_FROM_BACKUP}

_KUBECTL_USER = 65532
_NAME_LENGTH = 54
"""Characters that a Job's name may have here. Pulumi adds nine, and a Pod carries the whole name in a label, which holds 63."""


def kubectl(name: str, image: str, *args: str) -> dict[str, Any]:
    """A container that runs one kubectl command. If the command fails, the status of its Pod has its error."""
    return {
        "name": name,
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "args": list(args),
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "resources": {"requests": {"cpu": "10m", "memory": "64Mi"}},
        "securityContext": CONTAINER_SECURITY,
    }


def kubectl_job(containers: Sequence[dict[str, Any]], seconds: int) -> dict[str, Any]:
    """Spec of a Job that runs `containers` one after the other and fails if they take longer than `seconds`."""
    *earlier, last = containers
    return {
        "backoffLimit": 5,
        "activeDeadlineSeconds": seconds,
        "template": {
            "metadata": {"labels": LABELS},
            "spec": {
                "serviceAccountName": ACCOUNT,
                "restartPolicy": "Never",
                "securityContext": pod_security(_KUBECTL_USER),
                **({"initContainers": earlier} if earlier else {}),
                "containers": [last],
            },
        },
    }


def job(
    name: str,
    spec: dict[str, Any],
    opts: pulumi.ResourceOptions,
    *,
    seconds: int,
    after: Sequence[pulumi.Input[str]] = (),
    namespace: str = PROGRAM_NAMESPACE,
) -> k8s.batch.v1.Job:
    """A Job that may take `seconds`; the engine waits for it 60 s longer. It starts when all outputs `after` are known.

    Pulumi gives the Job a new name each time, so that one that an interrupted `up` left behind does not block the next.
    """
    # With `replaceUnready` the next `up` replaces a failed Job, and so tries again. Without it the failed Job would stay.
    annotations: dict[str, pulumi.Input[str]] = {"pulumi.com/replaceUnready": "true", **after_annotation(after)}
    timeout = f"{seconds + 60}s"
    return k8s.batch.v1.Job(
        fitting(name, room=_NAME_LENGTH),
        metadata={"namespace": namespace, "labels": LABELS, "annotations": annotations},
        spec=spec,
        opts=pulumi.ResourceOptions.merge(
            opts, pulumi.ResourceOptions(custom_timeouts=pulumi.CustomTimeouts(create=timeout, update=timeout))
        ),
    )
