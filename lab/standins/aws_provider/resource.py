"""The base class of the AWS resource types, and the account and region that they work in."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import botocore.exceptions

Values = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Aws:
    """The account and region of the provider's configuration. `client` returns a boto3 client for a service."""

    region: str
    account: str
    client: Callable[[str], Any]


class Resource(ABC):
    """One resource type. It has no state: each call brings all that it needs.

    `inputs` are the properties that the type covers. `computed` are the properties that only AWS knows. A change of a `fixed`
    property replaces the resource. An update changes the computed properties in `renewed`. `documents` are inputs with JSON,
    which are compared by content. `named` is the input that Pulumi fills with a generated name if the program leaves it out.
    """

    token: ClassVar[str]
    inputs: ClassVar[frozenset[str]]
    computed: ClassVar[frozenset[str]] = frozenset()
    fixed: ClassVar[frozenset[str]] = frozenset()
    renewed: ClassVar[frozenset[str]] = frozenset()
    documents: ClassVar[frozenset[str]] = frozenset()
    named: ClassVar[str | None] = None

    @abstractmethod
    def create(self, aws: Aws, inputs: Values) -> tuple[str, Values]:
        """Create the resource. Returns its id, and the `computed` properties that AWS returned."""

    @abstractmethod
    def read(self, aws: Aws, identifier: str, inputs: Values) -> tuple[Values, Values] | None:
        """The current inputs and computed properties; None if the resource is gone. `inputs` is empty for an import."""

    @abstractmethod
    def update(self, aws: Aws, identifier: str, old: Values, inputs: Values) -> Values:
        """Change the resource from the state `old` to `inputs`. Returns the `computed` properties."""

    @abstractmethod
    def delete(self, aws: Aws, identifier: str, state: Values) -> None:
        """Delete the resource. It may raise an error that says that the resource is gone already; see `gone`."""


_GONE = {
    "NoSuchBucket",
    "NoSuchKey",
    "NoSuchEntity",
    "NoSuchHealthCheck",
    "NoSuchHostedZone",
    "NotFoundException",
    "404",
    "NoSuchLifecycleConfiguration",
    "NoSuchBucketPolicy",
    "NoSuchPublicAccessBlockConfiguration",
    "OwnershipControlsNotFoundError",
    "ReplicationConfigurationNotFoundError",
    "ServerSideEncryptionConfigurationNotFoundError",
    "ObjectLockConfigurationNotFoundError",
}


def gone(error: botocore.exceptions.ClientError) -> bool:
    """Whether the error says that the resource does not exist."""
    return error.response.get("Error", {}).get("Code") in _GONE


def as_tags(tags: Values | None) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in (tags or {}).items()]
