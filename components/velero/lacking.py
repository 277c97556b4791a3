"""What the peer's backups hold against what this region's cluster has: kinds, classes, images, and room for the Pods.

Asked by day in every `pulumi up` of the standby, and at night by the gate. Both read this cluster, and small objects in this
region's buckets: which objects a backup holds, as Velero lists them, and the peer's inventory. No tarball is read.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from urllib.parse import quote

from components.kube.cluster_api import ClusterApi, ClusterUnreachableError
from components.kube.runner.password import is_of
from components.kube.runner.restored import ResultsUnavailableError
from components.velero import rollouts
from components.velero.age import Expected, newest
from components.velero.choice import OF_SCHEDULE
from components.velero.cloud_resources import fought_over, is_of_a_cloud
from components.velero.files import BackupFiles
from components.velero.inventory import Needs, gateway_classes, items, requests_of
from components.velero.movers import Movers
from components.velero.owner_passwords import differing
from components.velero.regional import found_in, told
from components.velero.selection import Chosen
from components.velero.snapshot_classes import CLASSES, without_class
from settings.durations import spoken
from settings.roles import Role, peer_of

OLD = timedelta(days=30)
"""After so long an inventory is told to be old. Every `up` of the region that serves writes a new one."""

IMAGE_NAMES = "velero.io/plugin-config,velero.io/change-image-name=RestoreItemAction"
"""The labels by which Velero finds its ConfigMap of image names."""

_SHOWN = 5
_GIB = 1024**3
_OF_A_DATABASE = "cnpg.io/cluster"
_AUTOSCALER = "cluster-autoscaler"


@dataclass(frozen=True, kw_only=True)
class Standby:
    """What this region restores. `storage_classes`: by a name in the peer, the name that a restore gives to claims. `modified`:
    whether a restore changes objects by rules of the user, which only Velero reads. `password`: by which this region reads the
    peer's volumes; None where its Velero is not ours. `movers`: where its data movers may run; None in the same case. `owners`:
    the password of each database's owner here, by the database's name."""

    expected: Sequence[Expected]
    chosen: Sequence[Chosen]
    peer_region: str
    storage_classes: Mapping[str, str]
    peer: Role = "primary"
    modified: bool = False
    password: str | None = field(default=None, repr=False)
    movers: Movers | None = None
    owners: Mapping[str, str] = field(default_factory=dict, repr=False)


@dataclass(kw_only=True)
class Findings:
    """A line each. `problems` break a failover; `unknown` is what could not be judged; `later` is told by
    day alone: it stops no failover, and breaks something with it or afterwards."""

    problems: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    later: list[str] = field(default_factory=list)


def findings(cluster: ClusterApi, files: BackupFiles, standby: Standby) -> Findings:
    """What this cluster lacks. It never raises: what cannot be asked is `unknown`."""
    found = Findings()
    try:
        clouds: dict[str, None] = {}
        missing = list(_kinds(cluster, files, standby, clouds))
        found.later.extend(fought_over(clouds))
        if missing:
            found.problems.append(
                f"the backups hold kinds that this cluster does not know ({_some(missing)}), so that restores fail: install "
                "them here (CRDs, operators) as in the peer, or write excludeResources: [KIND] to the entry of k8s-dr:backups"
            )
    except (ClusterUnreachableError, ResultsUnavailableError) as error:
        found.unknown.append(f"whether this cluster knows all kinds of the peer's backups is not known: {error}")
    try:
        if needs := _needs(files, standby, found):
            _compare(cluster, needs, standby, found)
    except (ClusterUnreachableError, ResultsUnavailableError) as error:
        found.unknown.append(f"whether this cluster has what the peer's workloads need is not known: {error}")
    return found


def _kinds(cluster: ClusterApi, files: BackupFiles, standby: Standby, clouds: dict[str, None]) -> Iterator[str]:
    """Kinds with objects that would be restored, as in `ScaledObject (keda.sh/v1alpha1)`, that this cluster does not serve.
    `clouds` takes those that it serves and whose objects are resources at AWS."""
    missing: set[tuple[str, str]] = set()
    served: dict[str, dict[str, str]] = {}
    for expected, each in zip(standby.expected, standby.chosen, strict=True):
        backups = cluster.list_velero("backups", f"{OF_SCHEDULE}={expected.choice.schedule}") or []
        completed = newest(backups).completed
        name = expected.choice.backup or (completed["metadata"]["name"] if completed else None)
        for key, objects in files.holds(name).items() if name else ():
            version, _, kind = key.rpartition("/")
            if not any(each.has(namespace) for namespace, _, of in (item.partition("/") for item in objects) if of):
                continue
            if _left_out(kind, version, each.backup.not_restored):
                continue
            if version not in served:
                path = f"/apis/{version}" if "/" in version else f"/api/{version}"
                listed = (cluster.read(path) or {}).get("resources") or ()
                served[version] = {each["kind"]: each.get("name", "") for each in listed if "/" not in each.get("name", "")}
            if kind not in served[version]:
                missing.add((kind, version))
            elif is_of_a_cloud(version):
                clouds[f"{served[version][kind]}.{version.partition('/')[0]}"] = None
    return (f"{kind} ({version})" for kind, version in sorted(missing))


def _left_out(kind: str, version: str, plurals: Sequence[str]) -> bool:
    """Whether a restore leaves this kind out. Only the cluster that has the kind knows its plural, so each usual one counts."""
    group, name = version.rpartition("/")[0], kind.lower()
    usual = (f"{name}s", f"{name}es", f"{name.removesuffix('y')}ies", name)
    return any((f"{plural}.{group}" if group else plural) in plurals for plural in usual)


def _needs(files: BackupFiles, standby: Standby, found: Findings) -> Needs | None:
    """What the namespaces that are restored need, by the peer's inventory."""
    inventory = files.inventory()
    if inventory is None:
        found.unknown.append(
            "the peer's inventory of classes, images and requests has not come, so that they cannot be compared: pulumi up -s "
            f"{standby.peer} writes it, once peerReady is true there"
        )
        return None
    age = datetime.now(UTC) - inventory.written
    if age > OLD:
        found.unknown.append(f"the peer's inventory is {spoken(age)} old: pulumi up -s {standby.peer} writes a new one")
    if inventory.password and standby.password and not is_of(standby.password, inventory.password):
        found.problems.append(
            "backupEncryptionPassword of this stack is not the peer's, so that no volume of its backups can be read here: write "
            "the peer's, by: pulumi config set --secret backupEncryptionPassword -s "
            f"{peer_of(standby.peer)}"
        )
    if others := differing(standby.owners, inventory.owners):
        found.problems.append(
            f"databasePasswords of this stack are not the peer's for {_some(others)}: this region sets its own once it takes "
            "writes, so that applications which come with the peer's cannot log in; write the peer's, by: pulumi config set "
            f"--secret --path 'databasePasswords[\"{others[0]}\"]' -s {peer_of(standby.peer)}"
        )
    named = {
        namespace: each
        for namespace, each in found_in(inventory.regional).items()
        if any(chosen.has(namespace) for chosen in standby.chosen)
    }
    found.later.extend(told(named, standby.peer_region, modified=standby.modified))
    needs = Needs()
    for namespace, each in inventory.namespaces.items():
        if any(chosen.has(namespace) for chosen in standby.chosen):
            needs.add(each)
    rules = "velero.modifiers" if standby.peer == "primary" else "velero.modifiersBack"
    found.later.extend(rollouts.told(needs.paused, needs.stopped, standby.peer_region, rules, modified=standby.modified))
    return needs


def _compare(cluster: ClusterApi, needs: Needs, standby: Standby, found: Findings) -> None:
    storage = {item["metadata"]["name"]: item for item in items(cluster, "/apis/storage.k8s.io/v1/storageclasses")}
    wanted = {standby.storage_classes.get(name, name) for name in needs.storage_classes}
    if missing := sorted(wanted - set(storage)):
        found.problems.append(
            f"claims need StorageClass {_some(missing)}, which this cluster lacks, so that their volumes do not come: make it "
            f"here, or write velero.storageClasses: {{{missing[0]}: ONE-THAT-IS-HERE}}"
        )
    # Who has rules may have followed this very advice, and only Velero can tell.
    changeable = found.unknown if standby.modified else found.problems
    changeable.extend(_classes(cluster, needs))
    if far := _far(cluster, needs, standby):
        changeable.append(
            f"images come from the registry in {standby.peer_region}, which may be dead with its region ({_some(far)}): have ECR "
            "replicate them, and name this region's registry where the workloads are deployed, in Velero's ConfigMap of image "
            "names (velero.io/change-image-name), or by a rule in velero.modifiers"
        )
    _room(cluster, needs, standby, found)
    drivers = {storage[name]["provisioner"] for name in wanted & set(storage)}
    if without := without_class(drivers, list(items(cluster, CLASSES))):
        found.later.append(
            f"no VolumeSnapshotClass here is of driver {_some(without)}, or none of several has Velero's label: restores need "
            "none, but once this region serves, its own backups have no volumes; make one with label "
            "velero.io/csi-volumesnapshot-class"
        )
    if needs.storage_classes and standby.movers and (why := standby.movers.why_on_none(items(cluster, "/api/v1/nodes"))):
        text = f"Velero's data movers, which fill claims, run on no node here: {why}"
        if autoscaler := _autoscaler(cluster):
            found.unknown.append(f"{text}; {autoscaler} may add one: whether it does cannot be judged")
        else:
            found.problems.append(f"{text}: keep a node for them, and name its labels in velero.dataMovers.nodes")


def _classes(cluster: ClusterApi, needs: Needs) -> Iterator[str]:
    """Classes that are named and are not here, a line for each kind."""
    for of, kind, names, listed, harm in (
        (
            "workloads",
            "PriorityClass",
            needs.priority_classes,
            partial(items, cluster, "/apis/scheduling.k8s.io/v1/priorityclasses"),
            "no Pod of them is made",
        ),
        (
            "workloads",
            "RuntimeClass",
            needs.runtime_classes,
            partial(items, cluster, "/apis/node.k8s.io/v1/runtimeclasses"),
            "no Pod of them is made",
        ),
        (
            "Ingresses",
            "IngressClass",
            needs.ingress_classes,
            partial(items, cluster, "/apis/networking.k8s.io/v1/ingressclasses"),
            "nobody answers for them",
        ),
        ("Gateways", "GatewayClass", needs.gateway_classes, partial(gateway_classes, cluster), "nobody answers for them"),
    ):
        if names and (missing := sorted(names - {item["metadata"]["name"] for item in listed()})):
            yield f"{of} need {kind} {_some(missing)}, which this cluster lacks, so that {harm}: make it here"


def _far(cluster: ClusterApi, needs: Needs, standby: Standby) -> list[str]:
    """Images from the peer's registry that a restore leaves as they are named.

    Velero gives images other names by the one ConfigMap with IMAGE_NAMES in its namespace, each row `part of the old name,part of
    the new`, in any order (velero/pkg/restore/actions/change_image_name_action.go). So each row that fits must lead elsewhere.
    """
    far = sorted(image for image in needs.images if _registry_region(image) == standby.peer_region)
    if not far:
        return []
    maps = list(items(cluster, f"/api/v1/namespaces/velero/configmaps?labelSelector={quote(IMAGE_NAMES)}"))
    rows = [row.partition(",") for each in maps for row in (each.get("data") or {}).values()] if len(maps) == 1 else []
    pairs = [(old.strip(), new.strip()) for old, _, new in rows if new]

    def renamed(image: str) -> bool:
        names = [image.replace(old, new) for old, new in pairs if old in image]
        return bool(names) and all(_registry_region(name) != standby.peer_region for name in names)

    return [image for image in far if not renamed(image)]


def _registry_region(image: str) -> str | None:
    """The region of the ECR registry that an image comes from; None for any other registry."""
    found = re.match(r"\d{12}\.dkr\.ecr(?:-fips)?\.([a-z0-9-]+)\.amazonaws\.com/", image)
    return found[1] if found else None


def _room(cluster: ClusterApi, needs: Needs, standby: Standby, found: Findings) -> None:
    """Whether the nodes have room for what the peer's workloads request. What a restored namespace runs here already is a part of
    them. An autoscaler adds nodes, and whether it gets them nobody can tell."""
    cpu = memory = 0.0
    for node in items(cluster, "/api/v1/nodes"):
        spec, allocatable = node.get("spec") or {}, (node.get("status") or {}).get("allocatable") or {}
        taints = {taint.get("key") for taint in spec.get("taints") or () if taint.get("effect") != "PreferNoSchedule"}
        if spec.get("unschedulable") or "node-role.kubernetes.io/control-plane" in taints:
            continue
        has = requests_of({"containers": [{"resources": {"requests": allocatable}}]})
        cpu, memory = cpu + has[0], memory + has[1]
    for pod in items(cluster, "/api/v1/pods"):
        labels, namespace = pod["metadata"].get("labels") or {}, pod["metadata"]["namespace"]
        ended = (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed")
        part_of_needs = _OF_A_DATABASE not in labels and any(each.has(namespace) for each in standby.chosen)
        if not ended and not part_of_needs:
            used = requests_of(pod["spec"])
            cpu, memory = cpu - used[0], memory - used[1]
    if needs.cpu <= cpu and needs.memory <= memory:
        return
    text = (
        f"the peer's workloads request {_amount(needs.cpu, needs.memory)}, and this region's nodes have "
        f"{_amount(max(cpu, 0), max(memory, 0))} for them"
    )
    if autoscaler := _autoscaler(cluster):
        found.unknown.append(f"{text}; {autoscaler} may add nodes: whether it gets them in time cannot be judged")
    else:
        found.problems.append(f"{text}, so that some stay Pending: add nodes, or lower requests or replicas")


def _autoscaler(cluster: ClusterApi) -> str | None:
    """What adds nodes to this cluster by itself; None if nothing does."""
    for version in ("v1", "v1beta1"):
        if next(items(cluster, f"/apis/karpenter.sh/{version}/nodepools"), None):
            return "Karpenter"
    deployed = (item["metadata"]["name"] for item in items(cluster, "/apis/apps/v1/deployments"))
    return "the cluster autoscaler" if any(_AUTOSCALER in name for name in deployed) else None


def _amount(cpu: float, memory: float) -> str:
    return f"{cpu:.1f} CPUs and {memory / _GIB:.1f} GiB"


def _some(texts: Sequence[str]) -> str:
    rest = len(texts) - _SHOWN
    return ", ".join(texts[:_SHOWN]) + (f" and {rest} more" if rest > 0 else "")


def warnings_by_day(cluster: ClusterApi, files: BackupFiles, standby: Standby) -> list[str]:
    """Everything that is found, a line each."""
    found = findings(cluster, files, standby)
    return [*found.problems, *found.later, *found.unknown]
