"""Rules on what watches the regions."""

from __future__ import annotations

from settings.mistake import Mistake
from settings.model import Settings
from settings.roles import ROLES
from settings.rule import Mistakes, Rule


def alarms_tell_topics_of_their_own_region(settings: Settings) -> Mistakes:
    """CloudWatch, PutMetricAlarm: an action is a topic in the region of the alarm."""
    topics = settings.monitoring.alarms
    for role in ROLES if topics else ():
        assert topics is not None
        arn, region = topics.of(role), settings.topology.region(role)
        if arn.split(":")[3] != region:
            yield Mistake(
                "{} is not in {}, whose alarms tell no topic of another region; write one of {}", arn, region, region, at=(role,)
            )


def alarms_have_metrics(settings: Settings) -> Mistakes:
    storage = settings.storage
    if settings.monitoring.alarms and not (storage.replication_metrics or storage.replication_time_control):
        yield Mistake(
            "asks for alarms on copies between the regions, and S3 publishes no metrics of them; write storage: "
            "{{replicationMetrics: true}}, or take alarms out"
        )


RULES = (
    Rule(key="monitoring.alarms", mistakes=alarms_have_metrics),
    Rule(key="monitoring.alarms", mistakes=alarms_tell_topics_of_their_own_region),
)
