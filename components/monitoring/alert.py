"""What an alert is, and the pieces of PromQL that several alerts have in common.

An alert must be right in both regions, whichever serves: nothing here knows `active`, so a failover changes no rule. Where an
alert depends on whether a region serves, it asks the region itself: the ConfigMap `serving`, as kube-state-metrics shows it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from components.kube.records import CLUSTER_RECORD, SERVING_RECORD
from settings.names import PROGRAM_NAMESPACE

OURS = {"runbook": PROGRAM_NAMESPACE}
"""A label of each alert, by which Alertmanager routes them all."""

_OF_THE_NAMESPACE = {"namespace": PROGRAM_NAMESPACE}
"""By this one an AlertmanagerConfig of the program's namespace may route them (`alertmanager.py`)."""

Severity = Literal["critical", "warning", "none"]

SERVES = f'count(kube_configmap_created{{namespace="{PROGRAM_NAMESPACE}",configmap="{SERVING_RECORD}"}})'
"""Has a value in the region that serves by its own record, and none in the other."""

KNOWN = f'kube_configmap_created{{namespace="{PROGRAM_NAMESPACE}",configmap="{CLUSTER_RECORD}"}}'
"""Has a value in both regions, as long as kube-state-metrics tells of the program's namespace."""


@dataclass(frozen=True, kw_only=True)
class Alert:
    """One alert. `summary` says what is wrong, `meaning` what that means for a recovery. `lasting` is for how long it must hold.

    `critical` wakes somebody: users are without service, data are being lost, or a failover now would not do. `warning` waits for
    the morning. `none` is of the one that always fires.
    """

    name: str
    expression: str
    lasting: str
    severity: Severity
    summary: str
    meaning: str
    labels: Mapping[str, str] = field(default_factory=dict)

    def rule(self, runbooks: str, labels: Mapping[str, str]) -> dict[str, Any]:
        """The alert as Prometheus reads it. `labels` are those of the region."""
        return {
            "alert": self.name,
            "expr": self.expression,
            "for": self.lasting,
            "labels": {"severity": self.severity, **OURS, **_OF_THE_NAMESPACE, **labels, **self.labels},
            "annotations": {
                "summary": self.summary,
                "description": self.meaning,
                "runbook_url": f"{runbooks}/monitoring.md#{self.name.lower()}",
            },
        }


def grew(metric: str, selector: str = "", *, by: str = "") -> str:
    """A counter that grew within the last hour. Velero makes many a series only when it counts the first event, and `increase`
    does not see how such a series came to be 1."""
    series = f"{metric}{{{selector}}}" if selector else metric
    grown = f"increase({series}[1h]) > 0 or ({series} > 0 unless {series} offset 1h)"
    return f"sum by ({by}) ({grown})" if by else f"sum({grown})"


def any_of(*expressions: str) -> str:
    return " or ".join(expressions)


def succeeded_long_ago(namespace: str, cron_job: str, seconds: float) -> str:
    """A CronJob that has not succeeded for so long, or never since it was made. It holds of a suspended one too."""
    one = f'{{namespace="{namespace}",cronjob="{cron_job}"}}'
    succeeded = f"max by (cronjob) (kube_cronjob_status_last_successful_time{one})"
    made = f"max by (cronjob) (kube_cronjob_created{one})"
    return any_of(
        f"time() - {succeeded} > {seconds:.0f}",
        f"(time() - {made} > {seconds:.0f} unless on (cronjob) {succeeded})",
    )


def failed_last(namespace: str, cron_job: str) -> str:
    """A CronJob of whose Jobs one has failed that is younger than the last success, those that a person made of it included."""
    jobs = f'namespace="{namespace}"'
    owned = f'kube_job_owner{{{jobs},owner_kind="CronJob",owner_name="{cron_job}"}}'
    failed = f'kube_job_failed{{{jobs},condition="true"}} == 1'
    succeeded = f'max(kube_cronjob_status_last_successful_time{{{jobs},cronjob="{cron_job}"}}) or vector(0)'
    return (
        f"max(max by (namespace, job_name) (kube_job_created{{{jobs}}}) and on (namespace, job_name) {owned} "
        f"and on (namespace, job_name) ({failed})) > ({succeeded})"
    )
