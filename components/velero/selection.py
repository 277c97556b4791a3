"""What is backed up and what is restored: namespaces, kinds and labels."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from settings.backup import Backup
from settings.names import NEVER_RESTORED

# A controller makes its Pods and ReplicaSets anew from what a person wrote, through the admission of the cluster that it runs in.
# Restored ones would keep what the other region's admission put in (region, role, sidecars), and would be adopted as they are.
# Velero cannot select by owner, but Kubernetes labels what it makes: Pods and ReplicaSets of Deployments, Pods of StatefulSets
# and DaemonSets, those of Argo Rollouts, and Pods of Jobs.
_POD_TEMPLATES = ("pod-template-hash", "controller-revision-hash", "rollouts-pod-template-hash")
_OF_JOBS = "batch.kubernetes.io/job-name"

_ALWAYS: list[dict[str, Any]] = [
    {"key": "cnpg.io/cluster", "operator": "DoesNotExist"},
    # The Secrets of CloudNativePG's own certificate authority carry no label but this. KEDA makes an autoscaler of each
    # ScaledObject, and its webhook refuses one whose workload has an autoscaler without an owner, as restored ones are.
    {"key": "app.kubernetes.io/managed-by", "operator": "NotIn", "values": ["cloudnative-pg", "keda-operator"]},
    # EndpointSlices and Endpoints hold the addresses of a Service's Pods, and every cluster makes them anew. If that Service
    # serves here already, restored ones would send users to Pods of the dead region until the controller notices. Those that a
    # person made are kept.
    {
        "key": "endpointslice.kubernetes.io/managed-by",
        "operator": "NotIn",
        "values": ["endpointslice-controller.k8s.io", "endpointslicemirroring-controller.k8s.io"],
    },
    {"key": "endpoints.kubernetes.io/managed-by", "operator": "NotIn", "values": ["endpoint-controller"]},
    # The Operator Lifecycle Manager copies what it has installed into each namespace that an operator watches, and takes copies
    # away again whose original is not there. What somebody installed in a namespace has no such label, and comes back.
    {"key": "olm.copiedFrom", "operator": "DoesNotExist"},
]


def selector(backup: Backup) -> dict[str, Any]:
    """The labels of what is backed up and restored. The restore asks again, for its backup may be an older one."""
    unwanted = [_OF_JOBS] if backup.pods == "all" else [*_POD_TEMPLATES, _OF_JOBS]
    return {"matchExpressions": [*_ALWAYS, *({"key": label, "operator": "DoesNotExist"} for label in unwanted)]}


RESTORED_PODS = [f"velero.io/restore-name,{label}" for label in _POD_TEMPLATES]
"""Label selectors of the Pods that a restore brought back although a controller owns them: of any restore, for one that is
repeated leaves those of the first as they are."""


@dataclass(frozen=True, kw_only=True)
class Chosen:
    """A backup that a failover restores, and the part of a Restore's spec that says which of its namespaces."""

    backup: Backup
    namespaces: dict[str, list[str]]

    def has(self, namespace: str) -> bool:
        if "includedNamespaces" in self.namespaces:
            return namespace in self.namespaces["includedNamespaces"]
        return namespace not in self.namespaces["excludedNamespaces"]

    def __str__(self) -> str:
        if "includedNamespaces" in self.namespaces:
            return ", ".join(self.namespaces["includedNamespaces"])
        return f"all but {', '.join(self.namespaces['excludedNamespaces'])}"


def chosen(backups: Sequence[Backup], named: Collection[str]) -> list[Chosen]:
    """What a failover restores, in order. `named` are the namespaces that workloads and databases name.

    Backups that name namespaces come first: they are the most frequent and the most urgent. No namespace is restored twice, and
    none that belongs to an entry with `restore: false`, for somebody decided that it is not restored. Where nothing is left of a
    backup it is not in the answer: an empty list of namespaces would mean all of them to Velero.
    """
    already = {namespace for backup in backups if not backup.restore for namespace in backup.include}
    wanted = [backup for backup in backups if backup.restore]
    answer: list[Chosen] = []
    for backup in sorted(wanted, key=_urgency):
        if _brings_everything(backup):
            if answer and _brings_everything(answer[-1].backup):
                continue  # the one before it has left nothing
            left_out = sorted({*backup.exclude, *NEVER_RESTORED, *already})
            answer.append(Chosen(backup=backup, namespaces={"excludedNamespaces": left_out}))
            continue
        own = backup.include or sorted({*named} - {*backup.exclude, *NEVER_RESTORED})
        if left := [namespace for namespace in own if namespace not in already]:
            answer.append(Chosen(backup=backup, namespaces={"includedNamespaces": left}))
            already |= {*left}
    return answer


def _brings_everything(backup: Backup) -> bool:
    return not backup.include and backup.restore == "everything"


def _urgency(backup: Backup) -> int:
    """The order of restores: what backups name, what somebody names of full backups, the rest."""
    return 0 if backup.include else 2 if _brings_everything(backup) else 1
