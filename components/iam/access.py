"""How one part (Velero, the databases, the etcd backup) reaches AWS, as its Kubernetes objects have to say it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi

from settings.identity import AccessKey


@dataclass(frozen=True, kw_only=True)
class Access:
    """A role for an annotation, a static access key, or neither: then EKS or the node gives the pods their credentials.

    `ready` must exist before the pods start: EKS gives credentials only to pods that are created after their association.
    """

    role_arn: str | None = None
    key: AccessKey | None = None
    ready: Sequence[pulumi.Resource] = ()
