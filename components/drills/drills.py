"""The drills: what tries by the calendar whether backups can be restored, so that no backup goes untested. docs/drills.md.

Each drill is a CronJob in the program's namespace. What it makes is in a namespace of its own, which no backup holds and nothing
else uses. Whether a region serves is asked by a drill when it runs, so nothing here depends on `active`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import pulumi
import pulumi_kubernetes as k8s

from components.drills import database_specs, integrity_specs, namespace_specs, restores, sweep_specs
from components.drills.pods import CLUSTER_CREDENTIALS, CREDENTIALS, DrillsArgs, metadata, name_of
from components.iam.access import Access
from components.kube.job_runner import named_rules
from components.kube.pods import LABELS
from components.kube.runner.rights import Right
from settings.drills import Kind
from settings.names import DRILLS_NAMESPACE, PROGRAM_NAMESPACE


@dataclass(frozen=True, kw_only=True)
class Specs:
    """A drill as plain data: the spec of its CronJob, and its rights by namespace."""

    spec: Callable[[DrillsArgs], Mapping[str, Any]]
    rights: Callable[[DrillsArgs], Mapping[str, Sequence[Right]]]


SPECS: Mapping[Kind, Specs] = {
    "integrity": Specs(spec=integrity_specs.spec, rights=integrity_specs.rights),
    "namespace": Specs(spec=namespace_specs.spec, rights=namespace_specs.rights),
    "database": Specs(spec=database_specs.spec, rights=database_specs.rights),
}


def closed() -> dict[str, Any]:
    """Spec of the NetworkPolicy of the namespace in which databases are recovered: what is no instance finds names and reaches
    nothing, but for what another policy allows."""
    return {
        "podSelector": {"matchExpressions": [{"key": "cnpg.io/cluster", "operator": "DoesNotExist"}]},
        "policyTypes": ["Ingress", "Egress"],
        "egress": [{"ports": [{"port": 53, "protocol": protocol} for protocol in ("UDP", "TCP")]}],
    }


class Drills(pulumi.ComponentResource):
    """The drills of one region. For whoever has to know before the night that a failover will work, and for auditors.

    Both regions have them, and nothing of them depends on `active`. Nothing here is protected: what drills make is worth nothing,
    and one key switches them off.
    """

    ready: Sequence[pulumi.Resource]
    """The CronJobs."""

    def __init__(self, name: str, args: DrillsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("dr:drills:Drills", name, None, opts)
        self._stem, self._args = name, args
        kinds = args.settings.drilled
        needed = [*args.after, *args.access.ready, *args.cluster_access.ready]
        needed += self._credentials("credentials", args.access, {"name": CREDENTIALS, "namespace": PROGRAM_NAMESPACE}, args.after)
        both = restores.of_both(name, args, kinds, self._child)
        own: dict[Kind, list[pulumi.Resource]] = {
            "integrity": [],
            "namespace": [*both, *restores.of_namespace(name, args, self._child)] if "namespace" in kinds else [],
            "database": [*both, *self._namespace()] if "database" in kinds else [],
        }
        self.ready = [self._drill(kind, [*needed, *own[kind]]) for kind in kinds]
        self.register_outputs({})

    def _child(self, **options: Any) -> pulumi.ResourceOptions:
        return pulumi.ResourceOptions(parent=self, **options)

    def _namespace(self) -> list[pulumi.Resource]:
        """Where databases are recovered, and what a throw-away Cluster needs there."""
        name = self._stem
        namespace = k8s.core.v1.Namespace(
            f"{name}-namespace",
            metadata={"name": DRILLS_NAMESPACE, "labels": {**LABELS, **self._args.settings.pods.namespace_labels}},
            opts=self._child(),
        )
        closed_off = k8s.networking.v1.NetworkPolicy(
            f"{name}-network",
            metadata={"name": "closed", "namespace": DRILLS_NAMESPACE, "labels": LABELS},
            spec=closed(),
            opts=self._child(depends_on=[namespace]),
        )
        cluster = restores.of_database(name, self._args, self._child, namespace)
        own = {"name": CLUSTER_CREDENTIALS, "namespace": DRILLS_NAMESPACE}
        key = self._credentials("cluster-credentials", self._args.cluster_access, own, [namespace])
        return [namespace, closed_off, *cluster, *key]

    def _credentials(
        self, name: str, access: Access, own: Mapping[str, str], after: Sequence[pulumi.Resource]
    ) -> list[pulumi.Resource]:
        """An access key, where pods can have no role."""
        if (key := access.key) is None:
            return []
        secret = k8s.core.v1.Secret(
            f"{self._stem}-{name}",
            metadata={**own, "labels": LABELS},
            # An ObjectStore finds its region here too, as that of a database does.
            string_data={
                **{field: pulumi.Output.secret(value) for field, value in key.secret_data().items()},
                "region": self._args.names.region,
            },
            opts=self._child(depends_on=list(after)),
        )
        return [secret]

    def _drill(self, kind: Kind, needed: Sequence[pulumi.Resource]) -> pulumi.Resource:
        """The account with its rights, and the CronJob."""
        args, name, own = self._args, f"{self._stem}-{kind}", metadata(kind)
        child = partial(self._child, depends_on=list(needed))
        role_arn = args.access.role_arn
        annotations = {"annotations": {"eks.amazonaws.com/role-arn": role_arn}} if role_arn else {}
        made: list[pulumi.Resource] = [
            k8s.core.v1.ServiceAccount(f"{name}-account", metadata={**own, **annotations}, opts=child())
        ]
        subject = {"kind": "ServiceAccount", "name": own["name"], "namespace": own["namespace"]}
        role = f"{PROGRAM_NAMESPACE}-{name_of(kind)}"
        for namespace, granted in SPECS[kind].rights(args).items():
            within = {"name": role, "namespace": namespace, "labels": LABELS}
            made += [
                k8s.rbac.v1.Role(f"{name}-role-{namespace}", metadata=within, rules=named_rules(granted), opts=child()),
                k8s.rbac.v1.RoleBinding(
                    f"{name}-binding-{namespace}",
                    metadata=within,
                    role_ref={"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": role},
                    subjects=[subject],
                    opts=child(),
                ),
            ]
        job: pulumi.Resource = k8s.batch.v1.CronJob(
            f"{name}-job", metadata=own, spec=SPECS[kind].spec(args), opts=self._child(depends_on=[*needed, *made])
        )
        if kind in sweep_specs.SWEPT:
            k8s.batch.v1.CronJob(
                f"{name}-sweep",
                metadata={"name": sweep_specs.name_of(kind), "namespace": PROGRAM_NAMESPACE, "labels": sweep_specs.labels(kind)},
                spec=sweep_specs.spec(args, kind),
                opts=self._child(depends_on=[*needed, *made]),
            )
        return job
