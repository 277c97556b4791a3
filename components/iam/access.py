"""How one part reaches AWS, as its Kubernetes objects have to say it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi

from settings.identity import AccessKey


@dataclass(frozen=True, kw_only=True)
class Access:
    """A role in an annotation, a static key, or neither: then EKS or the node gives the pods what they need.

    `ready` is what must be there before pods start: EKS gives credentials to pods that are created after their association.
    """

    role_arn: str | None = None
    key: AccessKey | None = None
    ready: Sequence[pulumi.Resource] = ()
