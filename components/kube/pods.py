"""The security context of the program's own Pods: what Pod Security admission at its level `restricted` asks for."""

from __future__ import annotations

from typing import Any

CONTAINER_SECURITY: dict[str, Any] = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}


def pod_security(user: int) -> dict[str, Any]:
    """The Pod's own part; `user` is the user id that the image's program runs as."""
    return {"runAsNonRoot": True, "runAsUser": user, "seccompProfile": {"type": "RuntimeDefault"}}
