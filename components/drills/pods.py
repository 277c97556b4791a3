"""What the Pods of all drills have in common, as plain data: who they are, how they fetch, and how they leave their record."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pulumi

from components.iam.access import Access, key_environment, own_region
from components.iam.permissions import ServiceAccount
from components.kube.pods import (
    CONTAINER_SECURITY,
    LABELS,
    Runner,
    admitted,
    pod_metadata,
    pod_security,
    runner_code_name,
    runner_pod,
)
from components.kube.runner.drill_end import GRACE_SECONDS, SILENCE_SECONDS
from components.kube.runner.drill_record import LABEL, without_verdict
from settings.drills import KINDS, Kind
from settings.durations import parse_duration
from settings.images import Images
from settings.model import Settings
from settings.names import DRILLS_NAMESPACE, DRILLS_PREFIX, PROGRAM_NAMESPACE, Names

FETCH = (Path(__file__).parent / "drill-fetch.sh").read_text()
UPLOAD = (Path(__file__).parent / "drill-upload.sh").read_text()

CREDENTIALS = "drills-credentials"
"""Secret of the drills' access key."""

CLUSTER_CREDENTIALS = "drill-database-credentials"
"""Secret of the throw-away Cluster's access key, in the namespace of what drills make."""

WORK = {"name": "work", "mountPath": "/work"}
"""The directory that all containers of a drill share."""

_TOKEN = {"name": "api", "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount", "readOnly": True}
_USER = 65532
_UNMOVED = {"cluster-autoscaler.kubernetes.io/safe-to-evict": "false", "karpenter.sh/do-not-disrupt": "true"}
"""Annotations by which autoscalers leave a Pod where it is: a drill that is moved has failed."""

_LATE = 3600
"""For how many seconds a run that was missed, as while the control plane was away, is still begun."""


@dataclass(frozen=True, kw_only=True)
class DrillsArgs:
    """`after` must exist before the drills: the namespaces of the program and of Velero. Without a static key in `access`, the
    AWS CLI uses the service account's role or, without one, the node's. `cluster_access` is the throw-away Cluster's."""

    names: Names
    settings: Settings
    runner: Runner
    access: Access = field(default_factory=Access)
    cluster_access: Access = field(default_factory=Access)
    after: Sequence[pulumi.Resource] = ()


def name_of(kind: Kind) -> str:
    """Name of a drill's CronJob, its account and its rights."""
    return f"drill-{kind}"


def accounts() -> list[ServiceAccount]:
    """Every account that acts as the part `drills` at AWS."""
    return [ServiceAccount(namespace=PROGRAM_NAMESPACE, name=name_of(kind)) for kind in KINDS]


def cluster_accounts() -> list[ServiceAccount]:
    """The throw-away Cluster's, which acts as the part `drill-database`: it reads archives, and nothing else."""
    return [ServiceAccount(namespace=DRILLS_NAMESPACE, name=name_of("database"))]


def metadata(kind: Kind) -> dict[str, Any]:
    return {"name": name_of(kind), "namespace": PROGRAM_NAMESPACE, "labels": labels(kind)}


def labels(kind: Kind) -> dict[str, str]:
    return {**LABELS, "app.kubernetes.io/name": name_of(kind), LABEL: kind}


def base_task(args: DrillsArgs, kind: Kind) -> dict[str, Any]:
    """What the task of every drill has. Nothing in it depends on `active`, so a failover changes nothing of a drill."""
    objectives = args.settings.objectives
    return {
        "kind": kind,
        "region": args.names.region,
        "role": args.names.role,
        "prefix": f"{DRILLS_PREFIX}/{args.names.role}",
        "targets": {"rpo": objectives.rpo_seconds, "rto": objectives.rto_seconds},
        "versions": versions(args.settings),
    }


def versions(settings: Settings) -> dict[str, str]:
    """What is known beforehand of what runs: the program by the digest of its runner, the others by their images."""
    images: Images = settings.images
    found = {"program": runner_code_name()}
    if settings.velero.managed:
        found["velero"] = _tag(images.velero)
    if settings.operators.cloudnative_pg:
        found["cloudnative-pg"] = _tag(images.cloudnative_pg)
    if settings.databases:
        found["postgresql"] = ", ".join(sorted({_tag(database.image) for database in settings.databases}))
    return found


def _tag(image: str) -> str:
    return re.sub(r"@sha256:.*", "", image).rpartition(":")[2]


def judge(args: DrillsArgs, step: str, task: Mapping[str, Any], kind: Kind, *, token: bool) -> dict[str, Any]:
    """The container that runs a step of the runner, with a token of the drill's account if it asks the cluster."""
    [container] = runner_pod(args.runner, step, task, name_of(kind))["spec"]["containers"]
    found: dict[str, Any] = container
    found["volumeMounts"] += [WORK, *([_TOKEN] if token else [])]
    found["resources"] = {"requests": {"cpu": "50m", "memory": "128Mi"}, "limits": {"cpu": "1", "memory": "1Gi"}}
    found["env"] += _run(kind)
    return found


def _run(kind: Kind) -> list[dict[str, Any]]:
    """Environment by which a container knows which run it is of."""
    fields = {"JOB_NAME": "metadata.labels['job-name']", "POD_NAME": "metadata.name", "POD_UID": "metadata.uid"}
    return [
        {"name": "CRONJOB", "value": name_of(kind)},
        *({"name": name, "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": path}}} for name, path in fields.items()),
    ]


def fetch(args: DrillsArgs, name: str, plan: str, room: int) -> dict[str, Any]:
    """The container that fetches what a plan names, with the identity at AWS: `room` bytes at the most. It always ends with 0."""
    return _aws(args, name, FETCH, {"PLAN": plan, "ROOM": str(room)})


def upload(args: DrillsArgs, kind: Kind, seconds: int) -> dict[str, Any]:
    """The container by whose end the Job passes or fails. It waits for the verdict for so many seconds, in which the Job ends."""
    task = base_task(args, kind)
    environment = {
        "BUCKET": args.names.bucket("velero"),
        "PLACE": f"{task['prefix']}/{kind}",
        "SILENCE": str(SILENCE_SECONDS),
        "TEMPLATE": without_verdict(kind, task),
        "WAIT": str(seconds),
    }
    container = _aws(args, "upload", UPLOAD, environment)
    container["env"] += _run(kind)
    return container


def _aws(args: DrillsArgs, name: str, script: str, environment: Mapping[str, str]) -> dict[str, Any]:
    settings = args.settings
    plain = {
        **environment,
        "HOME": "/work",
        **own_region(args.names),
        **({"AWS_ENDPOINT_URL": settings.aws.endpoint} if settings.aws.endpoint else {}),
    }
    return {
        "name": name,
        "image": settings.images.aws_cli,
        "imagePullPolicy": "IfNotPresent",
        "command": ["/bin/bash", "-c", script],
        "env": [
            *({"name": key, "value": value} for key, value in plain.items()),
            *(key_environment(CREDENTIALS) if args.access.key else ()),
        ],
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "resources": {"requests": {"cpu": "50m", "memory": "128Mi"}, "limits": {"cpu": "1", "memory": "1Gi"}},
        "securityContext": {**CONTAINER_SECURITY, "readOnlyRootFilesystem": True},
        "volumeMounts": [WORK],
    }


def pod(
    args: DrillsArgs,
    kind: Kind,
    *,
    before: Sequence[dict[str, Any]],
    last: Sequence[dict[str, Any]],
    room: str,
    cleaning: float = 0,
) -> dict[str, Any]:
    """Spec of a drill's Pod: the containers `before` run one after the other, those that are `last` side by side. `room` is the
    most that all of them may write, `cleaning` for how many seconds a drill that is told to end may clean up."""
    spec: dict[str, Any] = runner_pod(args.runner, "drill_ask", {}, name_of(kind))["spec"]
    sources: list[dict[str, Any]] = [
        {"serviceAccountToken": {"path": "token", "expirationSeconds": 3600}},
        {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
    ]
    return {
        **spec,
        # The token is given to the containers that judge, and to no other.
        "automountServiceAccountToken": False,
        "terminationGracePeriodSeconds": GRACE_SECONDS + int(cleaning),
        "securityContext": {**pod_security(_USER), "runAsGroup": _USER, "fsGroup": _USER},
        # An API server drops an empty list, and every later preview would show it as a difference.
        **({"initContainers": list(before)} if before else {}),
        "containers": list(last),
        "volumes": [
            *spec["volumes"],
            {"name": "work", "emptyDir": {"sizeLimit": room}},
            {"name": "api", "projected": {"sources": sources}},
        ],
    }


def cron_job(args: DrillsArgs, kind: Kind, *, cron: str, timeout: str, does: str, spec: Mapping[str, Any]) -> dict[str, Any]:
    """Spec of a drill's CronJob. A run that fails is not repeated: it has left its record, and a second one would hide it."""
    metadata = pod_metadata(labels(kind))
    template = {"metadata": {**metadata, "annotations": {**metadata["annotations"], **_UNMOVED}}, "spec": spec}
    return {
        "schedule": cron,
        "timeZone": "Etc/UTC",
        "concurrencyPolicy": "Forbid",
        "startingDeadlineSeconds": _LATE,
        "successfulJobsHistoryLimit": 3,
        "failedJobsHistoryLimit": 3,
        "jobTemplate": {
            "metadata": {"labels": labels(kind), "annotations": {"k8s-dr/does": does}},
            "spec": {
                "backoffLimit": 0,
                "activeDeadlineSeconds": seconds_of(timeout),
                "template": admitted(template, args.settings.pods),
            },
        },
    }


def seconds_of(duration: str) -> int:
    return int(parse_duration(duration).total_seconds())
