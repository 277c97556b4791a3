"""The namespace of the program's own Jobs, and the service account that they run under."""

from __future__ import annotations

from functools import partial

import pulumi
import pulumi_kubernetes as k8s

from components.kube.jobs import ACCOUNT, LABELS, job, kubectl, kubectl_job
from settings.names import PROGRAM_NAMESPACE

_CLUSTER_ROLE = f"{PROGRAM_NAMESPACE}-{ACCOUNT}"
_RULES = [
    {"apiGroups": ["apps"], "resources": ["deployments", "statefulsets"], "verbs": ["get", "list", "watch"]},
    {"apiGroups": ["apps"], "resources": ["deployments/scale", "statefulsets/scale"], "verbs": ["get", "patch", "update"]},
    {"apiGroups": [""], "resources": ["services/proxy"], "verbs": ["get"]},
]
_NEEDED_RIGHTS = (("patch", "deployments.apps", "scale"), ("patch", "statefulsets.apps", "scale"), ("get", "services", "proxy"))
"""The rights that a failover uses, each as verb, kind and subresource."""

_READY_SECONDS = 300


class JobRunner(pulumi.ComponentResource):
    """The namespace and the account of the program's own Jobs. The account may scale workloads and call Services, and no more.

    A failover's Jobs need both, so both are made long before one, in both regions alike. Each change of image or rights runs a
    Job that checks its own permissions, so faults show at deployment: an image that cannot be pulled, or a right that is missing.
    """

    def __init__(self, name: str, image: str, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("dr:kube:JobRunner", name, None, opts)
        child = partial(pulumi.ResourceOptions, parent=self)
        namespace = k8s.core.v1.Namespace(
            f"{name}-namespace",
            metadata={"name": PROGRAM_NAMESPACE, "labels": LABELS},
            opts=child(protect=True, retain_on_delete=True),
        )
        account = k8s.core.v1.ServiceAccount(
            f"{name}-account",
            metadata={"name": ACCOUNT, "namespace": PROGRAM_NAMESPACE},
            opts=child(depends_on=[namespace]),
        )
        role = k8s.rbac.v1.ClusterRole(f"{name}-role", metadata={"name": _CLUSTER_ROLE}, rules=_RULES, opts=child())
        binding = k8s.rbac.v1.ClusterRoleBinding(
            f"{name}-binding",
            metadata={"name": _CLUSTER_ROLE},
            role_ref={"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": _CLUSTER_ROLE},
            subjects=[{"kind": "ServiceAccount", "name": ACCOUNT, "namespace": PROGRAM_NAMESPACE}],
            opts=child(depends_on=[namespace, role]),
        )
        questions = [
            kubectl(f"may-{number}", image, "auth", "can-i", verb, kind, f"--subresource={subresource}", "--all-namespaces")
            for number, (verb, kind, subresource) in enumerate(_NEEDED_RIGHTS)
        ]
        job(
            f"{name}-ready",
            kubectl_job(questions, _READY_SECONDS),
            child(depends_on=[account, binding]),
            seconds=_READY_SECONDS,
        )
        self.register_outputs({})
