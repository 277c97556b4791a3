"""What else lives in a production cluster. Each of these objects has stopped somebody's failover, or lost something.

The lab puts all of it into the primary region; Velero brings what it should to the other. Nothing here serves the lab's users.
"""

from __future__ import annotations

from typing import Any

from lab.addons import admission, load_balancers, metrics
from lab.application import manifests

NAMESPACE = manifests.APPLICATION_NAMESPACE
PROGRAM_NAMESPACE = "k8s-dr"
STOREFRONT, INGRESS = "storefront", "storefront"
ORDERS = "orders"
CHECKOUT, CHECKOUT_REPLICAS = "checkout", 4
VAULT = "vault"
BROKEN = "broken"
SWITCHED_OFF = "switched-off"
REPORTS = "reports"
IMPORT = "import"
DEBUG = "debug"
CACHE = "sessions"
CACHES = "caches.example.com"
PAUSE = "docker.io/local/pause:1"
HELPER = "docker.io/local/storage-helper:1"
WORKLOADS: tuple[dict[str, Any], ...] = (
    {"namespace": NAMESPACE, "names": [f"deployment/{manifests.NAME}"], "replicas": manifests.REPLICAS},
    {"namespace": NAMESPACE, "names": [f"deployment/{BROKEN}"], "replicas": 1, "required": False},
    {"namespace": NAMESPACE, "replicas": 1},  # all others
)
"""`workloads` of the settings: the application, what nobody needs, and everything else."""

AVAILABLE = {
    f"deployment/{STOREFRONT}": 2,
    f"deployment/{ORDERS}": 1,
    f"deployment/{CHECKOUT}": CHECKOUT_REPLICAS,
    f"statefulset/{VAULT}": 1,
}
"""The workloads that run, and how many Pods of each become available."""

_REQUESTS = {"cpu": "5m", "memory": "8Mi"}
_LIMITS = {"cpu": "50m", "memory": "32Mi"}


def kinds() -> list[dict[str, Any]]:
    """The kinds of operators that only the primary region has.

    They have to be there before Velero starts: it asks for the cluster's kinds now and then, and backs up nothing of a kind that
    it does not know yet.
    """
    return [_crd()]


def documents(aws_region: str) -> list[dict[str, Any]]:
    """All objects of the primary region's cluster, in the order in which they can be created."""
    return [
        # With this label, the load balancer's controller gives Pods a readiness gate.
        {
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": {"name": NAMESPACE, "labels": {load_balancers.GATE_LABEL: "enabled"}},
        },
        # The application limits no CPU, as many do.
        quota(NAMESPACE, "requests.cpu", "requests.memory", "limits.memory"),
        *network_policies(),
        *_storefront(aws_region),
        *_orders(aws_region),
        *_checkout(),
        *_vault(),
        _broken(),
        _deployment(SWITCHED_OFF, 0),
        _reports(),
        _import(),
        _debug(),
    ]


def latecomers() -> list[dict[str, Any]]:
    """What is created once the other objects are there: an object of the custom kind, and Pods whose Service has its binding.

    Only Pods that come after the binding get its readiness gate.
    """
    cache = {"apiVersion": "example.com/v1", "kind": "Cache", "metadata": _metadata(CACHE), "spec": {"size": "1Gi"}}
    return [cache, _deployment(STOREFRONT, 2)]


def around_the_program() -> list[dict[str, Any]]:
    """What a platform team puts into every namespace, and so into the program's own, in both regions."""
    return [
        quota(PROGRAM_NAMESPACE, "requests.cpu", "requests.memory", "limits.cpu", "limits.memory"),
        _policy("default-deny", {}, PROGRAM_NAMESPACE, policyTypes=["Ingress", "Egress"]),
    ]


def quota(namespace: str, *what: str) -> dict[str, Any]:
    """A quota that is far from used up. It refuses each Pod that does not say all of `what`; nothing fills in defaults."""
    hard = {name: "16" if name.endswith("cpu") else "8Gi" for name in what}
    return {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": _metadata("everything", namespace), "spec": {"hard": hard}}


def network_policies() -> list[dict[str, Any]]:
    """Default deny in both directions, and what the application needs. The add-ons of a region enforce them."""
    name_server = {"ports": [{"port": 53, "protocol": protocol} for protocol in ("UDP", "TCP")]}
    databases = {
        "to": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "databases"}}}],
        "ports": [{"port": 5432}],
    }
    return [
        _policy("default-deny", {}, policyTypes=["Ingress", "Egress"]),
        _policy(
            manifests.NAME,
            {"matchLabels": manifests.LABELS},
            policyTypes=["Ingress", "Egress"],
            ingress=[{"ports": [{"port": manifests.PORT}]}],
            egress=[name_server, databases],
        ),
    ]


def _policy(name: str, selector: dict[str, Any], namespace: str = NAMESPACE, **spec: Any) -> dict[str, Any]:
    metadata = _metadata(name, namespace)
    spec = {"podSelector": selector, **spec}
    return {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": metadata, "spec": spec}


def _storefront(aws_region: str) -> list[dict[str, Any]]:
    """A Service behind an NLB and an Ingress behind an ALB. Both name subnets and a certificate of their region."""
    subnets, certificate = ",".join(load_balancers.subnets(aws_region)), load_balancers.certificate(aws_region)
    balanced = {
        load_balancers.TYPE: "external",
        load_balancers.SUBNETS: subnets,
        load_balancers.CERTIFICATE: certificate,
    }
    port = {"name": "http", "port": 8081, "targetPort": 8080, "protocol": "TCP"}
    inner = f"{STOREFRONT}-inner"
    backend = {"service": {"name": inner, "port": {"number": port["port"]}}}
    path = {"path": "/", "pathType": "Prefix", "backend": backend}
    return [
        _service(STOREFRONT, port, type="LoadBalancer", annotations=balanced),
        _service(inner, port, selector=STOREFRONT),
        {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "Ingress",
            "metadata": _metadata(
                INGRESS,
                annotations={
                    load_balancers.INGRESS_SUBNETS: subnets,
                    load_balancers.INGRESS_CERTIFICATE: certificate,
                },
            ),
            "spec": {"ingressClassName": load_balancers.ALB, "rules": [{"http": {"paths": [path]}}]},
        },
        {
            "apiVersion": "policy/v1",
            "kind": "PodDisruptionBudget",
            "metadata": _metadata(STOREFRONT),
            "spec": {"minAvailable": 2, "selector": {"matchLabels": {"app": STOREFRONT}}},
        },
    ]


def role(aws_region: str) -> str:
    """The IAM role of the orders in one region. It trusts that region's cluster alone."""
    return f"arn:aws:iam::{load_balancers.ACCOUNT}:role/{ORDERS}-{aws_region}"


def counterparts(here: str, there: str) -> dict[str, str]:
    """`velero.counterparts` of the settings: what names the region `here`, and what a restore into `there` puts in its place.

    Subnets need none: without the annotation, the controller finds those of its own region.
    """
    return {load_balancers.certificate(here): load_balancers.certificate(there), role(here): role(there)}


def _orders(aws_region: str) -> list[dict[str, Any]]:
    """A workload with an IAM role."""
    account = {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": _metadata(ORDERS, annotations={admission.ROLE: role(aws_region)}),
    }
    return [account, _deployment(ORDERS, 1, serviceAccountName=ORDERS)]


def _checkout() -> list[dict[str, Any]]:
    """A workload whose replicas an autoscaler decides: a load of 400 millicores at 100 for each Pod makes four."""
    load = {metrics.LOAD: "400"}
    deployment = _deployment(CHECKOUT, 2, annotations=load, requests={"cpu": "100m", "memory": "8Mi"}, limits={"cpu": "1"})
    target = {"type": "Utilization", "averageUtilization": 100}
    return [
        deployment,
        {
            "apiVersion": "autoscaling/v2",
            "kind": "HorizontalPodAutoscaler",
            "metadata": _metadata(CHECKOUT),
            "spec": {
                "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": CHECKOUT},
                "minReplicas": 2,
                "maxReplicas": 6,
                "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": target}}],
            },
        },
    ]


def _vault() -> list[dict[str, Any]]:
    """A StatefulSet that is updated by hand. `kubectl rollout status` refuses such a one."""
    template = _template(VAULT)
    spec = {
        "serviceName": VAULT,
        "replicas": 1,
        "updateStrategy": {"type": "OnDelete"},
        "selector": {"matchLabels": {"app": VAULT}},
        "template": template,
    }
    return [
        _service(VAULT, {"name": "http", "port": 8200, "protocol": "TCP"}, clusterIP="None"),
        {"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": _metadata(VAULT), "spec": spec},
    ]


def _broken() -> dict[str, Any]:
    """A Deployment that nobody needs and nobody repaired: its image does not exist, and its deadline is long over."""
    found = _deployment(BROKEN, 1, image="docker.io/local/does-not-exist:1", pull="Never")
    found["spec"]["progressDeadlineSeconds"] = 5
    return found


def _reports() -> dict[str, Any]:
    """A CronJob. It ends well each minute."""
    container = _container(HELPER) | {"args": ["-a", "create", "-p", "/var/reports/today"]}
    pod = {"restartPolicy": "Never", "automountServiceAccountToken": False, "containers": [container]}
    return {
        "apiVersion": "batch/v1",
        "kind": "CronJob",
        "metadata": _metadata(REPORTS),
        "spec": {
            "schedule": "* * * * *",
            "concurrencyPolicy": "Forbid",
            "successfulJobsHistoryLimit": 1,
            "failedJobsHistoryLimit": 1,
            "jobTemplate": {"spec": {"backoffLimit": 0, "template": {"spec": pod}}},
        },
    }


def _import() -> dict[str, Any]:
    """A Job that still runs when the region dies."""
    spec = {**_pod(PAUSE), "restartPolicy": "Never"}
    template = {"metadata": {"labels": {"app": IMPORT}}, "spec": spec}
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": _metadata(IMPORT), "spec": {"template": template}}


def _debug() -> dict[str, Any]:
    """A Pod without an owner: nobody makes it anew."""
    return {"apiVersion": "v1", "kind": "Pod", "metadata": _metadata(DEBUG), "spec": _pod(PAUSE)}


def _crd() -> dict[str, Any]:
    """A kind of an operator that only the primary region has."""
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
    plural, _, group = CACHES.partition(".")
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": CACHES},
        "spec": {
            "group": group,
            "scope": "Namespaced",
            "names": {"plural": plural, "singular": "cache", "kind": "Cache"},
            "versions": [version],
        },
    }


def _metadata(name: str, namespace: str = NAMESPACE, annotations: dict[str, str] | None = None) -> dict[str, Any]:
    return {
        "name": name,
        "namespace": namespace,
        "labels": {"app": name},
        **({"annotations": annotations} if annotations else {}),
    }


def _service(
    name: str, port: dict[str, Any], *, selector: str | None = None, annotations: dict[str, str] | None = None, **spec: Any
) -> dict[str, Any]:
    spec = {"selector": {"app": selector or name}, "ports": [port], **spec}
    return {"apiVersion": "v1", "kind": "Service", "metadata": _metadata(name, annotations=annotations), "spec": spec}


def _deployment(name: str, replicas: int, **template: Any) -> dict[str, Any]:
    spec = {"replicas": replicas, "selector": {"matchLabels": {"app": name}}, "template": _template(name, **template)}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": _metadata(name), "spec": spec}


def _template(
    name: str,
    *,
    image: str = PAUSE,
    pull: str = "IfNotPresent",
    annotations: dict[str, str] | None = None,
    requests: dict[str, str] | None = None,
    limits: dict[str, str] | None = None,
    **spec: Any,
) -> dict[str, Any]:
    metadata = {"labels": {"app": name}, **({"annotations": annotations} if annotations else {})}
    return {"metadata": metadata, "spec": {**_pod(image, pull, requests, limits), **spec}}


def _pod(
    image: str, pull: str = "IfNotPresent", requests: dict[str, str] | None = None, limits: dict[str, str] | None = None
) -> dict[str, Any]:
    container = _container(image, pull)
    container["resources"] = {"requests": {**_REQUESTS, **(requests or {})}, "limits": {**_LIMITS, **(limits or {})}}
    return {"automountServiceAccountToken": False, "terminationGracePeriodSeconds": 1, "containers": [container]}


def _container(image: str, pull: str = "IfNotPresent") -> dict[str, Any]:
    resources = {"requests": dict(_REQUESTS), "limits": dict(_LIMITS)}
    return {"name": "main", "image": image, "imagePullPolicy": pull, "resources": resources}
