"""What the workloads of a region need of the cluster that they run in, as far as their objects name it.

Each is counted as large as a failover makes it: the settings say the least number of replicas, an autoscaler knows its own, and
what runs with more stays so. How few run at a quiet hour, or in a region that stands by, says nothing of the night.

The region that serves writes it down in every `pulumi up`, as one small object beside its marks, and S3 carries it over. No file
of a backup but the tarball would tell it, and who reads the tarball reads every Secret.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from urllib.parse import quote

from kubernetes.utils.quantity import parse_quantity

from components.kube.cluster_api import ClusterApi, ClusterRefusedError
from components.kube.runner.inventory import Entry, entry_of
from components.kube.runner.password import fingerprint, refuse_others
from components.velero.owner_passwords import OwnerPasswords, fingerprints, owner_passwords_of
from components.velero.regional import Search, found_in
from components.velero.rollouts import has_stopped, is_paused
from settings.backup import Backup
from settings.names import EXCLUDED_FROM_BACKUP, NEVER_RESTORED
from settings.workloads import Workload, by_namespace

_PAGE = 500
_OF_A_DATABASE = "cnpg.io/cluster"
_GATEWAYS = "gateway.networking.k8s.io"
"""The group of the Gateway API, whose kinds a cluster has where somebody installed them."""


@dataclass(kw_only=True)
class Needs:
    """What the workloads of one or several namespaces need. `cpu` (cores) and `memory` (bytes) are requests of all replicas
    that a failover brings up. `paused` and `stopped` are Deployments that need a person: paused ones, and those whose rollout
    has stopped, each with its namespace, as in `shop deployment/web`."""

    storage_classes: set[str] = field(default_factory=set)
    priority_classes: set[str] = field(default_factory=set)
    ingress_classes: set[str] = field(default_factory=set)
    images: set[str] = field(default_factory=set)
    cpu: float = 0.0
    memory: float = 0.0
    paused: set[str] = field(default_factory=set)
    stopped: set[str] = field(default_factory=set)
    runtime_classes: set[str] = field(default_factory=set)
    gateway_classes: set[str] = field(default_factory=set)

    def add(self, other: Needs) -> None:
        self.storage_classes |= other.storage_classes
        self.priority_classes |= other.priority_classes
        self.ingress_classes |= other.ingress_classes
        self.images |= other.images
        self.cpu += other.cpu
        self.memory += other.memory
        self.paused |= other.paused
        self.stopped |= other.stopped
        self.runtime_classes |= other.runtime_classes
        self.gateway_classes |= other.gateway_classes


@dataclass(frozen=True, kw_only=True)
class Inventory:
    """What the workloads of a region needed when it was `written`, by namespace."""

    written: datetime
    namespaces: dict[str, Needs]
    password: str | None = None
    """The fingerprint of the password by which this region's volumes are encrypted; None where its Velero is not ours."""

    owners: OwnerPasswords | None = None
    """Fingerprints of the passwords of databases' owners; None where the region has none, or is of an older version."""
    regional: Mapping[str, Any] | None = None
    """What names this region, as `regional.Search` writes it; None where nobody looked."""
    unread: Sequence[str] = ()
    """What the cluster refused to list, a line each: told where it was taken, and not written down."""

    def document(self) -> dict[str, Any]:
        """As it is written to its object."""
        needs = {
            name: {key: sorted(value) if isinstance(value, set) else value for key, value in asdict(each).items()}
            for name, each in sorted(self.namespaces.items())
        }
        owners = asdict(self.owners) if self.owners else None
        return {
            "written": self.written.isoformat(),
            "namespaces": needs,
            "password": self.password,
            "owners": owners,
            "regional": self.regional,
        }


def inventory_of(document: Any) -> Inventory:
    """Raises ValueError, KeyError, TypeError or AttributeError for what is no inventory."""
    namespaces = {
        str(name): Needs(
            storage_classes=set(each["storage_classes"]),
            priority_classes=set(each["priority_classes"]),
            ingress_classes=set(each["ingress_classes"]),
            images=set(each["images"]),
            cpu=float(each["cpu"]),
            memory=float(each["memory"]),
            # An earlier version has written none of these.
            paused=set(each.get("paused", ())),
            stopped=set(each.get("stopped", ())),
            runtime_classes=set(each.get("runtime_classes", ())),
            gateway_classes=set(each.get("gateway_classes", ())),
        )
        for name, each in document["namespaces"].items()
    }
    password = document.get("password")
    if password is not None:
        refuse_others(password)
    regional = document.get("regional")
    found_in(regional)
    return Inventory(
        written=datetime.fromisoformat(document["written"]).astimezone(UTC),
        namespaces=namespaces,
        password=password,
        owners=owner_passwords_of(document.get("owners")),
        regional=regional,
    )


def take_inventory(
    cluster: ClusterApi,
    workloads: Sequence[Workload],
    backups: Sequence[Backup] = (),
    password: str | None = None,
    owners: Mapping[str, str] | None = None,
    search: Search | None = None,
) -> Inventory:
    """What this cluster's workloads need, at the size that a failover gives them, fingerprints of its passwords (that of its
    volumes, and those of the `owners` of databases, by the database's name), and what `search` finds among what is restored.

    Kinds that no restore of `backups` brings are not counted; without any entry that is restored, all are.

    Raises ClusterUnreachableError.
    """
    found: dict[str, Needs] = {}
    entries = {
        namespace: [Entry(names=tuple(each.names), replicas=each.replicas, required=each.required) for each in group]
        for namespace, group in by_namespace(workloads).items()
    }
    autoscaled = _autoscaled(cluster)
    left_out = _left_out(backups)

    def restored(group: str, version: str, plural: str) -> Iterator[dict[str, Any]]:
        if (f"{plural}.{group}" if group else plural) in left_out:
            return iter(())
        return _restored(cluster, f"/apis/{group}/{version}/{plural}" if group else f"/api/{version}/{plural}")

    def needs(item: dict[str, Any]) -> Needs:
        return found.setdefault(item["metadata"]["namespace"], Needs())

    for kind in ("deployment", "statefulset"):
        for item in restored("apps", "v1", f"{kind}s"):
            namespace, workload = item["metadata"]["namespace"], f"{kind}/{item['metadata']['name']}"
            entry = entry_of(workload, entries.get(namespace, []))
            _add_pod(needs(item), item["spec"]["template"]["spec"], _size(item, entry, autoscaled.get((namespace, workload))))
            if kind == "deployment":
                _add_rollout(needs(item), f"{namespace} {workload}", item)
            if search:
                search.workload(kind, item, item["spec"]["template"]["spec"])
    for item in restored("batch", "v1", "cronjobs"):
        _add_pod(needs(item), item["spec"]["jobTemplate"]["spec"]["template"]["spec"], 0)
        if search:
            search.workload("cronjob", item, item["spec"]["jobTemplate"]["spec"]["template"]["spec"])
    for item in restored("", "v1", "persistentvolumeclaims"):
        if name := item["spec"].get("storageClassName"):
            needs(item).storage_classes.add(name)
    for item in restored("networking.k8s.io", "v1", "ingresses"):
        annotations = item["metadata"].get("annotations") or {}
        if name := item["spec"].get("ingressClassName") or annotations.get("kubernetes.io/ingress.class"):
            needs(item).ingress_classes.add(name)
    unread = []
    if version := gateway_version(cluster):
        try:
            for item in restored(_GATEWAYS, version, "gateways"):
                needs(item).gateway_classes.add(item["spec"]["gatewayClassName"])
        except ClusterRefusedError as error:
            # A right that is missing must not cost the inventory the rest.
            unread.append(f"whether the other region has the GatewayClasses of Gateways is not known: {error}")
    if search:
        search.others(lambda plural: restored("", "v1", plural))
    return Inventory(
        written=datetime.now(UTC),
        namespaces=found,
        password=fingerprint(password) if password else None,
        owners=fingerprints(owners or {}),
        regional=search.document() if search else None,
        unread=tuple(unread),
    )


def gateway_version(cluster: ClusterApi) -> str | None:
    """The version in which this cluster serves Gateways and their classes; None where it does not know them. Whoever may ask
    nothing of that group may ask this."""
    group = cluster.read(f"/apis/{_GATEWAYS}") or {}
    served = {each["version"] for each in group.get("versions") or ()}
    return next((version for version in ("v1", "v1beta1") if version in served), None)


def gateway_classes(cluster: ClusterApi) -> Iterator[dict[str, Any]]:
    """The GatewayClasses that this cluster has."""
    version = gateway_version(cluster)
    return items(cluster, f"/apis/{_GATEWAYS}/{version}/gatewayclasses") if version else iter(())


def _size(item: dict[str, Any], entry: Entry | None, least: int | None) -> int:
    """How many replicas a failover gives to what runs here: as `components.kube.runner.scale` raises it, or its autoscaler.

    `least` is the autoscaler's least number. What runs with none was switched off, and stays so.
    """
    now = int(item["spec"].get("replicas", 1))
    if not now or any(owner.get("controller") for owner in item["metadata"].get("ownerReferences") or ()):
        return now
    if least is not None:
        return max(now, least)
    return max(now, entry.replicas) if entry else now


def _autoscaled(cluster: ClusterApi) -> dict[tuple[str, str], int]:
    """By namespace and workload, as in `deployment/web`, the least number of replicas of its autoscaler. KEDA makes those too."""
    found = {}
    for item in items(cluster, "/apis/autoscaling/v2/horizontalpodautoscalers"):
        spec, target = item["spec"], item["spec"]["scaleTargetRef"]
        name = f"{target.get('kind', 'Deployment').lower()}/{target['name']}"
        found[item["metadata"]["namespace"], name] = int(spec.get("minReplicas", 1))
    return found


def items(cluster: ClusterApi, path: str) -> Iterator[dict[str, Any]]:
    """Every object of a list, page by page; none where the cluster does not know the kind. `path` may have a query."""
    token, then = "", "&" if "?" in path else "?"
    while page := cluster.read(f"{path}{then}limit={_PAGE}{f'&continue={quote(token)}' if token else ''}"):
        yield from page.get("items") or ()
        token = (page.get("metadata") or {}).get("continue") or ""
        if not token:
            return


def requests_of(spec: dict[str, Any]) -> tuple[float, float]:
    """Cores and bytes that a Pod with this spec requests."""
    always = [each for each in spec.get("initContainers") or () if each.get("restartPolicy") == "Always"]
    cpu = memory = Decimal(0)
    for container in [*(spec.get("containers") or ()), *always]:
        requests = (container.get("resources") or {}).get("requests") or {}
        cpu += parse_quantity(requests.get("cpu", "0"))
        memory += parse_quantity(requests.get("memory", "0"))
    return float(cpu), float(memory)


def _left_out(backups: Sequence[Backup]) -> set[str]:
    """Kinds, plural with their group, that no restore of `backups` brings. Which entry brings a namespace the other region
    decides on the night, so a kind that only some of them leave out may come."""
    kinds = [{*backup.not_restored} for backup in backups if backup.restore is not False]
    return set.intersection(*kinds) if kinds else set()


def _restored(cluster: ClusterApi, path: str) -> Iterator[dict[str, Any]]:
    """What a restore may bring: nothing of a database or of a namespace that every cluster comes with, and nothing that its owner
    keeps out of every backup."""
    for item in items(cluster, path):
        metadata, labels = item["metadata"], item["metadata"].get("labels") or {}
        excluded = EXCLUDED_FROM_BACKUP.items() <= labels.items()
        if metadata["namespace"] not in NEVER_RESTORED and _OF_A_DATABASE not in labels and not excluded:
            yield item


def _add_pod(needs: Needs, spec: dict[str, Any], replicas: int) -> None:
    cpu, memory = requests_of(spec)
    needs.cpu += cpu * replicas
    needs.memory += memory * replicas
    needs.images |= {each["image"] for each in [*(spec.get("containers") or ()), *(spec.get("initContainers") or ())]}
    if spec.get("priorityClassName"):
        needs.priority_classes.add(spec["priorityClassName"])
    if spec.get("runtimeClassName"):
        needs.runtime_classes.add(spec["runtimeClassName"])


def _add_rollout(needs: Needs, name: str, deployment: dict[str, Any]) -> None:
    if is_paused(deployment):
        needs.paused.add(name)
    if has_stopped(deployment):
        needs.stopped.add(name)
