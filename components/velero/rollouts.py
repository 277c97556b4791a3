"""Deployments whose Pods are of an older ReplicaSet, or of one that Kubernetes would not make anew.

No restore brings ReplicaSets (selection.py): the other region's controller makes one, of the newest template. It makes none for
a Deployment that is paused (kubernetes/pkg/controller/deployment/sync.go). And where a rollout has stopped, so that users are
served by Pods of an older template, the newest one is what has not come up so far.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

_SHOWN = 5


def is_paused(deployment: Mapping[str, Any]) -> bool:
    """Whether it would have no Pods where it has no ReplicaSet yet. What is at zero was switched off, and stays so."""
    spec = deployment["spec"]
    return bool(spec.get("paused")) and spec.get("replicas", 1) != 0


def has_stopped(deployment: Mapping[str, Any]) -> bool:
    """Whether Pods of an older template run, and no rollout that progresses is about to replace them.

    They are counted by `status`: with one replica, say, the new Pod that does not start is there beside the old one. Progressing
    is False once the progress deadline is over, and is not there where a Deployment has no deadline.
    """
    spec, status = deployment["spec"], deployment.get("status") or {}
    seen = status.get("observedGeneration", 0) >= deployment["metadata"].get("generation", 0)
    if not seen or spec.get("paused") or spec.get("replicas", 1) == 0:
        return False
    progressing = {each.get("status") for each in status.get("conditions") or () if each.get("type") == "Progressing"}
    return status.get("replicas", 0) > status.get("updatedReplicas", 0) and progressing <= {"False"}


def told(paused: Collection[str], stopped: Collection[str], region: str, rules: str, *, modified: bool) -> Iterator[str]:
    """A line for those that are paused in the other region, and one for those whose rollout has stopped there, each as in `shop
    deployment/web`. `rules` is the key of the rules that lead here; `modified` says whether somebody has written some."""
    if paused:
        unless = f", unless your rules in {rules} change that" if modified else ""
        yield (
            f"Deployments are paused in {region} ({_some(paused)}): Kubernetes makes no ReplicaSet for a paused one, and no "
            f"restore brings any, so that restored here they have no Pods{unless}: resume them there (kubectl rollout resume "
            f"deployment/NAME -n NAMESPACE), or write to {rules} a rule for deployments.apps with "
            'mergePatches: [{patchData: "spec: {paused: null}"}]'
        )
    if stopped:
        yield (
            f"Deployments run older Pods in {region}, where their rollout has stopped ({_some(stopped)}): a restore brings the "
            "newest template alone, so that here they may never be available: let the rollout end there, or take it back "
            "(kubectl rollout undo deployment/NAME -n NAMESPACE)"
        )


def _some(names: Collection[str]) -> str:
    rest = len(names) - _SHOWN
    return ", ".join(sorted(names)[:_SHOWN]) + (f" and {rest} more" if rest > 0 else "")
