"""What runs in a namespace, what decides how much of it runs, and the notes that tell what ran before the region gave it up."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeVar

from .api import Api, ApiError, Object
from .failure import StepFailedError

RAN = "k8s-dr/ran"
"""Annotation of what a region that gave up has stopped. Of a workload: how many replicas ran. Of others: `true`."""

STOOD_BY = "k8s-dr/stood-by"
"""Annotation of a workload at zero that is about to be raised because its whole entry stood by. Once the first of them runs,
nothing else tells the rest from what was switched off."""

CLAIMS_GO = "k8s-dr/claims-go"
"""Annotation of a StatefulSet whose claims go with its Pods when it is scaled down (`whenScaled: Delete`). A region that gives up
keeps them, and notes that it did."""

PAUSED = "k8s-dr/paused"
"""Annotation of a ScaledObject that a region that gave up has paused. Its value is what KEDA's own annotation said before."""

PAUSED_REPLICAS = "autoscaling.keda.sh/paused-replicas"
"""KEDA's own annotation of a ScaledObject: KEDA holds the workload at this number, and scales it no more."""

PAUSED_JOBS = "autoscaling.keda.sh/paused"
"""KEDA's own annotation of a ScaledJob: with `true` KEDA makes no more Jobs."""

_RESTORED = "velero.io/restore-name"
_PART_OF = ("app.kubernetes.io/part-of", "k8s-dr")
_PLURALS = {"deployment": "deployments", "statefulset": "statefulsets"}
_TRIES = 20
"""How often a change is tried on an object that changes all the time. Each try reads it anew."""


@dataclass(frozen=True, kw_only=True)
class Entry:
    """What a person wrote about some workloads of the namespace: the least number of replicas of each in this region's role."""

    names: tuple[str, ...]
    """As in `deployment/web`. Empty: every workload of the namespace that no other entry names."""
    replicas: int
    required: bool
    """Whether the step fails if one of these workloads does."""


@dataclass(frozen=True, kw_only=True)
class Item:
    """One object of the namespace."""

    kind: str
    path: str
    body: Object

    @property
    def name(self) -> str:
        """As in `deployment/web`."""
        return f"{self.kind}/{self.body['metadata']['name']}"

    @property
    def annotations(self) -> Mapping[str, str]:
        return self.body["metadata"].get("annotations") or {}

    @property
    def owner(self) -> Object | None:
        """The reference to the controller that made this object and keeps it as it wants it."""
        owners = self.body["metadata"].get("ownerReferences") or []
        return next((owner for owner in owners if owner.get("controller")), None)

    @property
    def keeper(self) -> str | None:
        """What this object goes with, as in `Kafka events`, though it does not say that it is its controller. That may be an
        operator which says so of nothing (Strimzi, OLM) and sets back what others change, or somebody who only wants it deleted
        with something else."""
        owners = self.body["metadata"].get("ownerReferences") or []
        return f"{owners[0]['kind']} {owners[0]['name']}" if owners else None

    @property
    def suspended(self) -> bool:
        """Whether a CronJob, a CronWorkflow or a Job is suspended."""
        return bool(self.body["spec"].get("suspend"))

    @property
    def noted(self) -> bool:
        return RAN in self.annotations

    def set_by(self, field: str) -> str:
        """Who set this field of `spec` last, by the API server's own record."""
        entries = self.body["metadata"].get("managedFields") or []
        setters = [entry for entry in entries if f"f:{field}" in entry.get("fieldsV1", {}).get("f:spec", {})]
        newest = max(setters, key=lambda entry: entry.get("time", ""), default=None)
        return newest["manager"] if newest else "somebody"


@dataclass(frozen=True, kw_only=True)
class Decider:
    """What decides a workload's number of replicas in place of a person."""

    sort: Literal["autoscaler", "keda", "operator"]
    """autoscaler: a HorizontalPodAutoscaler, which does nothing for a workload at zero. keda: a ScaledObject, which scales from
    zero by itself and can be paused. operator: the controller that made the workload, and sets back what others change."""
    kind: str
    name: str
    least: int = 0
    most: int | None = None
    """The limits between which an autoscaler decides."""
    object: Item | None = None
    """The ScaledObject itself."""

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"


@dataclass(frozen=True, kw_only=True)
class Workload(Item):
    """A Deployment or a StatefulSet."""

    decider: Decider | None = None

    @property
    def replicas(self) -> int:
        """How many replicas are asked for."""
        return int(self.body["spec"].get("replicas", 1))

    @property
    def ran(self) -> int | None:
        """How many replicas ran when this region gave the workload up; None without a note. Raises StepFailedError."""
        note = self.annotations.get(RAN)
        if note is None:
            return None
        if not (note.isascii() and note.isdigit()):
            raise StepFailedError(f'{self.name}: the annotation {RAN} says {note!r}; write a whole number, as in {RAN}: "3"')
        return int(note)

    @property
    def stood_by(self) -> bool:
        """Whether a step has found that its whole entry stood by."""
        return STOOD_BY in self.annotations

    @property
    def claims_go(self) -> bool:
        """Whether Kubernetes deletes the claims of the Pods by which a StatefulSet is scaled down, and with them their data."""
        return (self.body["spec"].get("persistentVolumeClaimRetentionPolicy") or {}).get("whenScaled") == "Delete"

    @property
    def restored(self) -> bool:
        """Whether a restore brought it, so that its number of replicas is the one of the region that was backed up."""
        return _RESTORED in (self.body["metadata"].get("labels") or {})

    @property
    def observed(self) -> bool:
        """Whether its controller has seen the number of replicas that is asked for now."""
        return int(self.body.get("status", {}).get("observedGeneration", 0)) >= int(self.body["metadata"]["generation"])

    @property
    def available(self) -> int:
        """How many replicas serve. A StatefulSet from before Kubernetes 1.25 counts only those that are ready."""
        status = self.body.get("status", {})
        return int(status.get("availableReplicas", 0 if self.kind == "deployment" else status.get("readyReplicas", 0)))

    @property
    def present(self) -> int:
        """How many replicas there are, whatever their state."""
        return int(self.body.get("status", {}).get("replicas", 0))


AnyItem = TypeVar("AnyItem", bound=Item)


class Namespace:
    """The objects of one namespace. Every method raises ApiError. `before` is called before each change of one."""

    def __init__(self, api: Api, name: str, *, before: Callable[[], None] | None = None) -> None:
        self.api, self.name, self._before = api, name, before

    @property
    def lists(self) -> dict[str, str]:
        """Where the API server lists the workloads, by their kind."""
        return {kind: f"/apis/apps/v1/namespaces/{self.name}/{plural}" for kind, plural in _PLURALS.items()}

    def workloads(self, entries: Sequence[Entry]) -> list[tuple[Workload, Entry]]:
        """Each workload that an entry means, with that entry: the one that names it, or else the one without names."""
        deciders, templates = self._deciders(), self._templates()
        found = []
        for kind, path in self.lists.items():
            for body in self.api.list(path):
                name = f"{kind}/{body['metadata']['name']}"
                if entry := entry_of(name, entries):
                    where, at_zero = f"{path}/{body['metadata']['name']}", body["spec"].get("replicas") == 0
                    # A template that runs Pods as well is on its way to a Rollout, and is scaled as any other workload.
                    decider = templates.get(name) if at_zero and name in templates else deciders.get(name)
                    found.append((_workload(kind, where, body, decider), entry))
        return found

    def cron_jobs(self) -> list[Item]:
        """The CronJobs, and Argo's CronWorkflows, which the same field suspends. Those are left out that a controller made: it
        would set back what is changed."""
        found = self._items("cronjob", "batch/v1", "cronjobs")
        found += self._items("cronworkflow", "argoproj.io/v1alpha1", "cronworkflows")
        return [item for item in found if item.owner is None]

    def scaled_jobs(self) -> list[Item]:
        """What KEDA makes Jobs of, whenever there is something to do."""
        return self._items("scaledjob", "keda.sh/v1alpha1", "scaledjobs")

    def unfinished_jobs(self) -> list[Item]:
        """The Jobs that have not ended, those of this program and of other controllers than a CronJob left out."""
        label, program = _PART_OF
        return [
            item
            for item in self._items("job", "batch/v1", "jobs")
            if not _ended(item.body)
            and (item.body["metadata"].get("labels") or {}).get(label) != program
            and (item.owner is None or item.owner["kind"] == "CronJob")
        ]

    def _items(self, kind: str, version: str, plural: str) -> list[Item]:
        path = f"/apis/{version}/namespaces/{self.name}/{plural}"
        return [Item(kind=kind, path=f"{path}/{body['metadata']['name']}", body=body) for body in self.api.list(path)]

    def change(self, item: AnyItem, decide: Callable[[AnyItem], Object | None]) -> None:
        """Make the change, a merge patch, that `decide` asks for. None: leave the object as it is.

        The patch holds for the very object that `decide` saw. If it has changed meanwhile, `decide` is asked about it again.
        """
        for _ in range(_TRIES):
            wanted = decide(item)
            if wanted is None:
                return
            if self._before:
                self._before()
            metadata = {"resourceVersion": item.body["metadata"]["resourceVersion"], **wanted.get("metadata", {})}
            try:
                self.api.patch(item.path, {**wanted, "metadata": metadata})
            except ApiError as error:
                if error.status != 409:
                    raise
            else:
                return
            body = self.api.find(item.path)
            if body is None:
                return
            item = replace(item, body=body)
        raise ApiError(409, f"{item.name} has changed {_TRIES} times while it was to be changed")

    def _templates(self) -> dict[str, Decider]:
        """By workload, the Argo Rollout that runs Pods by its template (`workloadRef`), in place of its own controller."""
        rollouts = self.api.list(f"/apis/argoproj.io/v1alpha1/namespaces/{self.name}/rollouts")
        return {
            _target(reference): Decider(sort="operator", kind="Rollout", name=each["metadata"]["name"])
            for each in rollouts
            # One without a name runs nothing, and must end no failover.
            if (reference := (each.get("spec") or {}).get("workloadRef") or {}).get("name")
        }

    def _deciders(self) -> dict[str, Decider]:
        """By workload, the autoscaler that has it as its target. KEDA makes autoscalers of its own, so KEDA's word comes last."""
        found = {}
        for body in self.api.list(f"/apis/autoscaling/v2/namespaces/{self.name}/horizontalpodautoscalers"):
            spec = body["spec"]
            found[_target(spec["scaleTargetRef"])] = Decider(
                sort="autoscaler",
                kind="HorizontalPodAutoscaler",
                name=body["metadata"]["name"],
                least=int(spec.get("minReplicas", 1)),
                most=int(spec["maxReplicas"]),
            )
        for item in self._items("scaledobject", "keda.sh/v1alpha1", "scaledobjects"):
            spec = item.body["spec"]
            found[_target(spec["scaleTargetRef"])] = Decider(
                sort="keda",
                kind="ScaledObject",
                name=item.body["metadata"]["name"],
                # With idleReplicaCount KEDA itself holds the workload at that number until there is something to do.
                least=0 if "idleReplicaCount" in spec else int(spec.get("minReplicaCount", 0)),
                object=item,
            )
        return found


def set_back(workload: Workload, direction: Literal["raised", "lowered"], number: int) -> StepFailedError:
    """The error if somebody undoes what a step has done: the two would fight without end."""
    by = workload.set_by("replicas")
    return StepFailedError(
        f"{workload.name}: {by} set its replicas back to {workload.replicas} right after they were {direction} to {number}; take "
        "replicas out of what it deploys (docs/gitops.md), then run the same pulumi up"
    )


def entries_of(task: Mapping[str, Any]) -> list[Entry]:
    return [
        Entry(names=tuple(entry["names"]), replicas=int(entry["replicas"]), required=bool(entry["required"]))
        for entry in task["entries"]
    ]


def entry_of(name: str, entries: Sequence[Entry]) -> Entry | None:
    """The entry that means this workload: the one that names it, or else the one without names. None: nobody means it."""
    named = next((entry for entry in entries if name in entry.names), None)
    return named or next((entry for entry in entries if not entry.names), None)


def _workload(kind: str, path: str, body: Object, decider: Decider | None) -> Workload:
    workload = Workload(kind=kind, path=path, body=body, decider=decider)
    if decider is None and (owner := workload.owner):
        return replace(workload, decider=Decider(sort="operator", kind=owner["kind"], name=owner["name"]))
    return workload


def _target(reference: Mapping[str, Any]) -> str:
    return f"{reference.get('kind', 'Deployment').lower()}/{reference['name']}"


def _ended(job: Object) -> bool:
    conditions = job.get("status", {}).get("conditions") or []
    return any(each["type"] in ("Complete", "Failed") and each["status"] == "True" for each in conditions)
