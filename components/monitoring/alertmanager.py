"""How Alertmanager tells this program's alerts to a webhook, and calls a heartbeat while it works: as plain data.

An AlertmanagerConfig counts in its own namespace alone, unless the Alertmanager says otherwise: its operator adds
`namespace="k8s-dr"` to each of its routes (`alertmanagerConfigMatcherStrategy`). So every alert of this program has that label,
and the heartbeat has an alert of its own: the Watchdog that others ship has no namespace.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from components.monitoring.alert import OURS, Alert
from settings.model import Settings

SECRET = "alertmanager-receivers"  # noqa: S105 - the name of one
CONFIG = "k8s-dr"
API = "monitoring.coreos.com/v1alpha1"
WATCHDOG = "RecoveryWatchdog"

_ALERTS, _HEARTBEAT = "alerts", "watchdog"


def urls(settings: Settings) -> dict[str, str]:
    """The URLs in plain text, by their key in the Secret."""
    wanted = {_ALERTS: settings.receivers.alerts, _HEARTBEAT: settings.receivers.heartbeats.watchdog}
    return {key: url.get_secret_value() for key, url in wanted.items() if url is not None}


def alerts(settings: Settings) -> Iterator[Alert]:
    """The alert that always fires, where somebody listens to it."""
    if settings.receivers.heartbeats.watchdog is not None:
        yield Alert(
            name=WATCHDOG,
            expression="vector(1)",
            lasting="0m",
            severity="none",
            summary="Prometheus and Alertmanager of this region work",
            meaning="This alert always fires. Its heartbeat falls silent when Prometheus or Alertmanager is away, or the "
            "region is.",
        )


def config(settings: Settings) -> dict[str, Any]:
    """Spec of the AlertmanagerConfig. What has no URL has no receiver, and its alerts go where they went before."""
    wanted = urls(settings)
    heartbeat = {
        "receiver": _HEARTBEAT,
        "matchers": [_equal("alertname", WATCHDOG)],
        "groupWait": "1s",
        "groupInterval": "1m",
        "repeatInterval": "1m",
    }
    told = {
        "receiver": _ALERTS,
        "matchers": [_equal(label, value) for label, value in OURS.items()],
        "groupBy": ["alertname", "region", "database", "backup", "drill"],
        **({"routes": [heartbeat]} if _HEARTBEAT in wanted else {}),
    }
    return {
        "route": told if _ALERTS in wanted else heartbeat,
        "receivers": [
            {"name": key, "webhookConfigs": [{"urlSecret": {"name": SECRET, "key": key}, "sendResolved": key == _ALERTS}]}
            for key in wanted
        ],
    }


def _equal(label: str, value: str) -> dict[str, str]:
    return {"name": label, "value": value, "matchType": "="}
