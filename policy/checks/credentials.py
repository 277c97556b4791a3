"""Pods and the program have roles, not keys that somebody can carry away."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator
from typing import Any

from .model import Config, Policy, Resource, texts

_ROLE = "use a role: identity pod-identity, irsa or instance-profile"
_KEY_ID = re.compile(r"(?<![A-Za-z0-9/+])(AKIA|ASIA)[A-Z0-9]{16}(?![A-Za-z0-9/+])")
_FILE = re.compile(r"aws_secret_access_key\s*=", re.IGNORECASE)
_SECRET_KEYS = {"accesskeyid", "secretaccesskey", "awsaccesskeyid", "awssecretaccesskey"}
"""Keys of a Secret, in small letters and without separators, that hold an access key's id or its secret."""


def check(resource: Resource, config: Config) -> Iterator[str]:
    del config
    if resource.type == "aws:iam/accessKey:AccessKey":
        yield f"{resource.name} makes an access key: {_ROLE}"
    if resource.type == "pulumi:providers:aws" and ("accessKey" in resource.props or "secretKey" in resource.props):
        yield f"the provider {resource.name} has an access key in it: use a profile, or credentials of the environment"
    if resource.type == "kubernetes:core/v1:Secret" and _holds_key(resource):
        yield f"the Secret {resource.name} holds an AWS access key: {_ROLE}"
    for path, text in texts(resource.props):
        if _KEY_ID.search(text):
            yield f"{path} of {resource.name} has the id of an access key in it: take it out, and {_ROLE}"
    for path in _environment(resource.props):
        yield f"{path} of {resource.name} gives a container an access key as plain text: take it out, and {_ROLE}"


def _holds_key(secret: Resource) -> bool:
    contents: dict[str, Any] = {}
    for written in (secret.get("data"), secret.get("stringData")):
        contents |= written if isinstance(written, dict) else {}
    if any(re.sub(r"[-_.]", "", key.lower()) in _SECRET_KEYS for key in contents):
        return True
    values = [value for value in contents.values() if isinstance(value, str)]
    return any(_FILE.search(text) or _KEY_ID.search(text) for value in values for text in (value, _decoded(value)))


def _decoded(value: str) -> str:
    """A value of a Secret's `data`, decoded; the value itself if it is not base64."""
    try:
        return base64.b64decode(value, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return value


def _environment(value: Any, path: str = "") -> Iterator[str]:
    """Paths at which a container's environment has an access key's id or secret as plain text."""
    if isinstance(value, dict):
        if value.get("name") in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY") and "value" in value:
            yield path
        for key, item in value.items():
            yield from _environment(item, f"{path}.{key}" if path else key)
    elif isinstance(value, list):
        for number, item in enumerate(value):
            yield from _environment(item, f"{path}[{number}]")


POLICY = Policy(
    name="static-credentials",
    description="No access key of AWS in any resource; pods have roles.",
    level="mandatory",
    resource=check,
)
