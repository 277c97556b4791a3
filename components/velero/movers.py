"""Whether a node of this cluster takes Velero's data movers, which fill the claims of a restore and have few tolerations."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from settings.volumes import Toleration

_INHERITED = ("CriticalAddonsOnly", "kubernetes.azure.com/scalesetpriority")
"""The keys of the node agent's tolerations that Velero hands to its data movers (1.18.3, pkg/util/third_party.go)."""


@dataclass(frozen=True, kw_only=True)
class Movers:
    """Labels of the nodes on which data movers run, and the tolerations of the node agent."""

    nodes: Mapping[str, str] = field(default_factory=dict)
    tolerations: Sequence[Toleration] = ()

    def why_on_none(self, nodes: Iterable[Mapping[str, Any]]) -> str | None:
        """Why no node takes them, in a few words; None if one does."""
        taints: dict[str, None] = {}
        chosen = 0
        for node in nodes:
            labels = node["metadata"].get("labels") or {}
            if any(labels.get(key) != value for key, value in self.nodes.items()):
                continue
            chosen += 1
            against = list(self._against(node.get("spec") or {}))
            if not against:
                return None
            taints |= dict.fromkeys(against)
        if not chosen:
            wanted = ", ".join(f"{key}={value}" for key, value in self.nodes.items())
            return f"no node has the labels of velero.dataMovers.nodes ({wanted})" if wanted else "there is no node"
        return f"each node has a taint that they do not tolerate ({', '.join(taints)})"

    def _against(self, spec: Mapping[str, Any]) -> Iterable[str]:
        if spec.get("unschedulable"):
            yield "cordoned"
        for taint in spec.get("taints") or ():
            if taint.get("effect") != "PreferNoSchedule" and not any(self._tolerates(each, taint) for each in self.tolerations):
                value = f"={taint['value']}" if taint.get("value") else ""
                yield f"{taint.get('key')}{value}:{taint.get('effect')}"

    @staticmethod
    def _tolerates(toleration: Toleration, taint: Mapping[str, Any]) -> bool:
        if toleration.key not in _INHERITED or toleration.key != taint.get("key"):
            return False
        same = toleration.operator == "Exists" or (toleration.value or "") == (taint.get("value") or "")
        return same and toleration.effect in (None, taint.get("effect"))
