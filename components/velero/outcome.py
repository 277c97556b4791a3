"""What the end of a Restore or a Backup means, in one line with Velero's own words, and the ways on from a failed Restore."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

from components.velero.downloads import Results, ResultsUnavailableError

ENDED = ("Completed", "PartiallyFailed", "Failed", "FailedValidation")
"""Every phase in which a Restore ends, or a Backup."""

_SHOWN, _LONGEST = 3, 500
"""How many of Velero's texts a message has, and how many characters of each."""

_KIND = re.compile(r"error (?:restoring|preparing) ([a-z0-9.-]+)/")
_LEFT_ALONE = re.compile(r"already exists\. Warning: the in-cluster version is different")


def shortened(texts: tuple[str, ...], more: str) -> str:
    """The first texts, and how many there are beside them. `more` is the command that shows all."""
    shown = [text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…" for text in texts[:_SHOWN]]
    rest = len(texts) - len(shown)
    return "; ".join(shown) + (f"; and {rest} more: {more}" if rest else "")


def failure(
    name: str,
    status: Mapping[str, Any],
    read: Callable[[], Results] | None = None,
    *,
    kind: Literal["Restore", "Backup"] = "Restore",
) -> str | None:
    """Why a Restore failed, or a Backup, in one line with Velero's own reason; None if it completed.

    `read` fetches what Velero said object by object; it is called only if there is something to fetch.
    """
    phase = status.get("phase")
    if phase == "Completed":
        return None
    reasons = [*(status.get("validationErrors") or []), *([status["failureReason"]] if status.get("failureReason") else [])]
    if errors := int(status.get("errors") or 0):
        reasons.append(_errors(errors, f"velero {kind.lower()} describe {name} --details", read))
    return f"{kind} {name} ended {phase or 'without a phase'}: {'; '.join(map(str, reasons)) or 'Velero gives no reason'}"


def _errors(count: int, command: str, read: Callable[[], Results] | None) -> str:
    told = f"{count} error{'' if count == 1 else 's'}"
    if read is None:
        return f"{told}, see: {command}"
    try:
        texts = read().errors
    except ResultsUnavailableError as error:
        return f"{told}, whose text could not be read ({error}); see: {command}"
    return f"{told}: {shortened(texts, command)}" if texts else f"{told}, see: {command}"


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
