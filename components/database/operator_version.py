"""Whether the operator that runs here is too old for what this program asks of it, where somebody else installed it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from components.kube.cluster_api import ClusterApi, ClusterRefusedError

KEEPS_TOKENS = {(1, 28): 4, (1, 29): 2}
"""By minor version the first patch that keeps the token of a demotion (cloudnative-pg#11074). Later minors do from the start."""

SHARES_ACCOUNTS = (1, 29)
"""The first minor version whose Clusters may name a ServiceAccount that is there. Before it the API server drops the field."""

_NAME = "app.kubernetes.io/name=cloudnative-pg"
_OPERATORS = f"/apis/apps/v1/deployments?labelSelector={_NAME}"


def old_operators(cluster: ClusterApi) -> Iterator[str]:
    """What an operator of this cluster is too old for, a line each. One that does not say its version is not judged."""
    try:
        found = (cluster.read(_OPERATORS) or {}).get("items") or ()
    except ClusterRefusedError as error:
        yield f"which version of CloudNativePG's operator runs here is not known: {error}"
        return
    for deployment in found:
        version = _version_of(deployment)
        if version and (harm := list(_harm(*version))):
            where = f"{deployment['metadata']['namespace']}/{deployment['metadata']['name']}"
            yield (
                f"CloudNativePG's operator {'.'.join(map(str, version))} runs here (Deployment {where}), which "
                f"{' and '.join(harm)}: upgrade it (docs/compatibility.md says to which version)"
            )


def _harm(major: int, minor: int, patch: int) -> Iterator[str]:
    if (major, minor) < SHARES_ACCOUNTS:
        yield "knows no serviceAccountName, so that drills of databases and a return to a point in time may read no archive"
    first = KEEPS_TOKENS.get((major, minor))
    if (major, minor) < min(KEEPS_TOKENS) or (first is not None and patch < first):
        yield "may lose the token by which a planned switchover goes on"


def _version_of(deployment: dict[str, Any]) -> tuple[int, int, int] | None:
    """By the tag of its image, or by the label of whoever pins it by digest alone."""
    containers = deployment["spec"]["template"]["spec"].get("containers") or ()
    tags = [str(each.get("image", "")).partition("@")[0].rpartition(":")[2] for each in containers]
    label = (deployment["metadata"].get("labels") or {}).get("app.kubernetes.io/version", "")
    for text in (*tags, label):
        if found := re.match(r"v?(\d+)\.(\d+)\.(\d+)", text):
            return int(found[1]), int(found[2]), int(found[3])
    return None
