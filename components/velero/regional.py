"""What of the workloads names the region that they run in: restored in the other one, it would call a region that may be dead.

Found where the inventory is taken, in the region that serves, and told by day in the one that stands by. Read are environment,
commands and arguments of Pods, the nodes that they ask for, servers and attributes of their volumes, the data of ConfigMaps, and
the names that Services of type ExternalName lead to; no Secret is.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from components.kube.cluster_api import ClusterUnreachableError

MEANT = "k8s-dr/region-is-meant"
"""Annotation of an object that names its region on purpose: it is passed over."""

_KEPT = 5
"""How many objects of a namespace are written down by name, beside how many there are."""

Found = Mapping[str, tuple[int, Sequence[str]]]
"""By namespace, how many objects name the region, and the first of them, as in `deployment/web`."""


@dataclass(kw_only=True)
class Search:
    """Looks for a region's name in objects as they are listed."""

    region: str
    found: dict[str, list[str]] = field(default_factory=dict)
    refused: str | None = None
    """Why ConfigMaps and Services were not looked at to the end."""

    def workload(self, kind: str, item: Mapping[str, Any], pod: Mapping[str, Any]) -> None:
        """A workload with this spec of its Pods."""
        containers = [*(pod.get("containers") or ()), *(pod.get("initContainers") or ())]
        texts = [
            text
            for each in containers
            for text in (
                *(variable.get("value") for variable in each.get("env") or ()),
                *(each.get("command") or ()),
                *(each.get("args") or ()),
            )
        ]
        self._look(kind, item, [*texts, *_nodes(pod), *_volumes(pod)])

    def others(self, listed: Callable[[str], Iterable[Mapping[str, Any]]]) -> None:
        """ConfigMaps and Services, as `listed` lists a kind. A right that is missing must not cost the inventory the rest."""
        try:
            for item in listed("configmaps"):
                self._look("configmap", item, (item.get("data") or {}).values())
            for item in listed("services"):
                self._look("service", item, [(item.get("spec") or {}).get("externalName")])
        except ClusterUnreachableError as error:
            self.refused = str(error)

    def _look(self, kind: str, item: Mapping[str, Any], texts: Iterable[str | None]) -> None:
        metadata = item["metadata"]
        # What a controller has made it makes anew, as the object says that it belongs to.
        if any(owner.get("controller") for owner in metadata.get("ownerReferences") or ()):
            return
        if MEANT in (metadata.get("annotations") or {}):
            return
        if any(text and self._names(text) for text in texts):
            self.found.setdefault(metadata["namespace"], []).append(f"{kind}/{metadata['name']}")

    def _names(self, text: str) -> bool:
        """Whether a text has the region as a word, or one of its zones, as in `us-east-1a`."""
        return re.search(rf"(?<![A-Za-z0-9]){re.escape(self.region)}[a-z]?(?![A-Za-z0-9])", text) is not None

    def document(self) -> dict[str, Any]:
        """As the inventory has it. A program of an earlier version passes it over."""
        return {
            "region": self.region,
            "namespaces": {name: {"count": len(each), "first": each[:_KEPT]} for name, each in sorted(self.found.items())},
        }


def _nodes(pod: Mapping[str, Any]) -> Iterator[str]:
    """Values of the labels that a node must have. What a node must not have, or what is only preferred, hinders no Pod."""
    yield from (pod.get("nodeSelector") or {}).values()
    affinity = (pod.get("affinity") or {}).get("nodeAffinity") or {}
    required = affinity.get("requiredDuringSchedulingIgnoredDuringExecution") or {}
    for term in required.get("nodeSelectorTerms") or ():
        for each in (*(term.get("matchExpressions") or ()), *(term.get("matchFields") or ())):
            if each.get("operator") != "NotIn":
                yield from each.get("values") or ()


def _volumes(pod: Mapping[str, Any]) -> Iterator[str]:
    """Where volumes come from that a Pod names itself, without a claim."""
    for volume in pod.get("volumes") or ():
        yield (volume.get("nfs") or {}).get("server") or ""
        yield from ((volume.get("csi") or {}).get("volumeAttributes") or {}).values()


def found_in(document: Any) -> Found:
    """What another region has written down; nothing where its version looked for nothing.

    Raises ValueError, KeyError, TypeError or AttributeError for what is no such document.
    """
    if document is None:
        return {}
    return {str(name): (int(each["count"]), [str(one) for one in each["first"]]) for name, each in document["namespaces"].items()}


def told(found: Found, region: str, *, modified: bool) -> Iterator[str]:
    """A line, if anything that is restored names the region. `modified` says whether rules of the user may change it."""
    if not found:
        return
    count = sum(number for number, _ in found.values())
    names = [f"{namespace} {each}" for namespace, (_, first) in sorted(found.items()) for each in first][:_KEPT]
    rest = f" and {count - len(names)} more" if count > len(names) else ""
    those = "1 object that would be restored here names" if count == 1 else f"{count} objects that would be restored here name"
    rules = ", unless your rules in velero.modifiers change that" if modified else ""
    yield (
        f"{those} {region} in environment, arguments, node labels, volumes or data ({', '.join(names)}{rest}){rules}: in this "
        "region they would call one that may be dead, or find no node; take the name out, change it by velero.modifiers, or, "
        "where it is meant, annotate the object: "
        f'{MEANT}: "true"'
    )
