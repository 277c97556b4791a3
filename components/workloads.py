"""Workloads scaled to what the region's role asks for, and checked before users are sent to them.

By Jobs of the official kubectl image, one command a container and no shell: what they do can be read in the plan, and
they work with any Deployment or StatefulSet, whoever deployed it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import pulumi
import pulumi_kubernetes as k8s

from components.restores import joined
from settings.model import FailoverSettings
from settings.names import EXCLUDED_FROM_BACKUP, PROGRAM_NAMESPACE, fitting
from settings.roles import Duties
from settings.workloads import Workload

ACCOUNT = "workloads"
_ROOM = 54
"""Characters of a Job's name to which Pulumi adds nine of its own: a Pod's label holds 63."""

_LABELS = {"app.kubernetes.io/part-of": PROGRAM_NAMESPACE, **EXCLUDED_FROM_BACKUP}
_KUBECTL_RULES = [
    {"apiGroups": ["apps"], "resources": ["deployments", "statefulsets"], "verbs": ["get", "list", "watch"]},
    {"apiGroups": ["apps"], "resources": ["deployments/scale", "statefulsets/scale"], "verbs": ["get", "patch", "update"]},
    {"apiGroups": [""], "resources": ["services/proxy"], "verbs": ["get"]},
]


class Operator(pulumi.ComponentResource):
    """The namespace and the account of the program's own Jobs, with no more rights than scaling and asking.

    For the Jobs of a failover, which must find both in place: created long before, the same in either role. A Job of the very
    image and account asks for its rights at each deployment that changes them, so that an image that cannot be pulled or a
    right that is missing is found by day.
    """

    def __init__(self, name: str, image: str, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("dr:workloads:Operator", name, None, opts)
        child = partial(pulumi.ResourceOptions, parent=self)
        namespace = k8s.core.v1.Namespace(
            f"{name}-namespace",
            metadata={"name": PROGRAM_NAMESPACE, "labels": _LABELS},
            opts=child(protect=True, retain_on_delete=True),
        )
        account = k8s.core.v1.ServiceAccount(
            f"{name}-account", metadata={"name": ACCOUNT, "namespace": PROGRAM_NAMESPACE}, opts=child(depends_on=[namespace])
        )
        role = k8s.rbac.v1.ClusterRole(
            f"{name}-role", metadata={"name": f"{PROGRAM_NAMESPACE}-{ACCOUNT}"}, rules=_KUBECTL_RULES, opts=child()
        )
        binding = k8s.rbac.v1.ClusterRoleBinding(
            f"{name}-binding",
            metadata={"name": f"{PROGRAM_NAMESPACE}-{ACCOUNT}"},
            role_ref={"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": f"{PROGRAM_NAMESPACE}-{ACCOUNT}"},
            subjects=[{"kind": "ServiceAccount", "name": ACCOUNT, "namespace": PROGRAM_NAMESPACE}],
            opts=child(depends_on=[namespace, role]),
        )
        rights = (("patch", "deployments.apps", "scale"), ("patch", "statefulsets.apps", "scale"), ("get", "services", "proxy"))
        questions = [
            _kubectl(f"may-{number}", image, "auth", "can-i", verb, kind, f"--subresource={part}", "--all-namespaces")
            for number, (verb, kind, part) in enumerate(rights)
        ]
        job(f"{name}-ready", _job(questions, 300), child(depends_on=[account, binding]), seconds=300)
        self.register_outputs({})


@dataclass(frozen=True, kw_only=True)
class WorkloadsArgs:
    """`after` names what must be restored before anything is scaled: outputs that fail when it was not."""

    workloads: Sequence[Workload]
    duties: Duties
    image: str
    timeouts: FailoverSettings
    after: Sequence[pulumi.Input[str]] = ()


def _kubectl(name: str, image: str, *args: str) -> dict[str, Any]:
    """A container that runs one kubectl command. Its error is what the failed Job tells."""
    return {
        "name": name,
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "args": list(args),
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "resources": {"requests": {"cpu": "10m", "memory": "64Mi"}},
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
    }


def _job(containers: Sequence[dict[str, Any]], seconds: int) -> dict[str, Any]:
    """Spec of a Job that runs `containers` one after the other and has failed after `seconds`."""
    *first, last = containers
    return {
        "backoffLimit": 5,
        "activeDeadlineSeconds": seconds,
        "template": {
            "metadata": {"labels": _LABELS},
            "spec": {
                "serviceAccountName": ACCOUNT,
                "restartPolicy": "Never",
                "securityContext": {
                    "runAsNonRoot": True,
                    "runAsUser": 65532,
                    "seccompProfile": {"type": "RuntimeDefault"},
                },
                **({"initContainers": first} if first else {}),
                "containers": [last],
            },
        },
    }


def scale_job(workload: Workload, replicas: int, args: WorkloadsArgs) -> dict[str, Any]:
    """Scale, then wait until what was scaled is available."""
    seconds = args.timeouts.seconds("scale")
    what = workload.names or ["deployment,statefulset", "--all"]
    scale = _kubectl("scale", args.image, "scale", f"--namespace={workload.namespace}", f"--replicas={replicas}", *what)
    targets = workload.names or ["deployment,statefulset"]
    waits = [
        _kubectl(
            f"wait-{number}" if len(targets) > 1 else "wait",
            args.image,
            "rollout",
            "status",
            f"--namespace={workload.namespace}",
            f"--timeout={seconds}s",
            target,
        )
        for number, target in enumerate(targets)
    ]
    return _job([scale, *waits], seconds)


def verify_job(workload: Workload, args: WorkloadsArgs) -> dict[str, Any]:
    """Ask the Service through the API server: whatever is not a success fails the Job."""
    check = workload.check
    assert check is not None
    path = f"/api/v1/namespaces/{workload.namespace}/services/http:{check.service}:{check.port}/proxy{check.path}"
    return _job([_kubectl("verify", args.image, "get", "--raw", path)], args.timeouts.seconds("verify"))


class Workloads(pulumi.ComponentResource):
    """Scales the configured workloads to the region's role and, in a region that takes over, checks that they answer.

    For users, who must not land on nothing. In a region that takes over: `replicas`, wait, verify. In one that stands by:
    `standbyReplicas`. Until somebody has set `active`, which the first failover does, nothing is scaled in either region.
    """

    scaled: dict[str, k8s.batch.v1.Job]
    verified: dict[str, k8s.batch.v1.Job]

    def __init__(self, name: str, args: WorkloadsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("dr:workloads:Workloads", name, None, opts)
        child = partial(pulumi.ResourceOptions, parent=self)
        self.scaled, self.verified = {}, {}
        for workload in args.workloads if args.duties.enforces_scale else ():
            replicas = workload.replicas if args.duties.scale_to == "replicas" else workload.standby_replicas
            scaled = self.scaled[workload.namespace] = job(
                f"{name}-scale-{workload.namespace}",
                scale_job(workload, replicas, args),
                child(),
                seconds=args.timeouts.seconds("scale"),
                after=args.after,
            )
            if workload.check and args.duties.takes_over:
                self.verified[workload.namespace] = job(
                    f"{name}-verify-{workload.namespace}",
                    verify_job(workload, args),
                    child(depends_on=[scaled]),
                    seconds=args.timeouts.seconds("verify"),
                    after=args.after,
                )
        self.register_outputs({})


def job(
    name: str,
    spec: dict[str, Any],
    opts: pulumi.ResourceOptions,
    *,
    seconds: int,
    after: Sequence[pulumi.Input[str]] = (),
    namespace: str = PROGRAM_NAMESPACE,
) -> k8s.batch.v1.Job:
    """A Job of the program's own, waited for a little longer than it may take.

    Pulumi names it, a new name each time: one that an interrupted `up` left behind must not stand in the way of the next.
    """
    # A failed Job would otherwise stay what it is: the next `up` replaces it and tries again.
    annotations: dict[str, pulumi.Input[str]] = {"pulumi.com/replaceUnready": "true"}
    if after:
        annotations["k8s-dr/after"] = joined(after)
    patience = f"{seconds + 60}s"
    return k8s.batch.v1.Job(
        fitting(name, room=_ROOM),
        metadata={"namespace": namespace, "labels": _LABELS, "annotations": annotations},
        spec=spec,
        opts=pulumi.ResourceOptions.merge(
            opts, pulumi.ResourceOptions(custom_timeouts=pulumi.CustomTimeouts(create=patience, update=patience))
        ),
    )
