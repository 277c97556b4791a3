"""The runbook in this region's cluster and in its bucket. Nothing of it depends on `active`, so no failover touches it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import pulumi
import pulumi_aws as aws
import pulumi_kubernetes as k8s

from components.runbook.rendered import MOST, page, rendered
from settings.model import Settings
from settings.names import EXCLUDED_FROM_BACKUP, PROGRAM_NAMESPACE, RUNBOOK_KEY
from settings.peer_file import cluster_of_the_peer

CONFIG_MAP, FILE = "runbook", "runbook.md"


@dataclass(frozen=True, kw_only=True)
class RunbookArgs:
    settings: Settings
    bucket: pulumi.Input[str]
    """The bucket that Velero writes to, which has a key and versions."""

    bucket_ready: Sequence[pulumi.Resource]


class Runbook(pulumi.ComponentResource):
    """Keeps the runbook where whoever is on call finds it while the wiki is in the dead region.

    It is in the cluster that is left, and in that region's bucket. Each stack writes its own, with the names of both regions.
    """

    def __init__(self, name: str, args: RunbookArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("dr:runbook:Runbook", name, None, opts)
        child = partial(pulumi.ResourceOptions, parent=self)
        text = rendered(page(), args.settings, cluster_of_the_peer(args.settings))
        if len(text.encode()) > MOST:
            raise pulumi.RunError(f"docs/runbook.md: has more than {MOST} bytes, which no ConfigMap holds; shorten it")
        k8s.core.v1.ConfigMap(
            f"{name}-config-map",
            metadata={"name": CONFIG_MAP, "namespace": PROGRAM_NAMESPACE, "labels": EXCLUDED_FROM_BACKUP},
            data={FILE: text},
            opts=child(),
        )
        aws.s3.BucketObjectv2(
            f"{name}-object",
            bucket=args.bucket,
            key=RUNBOOK_KEY,
            content=text,
            content_type="text/markdown; charset=utf-8",
            # No tags, so that whoever deploys needs the right to put this object and no other right.
            override_provider={"default_tags": {"tags": {}}},
            opts=child(depends_on=list(args.bucket_ready)),
        )
        self.register_outputs({})
