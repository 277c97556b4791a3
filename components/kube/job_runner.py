"""What the program's own Jobs need: a namespace that lets them out, the runner's modules, and an account with its rights."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from functools import partial
from typing import Any

import pulumi
import pulumi_kubernetes as k8s

from components.kube.jobs import runner_job
from components.kube.pods import ACCOUNT, LABELS, Runner, outward_only, runner_code
from components.kube.runner.rights import NEEDED, THROUGH_THE_API, Right
from settings.names import PROGRAM_NAMESPACE
from settings.pods import PodsSettings

_CLUSTER_ROLE = f"{PROGRAM_NAMESPACE}-{ACCOUNT}"

_READY_SECONDS = 270


def rules(rights: Iterable[Right]) -> list[dict[str, Any]]:
    """Rules of a ClusterRole that grants these rights and no other, one for each kind or subresource."""
    verbs: dict[tuple[str, str], list[str]] = {}
    for right in rights:
        kind = f"{right.resource}/{right.subresource}" if right.subresource else right.resource
        verbs.setdefault((right.group, kind), []).append(right.verb)
    return [{"apiGroups": [group], "resources": [kind], "verbs": each} for (group, kind), each in verbs.items()]


def named_rules(rights: Iterable[Right]) -> list[dict[str, Any]]:
    """Rules of a Role that grants these rights and no other, each on objects of its name where it has one."""
    verbs: dict[tuple[str, str, str], list[str]] = {}
    for right in rights:
        kind = f"{right.resource}/{right.subresource}" if right.subresource else right.resource
        verbs.setdefault((right.group, kind, right.name), []).append(right.verb)
    return [
        {"apiGroups": [group], "resources": [kind], **({"resourceNames": [name]} if name else {}), "verbs": each}
        for (group, kind, name), each in verbs.items()
    ]


class JobRunner(pulumi.ComponentResource):
    """The namespace, the code and the account of the program's own Jobs. The account may do what its steps do, and no more.

    A failover's Jobs need them, so they are made long before one, in both regions alike. Each change of image, code or rights
    runs a Job that asks for its own rights, so faults show at deployment: an image that cannot be pulled, a Pod that the cluster
    does not admit, or a right that is missing.
    """

    runner: Runner
    """What a Job needs to run a step of the runner."""

    ready: pulumi.Output[str]
    """Known once a Pod has run here, with every right that a failover uses."""

    def __init__(
        self,
        name: str,
        image: str,
        opts: pulumi.ResourceOptions | None = None,
        *,
        pods: PodsSettings,
        through_the_api: bool = False,
    ) -> None:
        """`through_the_api` says whether a step asks Services through the API server."""
        needed = (*NEEDED, THROUGH_THE_API) if through_the_api else NEEDED
        super().__init__("dr:kube:JobRunner", name, None, opts)
        child = partial(pulumi.ResourceOptions, parent=self)
        namespace = k8s.core.v1.Namespace(
            f"{name}-namespace",
            metadata={"name": PROGRAM_NAMESPACE, "labels": {**LABELS, **pods.namespace_labels}},
            opts=child(protect=True, retain_on_delete=True),
        )
        inside = partial(child, depends_on=[namespace])
        network = k8s.networking.v1.NetworkPolicy(
            f"{name}-network",
            metadata={"name": "own-pods", "namespace": PROGRAM_NAMESPACE, "labels": LABELS},
            spec=outward_only(),
            opts=inside(),
        )
        self.runner = Runner(image=image, code=runner_code(f"{name}-code", inside()), pods=pods)
        account = k8s.core.v1.ServiceAccount(
            f"{name}-account",
            metadata={"name": ACCOUNT, "namespace": PROGRAM_NAMESPACE},
            opts=inside(),
        )
        role = k8s.rbac.v1.ClusterRole(f"{name}-role", metadata={"name": _CLUSTER_ROLE}, rules=rules(needed), opts=child())
        binding = k8s.rbac.v1.ClusterRoleBinding(
            f"{name}-binding",
            metadata={"name": _CLUSTER_ROLE},
            role_ref={"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": _CLUSTER_ROLE},
            subjects=[{"kind": "ServiceAccount", "name": ACCOUNT, "namespace": PROGRAM_NAMESPACE}],
            opts=child(depends_on=[namespace, role]),
        )
        ready = runner_job(
            f"{name}-ready",
            runner=self.runner,
            step="rights",
            task={"rights": [asdict(right) for right in needed]},
            does="asks whether its account has every right that a failover uses",
            seconds=_READY_SECONDS,
            opts=child(depends_on=[account, binding, network]),
        )
        self.ready = ready.id
        self.register_outputs({})
