"""How one part (Velero, the databases, the etcd backup) reaches AWS, as its Kubernetes objects have to say it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pulumi

from settings.identity import AccessKey
from settings.names import Names


@dataclass(frozen=True, kw_only=True)
class Injection:
    """Credentials that a Pod gets when it is admitted, or never: the environment `variable` that tells the SDK of them.

    `missing` is advice for the case that it never comes.
    """

    variable: str
    missing: str


BY_ASSOCIATION = Injection(
    variable="AWS_CONTAINER_CREDENTIALS_FULL_URI",
    missing="see whether EKS lists the association (aws eks list-pod-identity-associations) and the add-on "
    "eks-pod-identity-agent, then run pulumi up again",
)
BY_ANNOTATION = Injection(
    variable="AWS_WEB_IDENTITY_TOKEN_FILE",
    missing="see whether the EKS Pod Identity Webhook runs (on EKS it always does), then run pulumi up again",
)


@dataclass(frozen=True, kw_only=True)
class Access:
    """A role for an annotation, a static access key, or neither: then EKS or the node gives the pods their credentials.

    `ready` must exist before the pods start: EKS gives credentials only to pods that are created after their association.
    """

    role_arn: str | None = None
    key: AccessKey | None = None
    injection: Injection | None = None
    ready: Sequence[pulumi.Resource] = ()


def own_region(names: Names) -> dict[str, str]:
    """Environment by which a Pod's AWS SDK asks the endpoints of its own region and no global one, whatever gives it credentials.

    A global endpoint is in us-east-1, which may be the region that is dead. Only some of the webhooks that give credentials name
    a region too, and the node names none. The AWS CLI's version 1 and the Go SDK know different names for it. Without the last
    variable, older SDKs change a role's token for credentials at the global endpoint of STS.
    """
    return {
        "AWS_REGION": names.region,
        "AWS_DEFAULT_REGION": names.region,
        "AWS_STS_REGIONAL_ENDPOINTS": "regional",
    }


def key_environment(secret: str) -> list[dict[str, Any]]:
    """Environment with the access key in the Secret `secret`, which holds what `AccessKey.secret_data` returns."""
    keys = {"AWS_ACCESS_KEY_ID": "accessKeyId", "AWS_SECRET_ACCESS_KEY": "secretAccessKey"}
    return [{"name": name, "valueFrom": {"secretKeyRef": {"name": secret, "key": key}}} for name, key in keys.items()]
