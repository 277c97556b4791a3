"""What is written on a volume that is set aside, and on the claim that it is bound to then."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from settings.names import EXCLUDED_FROM_BACKUP, PROGRAM_NAMESPACE, fitting

KEPT_OF = f"{PROGRAM_NAMESPACE}/kept-of"
"""Label of a volume that is set aside and of its new claim: what it is kept of, shortened to what a label holds."""

MARK = f"{PROGRAM_NAMESPACE}/kept"
"""Annotation of such a volume: the whole movement, as JSON."""

KEPT_CLAIM = f"{PROGRAM_NAMESPACE}/kept-claim"
"""Annotation of the new claim: name of the old one."""

_NAME_LENGTH = 63


class NotKeptError(Exception):
    """A claim cannot be set aside, or not in time; the message says which, why, and what to do. No data are lost by it."""


@dataclass(frozen=True, kw_only=True)
class Kept:
    """A volume that is set aside: the claim that it was bound to, and the one that it is bound to now."""

    namespace: str
    claim: str
    kept_as: str
    volume: str


@dataclass(frozen=True, kw_only=True)
class Mark:
    """What a volume says of its movement: of whom it is kept, the two claims' names, and what the old claim was.

    `policy` is the volume's reclaim policy of before, for whoever gives it back.
    """

    of: str
    namespace: str
    claim: str
    kept_as: str
    uid: str
    modes: list[str]
    size: str
    storage_class: str
    volume_mode: str
    labels: dict[str, str]
    policy: str


def is_kept(claim: Mapping[str, Any]) -> bool:
    return KEPT_OF in (claim["metadata"].get("labels") or {})


def kept_name(claim: str, volume: str) -> str:
    """The new claim's name. It says the old one, and stays the same however often it is asked for. A claim of the same old name
    comes later with another volume, so the volume is in it too."""
    end = f"-{hashlib.sha256(volume.encode()).hexdigest()[:8]}"
    return f"{fitting(f'kept-{claim}', room=_NAME_LENGTH - len(end))}{end}"


def kept(volume: Mapping[str, Any], mark: Mark) -> Kept:
    return Kept(namespace=mark.namespace, claim=mark.claim, kept_as=mark.kept_as, volume=volume["metadata"]["name"])


def is_its_own(volume: Mapping[str, Any], mark: Mark) -> bool:
    """Whether a volume is still the old claim's, is nobody's, or is the new claim's."""
    held = volume["spec"].get("claimRef")
    if not held:
        return True
    if held.get("namespace") != mark.namespace:
        return False
    return held.get("name") == mark.kept_as or (held.get("name"), held.get("uid")) == (mark.claim, mark.uid)


def mark_of(volume: Mapping[str, Any]) -> Mark | None:
    written = (volume["metadata"].get("annotations") or {}).get(MARK)
    if written is None:
        return None
    try:
        return Mark(**json.loads(written))
    except (ValueError, TypeError):
        name = volume["metadata"]["name"]
        raise NotKeptError(
            f"annotation {MARK} of volume {name} is not as this program wrote it, so it is not known which claim the volume was "
            f"of; write it anew, or take the volume out: kubectl label pv {name} {KEPT_OF}-; then pulumi up again"
        ) from None


def reserved(volume: Mapping[str, Any], mark: Mark) -> dict[str, Any]:
    """The change by which a volume waits for its new claim, and for no other."""
    to = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "namespace": mark.namespace, "name": mark.kept_as}
    # With the dead claim's UID the volume would stay Released for ever. Backups leave out the volume as they do its new claim.
    return {
        "metadata": {"resourceVersion": volume["metadata"].get("resourceVersion"), "labels": EXCLUDED_FROM_BACKUP},
        "spec": {"claimRef": {**to, "uid": None, "resourceVersion": None}},
    }


def new_claim(volume: Mapping[str, Any], mark: Mark) -> dict[str, Any]:
    """The new claim. It has no label and no annotation of the old one: CloudNativePG adopts claims by these, and the program
    takes claims with Velero's for restored ones. Size and class are the volume's, so that nothing is resized or made."""
    labels = {"app.kubernetes.io/managed-by": PROGRAM_NAMESPACE, KEPT_OF: fitting(mark.of), **EXCLUDED_FROM_BACKUP}
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {
            "name": mark.kept_as,
            "namespace": mark.namespace,
            "labels": labels,
            "annotations": {KEPT_CLAIM: mark.claim},
        },
        "spec": {
            "accessModes": mark.modes,
            "resources": {"requests": {"storage": (volume["spec"].get("capacity") or {}).get("storage", mark.size)}},
            # An empty text is a class too: without the field the cluster's default class would come in.
            "storageClassName": volume["spec"].get("storageClassName", ""),
            "volumeMode": mark.volume_mode,
            "volumeName": volume["metadata"]["name"],
        },
    }
