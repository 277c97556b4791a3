"""The class of the databases' volumes: the same name in both regions, encrypted with each region's own key."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
import pulumi_kubernetes as k8s

from settings.model import StorageClassSettings


@dataclass(frozen=True, kw_only=True)
class StorageClassArgs:
    """`key_arn` is the region's own KMS key; the EBS CSI driver's role must be allowed to use it and to create grants on it."""

    settings: StorageClassSettings
    key_arn: pulumi.Input[str]


class StorageClass(pulumi.ComponentResource):
    """A StorageClass on encrypted gp3 volumes, for databases in either region, or nothing where the cluster has one already.

    One name for both regions, so that a database is written alike in both. Nothing here depends on `active`.
    """

    ready: list[pulumi.Resource]
    """What a database needs before it claims a volume."""

    def __init__(self, name: str, args: StorageClassArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("dr:storage:StorageClass", name, None, opts)
        self.ready = []
        if args.settings.managed:
            # Retain: after a failover only the old primary's volumes hold the transactions that never reached the archive.
            # Its database is deleted to be cloned anew, its claims go with it, and whoever wants those transactions must
            # still find them. The price is to delete released volumes by hand.
            # None of this can be changed in place, and a replacement would be a moment without the class: protected.
            self.ready = [
                k8s.storage.v1.StorageClass(
                    f"{name}-gp3",
                    metadata={"name": args.settings.name},
                    provisioner="ebs.csi.aws.com",
                    parameters={"type": "gp3", "encrypted": "true", "kmsKeyId": args.key_arn},
                    # Only where its pod will run: an EBS volume cannot leave its availability zone.
                    volume_binding_mode="WaitForFirstConsumer",
                    allow_volume_expansion=True,
                    reclaim_policy="Retain",
                    opts=pulumi.ResourceOptions(parent=self, protect=True, retain_on_delete=True),
                )
            ]
        self.register_outputs({})
