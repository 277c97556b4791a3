"""What a Prometheus operator is given: rules and what to scrape; and Grafana, dashboards. docs/monitoring.md has each alert."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_kubernetes as k8s

from components.kube.pods import LABELS
from components.monitoring import alertmanager, both_regions, dashboards, database_alerts, job_alerts, velero_alerts
from components.monitoring.alert import Alert
from components.operators.operators import CNPG_NAMESPACE
from components.velero.specs import VELERO_NAMESPACE
from settings.model import Settings
from settings.names import PROGRAM_NAMESPACE, Names

RULES, BOTH_REGIONS = "k8s-dr", "k8s-dr-both-regions"
_API = "monitoring.coreos.com/v1"


@dataclass(frozen=True, kw_only=True)
class MonitoringArgs:
    """`settings` are as a person wrote them: nothing here follows what the region does now."""

    names: Names
    settings: Settings


def rules(names: Names, settings: Settings) -> dict[str, Any]:
    """Spec of the PrometheusRule of this region."""
    groups: dict[str, Iterable[Alert]] = {
        "velero": velero_alerts.alerts(names, settings),
        "databases": database_alerts.alerts(settings),
        "jobs": job_alerts.alerts(settings),
        "alertmanager": alertmanager.alerts(settings),
    }
    return _spec(groups, settings, {"region": names.region})


def rules_of_both(settings: Settings, label: str) -> dict[str, Any]:
    """Spec of the PrometheusRule that compares the regions."""
    return _spec({"both-regions": both_regions.alerts(settings, label)}, settings, {})


def _spec(groups: dict[str, Iterable[Alert]], settings: Settings, labels: dict[str, str]) -> dict[str, Any]:
    runbooks = settings.monitoring.runbooks
    made = {name: [alert.rule(runbooks, labels) for alert in alerts] for name, alerts in groups.items()}
    return {"groups": [{"name": f"k8s-dr-{name}", "rules": each} for name, each in made.items() if each]}


def pod_monitors(settings: Settings) -> dict[str, dict[str, Any]]:
    """Specs of PodMonitors, by name. Velero's server and the operator have no Service in front of their metrics."""
    found: dict[str, dict[str, Any]] = {}
    if settings.velero.managed:
        found["velero"] = _monitor(VELERO_NAMESPACE, {"deploy": "velero"})
        found["node-agent"] = _monitor(VELERO_NAMESPACE, {"name": "node-agent"})
    if settings.databases:
        found["cloudnative-pg"] = _monitor(CNPG_NAMESPACE, {"app.kubernetes.io/name": "cloudnative-pg"})
    return found


def _monitor(namespace: str, labels: dict[str, str]) -> dict[str, Any]:
    return {
        "namespaceSelector": {"matchNames": [namespace]},
        "selector": {"matchLabels": labels},
        "podMetricsEndpoints": [{"port": "metrics"}],
    }


class Monitoring(pulumi.ComponentResource):
    """PrometheusRules, PodMonitors and dashboards, for whoever must know by day what a failover would meet at night.

    Both regions have the same, and nothing of it depends on `active`: a failover touches none of it, and while one region is
    dead, the other one's alerts are its own.
    """

    def __init__(self, name: str, args: MonitoringArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("dr:monitoring:Monitoring", name, None, opts)
        self._stem, self._settings = name, args.settings.monitoring
        if self._settings.alerts:
            self._object("rules", "PrometheusRule", RULES, rules(args.names, args.settings))
            if label := self._settings.region_label:
                self._object("both-regions", "PrometheusRule", BOTH_REGIONS, rules_of_both(args.settings, label))
            self._receivers(args.settings)
        if self._settings.scrape:
            for monitored, spec in pod_monitors(args.settings).items():
                self._object(monitored, "PodMonitor", monitored, spec)
        if self._settings.dashboards:
            for dashboard, data in dashboards.config_maps(self._settings.region_label).items():
                k8s.core.v1.ConfigMap(
                    f"{name}-{dashboard}",
                    metadata={"name": dashboard, "namespace": PROGRAM_NAMESPACE, "labels": {**LABELS, **dashboards.LABEL}},
                    data=data,
                    opts=pulumi.ResourceOptions(parent=self),
                )
        self.register_outputs({})

    def _receivers(self, settings: Settings) -> None:
        """Whom Alertmanager tells, where somebody has said so."""
        if urls := alertmanager.urls(settings):
            secret = k8s.core.v1.Secret(
                f"{self._stem}-receivers",
                metadata={"name": alertmanager.SECRET, "namespace": PROGRAM_NAMESPACE, "labels": LABELS},
                string_data={key: pulumi.Output.secret(url) for key, url in urls.items()},
                opts=pulumi.ResourceOptions(parent=self),
            )
            config = alertmanager.config(settings)
            self._object("routes", "AlertmanagerConfig", alertmanager.CONFIG, config, api=alertmanager.API, after=[secret])

    def _object(
        self, stem: str, kind: str, name: str, spec: dict[str, Any], *, api: str = _API, after: Sequence[pulumi.Resource] = ()
    ) -> None:
        k8s.apiextensions.CustomResource(
            f"{self._stem}-{stem}",
            api_version=api,
            kind=kind,
            metadata={"name": name, "namespace": PROGRAM_NAMESPACE, "labels": {**self._settings.labels, **LABELS}},
            spec=spec,
            opts=pulumi.ResourceOptions(parent=self, depends_on=list(after)),
        )
