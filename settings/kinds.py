"""Kubernetes kinds that backups and restores leave out, and how a person writes a kind."""

from __future__ import annotations

import re
from typing import Annotated

from settings.fields import Form
from settings.mistake import Mistake
from settings.spelling import closest

_CORE = (
    "bindings",
    "configmaps",
    "endpoints",
    "events",
    "limitranges",
    "namespaces",
    "nodes",
    "persistentvolumeclaims",
    "persistentvolumes",
    "pods",
    "podtemplates",
    "replicationcontrollers",
    "resourcequotas",
    "secrets",
    "serviceaccounts",
    "services",
)
"""The kinds of the core group, which alone are written without a group: `backups` alone could be Velero's or CloudNativePG's."""

_OF_KUBERNETES = {
    "admissionregistration.k8s.io": ("mutatingwebhookconfigurations", "validatingwebhookconfigurations"),
    "apiextensions.k8s.io": ("customresourcedefinitions",),
    "apiregistration.k8s.io": ("apiservices",),
    "apps": ("controllerrevisions", "daemonsets", "deployments", "replicasets", "statefulsets"),
    "autoscaling": ("horizontalpodautoscalers",),
    "batch": ("cronjobs", "jobs"),
    "certificates.k8s.io": ("certificatesigningrequests",),
    "coordination.k8s.io": ("leases",),
    "discovery.k8s.io": ("endpointslices",),
    "events.k8s.io": ("events",),
    "flowcontrol.apiserver.k8s.io": ("flowschemas", "prioritylevelconfigurations"),
    "networking.k8s.io": ("ingressclasses", "ingresses", "networkpolicies"),
    "node.k8s.io": ("runtimeclasses",),
    "policy": ("poddisruptionbudgets",),
    "rbac.authorization.k8s.io": ("clusterrolebindings", "clusterroles", "rolebindings", "roles"),
    "resource.k8s.io": ("deviceclasses", "resourceclaims", "resourceclaimtemplates", "resourceslices"),
    "scheduling.k8s.io": ("priorityclasses",),
    "storage.k8s.io": ("csidrivers", "csinodes", "csistoragecapacities", "storageclasses", "volumeattachments"),
}
"""Kinds of Kubernetes' other groups, by group (kubectl api-resources, version 1.36): what a slip is compared with."""

_SHORT = {
    "cj": "cronjobs.batch",
    "cm": "configmaps",
    "deploy": "deployments.apps",
    "ds": "daemonsets.apps",
    "hpa": "horizontalpodautoscalers.autoscaling",
    "ing": "ingresses.networking.k8s.io",
    "netpol": "networkpolicies.networking.k8s.io",
    "ns": "namespaces",
    "pdb": "poddisruptionbudgets.policy",
    "pv": "persistentvolumes",
    "pvc": "persistentvolumeclaims",
    "sa": "serviceaccounts",
    "sc": "storageclasses.storage.k8s.io",
    "sts": "statefulsets.apps",
    "svc": "services",
}
"""kubectl's short names (kubectl api-resources). Velero compares the whole name alone."""

_PATTERN = re.compile(r"[a-z0-9]+(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")

DATABASE_KINDS = (
    "backups.postgresql.cnpg.io",
    "clusterimagecatalogs.postgresql.cnpg.io",
    "clusters.postgresql.cnpg.io",
    "databaseroles.postgresql.cnpg.io",
    "databases.postgresql.cnpg.io",
    "failoverquorums.postgresql.cnpg.io",
    "imagecatalogs.postgresql.cnpg.io",
    "objectstores.barmancloud.cnpg.io",
    "poolers.postgresql.cnpg.io",
    "publications.postgresql.cnpg.io",
    "scheduledbackups.postgresql.cnpg.io",
    "subscriptions.postgresql.cnpg.io",
)
"""CloudNativePG backs up its databases itself, and a Cluster or a volume that Velero brings back breaks the one that runs."""

MADE_BY_CONTROLLERS = (
    "certificaterequests.cert-manager.io",
    "certificatesigningrequests.certificates.k8s.io",
    "challenges.acme.cert-manager.io",
    "ciliumendpoints.cilium.io",
    "ciliumendpointslices.cilium.io",
    "ciliumidentities.cilium.io",
    "ciliumnodes.cilium.io",
    "clusterconfigauditreports.aquasecurity.github.io",
    "clusterephemeralreports.reports.kyverno.io",
    "clusterinfraassessmentreports.aquasecurity.github.io",
    "clusterpolicyreports.wgpolicyk8s.io",
    "clusterrbacassessmentreports.aquasecurity.github.io",
    "clusterreports.openreports.io",
    "clustersbomreports.aquasecurity.github.io",
    "clustervulnerabilityreports.aquasecurity.github.io",
    "cninodes.eks.amazonaws.com",
    "cninodes.vpcresources.k8s.aws",
    "configauditreports.aquasecurity.github.io",
    "controllerrevisions.apps",
    "csistoragecapacities.storage.k8s.io",
    "ephemeralreports.reports.kyverno.io",
    "exposedsecretreports.aquasecurity.github.io",
    "infraassessmentreports.aquasecurity.github.io",
    "leases.coordination.k8s.io",
    "nodeclaims.karpenter.sh",
    "orders.acme.cert-manager.io",
    "policyendpoints.networking.k8s.aws",
    "policyreports.wgpolicyk8s.io",
    "rbacassessmentreports.aquasecurity.github.io",
    "reports.openreports.io",
    "sbomreports.aquasecurity.github.io",
    "targetgroupbindings.eks.amazonaws.com",
    "targetgroupbindings.elbv2.k8s.aws",
    "verticalpodautoscalercheckpoints.autoscaling.k8s.io",
    "vulnerabilityreports.aquasecurity.github.io",
    "workloads.kueue.x-k8s.io",
)
"""What a region's controllers make for themselves, or bind to parts of that region. Neither backed up nor restored."""

NOT_FOR_ANOTHER_REGION = (
    "analysisruns.argoproj.io",
    "customruns.tekton.dev",
    "databaseclusterbackups.everest.percona.com",
    "databaseclusterrestores.everest.percona.com",
    "experiments.argoproj.io",
    "jaxjobs.kubeflow.org",
    "jobs.batch",
    "jobs.batch.volcano.sh",
    "jobsets.jobset.x-k8s.io",
    "mpijobs.kubeflow.org",
    "mxjobs.kubeflow.org",
    "paddlejobs.kubeflow.org",
    "perconapgbackups.pgv2.percona.com",
    "perconapgrestores.pgv2.percona.com",
    "perconaservermongodbbackups.psmdb.percona.com",
    "perconaservermongodbrestores.psmdb.percona.com",
    "perconaservermysqlbackups.ps.percona.com",
    "perconaservermysqlrestores.ps.percona.com",
    "perconaxtradbclusterbackups.pxc.percona.com",
    "perconaxtradbclusterrestores.pxc.percona.com",
    "persistentvolumes",
    "pipelineruns.tekton.dev",
    "pytorchjobs.kubeflow.org",
    "rayjobs.ray.io",
    "restores.k8s.mariadb.com",
    "sparkapplications.sparkoperator.k8s.io",
    "taskruns.tekton.dev",
    "tfjobs.kubeflow.org",
    "trainjobs.trainer.kubeflow.org",
    "volumesnapshotcontents.snapshot.storage.k8s.io",
    "volumesnapshots.snapshot.storage.k8s.io",
    "workflows.argoproj.io",
    "xgboostjobs.kubeflow.org",
)
"""Backed up, for somebody may want them, and not restored. A Job, a workflow or a pipeline run is one run, which may have ended
since the backup and must not run again unasked; Velero restores no status, by which alone its controller would know. A restore of
a database that ran again would put the rows of long ago in the place of those that the region has. A Spark application is a run
unless it streams. A kind of which some have a schedule, as mariadb-operator's Backup, is not here. A snapshot is in the other
region and cannot leave it; volumes come back by Velero's data mover. A PersistentVolume names a disk of that region: Velero
restores it as it was where its reclaim policy is Retain and its data were not moved, and the claim would be bound to a disk that
no node here can mount, for ever."""

REFUSED_BY_VELERO = (
    "nodes",
    "events",
    "events.events.k8s.io",
    "backups.velero.io",
    "restores.velero.io",
    "resticrepositories.velero.io",
    "csinodes.storage.k8s.io",
    "volumeattachments.storage.k8s.io",
    "backuprepositories.velero.io",
)
"""What Velero itself never restores: `nonRestorableResources` of version 1.18.3, pkg/controller/restore_controller.go, in that
order. Velero adds those that are missing to a Restore's spec by itself; a list that has them all stays as it was written."""

LEFT_OUT = (*MADE_BY_CONTROLLERS, *NOT_FOR_ANOTHER_REGION)
"""What `includeResources` may bring back."""


def known_kinds() -> list[str]:
    return [*_CORE, *(f"{kind}.{group}" for group, kinds in _OF_KUBERNETES.items() for kind in kinds)]


def is_of_kubernetes(kind: str) -> bool:
    """Whether Kubernetes itself serves the kind, and no CustomResourceDefinition."""
    return "." not in kind or kind.partition(".")[2] in _OF_KUBERNETES


def check_kind(text: str) -> str:
    """Return `text` if it is a kind as Velero reads it: its plural, and its group unless that is the core group."""
    known = known_kinds()
    if text in known:
        return text
    if meant := _meant(text):
        what = "has no group" if meant.startswith(f"{text}.") else "is not a kind, plural with its group"
        raise Mistake(f"{what}; did you mean {{}}?", meant)
    if found := re.fullmatch(r"([a-z0-9]+)\.v[0-9]+(?:(?:alpha|beta)[0-9]+)?(\..+)?", text):
        raise Mistake("has a version, which Velero takes for a part of the group; write {}", f"{found[1]}{found[2] or ''}")
    if not _PATTERN.fullmatch(text):
        raise ValueError("is not a kind; write its plural with its group, as in ingresses.networking.k8s.io")
    if "." not in text:
        raise ValueError("has no group; write it too, as in deployments.apps (kubectl api-resources -o name has all of them)")
    return text


def _meant(text: str) -> str | None:
    """The kind of Kubernetes that a short name, a singular, a manifest's `kind` or a name without its group stands for."""
    manifest = re.fullmatch(r"([a-z0-9.]+)(?:/v[0-9a-z]+)?/([A-Za-z]+)", text)  # as apiVersion and kind have it
    kind, _, group = (f"{manifest[2]}.{manifest[1]}" if manifest else text).lower().partition(".")
    kind = f"{_SHORT.get(kind, kind)}{'.' if group else ''}{group}"
    without_group = {name.partition(".")[0]: name for name in reversed(known_kinds())}
    if not group:
        name = kind if kind in known_kinds() else closest(kind.partition(".")[0], without_group, cutoff=0.85)
        return without_group.get(name, name) if name else None
    if group not in _OF_KUBERNETES:
        return None
    name = closest(kind.partition(".")[0], _OF_KUBERNETES[group], cutoff=0.85)
    return f"{name}.{group}" if name else None


KindName = Annotated[
    str,
    Form(
        check=check_kind,
        name="a kind, plural with its group, as in ingresses.networking.k8s.io",
        examples=("ingresses.networking.k8s.io", "configmaps"),
        pattern=rf"^(?:{_PATTERN.pattern})$",
    ),
]
