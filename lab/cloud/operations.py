"""Finds the name of the AWS operation that a request calls. It uses the service models in botocore."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import parse_qs

import botocore.session
from botocore.exceptions import UnknownServiceError

NEED_US_EAST_1 = frozenset(
    {
        "CreateBucket",
        "DeleteBucket",
        *(
            f"{verb}Bucket{what}"
            for verb in ("Put", "Delete")
            for what in (
                "Cors",
                "Encryption",
                "Lifecycle",
                "LifecycleConfiguration",
                "OwnershipControls",
                "Policy",
                "Replication",
                "Tagging",
            )
        ),
        "DeletePublicAccessBlock",
        "PutBucketAccelerateConfiguration",
        "PutBucketAcl",
        "PutBucketLogging",
        "PutBucketNotificationConfiguration",
        "PutBucketRequestPayment",
        "PutBucketVersioning",
        "PutObjectLockConfiguration",
        "PutPublicAccessBlock",
    }
)
"""Changes of a bucket's configuration depend on us-east-1, in whatever region the bucket is (AWS Fault Isolation Boundaries)."""


@dataclass(frozen=True, kw_only=True)
class _Shape:
    """The form of a request for one operation of a REST service."""

    name: str
    method: str
    path: re.Pattern[str]
    literals: Mapping[str, str]
    """Query parameters that select the operation, such as `?replication` or `?list-type=2`."""

    parameters: frozenset[str]
    headers: frozenset[str]

    def fits(self, method: str, path: str, query: Mapping[str, list[str]], headers: Mapping[str, str]) -> bool:
        return (
            method == self.method
            and self.path.fullmatch(path) is not None
            and all(name in query and (not value or query[name] == [value]) for name, value in self.literals.items())
            and all(name in query for name in self.parameters)
            and all(headers.get(name) is not None for name in self.headers)
        )

    @property
    def conditions(self) -> int:
        return len(self.literals) + len(self.parameters) + len(self.headers)


def operation(service: str, method: str, path: str, query: str, headers: Mapping[str, str], form: str = "") -> str | None:
    """The operation, as the API reference spells it; None if none fits the request. `form` is the body of a form post."""
    if named := headers.get("X-Amz-Target"):
        return named.rpartition(".")[2]
    if action := parse_qs(form).get("Action") or parse_qs(query).get("Action"):
        return action[0]
    given = parse_qs(query, keep_blank_values=True)
    fitting = [shape for shape in _shapes(service) if shape.fits(method, path, given, headers)]
    return max(fitting, key=lambda shape: shape.conditions).name if fitting else None


@lru_cache
def _shapes(service: str) -> tuple[_Shape, ...]:
    try:
        model = botocore.session.get_session().get_service_model(service)
    except UnknownServiceError:
        return ()
    operations = [model.operation_model(name) for name in model.operation_names]
    return tuple(_shape(found) for found in operations if not found.deprecated and found.http.get("requestUri"))


def _shape(found: botocore.model.OperationModel) -> _Shape:
    path, _, query = found.http["requestUri"].partition("?")
    shape = found.input_shape
    required = [shape.members[name].serialization for name in shape.required_members] if shape else []

    def names(location: str) -> frozenset[str]:
        return frozenset(field["name"] for field in required if field.get("location") == location)

    return _Shape(
        name=found.name,
        method=found.http["method"],
        path=_pattern(path),
        literals={name: values[0] for name, values in parse_qs(query, keep_blank_values=True).items()},
        parameters=names("querystring"),
        headers=names("header"),
    )


def _pattern(template: str) -> re.Pattern[str]:
    parts = re.split(r"\{(\w+)(\+?)\}", template)
    text = re.escape(parts[0])
    for _, greedy, literal in zip(parts[1::3], parts[2::3], parts[3::3], strict=True):
        text += (".+" if greedy else "[^/]+") + re.escape(literal)
    return re.compile(text + "/?")
