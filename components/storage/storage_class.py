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
    """A StorageClass of encrypted gp3 volumes, for the databases; nothing where the cluster has one already.

    Its name is the same in both regions, so that a database is configured alike in both. Nothing here depends on `active`.
    """

    ready: list[pulumi.Resource]
    """What a database needs before it claims a volume."""

    def __init__(self, name: str, args: StorageClassArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("dr:storage:StorageClass", name, None, opts)
        self.ready = []
        if args.settings.managed:
            # Retain: after a failover only the old primary's volumes hold the transactions that never reached the archive.
            # Whoever clones that database anew deletes it, and its volume claims go with it. Whoever wants those transactions
            # must still find them. The price: released volumes are deleted by hand.
            # Protected: none of this can be changed in place, and a replacement would be a moment without the class.
            self.ready = [
                k8s.storage.v1.StorageClass(
                    f"{name}-gp3",
                    metadata={"name": args.settings.name},
                    provisioner="ebs.csi.aws.com",
                    parameters={"type": "gp3", "encrypted": "true", "kmsKeyId": args.key_arn},
                    # A volume is made where its Pod will run, because an EBS volume cannot leave its availability zone.
                    volume_binding_mode="WaitForFirstConsumer",
                    allow_volume_expansion=True,
                    reclaim_policy="Retain",
                    opts=pulumi.ResourceOptions(parent=self, protect=True, retain_on_delete=True),
                )
            ]
        self.register_outputs({})
