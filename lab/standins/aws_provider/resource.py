"""What one AWS resource type is to the stand-in, and what it works with."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import botocore.exceptions

Values = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Aws:
    """The account and region that the provider is configured for. `client` gives a boto3 client of a service."""

    region: str
    account: str
    client: Callable[[str], Any]


class Resource(ABC):
    """One type. Stateless: what it needs to know comes with each call.

    `inputs` are the properties that it covers, `computed` those that only AWS knows. `fixed`: a change of them replaces the
    resource. `renewed`: those computed that an update changes. `documents`: inputs that are JSON, compared by what they say.
    `named`: the input that gets a name of Pulumi's making if it is left out.
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
        """Make it. Its id, and what of `computed` there is to know."""

    @abstractmethod
    def read(self, aws: Aws, identifier: str, inputs: Values) -> tuple[Values, Values] | None:
        """The inputs as they are now, and the computed; None if it is gone. `inputs` is empty for an import."""

    @abstractmethod
    def update(self, aws: Aws, identifier: str, old: Values, inputs: Values) -> Values:
        """Change it from the state `old` to the inputs; what of `computed` there is to know."""

    @abstractmethod
    def delete(self, aws: Aws, identifier: str, state: Values) -> None:
        """Remove it. An error that says it is gone already is no error; see `gone`."""


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
    """Whether the error says that what was asked for does not exist."""
    return error.response.get("Error", {}).get("Code") in _GONE


def as_tags(tags: Values | None) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in (tags or {}).items()]
