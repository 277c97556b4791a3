"""Scales workloads to what the region's role asks for, and checks them before users are sent to them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import pulumi
import pulumi_kubernetes as k8s

from components.kube.jobs import job, kubectl, kubectl_job
from settings.model import FailoverTimeouts
from settings.roles import Duties
from settings.workloads import Workload


@dataclass(frozen=True, kw_only=True)
class WorkloadsArgs:
    """`after` are outputs of restores and databases. Scaling waits for all of them, and fails if one of them fails."""

    workloads: Sequence[Workload]
    duties: Duties
    image: str
    timeouts: FailoverTimeouts
    after: Sequence[pulumi.Input[str]] = ()


def scale_job(workload: Workload, replicas: int, args: WorkloadsArgs) -> dict[str, Any]:
    """Spec of a Job that scales a workload to `replicas`, then waits until it is available."""
    seconds = args.timeouts.seconds("scale")
    selection = workload.names or ["deployment,statefulset", "--all"]
    scale = kubectl("scale", args.image, "scale", f"--namespace={workload.namespace}", f"--replicas={replicas}", *selection)
    targets = workload.names or ["deployment,statefulset"]
    waits = [
        kubectl(
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
    return kubectl_job([scale, *waits], seconds)


def verify_job(workload: Workload, args: WorkloadsArgs) -> dict[str, Any]:
    """Spec of a Job that calls the workload's Service through the API server, and fails unless the answer is a success."""
    check = workload.check
    assert check is not None
    path = f"/api/v1/namespaces/{workload.namespace}/services/http:{check.service}:{check.port}/proxy{check.path}"
    return kubectl_job([kubectl("verify", args.image, "get", "--raw", path)], args.timeouts.seconds("verify"))


class Workloads(pulumi.ComponentResource):
    """Scales the configured workloads to the region's role and, in a region that takes over, checks that they answer.

    For users, who must not be sent to a region where nothing runs. A region that takes over scales to `replicas`, waits, then
    verifies; a region that stands by scales to `standbyReplicas`. Until somebody has set `active`, which the first failover
    does, nothing is scaled in either region.
    """

    scaled: dict[str, k8s.batch.v1.Job]
    """By namespace, the Job that scales its workloads."""

    verified: dict[str, k8s.batch.v1.Job]
    """By namespace, the Job that checks its workloads."""

    def __init__(self, name: str, args: WorkloadsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("dr:failover:Workloads", name, None, opts)
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
