"""The security contexts of the program's own Pods, as Pod Security admission demands them at its level `restricted`."""

from __future__ import annotations

from typing import Any

CONTAINER_SECURITY: dict[str, Any] = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}


def pod_security(user: int) -> dict[str, Any]:
    """The Pod's security context; `user` is the id of the user that the image's program runs as."""
    return {"runAsNonRoot": True, "runAsUser": user, "seccompProfile": {"type": "RuntimeDefault"}}
