"""Scales workloads to what the region's role asks for, and checks them before users are sent to them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from hashlib import sha256
from typing import Any

import pulumi
import pulumi_kubernetes as k8s

from components.kube.jobs import runner_job
from components.kube.pods import ONLY_ADMISSION, Runner
from components.kube.runner.ask import Question
from components.kube.runner.endpoint import Endpoint
from components.kube.runner.verify import Check
from settings.failover import FailoverTimeouts
from settings.roles import Duties
from settings.workloads import Workload, by_namespace, cron_jobs_of

_CONTAINER = "spec.template.spec.containers[0]"
_NO_REASON_TO_SCALE = (
    *ONLY_ADMISSION,
    "metadata.annotations",
    "spec.activeDeadlineSeconds",
    "spec.template.spec.volumes",
    f"{_CONTAINER}.env",
    f"{_CONTAINER}.image",
)
"""What may change without a new Job: the image, the modules, the timeout, the task, and what the cluster asks of every Pod. The
container's command stays out of the list. It names the step, so a change of who serves makes a new Job also where the state is of
a version without the trigger."""


@dataclass(frozen=True, kw_only=True)
class WorkloadsArgs:
    """`after` are outputs of restores and databases. Scaling waits for all of them, and fails if one of them fails; workloads
    that start before the databases (`beforeDatabases`) wait for `restored`, those of restores, alone.
    `endpoint` are the questions to this region's own endpoint; `endpoint_required` says whether it needs their answers.
    `stopped` is which stop of the guard the workloads of a region that serves now wake from. `held` says that users do not come
    yet: when they do, the checks are asked anew."""

    workloads: Sequence[Workload]
    duties: Duties
    runner: Runner
    timeouts: FailoverTimeouts
    endpoint: Sequence[Question] = ()
    endpoint_required: bool = True
    after: Sequence[pulumi.Input[str]] = ()
    restored: Sequence[pulumi.Input[str]] = ()
    stopped: str | None = None
    held: bool = False

    @property
    def scales(self) -> bool:
        """Whether the program scales: once somebody has set `active`, or the guard has scaled down."""
        return self.duties.enforces_scale or self.stopped is not None

    @property
    def trigger(self) -> str:
        """What makes a Job anew when it changes: who serves, and that the guard has stopped what serves again."""
        return f"{self.duties.scale_to} after {self.stopped}" if self.stopped else self.duties.scale_to

    @property
    def checked(self) -> str:
        """What makes the Jobs anew that check, when it changes: users are let in who were held."""
        return f"{self.duties.scale_to}, held" if self.held else self.duties.scale_to


def scale_task(namespace: str, entries: Sequence[Workload], args: WorkloadsArgs) -> dict[str, Any]:
    """The task of the step that brings the workloads of one namespace to the region's role."""
    standing_up = args.duties.scale_to == "replicas"
    return {
        "namespace": namespace,
        "entries": [
            {
                "names": entry.names,
                "replicas": entry.replicas if standing_up else entry.standby_replicas,
                "required": entry.required,
            }
            for entry in entries
        ],
        "cronJobs": cron_jobs_of(entries),
        "seconds": args.timeouts.seconds("scale"),
    }


def in_words(task: Mapping[str, Any], *, standing_up: bool) -> str:
    """What the Job with this task does, as a reviewer reads it in the plan."""
    least = "at least " if standing_up else ""
    rest = "every other workload" if any(entry["names"] for entry in task["entries"]) else "every workload"
    named = [f"{' and '.join(entry['names']) or rest} to {least}{entry['replicas']}" for entry in task["entries"]]
    cron_jobs = "; resumes CronJobs that it had suspended" if standing_up else "; suspends CronJobs and running Jobs"
    return (
        f"scales, in {task['namespace']}, {', '.join(named)}; waits {task['seconds']} s at most until "
        f"{'they are available' if standing_up else 'no more are left'}{cron_jobs if task['cronJobs'] == 'suspend' else ''}"
    )


def check_of(workload: Workload, seconds: int) -> Check:
    """The request that the workload must answer with success within `seconds`. The workload has a check."""
    check = workload.check
    assert check is not None
    return Check(
        namespace=workload.namespace,
        service=check.service,
        port=check.port,
        path=check.path,
        scheme=check.scheme,
        host=check.host,
        seconds=seconds,
        via=check.via,
    )


class Workloads(pulumi.ComponentResource):
    """Scales the configured workloads to the region's role and, in a region that takes over, checks that they answer.

    For users, who must not be sent to a region where nothing runs. A region that takes over scales to `replicas`, waits, then
    verifies, and asks its own endpoint as a user would. A region that stands by scales to `standbyReplicas`. Until somebody has
    set `active`, which the first failover does, nothing is scaled in either region, unless the guard has stopped it.
    """

    scaled: dict[str, k8s.batch.v1.Job]
    """By namespace, the Job that scales its workloads."""

    verified: dict[str, k8s.batch.v1.Job]
    """The Job of each check, by the namespace, or by namespace and service where a namespace has several checks."""

    endpoint: k8s.batch.v1.Job | None
    """The Job that asks this region's own endpoint, in a region that takes over."""

    def __init__(self, name: str, args: WorkloadsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("dr:failover:Workloads", name, None, opts)
        self._name, self._args = name, args
        self.scaled, self.verified, self.endpoint = {}, {}, None
        for namespace, entries in by_namespace(args.workloads).items() if args.scales else ():
            scaled = self.scaled[namespace] = self._scale(namespace, entries)
            if args.duties.takes_over:
                for key, workload in _checked(namespace, entries).items():
                    self.verified[key] = self._verify(key, workload, scaled)
        if self.scaled and args.duties.takes_over and args.endpoint:
            self.endpoint = self._ask_endpoint()
        self.register_outputs({})

    def _scale(self, namespace: str, entries: Sequence[Workload]) -> k8s.batch.v1.Job:
        args = self._args
        task, standing_up = scale_task(namespace, entries, args), args.duties.scale_to == "replicas"
        return runner_job(
            f"{self._name}-scale-{namespace}",
            runner=args.runner,
            step="scale" if standing_up else "stand_by",
            task=task,
            does=in_words(task, standing_up=standing_up),
            seconds=args.timeouts.seconds("scale"),
            opts=pulumi.ResourceOptions(
                parent=self,
                # Another image, timeout or number is no reason to scale a region that serves. The engine takes the new ones
                # whenever it makes the Job anew: when the trigger changes, or when the Job has failed (replaceUnready).
                ignore_changes=list(_NO_REASON_TO_SCALE),
                replacement_trigger=args.trigger,
            ),
            after=args.restored if all(entry.before_databases for entry in entries) else args.after,
        )

    def _verify(self, key: str, workload: Workload, scaled: k8s.batch.v1.Job) -> k8s.batch.v1.Job:
        seconds = self._args.timeouts.seconds("verify")
        check = check_of(workload, seconds)
        return runner_job(
            f"{self._name}-verify-{key}",
            runner=self._args.runner,
            step="verify",
            task=asdict(check),
            does=f"asks {check} for success, for {seconds} s at most",
            seconds=seconds,
            opts=pulumi.ResourceOptions(
                parent=self,
                depends_on=[scaled],
                # A region that serves is not checked anew because a node got a taint.
                ignore_changes=list(ONLY_ADMISSION),
                # None otherwise, as in states of earlier versions, whose Jobs must not run again for an upgrade.
                replacement_trigger=self._args.checked if self._args.held else None,
            ),
            after=self._args.after,
        )

    def _ask_endpoint(self) -> k8s.batch.v1.Job:
        args, seconds = self._args, self._args.timeouts.seconds("verify")
        task = Endpoint(questions=[asdict(each) for each in args.endpoint], seconds=seconds, required=args.endpoint_required)
        return runner_job(
            f"{self._name}-endpoint",
            runner=args.runner,
            step="endpoint",
            task=asdict(task),
            does=f"asks {', '.join(map(str, args.endpoint))} as a user would, for {seconds} s at most",
            seconds=seconds,
            opts=pulumi.ResourceOptions(
                parent=self,
                depends_on=list(self.scaled.values()),
                # As for scaling: a region that serves is not asked anew because `force` is unset or a path has changed.
                ignore_changes=list(_NO_REASON_TO_SCALE),
                replacement_trigger=args.checked,
            ),
            after=args.after,
        )


def _checked(namespace: str, entries: Sequence[Workload]) -> dict[str, Workload]:
    """The entries that have a check, by a name that does not depend on their order."""
    checked = [entry for entry in entries if entry.check]
    if len(checked) == 1:
        return {namespace: checked[0]}
    services = [entry.check.service for entry in checked if entry.check]
    found = {}
    for entry in checked:
        assert entry.check is not None
        service, text = entry.check.service, entry.check.model_dump_json()
        digest = f"-{sha256(text.encode()).hexdigest()[:8]}" if services.count(service) > 1 else ""
        found[f"{namespace}-{service}{digest}"] = entry
    return found
