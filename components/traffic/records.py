"""The DNS names that users call, and the health checks that send users to one region or the other.

`standby-takes-over`: the primary's failover record is healthy unless an S3 object that the *secondary* region owns says
"secondary". So moving the traffic is one PUT in the region that is alive, and nothing asks Route 53's control plane, which is in
us-east-1. Each region owns one record for each name, and nobody ever swaps PRIMARY and SECONDARY.

`both-regions`: two weighted records. Each is healthy while its region answers, and the primary's only until the same object says
"secondary". A dead region drops out by itself. A failover makes the same PUT, so that the old primary gets no users when it comes
back. docs/traffic.md has the truth tables.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pulumi
import pulumi_aws as aws

from components.iam.statements import allow, document, objects_arn, text
from components.kube.runner import flag
from components.storage.hardening import guard_bucket, tls_only
from components.traffic.checkers import Watched
from settings import limits
from settings.dns import Alias, Dns
from settings.names import FLAG_KEY, Names, fitting
from settings.roles import Role

_INTERVAL, _THRESHOLD = 10, 3
HEALTH_CHECK = timedelta(seconds=_INTERVAL * _THRESHOLD)
"""How long a health check takes to follow what it asks."""

# The addresses from which Route 53's health checkers ask: service ROUTE53_HEALTHCHECKS of AWS's ip-ranges.json, IPv4, without
# China. They are pinned, because a look-up could bring a bucket policy (control plane in us-east-1) into a failover's plan.
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


@dataclass(frozen=True, kw_only=True)
class TrafficArgs:
    names: Names
    dns: Dns
    endpoint: str | Alias
    plain_http: bool = False
    """The endpoint is an S3-compatible store without TLS, as in BackupBucketsArgs."""


class Traffic(pulumi.ComponentResource):
    """This region's records and, in the secondary, the bucket of the traffic flag.

    For users, who find the active region by name. Nothing here depends on `active`. `TrafficFlag` writes the flag itself, as the
    last thing of a failover.
    """

    ready: list[pulumi.Resource]
    """What must exist before the flag can be written."""

    flag_bucket: aws.s3.Bucket | None
    """The bucket of the traffic flag; None in the primary."""

    record_check: pulumi.Output[str] | None
    """Id of the health check of this region's records; None where they have none."""

    checks: dict[Watched, pulumi.Output[str]]
    """Ids of this stack's health checks by what they watch, the calculated ones apart."""

    def __init__(self, name: str, args: TrafficArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("dr:traffic:Traffic", name, None, opts)
        self._stem, self._args = name, args
        self.ready, self.flag_bucket, self.record_check, self.checks = [], None, None, {}
        role, mode = args.names.role, args.dns.mode
        if role == "secondary":
            # In mode `record` the guard alone reads the flag, and the primary's `up`.
            self.flag_bucket = self._flag_bucket(public=mode != "record")
        if mode == "both-regions":
            check = self._primary_check() if role == "primary" else self._secondary_check()
            self._checked_records(check, weighted_routing_policies=[{"weight": 1}])
        elif mode == "standby-takes-over" and role == "primary":
            # Healthy, and so served, unless the standby's flag says that it took over. A flag that is missing, forbidden or in a
            # dead region does not say so.
            check = self._flag_check("standby-took-over", invert_healthcheck=True)
            self._checked_records(check, failover_routing_policies=[{"type": "PRIMARY"}])
        elif mode == "standby-takes-over":
            self._records(failover_routing_policies=[{"type": "SECONDARY"}])
        elif role == "primary":
            # Weight 0 is served only while no other record of the name exists.
            self._records(weighted_routing_policies=[{"weight": 0}])
        self.register_outputs({})

    def _child(self, **options: Any) -> pulumi.ResourceOptions:
        return pulumi.ResourceOptions(parent=self, **options)

    def _checked_records(self, check: aws.route53.HealthCheck, **routing: Any) -> None:
        self.record_check = check.id
        self._records(health_check_id=check.id, **routing)

    def _records(self, **routing: Any) -> None:
        for host in self._args.dns.names:
            make_records(f"{self._stem}-{host}", host, self._args, opts=self._child(), **routing)

    def _primary_check(self) -> aws.route53.HealthCheck:
        """The check of the primary's record in mode both-regions: healthy while its endpoint answers and nobody took over."""
        children = [self._flag_check("standby-took-over", invert_healthcheck=True), self._endpoint_check()]
        return self._combined("primary-answers-and-was-not-replaced", children, threshold=2)

    def _secondary_check(self) -> aws.route53.HealthCheck:
        """The check of the secondary's record in mode both-regions: healthy while its endpoint answers, and always once it has
        taken over. If both records were unhealthy then, Route 53 would answer with both, and half of the users would write to a
        primary that came back."""
        return self._combined(
            "secondary-answers-or-took-over", [self._flag_check("secondary-took-over"), self._endpoint_check()], threshold=1
        )

    def _flag_check(self, name: str, **options: Any) -> aws.route53.HealthCheck:
        """Whether the flag says that the secondary has taken over."""
        check = self._check(
            name,
            type="HTTPS_STR_MATCH",
            fqdn=self._args.names.flag_host,
            port=443,
            resource_path=f"/{FLAG_KEY}",
            search_string=flag.SEARCHED,
            enable_sni=True,
            request_interval=_INTERVAL,
            failure_threshold=_THRESHOLD,
            **options,
        )
        self.checks["flag"] = check.id
        return check

    def _endpoint_check(self) -> aws.route53.HealthCheck:
        """Whether this region's own load balancer answers, as `dns.check` says."""
        check, endpoint = self._args.dns.endpoint_check, self._args.endpoint
        answers = self._check(
            f"{self._args.names.role}-answers",
            type=check.protocol.upper(),
            fqdn=endpoint.name if isinstance(endpoint, Alias) else endpoint,
            port=check.asked_port,
            resource_path=check.path,
            request_interval=_INTERVAL,
            failure_threshold=_THRESHOLD,
            **({"enable_sni": True} if check.protocol == "https" else {}),
        )
        self.checks["endpoint"] = answers.id
        return answers

    def _combined(self, name: str, children: Sequence[aws.route53.HealthCheck], *, threshold: int) -> aws.route53.HealthCheck:
        """A check that is healthy while at least `threshold` of `children` are."""
        ids = [child.id for child in children]
        return self._check(name, type="CALCULATED", child_healthchecks=ids, child_health_threshold=threshold)

    def _check(self, name: str, **settings: Any) -> aws.route53.HealthCheck:
        tags = {"Name": f"{self._args.names.topology.organization}-{name}"}
        return aws.route53.HealthCheck(f"{self._stem}-{name}", tags=tags, opts=self._child(), **settings)

    def _flag_bucket(self, *, public: bool) -> aws.s3.Bucket:
        """The bucket; `public` says whether Route 53's health checkers read the flag."""
        name, names = f"{self._stem}-flag", self._args.names
        bucket = aws.s3.Bucket(name, bucket=names.flag_bucket, force_destroy=False, opts=self._child(protect=True))
        self.ready = guard_bucket(name, bucket, self._child())
        # The policy names fixed source addresses, so S3 does not count it as public, and public access stays blocked.
        read = allow(
            "HealthCheckers",
            ["s3:GetObject"],
            objects_arn(names.flag_bucket, FLAG_KEY),
            principal="*",
            condition={"IpAddress": {"aws:SourceIp": list(HEALTH_CHECKERS)}},
        )
        rules = [*([read] if public else []), *([] if self._args.plain_http else [tls_only(names.flag_bucket)])]
        if rules:
            policy = text(document(*rules))
            self.ready.append(aws.s3.BucketPolicy(f"{name}-policy", bucket=bucket.id, policy=policy, opts=self._child()))
        # Not with KMS: a health checker has no identity that could decrypt, and the guard has no right to.
        self.ready.append(
            aws.s3.BucketServerSideEncryptionConfiguration(
                f"{name}-encryption",
                bucket=bucket.id,
                rules=[{"apply_server_side_encryption_by_default": {"sse_algorithm": "AES256"}}],
                opts=self._child(),
            )
        )
        return bucket


def set_identifier(role: Role, host: str) -> str:
    """By which Route 53 tells a region's record of `host` from the other region's."""
    return fitting(f"dr-{role}-{host}", room=limits.most("route53.ResourceRecordSetIdentifier"))


def make_records(name: str, host: str, args: TrafficArgs, *, opts: pulumi.ResourceOptions, **routing: Any) -> None:
    """Make this region's records of `host`, one or, where an alias has IPv6 addresses too, two: the second moves with the first.

    Route 53 tells records of one name apart by type and set identifier, which names the region's role and the host.
    """
    if isinstance(args.endpoint, Alias):
        # Route 53 demands `evaluate_target_health` of failover records. In other modes the load balancer's own health must not
        # count: in `record` an unhealthy one would send users to the peer's, whose weight is 0, and in `both-regions` a health
        # check asks through the load balancer anyway.
        evaluated = "failover_routing_policies" in routing
        alias = {"name": args.endpoint.name, "zone_id": args.endpoint.zone_id, "evaluate_target_health": evaluated}
        targets: dict[str, dict[str, Any]] = {name: {"type": "A", "aliases": [alias]}}
        if args.endpoint.ipv6:
            targets[f"{name}-ipv6"] = {"type": "AAAA", "aliases": [alias]}
    else:
        targets = {name: {"type": "CNAME", "ttl": args.dns.ttl, "records": [args.endpoint]}}
    for each, target in targets.items():
        aws.route53.Record(
            each,
            zone_id=args.dns.zone_id,
            name=host,
            set_identifier=set_identifier(args.names.role, host),
            opts=opts,
            **target,
            **routing,
        )
