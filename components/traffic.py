"""The names users call, and what moves them from one region to the other.

`standby-takes-over`: the primary's failover record is healthy unless an S3 object that the *secondary* region owns says
"secondary". Moving the traffic is then one PUT in the region that is alive; nothing asks Route 53's control plane, which
lives in us-east-1. Each region owns one record for each name, and nobody ever swaps PRIMARY and SECONDARY.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import pulumi
import pulumi_aws as aws

from components.storage import guard_bucket, policy, tls_only
from settings.model import Alias, Dns
from settings.names import FLAG_KEY, Names
from settings.roles import Duties, Role

# The addresses Route 53's health checkers ask from: service ROUTE53_HEALTHCHECKS of AWS's ip-ranges.json, IPv4, without
# China. Pinned, because a look-up could force a bucket policy (control plane in us-east-1) into a failover's plan.
HEALTH_CHECKERS = (
    "15.177.0.0/18",
    "54.183.255.128/26",
    "54.228.16.0/26",
    "54.232.40.64/26",
    "54.241.32.64/26",
    "54.243.31.192/26",
    "54.244.52.192/26",
    "54.245.168.0/26",
    "54.248.220.0/26",
    "54.250.253.192/26",
    "54.251.31.128/26",
    "54.252.79.128/26",
    "54.252.254.192/26",
    "54.255.254.192/26",
    "107.23.255.0/26",
    "176.34.159.192/26",
    "177.71.207.128/26",
)


def flag_content(region: Role) -> str:
    """What the flag says: the active region and nothing that changes by itself."""
    return f'{{"active":"{region}"}}'


@dataclass(frozen=True, kw_only=True)
class TrafficArgs:
    names: Names
    dns: Dns
    endpoint: str | Alias
    plain_http: bool = False
    """As for the backup buckets: the endpoint has no TLS to demand."""


class Traffic(pulumi.ComponentResource):
    """This region's records, and in the secondary the bucket of the traffic flag.

    For users, who find the active region by name. In mode `standby-takes-over` nothing here depends on `active`; the flag
    itself is written by `Flag`, last of all.
    """

    ready: list[pulumi.Resource]
    """What the flag needs before it can be written."""

    flag_bucket: aws.s3.Bucket | None

    def __init__(self, name: str, args: TrafficArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("dr:traffic:Traffic", name, None, opts)
        self._stem, self._args = name, args
        self.ready, self.flag_bucket = [], None
        if args.dns.mode == "standby-takes-over":
            if args.names.role == "primary":
                self._primary_records()
            else:
                self.flag_bucket = self._flag_bucket()
                self._secondary_records()
        elif args.names.role == "primary":
            # Weight 0 is served only while no other record of the name exists.
            for host in args.dns.names:
                record(f"{name}-{host}", host, args, opts=self._child(), weighted_routing_policies=[{"weight": 0}])
        self.register_outputs({})

    def _child(self, **options: Any) -> pulumi.ResourceOptions:
        return pulumi.ResourceOptions(parent=self, **options)

    def _primary_records(self) -> None:
        """Healthy, so served, unless the standby says that it took over: missing, forbidden or dead says nothing."""
        names = self._args.names
        check = aws.route53.HealthCheck(
            f"{self._stem}-standby-took-over",
            type="HTTPS_STR_MATCH",
            fqdn=names.flag_host,
            port=443,
            resource_path=f"/{FLAG_KEY}",
            search_string='"active":"secondary"',
            invert_healthcheck=True,
            enable_sni=True,
            request_interval=10,
            failure_threshold=3,
            tags={"Name": f"{names.topology.organization}-standby-took-over"},
            opts=self._child(),
        )
        for host in self._args.dns.names:
            record(
                f"{self._stem}-{host}",
                host,
                self._args,
                opts=self._child(),
                health_check_id=check.id,
                failover_routing_policies=[{"type": "PRIMARY"}],
            )

    def _secondary_records(self) -> None:
        for host in self._args.dns.names:
            record(
                f"{self._stem}-{host}", host, self._args, opts=self._child(), failover_routing_policies=[{"type": "SECONDARY"}]
            )

    def _flag_bucket(self) -> aws.s3.Bucket:
        name, names = f"{self._stem}-flag", self._args.names
        bucket = aws.s3.Bucket(name, bucket=names.flag_bucket, force_destroy=False, opts=self._child(protect=True))
        guards = guard_bucket(name, bucket, self._child())
        arn = f"arn:aws:s3:::{names.flag_bucket}"
        # Fixed source addresses make the policy "not public", so public access stays blocked.
        read: dict[str, object] = {
            "Sid": "HealthCheckers",
            "Effect": "Allow",
            "Principal": "*",
            "Action": "s3:GetObject",
            "Resource": f"{arn}/{FLAG_KEY}",
            "Condition": {"IpAddress": {"aws:SourceIp": list(HEALTH_CHECKERS)}},
        }
        demand = [] if self._args.plain_http else [tls_only(arn)]
        readable = aws.s3.BucketPolicy(f"{name}-policy", bucket=bucket.id, policy=policy(read, *demand), opts=self._child())
        # Not KMS: a health checker has no identity that could decrypt.
        encrypted = aws.s3.BucketServerSideEncryptionConfiguration(
            f"{name}-encryption",
            bucket=bucket.id,
            rules=[{"apply_server_side_encryption_by_default": {"sse_algorithm": "AES256"}}],
            opts=self._child(),
        )
        self.ready = [*guards, readable, encrypted]
        return bucket


def record(name: str, host: str, args: TrafficArgs, *, opts: pulumi.ResourceOptions, **routing: Any) -> aws.route53.Record:
    """This region's record of `host`; the set identifier says whose it is, and for which name."""
    if isinstance(args.endpoint, Alias):
        # Route 53 demands it of failover records. Elsewhere the load balancer's own health must not count: while this region's
        # only target is unhealthy users would be sent to the other's, whose weight is 0.
        evaluated = "failover_routing_policies" in routing
        alias = {"name": args.endpoint.name, "zone_id": args.endpoint.zone_id, "evaluate_target_health": evaluated}
        target: dict[str, Any] = {"type": "A", "aliases": [alias]}
    else:
        target = {"type": "CNAME", "ttl": args.dns.ttl, "records": [args.endpoint]}
    return aws.route53.Record(
        name,
        zone_id=args.dns.zone_id,
        name=host,
        set_identifier=f"dr-{args.names.role}-{host}",
        opts=opts,
        **target,
        **routing,
    )


@dataclass(frozen=True, kw_only=True)
class FlagArgs:
    traffic: TrafficArgs
    bucket: aws.s3.Bucket | None
    duties: Duties


class Flag(pulumi.ComponentResource):
    """What moves the traffic: the last thing a failover does.

    Only the secondary region has one. Mode `standby-takes-over`: one object that names the active region, rewritten by a
    failover. Mode `record`: a weighted record for each name that exists while this region is active.
    """

    def __init__(self, name: str, args: FlagArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("dr:traffic:Flag", name, None, opts)
        child = partial(pulumi.ResourceOptions, parent=self)
        if args.duties.flag and args.bucket is not None:
            aws.s3.BucketObjectv2(
                name,
                bucket=args.bucket.bucket,
                key=FLAG_KEY,
                content=flag_content(args.duties.flag),
                content_type="application/json",
                cache_control="no-store",
                opts=child(),
            )
        elif args.duties.flag == "secondary":
            for host in args.traffic.dns.names:
                record(f"{name}-{host}", host, args.traffic, opts=child(), weighted_routing_policies=[{"weight": 255}])
        self.register_outputs({})
