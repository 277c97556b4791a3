"""What keeps a restored namespace from working for production, in Velero's own form: rules that change objects on their way.

They come after those of a failover, so they have the last word over what a person wrote. What no rule can make harmless is not
among KINDS, and so is not restored: custom resources, for an operator would act on them; Ingresses and routes; Jobs; disruption
budgets, which would hold a node; and network policies, for policies add up, and production's would open what the scratch
namespace closes.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from settings.names import EXCLUDED_FROM_BACKUP

PRIORITY_CLASS = "k8s-dr-drills"
"""The class of what a drill runs: it gives way to everything else."""


@dataclass(frozen=True, kw_only=True)
class RestoredKind:
    """A kind that the drill restores and counts, as its backup lists it (`kind`) and as Velero and the API name it."""

    kind: str
    plural: str
    group: str = ""
    version: str = "v1"

    @property
    def name(self) -> str:
        return f"{self.plural}.{self.group}" if self.group else self.plural


KINDS = (
    RestoredKind(kind="Deployment", plural="deployments", group="apps"),
    RestoredKind(kind="StatefulSet", plural="statefulsets", group="apps"),
    RestoredKind(kind="DaemonSet", plural="daemonsets", group="apps"),
    RestoredKind(kind="CronJob", plural="cronjobs", group="batch"),
    RestoredKind(kind="HorizontalPodAutoscaler", plural="horizontalpodautoscalers", group="autoscaling", version="v2"),
    RestoredKind(kind="Service", plural="services"),
    RestoredKind(kind="ServiceAccount", plural="serviceaccounts"),
    RestoredKind(kind="ConfigMap", plural="configmaps"),
    RestoredKind(kind="Secret", plural="secrets"),
    RestoredKind(kind="PersistentVolumeClaim", plural="persistentvolumeclaims"),
)
"""Kubernetes' own kinds that are a workload or belong to one. Owners before what they own: so they are deleted, too."""

PODS = RestoredKind(kind="Pod", plural="pods")
"""Where Velero keeps the files of volumes through Pods (`pods: all`), the Pods come too."""

_WAIT, _KEPT = "restore-wait", "restoreWait"
"""The container that Velero puts first into a Pod whose volumes it fills (pkg/restorehelper/util.go); where the rules keep it."""

_SCALED = ("deployments.apps", "statefulsets.apps")
_KEEP_ANNOTATIONS = ("secrets", "persistentvolumeclaims", "pods")
"""Kinds whose annotations Kubernetes or Velero reads: a token's account, a claim's provisioner, what fills a Pod's volume."""

_OF_DEPLOYERS = (
    "app.kubernetes.io/instance",
    "app.kubernetes.io/managed-by",
    "argocd.argoproj.io/instance",
    "helm.toolkit.fluxcd.io/name",
    "helm.toolkit.fluxcd.io/namespace",
    "kustomize.toolkit.fluxcd.io/name",
    "kustomize.toolkit.fluxcd.io/namespace",
)
"""Labels by which Argo CD, Flux and Helm know what is theirs: they would delete what they have not made, or take it over."""

_MIRRORED = (
    "kubed.appscode.com/sync",
    "reflector.v1.k8s.emberstack.com/reflection-allowed",
    "reflector.v1.k8s.emberstack.com/reflection-auto-enabled",
    "replicator.v1.mittwald.de/replicate-to",
    "replicator.v1.mittwald.de/replicate-to-matching",
)
"""Annotations by which Secrets are copied into other namespaces."""

_PORTS = 16
"""Ports of a Service whose node ports are taken away. Velero keeps those that a person chose (service_action.go), and a Service
without them is refused with them."""

_OUTSIDE = (
    "allocateLoadBalancerNodePorts",
    "externalIPs",
    "externalName",
    "externalTrafficPolicy",
    "healthCheckNodePort",
    "loadBalancerClass",
    "loadBalancerIP",
    "loadBalancerSourceRanges",
)


def _merge(kind: str, patch: dict[str, Any], **conditions: Any) -> dict[str, Any]:
    return {"conditions": {"groupResource": kind, **conditions}, "mergePatches": [{"patchData": json.dumps(patch)}]}


def scratch_rules(replicas: int, image: str, pulled_by: Sequence[dict[str, str]] = ()) -> list[dict[str, Any]]:
    """The rules, in the order in which Velero applies them. `replicas` is 0 or 1; `image` runs in Pods that come for their
    volumes alone, and is pulled by these Secrets, or by those that the Pod has."""
    return [*_everywhere(), *_workloads(replicas), *_services(), *_pod(image, pulled_by), *_in_no_backup()]


def _everywhere() -> list[dict[str, Any]]:
    """No annotation tells a controller to do something (DNS names, load balancers, roles at AWS), no label whose it is, and no
    finalizer has one work at its end: it would do so for production, or keep what the drill deletes."""
    labels: dict[str, None] = dict.fromkeys(_OF_DEPLOYERS)
    return [
        *(_merge(each.name, {"metadata": {"finalizers": None}}) for each in (*KINDS, PODS)),
        *(_merge(each.name, {"metadata": {"labels": labels}}) for each in KINDS),
        *(_merge(each.name, {"metadata": {"annotations": None}}) for each in KINDS if each.name not in _KEEP_ANNOTATIONS),
        _merge("secrets", {"metadata": {"annotations": dict.fromkeys(_MIRRORED)}}),
    ]


def _workloads(replicas: int) -> list[dict[str, Any]]:
    """As many Pods as the drill wants, which give way to all others; what was switched off stays so. No CronJob runs, no
    autoscaler raises, and no node takes a DaemonSet's Pod."""
    low = {"template": {"spec": {"priorityClassName": PRIORITY_CLASS}}}
    switched_off = [{"path": "/spec/replicas", "value": "0"}]
    return [
        *(_merge(kind, {"spec": {"replicas": replicas, **low}}) for kind in _SCALED),
        *(_merge(kind, {"spec": {"replicas": 0}}, matches=switched_off) for kind in _SCALED),
        _merge("daemonsets.apps", {"spec": {"template": {"spec": {"nodeSelector": {"k8s-dr/drill": "on-no-node"}}}}}),
        _merge("cronjobs.batch", {"spec": {"suspend": True}}),
        _merge("horizontalpodautoscalers.autoscaling", {"spec": {"minReplicas": 1, "maxReplicas": 1}}),
    ]


def _services() -> list[dict[str, Any]]:
    """Every Service is reached within the namespace alone. One that stood for a name elsewhere stands for nothing."""
    plain: dict[str, Any] = {"type": "ClusterIP", **dict.fromkeys(_OUTSIDE)}
    # A Service of type ExternalName may have no port, which a headless one may lack too.
    nothing = {"clusterIP": "None", "clusterIPs": None, "selector": {"k8s-dr/drill": "nothing"}}
    return [
        _merge("services", {"spec": plain}),
        _merge("services", {"spec": nothing}, matches=[{"path": "/spec/type", "value": "ExternalName"}]),
        *(
            {
                "conditions": {
                    "groupResource": "services",
                    # A rule holds where its path is there: each port has a protocol.
                    "matches": [{"path": f"/spec/ports/{place}/protocol", "value": protocol}],
                },
                # A number of zero is none. To remove what is not there would be an error.
                "patches": [{"operation": "add", "path": f"/spec/ports/{place}/nodePort", "value": "0"}],
            }
            for place in range(_PORTS)
            for protocol in ("TCP", "UDP", "SCTP")
        ),
    ]


def _in_no_backup() -> list[dict[str, Any]]:
    """If a killed drill has left them and the region serves then, no backup takes them for its own."""
    return [_merge(each.name, {"metadata": {"labels": EXCLUDED_FROM_BACKUP}}) for each in (*KINDS, PODS)]


def _pod(image: str, pulled_by: Sequence[dict[str, str]]) -> list[dict[str, Any]]:
    """A Pod that comes for its volumes: Velero's own first container waits until they are filled, and then it rests. No other
    container of production's runs, neither before it nor beside it. It has no label, so that no controller takes it for its own,
    and no Service for its.

    A merge patch replaces a list as a whole, so Velero's container is put aside first. It is the first of all where there is one:
    Velero takes away what has its name in the backup (pod_volume_restore_action.go).
    """
    rest = {
        "name": "rest",
        "image": image,
        "command": ["python3", "-c", "import signal; signal.signal(signal.SIGTERM, lambda *_: exit(0)); signal.pause()"],
        "resources": {"requests": {"cpu": "5m", "memory": "16Mi"}, "limits": {"cpu": "100m", "memory": "64Mi"}},
    }
    spec = {
        "containers": [rest],
        "initContainers": [],
        "ephemeralContainers": None,
        **({"imagePullSecrets": list(pulled_by)} if pulled_by else {}),
        "automountServiceAccountToken": False,
        "serviceAccount": None,
        "serviceAccountName": "default",
        "priorityClassName": PRIORITY_CLASS,
        "priority": None,
        "preemptionPolicy": None,
    }
    first, aside = "/spec/initContainers/0", f"/spec/{_KEPT}"
    return [_moved(first, aside), _merge(PODS.name, {"metadata": {"labels": None}, "spec": spec}), _moved(aside, first)]


def _moved(source: str, target: str) -> dict[str, Any]:
    """The rule that moves Velero's container. Each rule judges the Pod as it was before the first one."""
    there = [{"path": "/spec/initContainers/0/name", "value": _WAIT}]
    conditions = {"groupResource": PODS.name, "matches": there}
    return {"conditions": conditions, "patches": [{"operation": "move", "from": source, "path": target}]}
