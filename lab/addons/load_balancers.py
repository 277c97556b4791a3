"""The lab's stand-in for the AWS Load Balancer Controller, and for the cloud provider that serves plain Services.

It writes the address of the region's node into the status of each Service of type LoadBalancer; kube-proxy then serves the
Service there. On AWS, the controller would create a load balancer and write its name. An Ingress gets the same address, but
nothing in the lab listens for it.

As the controller does, it makes a TargetGroupBinding with an ARN of its own region for each Service behind an NLB or an ALB, and
lets Pods of such a Service become Ready only once their binding says so. It refuses subnets and certificates of another region.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lab.addons.kinds import BINDING, GROUP, Object, Snapshot, name_of, path_in, path_of
from lab.addons.labels import matches

if TYPE_CHECKING:
    from lab.addons.cluster import Cluster

ACCOUNT = "123456789012"
GATE_PREFIX = f"target-health.{GROUP}"
GATE_LABEL = f"{GROUP}/pod-readiness-gate-inject"
"""A namespace with this label, `enabled`, has its Pods' readiness gates injected."""

OWNER_LABEL = "service.k8s.aws/stack-name"
CLASS = "service.k8s.aws/nlb"
ALB = "alb"
_SERVICE, _INGRESS = "service.beta.kubernetes.io/aws-load-balancer-", "alb.ingress.kubernetes.io/"
TYPE, SUBNETS, CERTIFICATE = f"{_SERVICE}type", f"{_SERVICE}subnets", f"{_SERVICE}ssl-cert"
INGRESS_SUBNETS, INGRESS_CERTIFICATE = f"{_INGRESS}subnets", f"{_INGRESS}certificate-arn"


def subnets(aws_region: str) -> tuple[str, ...]:
    """The identifiers of the region's two public subnets."""
    return tuple(f"subnet-0{_digest(f'{aws_region}{zone}', 16)}" for zone in "ab")


def certificate(aws_region: str) -> str:
    """The ARN of the region's certificate for the application's name."""
    return f"arn:aws:acm:{aws_region}:{ACCOUNT}:certificate/{_digest(aws_region, 12)}"


def region_of(arn: str) -> str:
    """The region that an ARN names. Empty if it names none."""
    parts = arn.split(":")
    return parts[3] if len(parts) > 5 else ""


@dataclass(frozen=True, kw_only=True)
class Balanced:
    """One Service or Ingress that wants a load balancer."""

    item: Object
    path: str
    """Path of the object in the API."""

    subnets: tuple[str, ...]
    certificates: tuple[str, ...]
    services: tuple[str, ...]
    """Names of the Services that get a TargetGroupBinding."""


def balanced(snapshot: Snapshot) -> Iterator[Balanced]:
    """All objects for which this region's controllers have to make a load balancer."""
    for item in snapshot["services"]:
        spec, notes = item["spec"], item["metadata"].get("annotations", {})
        if spec.get("type") != "LoadBalancer" or spec.get("loadBalancerClass", CLASS) != CLASS:
            continue
        bound = "loadBalancerClass" in spec or notes.get(TYPE) == "external"
        yield Balanced(
            item=item,
            path=path_of("services", item),
            subnets=_list(notes.get(SUBNETS)),
            certificates=_list(notes.get(CERTIFICATE)),
            services=(item["metadata"]["name"],) if bound else (),
        )
    for item in snapshot["ingresses"]:
        if item["spec"].get("ingressClassName") == ALB:
            notes = item["metadata"].get("annotations", {})
            yield Balanced(
                item=item,
                path=path_of("ingresses", item),
                subnets=_list(notes.get(INGRESS_SUBNETS)),
                certificates=_list(notes.get(INGRESS_CERTIFICATE)),
                services=tuple(_backends(item)),
            )


def refusal(wanted: Balanced, aws_region: str) -> str | None:
    """What AWS says to the controller about an object that names subnets or certificates of another region. None if nothing."""
    for name in wanted.subnets:
        if name not in subnets(aws_region):
            return f"Failed build model due to InvalidSubnetID.NotFound: The subnet ID '{name}' does not exist"
    for arn in wanted.certificates:
        if region_of(arn) != aws_region:
            return f"Failed deploy model due to CertificateNotFound: Certificate '{arn}' not found"
    return None


def wanted_status(item: Object, address: str) -> Object | None:
    """The patch for the status of a Service or Ingress. None if nothing has to change."""
    entries = item.get("status", {}).get("loadBalancer", {}).get("ingress", [])
    if [entry.get("ip") for entry in entries] == [address]:
        return None
    return {"status": {"loadBalancer": {"ingress": [{"ip": address}]}}}


def binding(service: Object, aws_region: str) -> Object:
    """The TargetGroupBinding of a Service. As with the controller, its name differs between clusters."""
    namespace, name = service["metadata"]["namespace"], service["metadata"]["name"]
    digest = _digest(f"{aws_region} {service['metadata']['uid']}", 10)
    bound = f"k8s-{namespace[:8]}-{name[:8]}-{digest}"
    arn = f"arn:aws:elasticloadbalancing:{aws_region}:{ACCOUNT}:targetgroup/{bound}/{_digest(bound, 16)}"
    port = service["spec"]["ports"][0]["port"]
    return {
        "apiVersion": BINDING,
        "kind": "TargetGroupBinding",
        "metadata": {"name": bound, "namespace": namespace, "labels": {OWNER_LABEL: name}},
        "spec": {"serviceRef": {"name": name, "port": port}, "targetGroupARN": arn, "targetType": "ip"},
    }


def bindings(snapshot: Snapshot, aws_region: str) -> list[Object]:
    """The TargetGroupBindings that this region's controller makes."""
    services = {name_of(item): item for item in snapshot["services"]}
    names = {
        (wanted.item["metadata"]["namespace"], name)
        for wanted in balanced(snapshot)
        if refusal(wanted, aws_region) is None
        for name in wanted.services
    }
    return [binding(services[name], aws_region) for name in sorted(names) if name in services]


def gates(pod: Object, snapshot: Snapshot) -> list[str]:
    """The readiness gates that a Pod gets: one for each binding whose Service selects it, if its namespace wants that."""
    namespace = pod["metadata"].get("namespace")
    labelled = [item["metadata"].get("labels", {}) for item in snapshot["namespaces"] if item["metadata"]["name"] == namespace]
    if not labelled or labelled[0].get(GATE_LABEL) != "enabled":
        return []
    selectors = {
        item["metadata"]["name"]: item["spec"].get("selector")
        for item in snapshot["services"]
        if item["metadata"]["namespace"] == namespace
    }
    chosen = [
        item["metadata"]["name"]
        for item in snapshot["targetgroupbindings"]
        if item["metadata"]["namespace"] == namespace
        and (selector := selectors.get(item["spec"]["serviceRef"]["name"]))
        and matches({"matchLabels": selector}, pod["metadata"].get("labels", {}))
    ]
    return [f"{GATE_PREFIX}/{name}" for name in sorted(chosen)]


def satisfied(pod: Object, snapshot: Snapshot) -> Object | None:
    """The patch that says that a Pod's targets are healthy. None if nothing has to change.

    Only gates of bindings that exist are ever satisfied: nobody registers a Pod with a target group of another region.
    """
    namespace = pod["metadata"]["namespace"]
    existing = {
        f"{GATE_PREFIX}/{item['metadata']['name']}"
        for item in snapshot["targetgroupbindings"]
        if item["metadata"]["namespace"] == namespace
    }
    wanted = {gate["conditionType"] for gate in pod["spec"].get("readinessGates", [])} & existing
    conditions = {condition["type"]: condition["status"] for condition in pod.get("status", {}).get("conditions", [])}
    healthy = conditions.get("ContainersReady") == "True"
    missing = [name for name in sorted(wanted) if conditions.get(name) != "True"]
    if not (healthy and missing):
        return None
    return {"status": {"conditions": [{"type": name, "status": "True", "reason": "Healthy"} for name in missing]}}


def reconcile(cluster: Cluster, snapshot: Snapshot, *, aws_region: str, address: str) -> None:
    """Do what is left to do for all load balancers of the region."""
    for wanted in balanced(snapshot):
        if (reason := refusal(wanted, aws_region)) is not None:
            _tell(cluster, wanted, reason)
        elif (status := wanted_status(wanted.item, address)) is not None:
            cluster.patch(f"{wanted.path}/status", status)
            print(f"{wanted.path} is served at {address}", flush=True)
    _bind(cluster, snapshot, aws_region)
    for pod in snapshot["pods"]:
        if (status := satisfied(pod, snapshot)) is not None:
            cluster.patch(f"{path_of('pods', pod)}/status", status, content="application/strategic-merge-patch+json")


def _bind(cluster: Cluster, snapshot: Snapshot, aws_region: str) -> None:
    wanted = {name_of(item): item for item in bindings(snapshot, aws_region)}
    existing = {
        name_of(item): item for item in snapshot["targetgroupbindings"] if OWNER_LABEL in item["metadata"].get("labels", {})
    }
    for name in wanted.keys() - existing.keys():
        cluster.create(path_in("targetgroupbindings", name[0]), wanted[name])
    services = {name_of(item) for item in snapshot["services"]}
    for name in existing.keys() - wanted.keys():
        left = existing[name]
        of_this_region = region_of(left["spec"]["targetGroupARN"]) == aws_region
        # A binding of another region is not this controller's, and one whose Service is refused now stays as it is.
        if of_this_region and (name[0], left["spec"]["serviceRef"]["name"]) not in services:
            cluster.delete(path_of("targetgroupbindings", left))


def _tell(cluster: Cluster, wanted: Balanced, reason: str) -> None:
    """Record a refusal as an Event, once for each object and reason."""
    metadata = wanted.item["metadata"]
    name = f"{metadata['name']}.{_digest(metadata['uid'] + reason, 16)}"
    kind, version = ("Service", "v1") if wanted.path.startswith("/api/v1/") else ("Ingress", "networking.k8s.io/v1")
    event = {
        "metadata": {"name": name, "namespace": metadata["namespace"]},
        "involvedObject": {
            "apiVersion": version,
            "kind": kind,
            "name": metadata["name"],
            "namespace": metadata["namespace"],
            "uid": metadata["uid"],
        },
        "type": "Warning",
        "reason": reason.split(" due to ")[0].title().replace(" ", ""),
        "message": reason,
        "source": {"component": kind.lower()},
    }
    cluster.create(f"/api/v1/namespaces/{metadata['namespace']}/events", event)


def _backends(ingress: Mapping[str, Any]) -> Iterator[str]:
    for rule in ingress["spec"].get("rules", []):
        for path in rule.get("http", {}).get("paths", []):
            if "service" in path["backend"]:
                yield path["backend"]["service"]["name"]


def _list(annotation: str | None) -> tuple[str, ...]:
    return tuple(part.strip() for part in (annotation or "").split(",") if part.strip())


def _digest(text: str, length: int) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:length]
