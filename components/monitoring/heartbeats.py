"""A CronJob that calls a URL for each job that is in order: dead man's switches, for a receiver that is in neither region.

`components/kube/runner/heartbeat.py` says why one step looks at all jobs, and the jobs call nobody.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pulumi
import pulumi_kubernetes as k8s

from components.database import freshness
from components.drills.pods import name_of
from components.etcd import backup as etcd
from components.failover import guard_specs
from components.kube.job_runner import named_rules
from components.kube.pods import LABELS, Runner, admitted, pod_metadata, runner_pod
from components.kube.runner.heartbeat import URLS
from components.kube.runner.rights import Right
from components.monitoring.job_alerts import MARKS_OLDEST, etcd_oldest, guard_oldest
from components.monitoring.velero_alerts import due
from components.velero.specs import VELERO_NAMESPACE
from settings.model import Settings
from settings.names import PROGRAM_NAMESPACE, Names
from settings.roles import ROLES

NAME = "heartbeats"
CRON = "*/5 * * * *"

_SECONDS = 60
"""For the look at the cluster and all calls together."""

_LABELS = {**LABELS, "app.kubernetes.io/name": NAME}
_ROLE = f"{PROGRAM_NAMESPACE}-{NAME}"


@dataclass(frozen=True, kw_only=True)
class HeartbeatsArgs:
    """`settings` are as a person wrote them: nothing here follows what the region does now."""

    names: Names
    settings: Settings
    runner: Runner


def task(names: Names, settings: Settings) -> dict[str, Any]:
    """The task of the runner's step `heartbeat`: the jobs that have a URL, and what each is judged by. No URL is in it. How old a
    success may be is what the alerts say."""
    wanted = [job for job, _ in settings.receivers.heartbeats.of_jobs()]
    velero = f"/apis/velero.io/v1/namespaces/{VELERO_NAMESPACE}/backups"
    backups = [
        {
            "job": f"schedules.{backup.name}",
            "path": velero,
            "schedules": [names.schedule(backup.name, role) for role in ROLES],
            "within": int(due(backup, settings.objectives.rpo_seconds).total_seconds()),
        }
        for backup in settings.backups
    ]
    databases = [
        {"job": f"databases.{each.name}", "path": f"/apis/postgresql.cnpg.io/v1/namespaces/{each.namespace}/clusters/{each.name}"}
        for each in settings.databases
    ]
    looked_at = {"cronJobs": list(_cron_jobs(settings)), "backups": backups, "databases": databases}
    return {kind: [each for each in found if each["job"] in wanted] for kind, found in looked_at.items()}


def _cron_jobs(settings: Settings) -> Iterator[dict[str, Any]]:
    yield _cron_job("etcd", etcd.ETCD_NAMESPACE, etcd.NAME, etcd_oldest(settings))
    yield _cron_job("guard", PROGRAM_NAMESPACE, guard_specs.NAME, guard_oldest(settings))
    yield _cron_job("marks", PROGRAM_NAMESPACE, freshness.NAME, MARKS_OLDEST)
    for kind in settings.drilled:
        oldest = settings.drills.overdue_after(kind)
        yield _cron_job(f"drills.{kind}", PROGRAM_NAMESPACE, name_of(kind), oldest, failures=True)


def _cron_job(job: str, namespace: str, name: str, oldest: timedelta, *, failures: bool = False) -> dict[str, Any]:
    path = f"/apis/batch/v1/namespaces/{namespace}/cronjobs/{name}"
    return {"job": job, "path": path, "within": int(oldest.total_seconds()), "failures": failures}


def rights(told: dict[str, Any]) -> dict[str, list[Right]]:
    """What the account may do, by namespace: look at what the task names."""
    found: dict[str, list[Right]] = {}
    for each in (*told["cronJobs"], *told["databases"]):
        _, _, group, _, _, namespace, resource, name = each["path"].split("/")
        one = Right(verb="get", group=group, resource=resource, namespace=namespace, name=name)
        found.setdefault(namespace, []).append(one)
    if told["backups"]:
        found.setdefault(VELERO_NAMESPACE, []).append(
            Right(verb="list", group="velero.io", resource="backups", namespace=VELERO_NAMESPACE)
        )
    return found


def cron_job(runner: Runner, told: dict[str, Any]) -> dict[str, Any]:
    """Spec of the CronJob. The URLs are in a volume: an environment can be read by whoever may see a Pod."""
    spec: dict[str, Any] = runner_pod(runner, "heartbeat", told, NAME)["spec"]
    [container] = spec["containers"]
    container["volumeMounts"] += [{"name": "urls", "mountPath": str(URLS), "readOnly": True}]
    user = spec["securityContext"]["runAsUser"]
    template = {
        "metadata": pod_metadata(_LABELS),
        "spec": {
            **spec,
            "securityContext": {**spec["securityContext"], "runAsGroup": user, "fsGroup": user},
            "volumes": [*spec["volumes"], {"name": "urls", "secret": {"secretName": NAME, "defaultMode": 0o440}}],
        },
    }
    return {
        "schedule": CRON,
        "timeZone": "Etc/UTC",
        "concurrencyPolicy": "Replace",
        "startingDeadlineSeconds": 120,
        "successfulJobsHistoryLimit": 1,
        "failedJobsHistoryLimit": 1,
        "jobTemplate": {
            "metadata": {"labels": _LABELS, "annotations": {"k8s-dr/does": "calls a URL for each job that is in order"}},
            "spec": {
                "backoffLimit": 0,
                "activeDeadlineSeconds": _SECONDS,
                "template": admitted(template, runner.pods),
            },
        },
    }


class Heartbeats(pulumi.ComponentResource):
    """The CronJob, its account, and the Secret with the URLs. For whoever must hear that something has stopped, or all of it.

    Each region has its own URLs and calls them itself, so a dead region goes silent. Nothing here depends on `active`.
    """

    def __init__(self, name: str, args: HeartbeatsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("dr:monitoring:Heartbeats", name, None, opts)
        self._stem = name
        told = task(args.names, args.settings)
        urls = {job: pulumi.Output.secret(url) for job, url in args.settings.receivers.heartbeats.of_jobs()}
        own = {"name": NAME, "namespace": PROGRAM_NAMESPACE, "labels": _LABELS}
        needed: list[pulumi.Resource] = [
            k8s.core.v1.ServiceAccount(f"{name}-account", metadata=own, opts=self._child()),
            k8s.core.v1.Secret(f"{name}-urls", metadata=own, string_data=urls, opts=self._child()),
        ]
        for namespace, granted in rights(told).items():
            needed += self._grant(namespace, granted)
        k8s.batch.v1.CronJob(f"{name}-job", metadata=own, spec=cron_job(args.runner, told), opts=self._child(depends_on=needed))
        self.register_outputs({})

    def _child(self, **options: Any) -> pulumi.ResourceOptions:
        return pulumi.ResourceOptions(parent=self, **options)

    def _grant(self, namespace: str, granted: list[Right]) -> list[pulumi.Resource]:
        metadata = {"name": _ROLE, "namespace": namespace, "labels": LABELS}
        return [
            k8s.rbac.v1.Role(f"{self._stem}-role-{namespace}", metadata=metadata, rules=named_rules(granted), opts=self._child()),
            k8s.rbac.v1.RoleBinding(
                f"{self._stem}-binding-{namespace}",
                metadata=metadata,
                role_ref={"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": _ROLE},
                subjects=[{"kind": "ServiceAccount", "name": NAME, "namespace": PROGRAM_NAMESPACE}],
                opts=self._child(),
            ),
        ]
