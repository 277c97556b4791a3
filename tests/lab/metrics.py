"""What the exporters of a region's real servers have, found as a Prometheus operator finds them: by the program's PodMonitors."""

from __future__ import annotations

import json
import re
from typing import Any

from components.database.specs import pod_monitor_spec
from components.monitoring.metrics import METRICS, Exporter
from components.monitoring.monitoring import pod_monitors
from lab import databases
from lab.world import Lab
from settings.database import DatabaseSettings
from settings.load import SECRETS, load
from settings.roles import Role
from tests.examples import example

ONLY_ONCE_IT_FAILED = "velero_repo_maintenance_failure_total"
"""Velero makes this series when it first counts, and of no other that an alert reads: the server's program has its name all the
same."""

ONLY_AFTER_A_BACKUP = "velero_backup_last_successful_timestamp"

_NAME = re.compile(r"^([a-zA-Z_:][a-zA-Z0-9_:]*)[ {]", re.MULTILINE)


def monitors() -> dict[str, dict[str, Any]]:
    """The PodMonitors of the program, the database's own among them, by what they scrape."""
    database = DatabaseSettings.model_validate({"name": databases.NAME, "namespace": databases.DATABASE_NAMESPACE})
    namespace = {"namespaceSelector": {"matchNames": [database.namespace]}}
    shared = pod_monitors(load("secondary", example("secondary"), SECRETS))
    return {**shared, "postgresql": {**namespace, **pod_monitor_spec(database)}}


def exposed(lab: Lab, region: str, monitor: str) -> set[str]:
    """The names of the metrics of all Pods that a PodMonitor selects."""
    spec = monitors()[monitor]
    [namespace] = spec["namespaceSelector"]["matchNames"]
    [endpoint] = spec["podMetricsEndpoints"]
    selector = ",".join(f"{key}={value}" for key, value in spec["selector"]["matchLabels"].items())
    pods = json.loads(lab.kubectl(region, "get", "pods", "-n", namespace, "-l", selector, "-o", "json"))["items"]
    names: set[str] = set()
    for pod in pods:
        [port] = [
            port["containerPort"]
            for container in [*pod["spec"]["containers"], *pod["spec"].get("initContainers", [])]
            for port in container.get("ports", [])
            if port.get("name") == endpoint["port"]
        ]
        path = f"/api/v1/namespaces/{namespace}/pods/{pod['metadata']['name']}:{port}/proxy/metrics"
        names |= set(_NAME.findall(lab.kubectl(region, "get", "--raw", path, check=False)))
    return names


def complete(lab: Lab, region: Role, exporter: Exporter, *, after_a_backup: bool = False) -> bool:
    """Whether this exporter has every metric of its own that an alert reads. Raises AssertionError with those that it lacks."""
    late = {ONLY_ONCE_IT_FAILED} if after_a_backup else {ONLY_ONCE_IT_FAILED, ONLY_AFTER_A_BACKUP}
    read = {name for name, of in METRICS.items() if of == exporter}
    lacks = read - late - exposed(lab, region, exporter)
    assert not lacks, lacks
    return True
