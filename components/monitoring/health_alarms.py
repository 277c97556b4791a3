"""Alarms of CloudWatch on Route 53's health checks, by which users are sent to one region or the other.

Route 53 publishes their metrics in us-east-1 alone (Amazon Route 53 Developer Guide, "Monitoring health checks using
CloudWatch"), so that the alarms are there too, and tell a topic there. No failover may wait for that region. These alarms are
below no component of a failover, and no input of theirs ever changes with `active`: the engine compares them with the state and
asks CloudWatch nothing. What an earlier `up` has left to be made of them comes once users were moved. They have the region's own
provider, for a second one would be configured in each `up`, and ask STS in us-east-1. What asks CloudWatch is the first `up`, one
that changes the topic, and a refresh; a failover by `--target` does not even compare them.

To the check of the records, a flag that its checkers cannot read looks like a normal day. So where there are alarms, there is one
more check, which no record has: it asks for the flag alone, whatever that says.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_aws as aws

from settings.names import FLAG_KEY, Names

METRICS_REGION = "us-east-1"
"""Where Route 53 publishes its metrics, whatever region it checks."""

_PERIOD = 60
_SOME = 75
"""Percent. Route 53 takes an endpoint for healthy while over 18 % of its checkers reach it."""

_MOST_SUCCEED: dict[str, Any] = {
    "metric_name": "HealthCheckPercentageHealthy",
    "statistic": "Average",
    "threshold": _SOME,
    "evaluation_periods": 5,
}


@dataclass(frozen=True, kw_only=True)
class HealthAlarmsArgs:
    """`topic` is the ARN of the SNS topic that is told. `record` is the id of the check of this region's records, `endpoint` that
    of the one that asks its load balancer, where there are such. `asks_for_the_flag` says whether this stack watches that the
    flag can be read: one of both does, once there is a flag."""

    names: Names
    topic: str
    record: pulumi.Output[str] | None
    endpoint: pulumi.Output[str] | None
    asks_for_the_flag: bool


class HealthAlarms(pulumi.ComponentResource):
    """An alarm that Route 53 sends users to this region no more, one that a part of the world does not reach it, and one that
    checkers cannot read the flag, so that a failover would move no user.

    For whoever must know it before users call. After a failover the first one of the old region lasts as long as the other region
    serves: that is what the flag says, and its end is the end of the way back.
    """

    def __init__(self, name: str, args: HealthAlarmsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("dr:monitoring:HealthAlarms", name, None, opts)
        self._stem, self._args, names = name, args, args.names
        if args.record is not None:
            self._alarm(
                "no-users",
                f"Route 53 sends no users to {names.region}: the other region has taken over, or this one does not answer. If "
                "nobody has begun a failover, ask what the traffic flag says.",
                args.record,
                metric_name="HealthCheckStatus",
                statistic="Minimum",
                threshold=1,
                evaluation_periods=1,
            )
        if args.endpoint is not None:
            self._alarm(
                "hardly-reached",
                f"Over a quarter of Route 53's checkers do not reach the endpoint of {names.region}. Users go there all the "
                "same, until nearly none of them does.",
                args.endpoint,
                **_MOST_SUCCEED,
            )
        if args.asks_for_the_flag:
            self._alarm(
                "flag-unread",
                "Over a quarter of Route 53's checkers cannot read the traffic flag. Once over 82 % cannot, a failover would end "
                "well and move no user. See docs/traffic.md#can-route-53-read-the-flag, and ask with: drctl check.",
                self._flag_check().id,
                **_MOST_SUCCEED,
            )
        self.register_outputs({})

    def _flag_check(self) -> aws.route53.HealthCheck:
        """Whether the flag can be read, whatever it says. Nothing goes by it but the alarm, so it may be slow."""
        names = self._args.names
        return aws.route53.HealthCheck(
            f"{self._stem}-flag-can-be-read",
            type="HTTPS",
            fqdn=names.flag_host,
            port=443,
            resource_path=f"/{FLAG_KEY}",
            enable_sni=True,
            request_interval=30,
            failure_threshold=3,
            tags={"Name": f"{names.topology.organization}-flag-can-be-read"},
            opts=pulumi.ResourceOptions(parent=self),
        )

    def _alarm(self, what: str, says: str, check: pulumi.Output[str], **measured: Any) -> None:
        topics, names = [self._args.topic], self._args.names
        aws.cloudwatch.MetricAlarm(
            f"{self._stem}-{what}",
            region=METRICS_REGION,
            name=names.alarm(f"{names.role}-{what}"),
            alarm_description=says,
            namespace="AWS/Route53",
            dimensions={"HealthCheckId": check},
            period=_PERIOD,
            comparison_operator="LessThanThreshold",
            # Route 53 always publishes. Where nothing comes, it is CloudWatch that is away, and nobody knows.
            treat_missing_data="missing",
            alarm_actions=topics,
            ok_actions=topics,
            opts=pulumi.ResourceOptions(parent=self),
            **measured,
        )
