"""What the drills that restore need to be there beforehand, so that no right of theirs reaches beyond their own namespaces."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pulumi
import pulumi_kubernetes as k8s

from components.drills import admission, database_specs, namespace_specs
from components.drills.pods import DrillsArgs, name_of
from components.drills.scratch_rules import PRIORITY_CLASS
from components.kube.job_runner import rules
from components.kube.pods import LABELS
from components.velero.specs import VELERO_NAMESPACE
from settings.drills import Kind
from settings.names import DRILLS_NAMESPACE, PROGRAM_NAMESPACE, SCRATCH_NAMESPACE

Child = Callable[..., pulumi.ResourceOptions]

_VOLUMES = f"{PROGRAM_NAMESPACE}-drills-volumes"


def of_both(name: str, args: DrillsArgs, kinds: Sequence[Kind], child: Child) -> list[pulumi.Resource]:
    """The class of what drills run, and their right to give volumes up, with the policy that keeps it to their own."""
    accounts = [name_of(kind) for kind in kinds if kind in ("namespace", "database")]
    if not accounts:
        return []
    found = namespace_specs.source(args.settings) if "namespace" in kinds else None
    policy = k8s.admissionregistration.v1.ValidatingAdmissionPolicy(
        f"{name}-policy",
        metadata={"name": admission.POLICY, "labels": LABELS},
        spec=admission.policy(args, found),
        opts=child(),
    )
    bound = k8s.admissionregistration.v1.ValidatingAdmissionPolicyBinding(
        f"{name}-policy-binding",
        metadata={"name": admission.POLICY, "labels": LABELS},
        spec=admission.binding(),
        opts=child(depends_on=[policy]),
    )
    role = k8s.rbac.v1.ClusterRole(
        f"{name}-volumes",
        metadata={"name": _VOLUMES, "labels": LABELS},
        rules=rules(admission.CLUSTER_RIGHTS),
        opts=child(depends_on=[bound]),
    )
    binding = k8s.rbac.v1.ClusterRoleBinding(
        f"{name}-volumes-binding",
        metadata={"name": _VOLUMES, "labels": LABELS},
        role_ref={"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": _VOLUMES},
        subjects=[{"kind": "ServiceAccount", "name": each, "namespace": PROGRAM_NAMESPACE} for each in accounts],
        opts=child(depends_on=[role]),
    )
    low = k8s.scheduling.v1.PriorityClass(
        f"{name}-priority",
        metadata={"name": PRIORITY_CLASS, "labels": LABELS},
        opts=child(),
        **namespace_specs.priority_class(),
    )
    return [bound, binding, low]


def of_namespace(name: str, args: DrillsArgs, child: Child) -> list[pulumi.Resource]:
    """The scratch namespace, cut off from all others, and Velero's rules for what comes into it."""
    found = namespace_specs.source(args.settings)
    assert found is not None
    namespace = k8s.core.v1.Namespace(
        f"{name}-scratch",
        metadata={"name": SCRATCH_NAMESPACE, "labels": namespace_specs.namespace_labels(args.settings.pods)},
        opts=child(),
    )
    inside = {"metadata": namespace_specs.scratch_metadata("closed"), "opts": child(depends_on=[namespace])}
    return [
        namespace,
        k8s.networking.v1.NetworkPolicy(f"{name}-scratch-network", spec=namespace_specs.network_policy(), **inside),
        k8s.core.v1.ResourceQuota(f"{name}-scratch-quota", spec=namespace_specs.quota(), **inside),
        k8s.core.v1.ConfigMap(
            f"{name}-rules",
            metadata={"name": namespace_specs.MODIFIERS, "namespace": VELERO_NAMESPACE, "labels": LABELS},
            data=namespace_specs.rules(args, found),
            opts=child(depends_on=list(args.after)),
        ),
    ]


def of_database(name: str, args: DrillsArgs, child: Child, namespace: pulumi.Resource) -> list[pulumi.Resource]:
    """The throw-away Cluster's account, its way to the archives, and what it may reach."""

    def own(called: str) -> dict[str, Any]:
        return {"name": called, "namespace": DRILLS_NAMESPACE, "labels": LABELS}

    role_arn, inside = args.cluster_access.role_arn, child(depends_on=[namespace])
    annotations = {"annotations": {"eks.amazonaws.com/role-arn": role_arn}} if role_arn else {}
    return [
        k8s.core.v1.ServiceAccount(
            f"{name}-cluster-account",
            metadata={**own(database_specs.CLUSTER), **annotations},
            # The operator gives pull secrets to accounts of its own alone.
            image_pull_secrets=args.settings.pods.pull_secrets() or None,
            opts=inside,
        ),
        k8s.apiextensions.CustomResource(
            f"{name}-archive",
            api_version="barmancloud.cnpg.io/v1",
            kind="ObjectStore",
            metadata=own(database_specs.CLUSTER),
            spec=database_specs.archive(args),
            opts=inside,
        ),
        k8s.networking.v1.NetworkPolicy(
            f"{name}-cluster-network", metadata=own("instances"), spec=database_specs.instance_policy(), opts=inside
        ),
        k8s.networking.v1.NetworkPolicy(
            f"{name}-checks-network", metadata=own("checks"), spec=database_specs.checks_policy(), opts=inside
        ),
    ]
