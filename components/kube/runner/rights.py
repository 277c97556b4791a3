"""Asks the API server for every right that the other steps need, by day, under the account that they have at night."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from .api import Api, ApiError
from .failure import StepFailedError

_REVIEWS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"


@dataclass(frozen=True, kw_only=True)
class Right:
    """A right: `verb` on a `resource` of an API `group`, or on its `subresource`. The core group is "". It holds in every
    namespace, or in one `namespace` alone, for one object alone that has this `name`."""

    verb: str
    group: str
    resource: str
    subresource: str = ""
    namespace: str = ""
    name: str = ""

    def __str__(self) -> str:
        """As ClusterRoles write it: `patch deployments.apps/scale`, with the object that it is for."""
        kind = f"{self.resource}.{self.group}" if self.group else self.resource
        what = f"{self.verb} {kind}/{self.subresource}" if self.subresource else f"{self.verb} {kind}"
        where = " ".join([*([self.name] if self.name else []), *([f"in {self.namespace}"] if self.namespace else [])])
        return f"{what} {where}".rstrip()


def _rights(verbs: str, group: str, *resources: str) -> tuple[Right, ...]:
    return tuple(Right(verb=verb, group=group, resource=resource) for resource in resources for verb in verbs.split())


NEEDED = (
    *_rights("get list watch patch", "apps", "deployments", "statefulsets"),
    *_rights("get list patch", "batch", "cronjobs", "jobs"),
    *_rights("list", "autoscaling", "horizontalpodautoscalers"),
    *_rights("get list patch", "keda.sh", "scaledjobs", "scaledobjects"),
    *_rights("get list patch", "argoproj.io", "cronworkflows"),
    *_rights("list", "argoproj.io", "rollouts"),
    *_rights("list", "", "events", "pods"),
)
"""Every right that a step of this package uses, in the order of their groups. The ClusterRole has these and no other."""

THROUGH_THE_API = Right(verb="get", group="", resource="services", subresource="proxy")
"""The right of a check that asks through the API server: to reach any Service. Only where there is such a check."""


def run(task: Mapping[str, Any]) -> str:
    """Ask for the task's `rights`, each with the fields of Right. Raises StepFailedError with those that are missing."""
    rights = [Right(**each) for each in task["rights"]]
    refuse_missing(Api.in_cluster(), rights)
    return f"may {', '.join(map(str, rights))}"


def refuse_missing(api: Api, rights: Sequence[Right]) -> None:
    """Raise StepFailedError with those of `rights` that the account of this Pod has not."""
    try:
        missing = [str(right) for right in rights if not _granted(api, right)]
    except ApiError as error:
        raise StepFailedError(f"the rights could not be asked for: {error}") from None
    if missing:
        raise StepFailedError(
            f"the account of this Pod may not {', '.join(missing)}; somebody has changed its ClusterRole or its binding, or a "
            "webhook refuses: pulumi up --refresh --run-program puts both back"
        )


def _granted(api: Api, right: Right) -> bool:
    asked = asdict(right)
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": {key: value for key, value in asked.items() if value}},
    }
    return bool(api.create(_REVIEWS, review)["status"]["allowed"])
