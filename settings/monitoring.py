"""What watches the regions: a Prometheus operator, which is given alerts and what to scrape, Grafana, and CloudWatch."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Annotated

from pydantic import Field

from settings import nearly
from settings.fields import Model, Switch, at_least, matching
from settings.labels import LabelKey, LabelValue
from settings.roles import Role

_Runbooks = Annotated[
    str,
    matching(
        re.compile(r"(https?://[^/\s@?#\"{}]+|(?![^/.][^/]*\.[a-z]{2,}(:[0-9]+)?/)(?!.*://))[^\s@?#\"{}]*[^\s@?#\"{}/]"),
        "where the pages of docs/ are, without a slash at its end",
        "https://github.com/acme/k8s-dr/blob/main/docs",
        "https://wiki.example.com/k8s-dr",
        nearly=nearly.url_of_pages,
    ),
]
_Replayed = Annotated[str, at_least("5m", "in which a commit is archived, copied and replayed", "30m")]
_OF_A_SERIES = (
    "alertname", "configmap", "container", "endpoint", "instance", "job", "namespace", "pod", "service", "severity",
)  # fmt: skip
"""Labels that a series or an alert has in either region alike, so that they tell no regions apart."""
_LABEL = matching(re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*"), "the name of a label in Prometheus", "region", "cluster")


def _tells_regions_apart(text: str) -> str:
    _LABEL.check(text)
    if text in _OF_A_SERIES or text.startswith("__"):
        raise ValueError("is a label of each series, alike in both regions; write one of externalLabels, as in region")
    return text


_LabelOfARegion = Annotated[str, replace(_LABEL, check=_tells_regions_apart)]


TopicArn = Annotated[
    str,
    matching(
        re.compile(r"arn:aws:sns:[a-z]{2}(-[a-z]+)+-[0-9]:[0-9]{12}:[A-Za-z0-9_-]{1,256}"),
        "the ARN of an SNS topic",
        "arn:aws:sns:us-east-1:123456789012:on-call",
        "arn:aws:sns:us-west-2:123456789012:on-call",
    ),
]
_TopicOfUsEast1 = Annotated[
    str,
    matching(
        re.compile(r"arn:aws:sns:us-east-1:[0-9]{12}:[A-Za-z0-9_-]{1,256}"),
        "the ARN of an SNS topic in us-east-1",
        "arn:aws:sns:us-east-1:123456789012:on-call",
        "arn:aws:sns:us-east-1:123456789012:traffic",
    ),
]


class AlarmTopics(Model):
    """The SNS topic of each region that CloudWatch's alarms tell."""

    primary: TopicArn = Field(description="topic in the primary region")
    secondary: TopicArn = Field(description="topic in the secondary region")

    def of(self, role: Role) -> str:
        return self.primary if role == "primary" else self.secondary


class MonitoringSettings(Model):
    """Alerts and metrics for a Prometheus operator, which the cluster must have already (docs/monitoring.md)."""

    enabled: Switch = Field(
        default=False,
        description="true where there are a Prometheus operator and kube-state-metrics: the program then makes what the switches "
        "below name",
    )
    alerts: Switch = Field(default=True, description="PrometheusRules: each alert of monitoring.md")
    scrape: Switch = Field(
        default=True, description="PodMonitors of Velero, its node agent and CloudNativePG's operator; databases have podMonitor"
    )
    dashboards: Switch = Field(
        default=True,
        description="ConfigMaps with dashboards, as the sidecar of Grafana's chart finds them (grafana_dashboard: 1)",
    )
    labels: dict[LabelKey, LabelValue] = Field(
        default={},
        description="labels by which your Prometheus selects its rules and monitors, as the chart kube-prometheus-stack does; "
        "databases' PodMonitors get them too",
        examples=[{"release": "kube-prometheus-stack"}, {"prometheus": "platform", "team": "data"}],
    )
    alarms: AlarmTopics | None = Field(
        default=None,
        description="SNS topics: CloudWatch then has alarms in both regions on what S3 does not copy, or copies late; needs "
        "storage.replicationMetrics or replicationTimeControl, and no Prometheus",
    )
    health_check_alarms: _TopicOfUsEast1 | None = Field(
        default=None,
        description="an SNS topic in us-east-1, where alone Route 53 publishes its metrics: CloudWatch there then has alarms on "
        "the health checks of this program's records, and on whether Route 53's checkers can read the traffic flag; needs no "
        "Prometheus",
    )
    runbooks: _Runbooks = Field(
        default="docs", description="where the pages of docs/ can be read; each alert has a link that begins so"
    )
    region_label: _LabelOfARegion | None = Field(
        default=None,
        description="the label that tells the regions apart in a Prometheus that has the metrics of both (Thanos, Mimir, Amazon "
        "Managed Prometheus); with it come the alerts that compare them. By default none: nothing compares them",
    )
    replay_within: _Replayed | None = Field(
        default=None,
        description="for databases with replication: archive: alert in the region that follows where no commit was replayed for "
        "so long. Only for databases that always commit that often: a quiet one looks like one that is behind. By default never",
    )

    @property
    def has_alarms(self) -> bool:
        """Whether this program may make alarms of CloudWatch."""
        return self.alarms is not None or self.health_check_alarms is not None
