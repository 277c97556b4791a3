"""Custom Kubernetes objects whose status the program reads, and the annotations that make objects wait."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pulumi


class ObjectWithStatus(pulumi.CustomResource):
    """A custom object whose status is an output. The SDK's generic CustomResource has no such output."""

    metadata: pulumi.Output[dict[str, Any]]
    status: pulumi.Output[dict[str, Any]]

    def __init__(
        self,
        name: str,
        *,
        api_version: str,
        kind: str,
        metadata: Mapping[str, Any],
        spec: Mapping[str, Any],
        opts: pulumi.ResourceOptions,
    ) -> None:
        inputs = {"apiVersion": api_version, "kind": kind, "metadata": dict(metadata), "spec": dict(spec), "status": None}
        super().__init__(f"kubernetes:{api_version}:{kind}", name, inputs, opts)


def until_phase(phases: Iterable[str]) -> dict[str, str]:
    """The annotation that makes the engine wait until the object's status has one of `phases`.

    Name every phase in which the object ends, the failures too: a wait for success alone hides a failure until the timeout.
    """
    any_phase = " || ".join(f"@ == '{phase}'" for phase in phases)
    return {"pulumi.com/waitFor": f"jsonpath={{.status[?{any_phase}]}}"}


def after(outputs: Sequence[pulumi.Input[str]]) -> dict[str, pulumi.Input[str]]:
    """The annotation that makes an object wait for all of `outputs`, and fail if one of them fails. Empty if there are none.

    `depends_on` would not do: an output can fail because of a status, although the engine made the resource without an error.
    """
    if not outputs:
        return {}
    return {"k8s-dr/after": pulumi.Output.all(*outputs).apply(lambda values: " ".join(map(str, values)))}
