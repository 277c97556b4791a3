"""Alarms of CloudWatch on what AWS alone knows: whether S3 copies to the other region, and how late.

Each metric is published in one region: failed operations in that of the source, lateness in that of the copy (Amazon S3 User
Guide, "Using S3 Replication metrics"). So the region that stands by itself says that copies come late to it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_aws as aws

from components.storage.backup_buckets import PURPOSES
from components.storage.replication import DRILLS_RULE, RULE, THRESHOLD_MINUTES
from settings.names import Names
from settings.topology import Purpose

_PERIOD = 300


@dataclass(frozen=True, kw_only=True)
class AlarmsArgs:
    """`topic` is the ARN of the SNS topic that is told, in the stack's own region."""

    names: Names
    topic: str


class Alarms(pulumi.ComponentResource):
    """Two alarms for each rule by which a region's buckets are copied. For whoever must know that a failover would find less than
    it should.

    Nothing depends on `active`: both regions copy to each other all the time, and a region that writes nothing is not late.
    """

    def __init__(self, name: str, args: AlarmsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("dr:monitoring:Alarms", name, None, opts)
        self._stem, self._args = name, args
        for purpose in PURPOSES:
            self._watch(purpose, purpose, RULE)
        self._watch("drills", "velero", DRILLS_RULE)
        self.register_outputs({})

    def _watch(self, copied: str, purpose: Purpose, rule: str) -> None:
        own, peer = self._args.names.bucket(purpose), self._args.names.peer_bucket(purpose)
        drills = rule == DRILLS_RULE
        failed = "it is the record of a drill" if drills else "a failover would not find it. Each pulumi up names those"
        lost = "records of drills, which no failover needs" if drills else "a failover would lose it"
        self._alarm(
            copied,
            "failed",
            f"S3 could not copy an object of {own} to {peer}: {failed}.",
            metric_name="OperationsFailedReplication",
            dimensions={"SourceBucket": own, "DestinationBucket": peer, "RuleId": rule},
            statistic="Sum",
            threshold=0,
            evaluation_periods=1,
        )
        self._alarm(
            copied,
            "late",
            f"What is written to {peer} comes to {own} over {THRESHOLD_MINUTES} minutes late: {lost}.",
            metric_name="ReplicationLatency",
            dimensions={"SourceBucket": peer, "DestinationBucket": own, "RuleId": rule},
            statistic="Maximum",
            threshold=THRESHOLD_MINUTES * 60,
            evaluation_periods=2,
        )

    def _alarm(self, copied: str, what: str, says: str, **measured: Any) -> None:
        topics = [self._args.topic]
        aws.cloudwatch.MetricAlarm(
            f"{self._stem}-{copied}-{what}",
            name=self._args.names.alarm(f"{copied}-replication-{what}"),
            alarm_description=says,
            namespace="AWS/S3",
            period=_PERIOD,
            comparison_operator="GreaterThanThreshold",
            # S3 publishes a failure when there is one, and lateness while something waits.
            treat_missing_data="notBreaching",
            alarm_actions=topics,
            ok_actions=topics,
            opts=pulumi.ResourceOptions(parent=self),
            **measured,
        )
