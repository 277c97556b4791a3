"""The drill `namespace` as plain data: what it restores, where, what it may do, and its Pod.

The scratch namespace is the program's, and there all the time, with its policies and its quota: a drill could only make it with a
right to make any namespace, and to make network policies in all of them. So the drill empties it, and has rights in it alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from components.drills.pods import DrillsArgs, base_task, cron_job, judge, labels, pod, seconds_of, upload
from components.drills.scratch_rules import KINDS, PODS, PRIORITY_CLASS, RestoredKind, scratch_rules
from components.kube.pods import CONTAINER_SECURITY, LABELS, admitted, pod_metadata, pod_security
from components.kube.records import SERVING_RECORD
from components.kube.runner.drill_space import CLEANING_SECONDS
from components.kube.runner.rights import Right
from components.velero import modifiers
from components.velero.age import allowed
from components.velero.selection import chosen, selector
from components.velero.specs import PEER, VELERO_NAMESPACE
from settings.backup import Backup
from settings.drills import Kind
from settings.model import Settings
from settings.names import EXCLUDED_FROM_BACKUP, PROGRAM_NAMESPACE, SCRATCH_NAMESPACE
from settings.pods import PodsSettings
from settings.roles import peer_of

KIND: Kind = "namespace"
MODIFIERS = "drill-modifiers"
"""ConfigMap of the rules, in Velero's namespace."""

_USER = 65532
_START_SECONDS = 300
"""For images and nodes, beside the restore itself."""

_FENCE = """
import os, socket, sys, time
end, refused = time.monotonic() + 60, 0
while time.monotonic() < end and refused < 3:
    try:
        socket.create_connection((os.environ["KUBERNETES_SERVICE_HOST"], int(os.environ["KUBERNETES_SERVICE_PORT"])), 3).close()
        refused = 0
    except OSError:
        refused += 1
    time.sleep(1)
sys.exit(0 if refused == 3 else 1)
"""
"""Ends with 0 once the API server cannot be reached three times in a row. Some networks need a moment for a new Pod."""


@dataclass(frozen=True, kw_only=True)
class Source:
    """Which namespace is restored, and by which entry of `backups` a failover would bring it."""

    namespace: str
    backup: Backup


def source(settings: Settings) -> Source | None:
    """What the drill restores; None where there is nothing to drill: no workload, or nothing that a failover restores of it."""
    if (namespace := settings.drilled_namespace) is None:
        return None
    wanted = chosen(settings.backups, {*settings.named_namespaces, namespace})
    found = next((each.backup for each in wanted if each.has(namespace)), None)
    return Source(namespace=namespace, backup=found) if found else None


def kinds(settings: Settings, backup: Backup) -> list[RestoredKind]:
    """What comes: the kinds of a workload, but for those that a failover does not restore or a person leaves out."""
    out = {*backup.not_restored, *settings.drills.namespace.exclude_resources}
    return [each for each in (*KINDS, *([PODS] if backup.pods == "all" else [])) if each.name not in out]


def replicas(settings: Settings, backup: Backup) -> int:
    """How many Pods a workload has there. Where Pods come for their volumes, none: a StatefulSet would wait for their names."""
    return 0 if backup.pods == "all" else settings.drills.namespace.replicas


def restore(settings: Settings, found: Source) -> dict[str, Any]:
    """Spec of the Restore, but for the Backup that the drill chooses."""
    return {
        "includedNamespaces": [found.namespace],
        "namespaceMapping": {found.namespace: SCRATCH_NAMESPACE},
        "includedResources": [each.name for each in kinds(settings, found.backup)],
        "includeClusterResources": False,
        "labelSelector": selector(found.backup),
        "existingResourcePolicy": "none",
        "resourceModifier": {"kind": "ConfigMap", "name": MODIFIERS},
        "itemOperationTimeout": settings.drills.namespace.timeout,
    }


def rules(args: DrillsArgs, found: Source) -> dict[str, str]:
    """Data of the ConfigMap of rules: those of a failover first, and then those that let nothing work for production."""
    settings = args.settings
    own = scratch_rules(replicas(settings, found.backup), settings.images.python, settings.pods.pull_secrets())
    return {"rules.yaml": modifiers.document(settings.velero, args.names.role, drill=own)}


def task(args: DrillsArgs, found: Source) -> dict[str, Any]:
    settings, drill = args.settings, args.settings.drills.namespace
    probe = drill.probe
    rpo = timedelta(seconds=settings.objectives.rpo_seconds)
    return {
        **base_task(args, KIND),
        "namespace": found.namespace,
        "scratch": SCRATCH_NAMESPACE,
        "schedule": args.names.schedule(found.backup.name, peer_of(args.names.role)),
        "location": PEER,
        "within": int(allowed(found.backup.cron, rpo).total_seconds()),
        "restore": restore(settings, found),
        "kinds": [
            {"kind": each.kind, "plural": each.plural, "group": each.group, "version": each.version}
            for each in kinds(settings, found.backup)
        ],
        "fence": fence(args) if replicas(settings, found.backup) or found.backup.pods == "all" else None,
        "probe": probe and probe.model_dump(include={"ready", "service", "port", "scheme", "path"}),
        "seconds": seconds_of(drill.timeout),
    }


def fence(args: DrillsArgs) -> dict[str, Any]:
    """A Pod that shows whether the namespace's policy holds, before a Pod of production's starts there."""
    container = {
        "name": "fence",
        "image": args.settings.images.python,
        "imagePullPolicy": "IfNotPresent",
        "command": ["python3", "-c", _FENCE],
        "resources": {"requests": {"cpu": "10m", "memory": "32Mi"}, "limits": {"cpu": "500m", "memory": "64Mi"}},
        "securityContext": {**CONTAINER_SECURITY, "readOnlyRootFilesystem": True},
    }
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": pod_metadata(),
        "spec": {
            "automountServiceAccountToken": False,
            "restartPolicy": "Never",
            "priorityClassName": PRIORITY_CLASS,
            "securityContext": pod_security(_USER),
            "containers": [container],
        },
    }
    return admitted(pod, args.settings.pods)


def namespace_labels(pods: PodsSettings) -> dict[str, str]:
    """Labels of the scratch namespace. A Pod on the node's own network would pass by every policy; this level refuses it."""
    return {**pods.namespace_labels, **labels(KIND), "pod-security.kubernetes.io/enforce": "baseline"}


def network_policy() -> dict[str, Any]:
    """Spec of the scratch namespace's policy: its Pods reach each other and the DNS, and only the drill itself reaches them."""
    inside: dict[str, Any] = {"podSelector": {}}
    drill = {
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": PROGRAM_NAMESPACE}},
        "podSelector": {"matchLabels": {"app.kubernetes.io/name": labels(KIND)["app.kubernetes.io/name"]}},
    }
    return {
        "podSelector": {},
        "policyTypes": ["Ingress", "Egress"],
        "ingress": [{"from": [inside, drill]}],
        "egress": [{"to": [inside]}, {"ports": [{"protocol": each, "port": 53} for each in ("UDP", "TCP")]}],
    }


def quota() -> dict[str, Any]:
    """Spec of the scratch namespace's quota: what must never be there is refused, even if a rule were missing."""
    none = ("services.loadbalancers", "services.nodeports", "count/jobs.batch", "count/ingresses.networking.k8s.io")
    return {"hard": {**dict.fromkeys(none, "0"), "pods": "200"}}


def priority_class() -> dict[str, Any]:
    """The PriorityClass of both restore drills, but for its metadata. Below -10 an autoscaler would add no node for it."""
    return {
        "value": -1,
        "preemption_policy": "Never",
        "description": "what a drill runs: it gives way to everything else",
    }


def rights(args: DrillsArgs) -> dict[str, list[Right]]:
    """What the account may do, by namespace. A Restore that is made has no name yet, and Velero may do anything: `admission`
    says which one it may be."""

    def inside(verbs: str, kind: str, group: str = "", namespace: str = SCRATCH_NAMESPACE, name: str = "") -> list[Right]:
        return [Right(verb=verb, group=group, resource=kind, namespace=namespace, name=name) for verb in verbs.split()]

    found = source(args.settings)
    brought = kinds(args.settings, found.backup) if found else []
    listed = dict.fromkeys([*((each.plural, each.group) for each in brought), ("pods", ""), ("persistentvolumeclaims", "")])
    own = [right for plural, group in listed for right in inside("list delete", plural, group)]
    ready = [right for plural in ("deployments", "statefulsets") for right in inside("get", plural, "apps")]
    pods = inside("get create", "pods")
    velero = [
        *inside("list", "backups", "velero.io", VELERO_NAMESPACE),
        *inside("get list create delete", "restores", "velero.io", VELERO_NAMESPACE),
        *inside("get create", "downloadrequests", "velero.io", VELERO_NAMESPACE),
        *inside("list", "datadownloads", "velero.io", VELERO_NAMESPACE),
        *inside("list", "podvolumerestores", "velero.io", VELERO_NAMESPACE),
    ]
    return {
        PROGRAM_NAMESPACE: [
            *inside("get", "configmaps", namespace=PROGRAM_NAMESPACE, name=SERVING_RECORD),
            *inside("list", "pods", namespace=PROGRAM_NAMESPACE),
        ],
        SCRATCH_NAMESPACE: [*own, *ready, *pods, *inside("list", "events")],
        VELERO_NAMESPACE: velero,
    }


def spec(args: DrillsArgs) -> dict[str, Any]:
    """Spec of the CronJob. There is one only where there is a source."""
    drill, found = args.settings.drills.namespace, source(args.settings)
    assert found is not None
    seconds = seconds_of(drill.timeout) + 2 * int(CLEANING_SECONDS) + _START_SECONDS
    return cron_job(
        args,
        KIND,
        cron=drill.cron,
        timeout=f"{seconds}s",
        does=f"restores namespace {found.namespace} from the other region's newest backup into {SCRATCH_NAMESPACE}, "
        "compares, and deletes it; does nothing in the region that serves",
        spec=pod(
            args,
            KIND,
            before=[],
            last=[judge(args, "drill_namespace", task(args, found), KIND, token=True), upload(args, KIND, seconds)],
            room="64Mi",
            cleaning=CLEANING_SECONDS,
        ),
    )


def scratch_metadata(name: str) -> dict[str, Any]:
    """Metadata of what the program keeps in the scratch namespace."""
    return {"name": name, "namespace": SCRATCH_NAMESPACE, "labels": {**LABELS, **EXCLUDED_FROM_BACKUP}}
