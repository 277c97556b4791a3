"""What one region has at AWS, without its cluster: the program's own components, from the stack's own settings.

It takes the place of `__main__.py` in a copy of the project. The clusters' parts are left out, and with them the gate.
"""

import pulumi

from components.iam.identity import Identity, IdentityArgs
from components.iam.permissions import ServiceAccount
from components.providers import aws_provider
from components.storage.backup_buckets import BackupBuckets, BackupBucketsArgs
from components.traffic.flag_object import TrafficFlag, TrafficFlagArgs
from components.traffic.records import Traffic, TrafficArgs
from settings import load, read_configuration
from settings.names import Names
from settings.parts import PARTS
from settings.roles import duties

settings = load(pulumi.get_stack(), *read_configuration())
names = Names(topology=settings.topology, role=settings.role)
on_aws = pulumi.ResourceOptions(providers=[aws_provider(settings, names, pulumi.ResourceOptions())])
plain_http = settings.aws.plain_http

BackupBuckets(
    "storage",
    BackupBucketsArgs(
        names=names, settings=settings.storage, peer_ready=settings.peer_ready, drill_days=400, plain_http=plain_http
    ),
    opts=on_aws,
)
Identity(
    "identity",
    IdentityArgs(
        names=names,
        mode=settings.identity_mode,
        cluster=settings.cluster,
        parts=settings.parts,
        accounts={part: [ServiceAccount(part, part)] for part in PARTS},
        reads_peer_archive=False,
        static_credentials=settings.static_credentials,
        taking_over=lambda: True,  # so that nobody is warned of keys that live for minutes
    ),
    opts=on_aws,
)
traffic_args = TrafficArgs(names=names, dns=settings.dns, endpoint=settings.endpoint, plain_http=plain_http)
traffic = Traffic("traffic", traffic_args, opts=on_aws)
TrafficFlag(
    "traffic-flag",
    TrafficFlagArgs(traffic=traffic_args, bucket=traffic.flag_bucket, duties=duties(settings.role, settings.active)),
    opts=pulumi.ResourceOptions.merge(on_aws, pulumi.ResourceOptions(depends_on=traffic.ready)),
)
