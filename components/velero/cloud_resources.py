"""Objects of a cluster that stand for resources at AWS, whose controllers would act on them in the other region as well.

AWS Controllers for Kubernetes (ACK) and Crossplane make, change and delete a resource at AWS as its object says. Others do so by
the whole stack: Pulumi's and HCP Terraform's operators, Flux's Terraform controller, and Cluster API, whose objects are clusters.
Restored in region B, where the same controllers run, one bucket or queue has two objects in two clusters: each controller sets
back what the other has done, and an object that somebody deletes takes the resource with it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

_GROUPS = (".services.k8s.aws", ".upbound.io", ".crossplane.io", ".cluster.x-k8s.io")
"""How their API groups end: `s3.services.k8s.aws`, `sqs.aws.m.upbound.io`, `infrastructure.cluster.x-k8s.io`."""

_WHOLE = frozenset({"app.terraform.io", "auto.pulumi.com", "cluster.x-k8s.io", "infra.contrib.fluxcd.io", "pulumi.com"})
"""Groups that are theirs by the whole name: what others have below it is none of theirs."""

_SHOWN = 5


def is_of_a_cloud(version: str) -> bool:
    """Whether an API version, as in `s3.services.k8s.aws/v1alpha1`, is of a controller that keeps resources at AWS."""
    group, slash, _ = version.partition("/")
    return bool(slash) and (group.endswith(_GROUPS) or group in _WHOLE)


def fought_over(kinds: Collection[str]) -> Iterator[str]:
    """A line, if there are any kinds, each a plural with its group, as in `buckets.s3.services.k8s.aws`."""
    if not kinds:
        return
    groups = sorted({kind.partition(".")[2] for kind in kinds})
    rest = f" and {len(groups) - _SHOWN} more" if len(groups) > _SHOWN else ""
    yield (
        f"the backups hold objects of {', '.join(groups[:_SHOWN])}{rest}, which stand for resources at AWS: once a restore has "
        "made them here, the controllers of both regions act on the same resources, and undo or delete each other's: write "
        f"excludeResources: [{', '.join(sorted(kinds))}] to the entry of k8s-dr:backups, and let the tool that made them make "
        "those of this region"
    )
