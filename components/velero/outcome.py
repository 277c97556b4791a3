"""The ways on from a failed Restore, and what a person should know about one that completed."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from components.kube.runner.restored import Results, ResultsUnavailableError, shortened

_KIND = re.compile(r"error (?:restoring|preparing) ([a-z0-9.-]+)/")
_LEFT_ALONE = re.compile(r"already exists\. Warning: the in-cluster version is different")


def ways_on(name: str, phase: str | None, entry: str, reason: str, volumes: Sequence[str] = ()) -> str:
    """What a person may do about a failed Restore, in one line. `entry` is where its backup is configured: `backups[1]`.

    `reason` is the failure's text, from which the kinds of the refused objects are taken. `volumes` are those without their data.
    """
    again = "Once the cause is gone run pulumi up again: it restores anew"
    if phase != "PartiallyFailed":
        return again
    ways = [again]
    if kinds := ", ".join(dict.fromkeys(_KIND.findall(reason))):
        ways.append(f"to leave such objects out write excludeResources: [{kinds}] to k8s-dr:{entry} in Pulumi.yaml first")
    if volumes:
        ways.append(
            "claims that have not got their data must be deleted first, and where the data are not in this region an older "
            f"backup may be whole: write from: BACKUP to k8s-dr:{entry}"
        )
    ways.append(f"to go on with what was restored write accept: {name} to k8s-dr:{entry} in Pulumi.yaml first")
    return "; ".join(ways)


def told(name: str, status: Mapping[str, Any], read: Callable[[], Results]) -> str | None:
    """What a person should know about a Restore that completed with warnings, in one line; None if there were none."""
    if not (warnings := int(status.get("warnings") or 0)):
        return None
    command = f"velero restore describe {name} --details"
    objects = int((status.get("progress") or {}).get("itemsRestored") or 0)
    begins = f"Restore {name} completed: {objects} objects, {warnings} warning{'' if warnings == 1 else 's'}"
    try:
        texts = read().warnings
    except ResultsUnavailableError as error:
        return f"{begins}, whose text could not be read ({error}); see: {command}"
    # Every namespace has this ConfigMap, with the cluster's own certificate. Each cluster makes its own.
    texts = tuple(text for text in texts if "kube-root-ca.crt" not in text)
    left_alone = sum(bool(_LEFT_ALONE.search(text)) for text in texts)
    if not texts:
        return None
    alone = f", {left_alone} of them for objects that were here already and were left as they are" if left_alone else ""
    return f"{begins}{alone}: {shortened(texts, command)}"
