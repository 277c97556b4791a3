"""`drctl drift`: what differs between the two regions, and should not. Both live clusters are asked."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

import click

from components.kube.cluster_api import ClusterApi
from components.velero.inventory import gateway_classes
from drctl.commands.options import reads
from drctl.regions import ask_all
from drctl.run import Operator
from drctl.show import FAILED, OK, WARNED
from settings import Settings
from settings.explain import SECRETS, named
from settings.files import REGION_KEYS, Files
from settings.roles import ROLES, Role

SECONDS = 60
_OF_A_FAILOVER = ("active", "handover", "hold", "rejoin", "force")
"""Keys of a stack file that a failover writes."""

_OF_A_REGION = ("kmsKeyId",)
"""Parameters of a class that are a region's own."""

Facts = Mapping[str, str]
"""What is compared: a text by name."""


@click.command(short_help="What differs between the two regions, and should not.")
@reads
def drift(operator: Operator) -> int:
    """Settings, versions, schedules, databases, kinds and classes of both regions, compared. Ends with 4 where they differ."""
    questions = {role: partial(_facts, operator, role) for role in ROLES}
    with operator.screen.progress("both clusters"):
        answers = ask_all({str(role): ask for role, ask in questions.items()}, SECONDS)
    silent = [f"{role}: {' '.join(str(answer).split())}" for role, answer in answers.items() if isinstance(answer, Exception)]
    if silent:
        return operator.finish(FAILED, f"nothing was compared: {'; '.join(silent)}", differences=[])
    primary, secondary = answers["primary"], answers["secondary"]
    differences = [
        {"what": name, "primary": primary.get(name), "secondary": secondary.get(name)}
        for name in sorted({*primary, *secondary})
        if primary.get(name) != secondary.get(name)
    ]
    if not differences:
        return operator.finish(OK, f"both regions are alike in {len(primary)} things", differences=[])
    rows = [(each["what"], each["primary"] or "–", each["secondary"] or "–") for each in differences]
    operator.screen.table("", ("what differs", "primary", "secondary"), rows)
    return operator.finish(WARNED, f"the regions differ in {len(differences)} things", differences=differences)


def _facts(operator: Operator, role: Role) -> Facts:
    settings = operator.project.settings(role)
    cluster, region = operator.regions.cluster(settings), settings.topology.region(role)
    facts = dict(_settings(operator, role))
    for read in (
        _versions,
        _images,
        partial(_schedules, region=region),
        partial(_databases, settings=settings),
        _kinds,
        _storage_classes,
        _snapshot_classes,
        _priority_classes,
        _ingress_classes,
        _runtime_classes,
        _gateway_classes,
    ):
        facts |= dict(read(cluster))
    return facts


def _settings(operator: Operator, role: Role) -> Iterator[tuple[str, str]]:
    """What this stack's file has of its own beside what a region must have."""
    own = Files(stack=role, directory=operator.project.directory).own()
    for key, value in own.items():
        if key not in (*REGION_KEYS, *SECRETS, *_OF_A_FAILOVER):
            yield f"setting {named(key)}", str(value)


def _versions(cluster: ClusterApi) -> Iterator[tuple[str, str]]:
    yield "version of Kubernetes", str((cluster.read("/version") or {}).get("gitVersion"))


def _images(cluster: ClusterApi) -> Iterator[tuple[str, str]]:
    for namespace in ("velero", "cnpg-system", "cert-manager"):
        for plural in ("deployments", "daemonsets"):
            for found in _items(cluster, f"/apis/apps/v1/namespaces/{namespace}/{plural}"):
                pod = found["spec"]["template"]["spec"]
                # Velero's plugins are init containers.
                images = [_tag(each["image"]) for each in (*(pod.get("initContainers") or ()), *pod["containers"])]
                yield f"version of {namespace}/{found['metadata']['name']}", ", ".join(images)


def _tag(image: str) -> str:
    """An image without its registry, which may be a region's own."""
    return image.rpartition("/")[2]


def _schedules(cluster: ClusterApi, region: str) -> Iterator[tuple[str, str]]:
    for found in _items(cluster, "/apis/velero.io/v1/namespaces/velero/schedules"):
        spec, template = found["spec"], found["spec"].get("template") or {}
        kept = {key: template[key] for key in ("includedNamespaces", "excludedNamespaces", "ttl") if key in template}
        yield f"schedule {found['metadata']['name'].removesuffix(f'-{region}')}", f"{spec.get('schedule')} {kept}"


def _databases(cluster: ClusterApi, settings: Settings) -> Iterator[tuple[str, str]]:
    """Of each database that runs in both regions. One without a standby runs in the region that serves alone."""
    group = "/apis/postgresql.cnpg.io/v1"
    for database in (each for each in settings.databases if each.standby):
        for found in _items(cluster, f"{group}/namespaces/{database.namespace}/clusters"):
            if found["metadata"]["name"] == database.name:
                spec = found["spec"]
                yield f"database {database.name}", f"{_tag(str(spec.get('imageName')))}, {spec.get('instances')} instances"
        # A side that was made anew has its generation in the name, and the primary a schedule of one first backup.
        named = re.compile(rf"{re.escape(database.name)}(-g\d+)?")
        for found in _items(cluster, f"{group}/namespaces/{database.namespace}/scheduledbackups"):
            if named.fullmatch(found["metadata"]["name"]):
                yield f"base backups of database {database.name}", str(found["spec"].get("schedule"))


def _kinds(cluster: ClusterApi) -> Iterator[tuple[str, str]]:
    for found in _items(cluster, "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"):
        served = sorted(version["name"] for version in found["spec"]["versions"] if version.get("served"))
        yield f"kind {found['metadata']['name']}", ", ".join(served)


def _storage_classes(cluster: ClusterApi) -> Iterator[tuple[str, str]]:
    for found in _items(cluster, "/apis/storage.k8s.io/v1/storageclasses"):
        parameters = {key: value for key, value in (found.get("parameters") or {}).items() if key not in _OF_A_REGION}
        rest = [found.get(key) for key in ("reclaimPolicy", "volumeBindingMode", "allowVolumeExpansion")]
        yield f"StorageClass {found['metadata']['name']}", f"{found.get('provisioner')} {dict(sorted(parameters.items()))} {rest}"


def _snapshot_classes(cluster: ClusterApi) -> Iterator[tuple[str, str]]:
    for found in _items(cluster, "/apis/snapshot.storage.k8s.io/v1/volumesnapshotclasses"):
        yield f"VolumeSnapshotClass {found['metadata']['name']}", f"{found.get('driver')} {found.get('deletionPolicy')}"


def _priority_classes(cluster: ClusterApi) -> Iterator[tuple[str, str]]:
    for found in _items(cluster, "/apis/scheduling.k8s.io/v1/priorityclasses"):
        default = ", the default" if found.get("globalDefault") else ""
        yield f"PriorityClass {found['metadata']['name']}", f"{found.get('value')} {found.get('preemptionPolicy')}{default}"


def _ingress_classes(cluster: ClusterApi) -> Iterator[tuple[str, str]]:
    for found in _items(cluster, "/apis/networking.k8s.io/v1/ingressclasses"):
        annotations = found["metadata"].get("annotations") or {}
        default = ", the default" if annotations.get("ingressclass.kubernetes.io/is-default-class") == "true" else ""
        yield f"IngressClass {found['metadata']['name']}", f"{(found.get('spec') or {}).get('controller')}{default}"


def _runtime_classes(cluster: ClusterApi) -> Iterator[tuple[str, str]]:
    for found in _items(cluster, "/apis/node.k8s.io/v1/runtimeclasses"):
        yield f"RuntimeClass {found['metadata']['name']}", str(found.get("handler"))


def _gateway_classes(cluster: ClusterApi) -> Iterator[tuple[str, str]]:
    for found in gateway_classes(cluster):
        yield f"GatewayClass {found['metadata']['name']}", str((found.get("spec") or {}).get("controllerName"))


def _items(cluster: ClusterApi, path: str) -> list[dict[str, Any]]:
    """What is listed at a path; nothing where the cluster does not know the kind."""
    return list((cluster.read(path) or {}).get("items") or ())
