"""EKS: add-ons, the IAM roles of pods, and access to a cluster. They only work in previews, because moto does not have them."""

from __future__ import annotations

from typing import ClassVar, NoReturn

from lab.standins.aws_provider.resource import Aws, Resource, Values
from lab.standins.provider import NotCoveredError


class _PreviewedOnly(Resource):
    """A type that the stand-in can only preview: it knows the properties, but cannot create anything."""

    def _refuse(self) -> NoReturn:
        raise NotCoveredError(f"moto has no {self.token}, so the AWS stand-in only previews it; install pulumi-resource-aws")

    def create(self, aws: Aws, inputs: Values) -> tuple[str, Values]:  # noqa: ARG002
        self._refuse()

    def read(self, aws: Aws, identifier: str, inputs: Values) -> tuple[Values, Values] | None:  # noqa: ARG002
        self._refuse()

    def update(self, aws: Aws, identifier: str, old: Values, inputs: Values) -> Values:  # noqa: ARG002
        self._refuse()

    def delete(self, aws: Aws, identifier: str, state: Values) -> None:  # noqa: ARG002
        self._refuse()


class Addon(_PreviewedOnly):
    token = "aws:eks/addon:Addon"  # noqa: S105 - a type's token
    inputs: ClassVar = frozenset({"clusterName", "addonName", "tags"})
    computed: ClassVar = frozenset({"arn", "addonVersion", "createdAt", "modifiedAt"})
    fixed: ClassVar = frozenset({"clusterName", "addonName"})


class PodIdentityAssociation(_PreviewedOnly):
    token = "aws:eks/podIdentityAssociation:PodIdentityAssociation"  # noqa: S105
    inputs: ClassVar = frozenset({"clusterName", "namespace", "serviceAccount", "roleArn", "tags"})
    computed: ClassVar = frozenset({"associationArn", "associationId", "externalId"})
    fixed: ClassVar = frozenset({"clusterName", "namespace", "serviceAccount"})


class AccessEntry(_PreviewedOnly):
    token = "aws:eks/accessEntry:AccessEntry"  # noqa: S105
    inputs: ClassVar = frozenset({"clusterName", "principalArn", "type", "tags"})
    computed: ClassVar = frozenset({"accessEntryArn", "createdAt", "modifiedAt"})
    fixed: ClassVar = frozenset({"clusterName", "principalArn", "type"})


class AccessPolicyAssociation(_PreviewedOnly):
    token = "aws:eks/accessPolicyAssociation:AccessPolicyAssociation"  # noqa: S105
    inputs: ClassVar = frozenset({"clusterName", "principalArn", "policyArn", "accessScope"})
    computed: ClassVar = frozenset({"associatedAt", "modifiedAt"})
    fixed: ClassVar = frozenset({"clusterName", "principalArn", "policyArn", "accessScope"})


RESOURCES: tuple[type[Resource], ...] = (Addon, PodIdentityAssociation, AccessEntry, AccessPolicyAssociation)
