"""The answers of the lab's admission webhooks: pure functions of a request and of what the cluster has."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from lab.addons.kinds import Object
from lab.addons.load_balancers import region_of

ROLE = "eks.amazonaws.com/role-arn"
"""Annotation of a ServiceAccount: the IAM role of its Pods."""

TOKEN_VOLUME = "aws-iam-token"  # noqa: S105 - its name
TOKEN_DIRECTORY = "/var/run/secrets/eks.amazonaws.com/serviceaccount"  # noqa: S105 - a path
_TOKEN_SECONDS = 86400
_PAIRS = (frozenset({"AWS_REGION", "AWS_DEFAULT_REGION"}), frozenset({"AWS_ROLE_ARN", "AWS_WEB_IDENTITY_TOKEN_FILE"}))


def review(asked: Mapping[str, Any], answer: Callable[[Mapping[str, Any]], Mapping[str, Any]]) -> dict[str, Any]:
    """The AdmissionReview that answers `asked`. `answer` gives the response to the request in it."""
    response = {"uid": asked["request"]["uid"], **answer(asked["request"])}
    return {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": response}


def allowed(changes: Sequence[Mapping[str, Any]] = ()) -> dict[str, Any]:
    """Admit the object, with a JSON patch if there are changes."""
    if not changes:
        return {"allowed": True}
    return {"allowed": True, "patchType": "JSONPatch", "patch": base64.b64encode(json.dumps(list(changes)).encode()).decode()}


def judge_binding(request: Mapping[str, Any], aws_region: str) -> dict[str, Any]:
    """Refuse a TargetGroupBinding of another region, as the AWS Load Balancer Controller does.

    The controller asks its own region's load balancers about the target group, and passes on that there is none.
    """
    arn = request["object"]["spec"].get("targetGroupARN", "")
    if region_of(arn) == aws_region:
        return allowed()
    message = f"unable to get target group VpcID: TargetGroupNotFound: Target groups '{arn}' not found"
    return {"allowed": False, "status": {"code": 403, "reason": "Forbidden", "message": message}}


def with_identity(pod: Object, account: Object | None, aws_region: str) -> list[dict[str, Any]]:
    """The changes that give a Pod its account's IAM role and the region, as the EKS Pod Identity Webhook does.

    Like the webhook, it leaves alone every variable, volume and mount that is there already, even one of another region.
    """
    role = ((account or {}).get("metadata", {}).get("annotations") or {}).get(ROLE)
    if not role:
        return []
    variables = {
        "AWS_REGION": aws_region,
        "AWS_DEFAULT_REGION": aws_region,
        "AWS_ROLE_ARN": role,
        "AWS_WEB_IDENTITY_TOKEN_FILE": f"{TOKEN_DIRECTORY}/token",
    }
    changes = []
    for kind in ("initContainers", "containers"):
        for index, container in enumerate(pod["spec"].get(kind, ())):
            changes += _container_changes(f"/spec/{kind}/{index}", container, variables)
    volumes = pod["spec"].get("volumes", [])
    if all(volume["name"] != TOKEN_VOLUME for volume in volumes):
        token = {"audience": "sts.amazonaws.com", "expirationSeconds": _TOKEN_SECONDS, "path": "token"}
        volume = {"name": TOKEN_VOLUME, "projected": {"sources": [{"serviceAccountToken": token}]}}
        changes.append({"op": "add", "path": "/spec/volumes", "value": [*volumes, volume]})
    return changes


def _container_changes(path: str, container: Mapping[str, Any], variables: Mapping[str, str]) -> list[dict[str, Any]]:
    existing = container.get("env", [])
    names = {variable["name"] for variable in existing}
    # Of variables that belong together, one that is there keeps out the others.
    taken = {name for pair in _PAIRS if names & pair for name in pair}
    added = [{"name": name, "value": value} for name, value in variables.items() if name not in taken]
    changes: list[dict[str, Any]] = []
    if added:
        changes.append({"op": "add", "path": f"{path}/env", "value": [*existing, *added]})
    mounts = container.get("volumeMounts", [])
    if all(mount["mountPath"] != TOKEN_DIRECTORY for mount in mounts):
        mount = {"name": TOKEN_VOLUME, "mountPath": TOKEN_DIRECTORY, "readOnly": True}
        changes.append({"op": "add", "path": f"{path}/volumeMounts", "value": [*mounts, mount]})
    return changes


def with_gates(pod: Object, gates: Sequence[str]) -> list[dict[str, Any]]:
    """The changes that add readiness gates to a Pod, as the AWS Load Balancer Controller does. Existing ones stay."""
    existing = pod["spec"].get("readinessGates", [])
    added = [{"conditionType": gate} for gate in gates if {"conditionType": gate} not in existing]
    return [{"op": "add", "path": "/spec/readinessGates", "value": [*existing, *added]}] if added else []
