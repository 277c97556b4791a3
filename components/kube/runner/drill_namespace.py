"""The step `drill_namespace`: restores one namespace of the other region where nobody sees it, and says what came.

It drills only in a region that stands by, which the record `serving` says. Velero restores the newest Completed Backup of the
peer's location into the scratch namespace, by rules that let nothing of it work for production. Then the objects are counted by
their names, each volume must have its data, and what is probed must answer. At the end nothing of it is left, whatever happened;
what a killed run has left is deleted first.

The task, beside what every drill's has: `namespace`, and `scratch`, into which it comes; `schedule` and `location`, whose
Backups are taken, and `within`, how many seconds old the newest may be; `restore`, the spec of the Restore; `kinds`,
what is counted; `fence`, a Pod that asks whether the scratch namespace is cut off (null where no Pod runs there); `probe`, with
`ready`, `service`, `port`, `scheme` and `path`; `seconds`, for restore and probe.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from .api import Api, ApiError, Object
from .ask import Answer, Question, put
from .drill_alone import refuse_beside_another
from .drill_downloads import VELERO, Downloads, read_url
from .drill_record import LABEL, Drill, moment, now_in_utc, run_drill
from .drill_space import Space
from .drill_velero import BY_FILES, OF_SCHEDULE, judge_schedule, moved_volumes, namespace_of, still_coming
from .failure import StepFailedError
from .restored import (
    DONE,
    ENDED,
    ResultsUnavailableError,
    failed_volumes,
    failure,
    phase_of,
    target_of,
)

_DOWNLOADS = "/apis/velero.io/v2alpha1/namespaces/velero/datadownloads"
_SERVING = "/api/v1/namespaces/k8s-dr/configmaps/serving"
_OF_RESTORE = "velero.io/restore-name"

_ALWAYS_THERE = {("", "ConfigMap"): {"kube-root-ca.crt"}, ("", "ServiceAccount"): {"default"}}
"""What Kubernetes makes in every namespace: nothing tells whether a restore has brought it."""

Transfer = tuple[str, str]
"""What gets its data: a claim, or a Pod and its volume."""

_FENCE_SECONDS, _PATIENCE = 120.0, 5.0
_SHOWN = 5


def run(task: Mapping[str, Any]) -> str:
    """Do the drill. It leaves its record, and fails nothing: the record says how it went."""
    return run_drill(task, lambda drill: NamespaceDrill(api=Api.in_cluster(), task=task, drill=drill).run())


@dataclass(kw_only=True)
class NamespaceDrill:
    """One run. `read` fetches what is at a URL, `ask` asks a server."""

    api: Api
    task: Mapping[str, Any]
    drill: Drill
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    now: Callable[[], datetime] = now_in_utc
    read: Callable[[str], bytes] = read_url
    ask: Callable[[Question], Answer] = put
    space: Space = field(init=False)
    files: Downloads = field(init=False)
    kept: str | None = None
    """The path of a Restore that failed: it stays until the next drill, for a person who wants to see why."""

    def __post_init__(self) -> None:
        self.space = Space(api=self.api, namespace=self.task["scratch"], clock=self.clock, sleep=self.sleep, now=self.now)
        self.files = Downloads(api=self.api, wait=self.space.wait, labels=self.drill.labels, read=self.read)

    def run(self) -> None:
        refuse_beside_another(self.api, self.drill.kind)
        if left := [*self._restores(), *self._remaining()]:
            self.drill.note(f"an earlier drill has left {len(left)} objects, which were deleted first")
            self._clean()
        if self.api.find(_SERVING) is not None:
            self.drill.skip("this region serves; a namespace is restored for a drill only in the region that stands by")
            return
        backup = self._newest()
        try:
            self._restored(backup)
        finally:
            self._clean(keep=self.kept)

    def _restored(self, backup: Object) -> None:
        name = backup["metadata"]["name"]
        expected, moved = self._expected(name), self._moved(name)
        self.space.ask_for_room()
        if self.task["fence"] and not self._is_fenced():
            return
        began = self.clock()
        end = began + self.task["seconds"]
        restore = f"drill-{self.task['namespace'][:40]}-{self.drill.run}"
        metadata = {"name": restore, "namespace": "velero", "labels": self.drill.labels}
        spec = {**self.task["restore"], "backupName": name}
        self.space.make(
            f"{VELERO}/restores", {"apiVersion": "velero.io/v1", "kind": "Restore", "metadata": metadata, "spec": spec}
        )
        if not self._brought(restore, end):
            return
        self._count(expected)
        self._volumes(restore, moved)
        if self._probed(end):
            self._took(round(self.clock() - began))

    def _took(self, seconds: int) -> None:
        self.drill.rto_seconds, target = seconds, self.task["targets"]["rto"]
        if target is not None and seconds > target:
            self.drill.fail(f"the namespace was back after {_spoken(seconds)}, and its RTO is {_spoken(target)}")

    # Which Backup

    def _newest(self) -> Object:
        """The newest Completed Backup of the peer's that S3 has had the time to copy. Raises StepFailedError if there is none to
        restore."""
        schedule, location, now = self.task["schedule"], self.task["location"], self.now()
        found = self.api.list(f"{VELERO}/backups", f"{OF_SCHEDULE}={schedule}")
        here = [each for each in found if (each.get("spec") or {}).get("storageLocation") == location]
        coming = still_coming(here, schedule, now)
        newest = judge_schedule(self.drill, here, schedule, timedelta(seconds=self.task["within"]), now, coming)
        if newest is None:
            raise StepFailedError("nothing was restored: see whether the other region takes backups, and S3 carries them over")
        self.drill.rpo_seconds = round((now - moment(newest["status"]["startTimestamp"])).total_seconds())
        if (expires := newest["status"].get("expiration")) and moment(expires) <= now:
            raise StepFailedError("nothing was restored: Velero deletes a backup that has expired, and its data with it")
        return newest

    def _expected(self, backup: str) -> dict[tuple[str, str], set[str]]:
        """The names of what the Backup has of the namespace, by group and kind."""
        try:
            holds = self.files.listed(backup)
            found: dict[tuple[str, str], set[str]] = {}
            for key, objects in holds.items():
                version, _, kind = key.rpartition("/")
                group = version.rpartition("/")[0]
                names = {
                    name
                    for namespace, _, name in (each.partition("/") for each in objects)
                    if namespace == self.task["namespace"] and name
                }
                found.setdefault((group, kind), set()).update(names)
        except (ResultsUnavailableError, AttributeError, TypeError) as error:
            raise StepFailedError(f"which objects Backup {backup} has could not be read: {error}") from None
        if not any(found.values()):
            raise StepFailedError(
                f"Backup {backup} has nothing of namespace {self.task['namespace']}: see whether the namespace is there in the "
                "other region, and what its backups leave out"
            )
        return found

    def _moved(self, backup: str) -> list[Transfer]:
        """Which volumes of the namespace the Backup has the data of, as far as a Restore brings them."""
        plurals = {each["plural"] for each in self.task["kinds"]}
        try:
            listed = [each for each in moved_volumes(self.files.volumes(backup)) if namespace_of(each) == self.task["namespace"]]
            by_files = [each["pvbInfo"] for each in listed if each.get("backupMethod") == BY_FILES]
            claims = [str(each["pvcName"]) for each in listed if each.get("backupMethod") != BY_FILES]
            through_pods = [(str(each["podName"]), str(each["volumeName"])) for each in by_files]
        except (ResultsUnavailableError, AttributeError, TypeError, KeyError) as error:
            raise StepFailedError(f"which volumes Backup {backup} has the data of could not be read: {error}") from None
        return [
            *((each, "") for each in claims if "persistentvolumeclaims" in plurals),
            *(each for each in through_pods if "pods" in plurals),
        ]

    # The Restore

    def _brought(self, restore: str, end: float) -> bool:
        """Whether the Restore completed. Where it did not, the drill has failed with Velero's reason."""
        status: Object = {}

        def ended() -> bool:
            status.clear()
            status.update((self.api.find(f"{VELERO}/restores/{restore}") or {}).get("status") or {})
            return status.get("phase") in ENDED

        if not self.space.wait(ended, end - self.clock()):
            waits = "; ".join([*self._late_volumes(restore), *([troubles] if (troubles := self.space.troubles()) else [])])
            self.drill.fail(
                f"Restore {restore} has not ended within {self.task['seconds']} s: it is {status.get('phase') or 'New'}; "
                f"{waits or 'see: velero restore describe ' + restore + ' --details'}"
            )
            return False
        if problem := failure(restore, status, partial(self.files.results, restore)):
            self.kept = f"{VELERO}/restores/{restore}"
            self.drill.fail(problem)
            for each in failed_volumes(*self._transfers(restore)):
                self.drill.fail(each)
            return False
        return True

    def _transfers(self, restore: str) -> tuple[list[Object], list[Object]]:
        selector = f"{_OF_RESTORE}={restore}"
        return self.api.list(_DOWNLOADS, selector), self.api.list(f"{VELERO}/podvolumerestores", selector)

    def _late_volumes(self, restore: str) -> list[str]:
        downloads, by_files = self._transfers(restore)
        late = [phase_of(each) for each in (*downloads, *by_files) if phase_of(each) != DONE]
        if not late:
            return []
        # The drill may not look at Velero's Pods, which need a node as any other does.
        waits = " (Velero's Pod for it has not begun, as where no node has room)" if "Accepted" in late else ""
        phases = ", ".join(sorted({*late}))
        return [f"{len(late)} of {len(downloads) + len(by_files)} volumes have not got their data: {phases}{waits}"]

    def _count(self, expected: Mapping[tuple[str, str], set[str]]) -> None:
        """Compare by names what is here with what the Backup has."""
        for each in self.task["kinds"]:
            key = each["group"], each["kind"]
            wanted = expected.get(key, set()) - _ALWAYS_THERE.get(key, set())
            if not wanted:
                continue
            listed = self.api.list(self.space.path(each["plural"], each["group"], each["version"]), names_only=True)
            missing = sorted(wanted - {item["metadata"]["name"] for item in listed})
            self.drill.count(each["plural"], len(wanted) - len(missing))
            if missing:
                more = f" and {len(missing) - _SHOWN} more" if len(missing) > _SHOWN else ""
                self.drill.fail(
                    f"{len(missing)} of {len(wanted)} {each['plural']} that the Backup has did not come: "
                    f"{', '.join(missing[:_SHOWN])}{more}"
                )

    def _volumes(self, restore: str, moved: Sequence[Transfer]) -> None:
        """Each volume that the Backup has the data of must have got them, and each claim that they came for its volume."""
        downloads, by_files = self._transfers(restore)
        for each in failed_volumes(downloads, by_files):
            self.drill.fail(each)
        came = [(target_of(each)[1], "") for each in downloads]
        came += [(str(each["spec"]["pod"]["name"]), str(each["spec"]["volume"])) for each in by_files]
        for name, volume in sorted(set(moved) - set(came)):
            what = f"volume {volume} of Pod {name}" if volume else f"claim {name}"
            self.drill.fail(f"the Backup has the data of {what}, and Velero brought none: the restore left it empty")
        self.drill.count("volumes", len(came))
        claims = {each["metadata"]["name"]: each for each in self.api.list(self.space.path("persistentvolumeclaims"))}
        for namespace, name in map(target_of, downloads):
            phase = (claims.get(name, {}).get("status") or {}).get("phase", "missing")
            if namespace != self.task["scratch"] or phase != "Bound":
                self.drill.fail(f"claim {namespace}/{name} should have its data, and is {phase}")

    # What runs there

    def _is_fenced(self) -> bool:
        """Whether the network policy of the scratch namespace holds. Without it no Pod of production's may run there."""
        pod: Object = {**self.task["fence"], "metadata": {**self.task["fence"]["metadata"], "name": f"fence-{self.drill.run}"}}
        pod["metadata"]["labels"] = {**pod["metadata"].get("labels", {}), **self.drill.labels}
        self.space.make(self.space.path("pods"), pod)
        path = f"{self.space.path('pods')}/{pod['metadata']['name']}"
        phase: list[str] = ["Pending"]

        def ended() -> bool:
            phase[0] = str(((self.api.find(path) or {}).get("status") or {}).get("phase", "Pending"))
            return phase[0] in ("Succeeded", "Failed")

        if not self.space.wait(ended, _FENCE_SECONDS):
            self.drill.fail(
                f"the Pod that asks whether {self.task['scratch']} is cut off from the network did not end within "
                f"{_FENCE_SECONDS:.0f} s: {self.space.troubles() or phase[0]}"
            )
        elif phase[0] == "Failed":
            self.drill.fail(
                f"a Pod in {self.task['scratch']} reaches the API server, which its NetworkPolicy forbids, so nothing was "
                "restored: a Pod there could work for production. See that the cluster's network enforces policies, or write "
                "drills.namespace.replicas: 0 (with pods: all in backups, drills.namespace.enabled: false)"
            )
        self.api.delete(path)
        return phase[0] == "Succeeded"

    def _probed(self, end: float) -> bool:
        """Whether all that is probed answers. What does not is a reason."""
        probe, before = self.task["probe"], len(self.drill.reasons)
        if not probe:
            return True
        for workload in probe["ready"]:
            if not self.space.wait(lambda workload=workload: self._ready(workload), end - self.clock()):  # type: ignore[misc]
                self.drill.fail(f"{workload} does not become available: {self.space.troubles() or 'nothing says why'}")
        if not probe["service"] or len(self.drill.reasons) > before:
            return len(self.drill.reasons) == before
        url = f"{probe['scheme']}://{probe['service']}.{self.task['scratch']}.svc:{probe['port']}{probe['path']}"
        said: list[str] = [""]

        def answers() -> bool:
            self.space.free_ephemeral()
            answer = self.ask(Question(url=url, seconds=_PATIENCE))
            said[0] = answer.said
            return answer.success

        if self.space.wait(answers, end - self.clock()):
            return True
        self.drill.fail(f"{url} said {said[0]}; {self.space.troubles() or 'see what serves it'}")
        return False

    def _ready(self, workload: str) -> bool:
        self.space.free_ephemeral()
        kind, _, name = workload.partition("/")
        found = self.api.find(f"{self.space.path(f'{kind}s', 'apps')}/{name}")
        if found is None:
            self.drill.fail(f"{workload} was not restored, and drills.namespace.probe.ready names it")
            return True
        return int((found.get("status") or {}).get("availableReplicas") or 0) > 0

    # Nothing is left

    def sweep(self) -> int:
        """Delete what a killed run has left, but for a Restore that has ended. Returns how many objects there were; what stays is
        a reason."""

        def left() -> list[str]:
            return [*self._restores(ended=False), *self._remaining()]

        number = len(left())
        if number:
            self._delete(left)
        return number

    def _restores(self, *, ended: bool = True) -> list[str]:
        found = self.api.list(f"{VELERO}/restores", f"{LABEL}={self.drill.kind}")
        if not ended:
            found = [each for each in found if (each.get("status") or {}).get("phase") not in ENDED]
        return [f"{VELERO}/restores/{each['metadata']['name']}" for each in found]

    def _remaining(self) -> list[str]:
        """By path, what a drill has brought into the scratch namespace. Pods and claims all of them: a StatefulSet makes claims
        that carry no label of Velero's."""
        everything = [self.space.path(plural) for plural in ("pods", "persistentvolumeclaims")]
        kinds = [self.space.path(each["plural"], each["group"], each["version"]) for each in self.task["kinds"]]
        # Owners first, or they would make their Pods anew.
        paths = [(path, _OF_RESTORE) for path in kinds if path not in everything] + [(path, "") for path in everything]
        return [
            f"{path}/{each['metadata']['name']}"
            for path, selector in paths
            for each in self.api.list(path, selector, names_only=True)
        ]

    def _clean(self, *, keep: str | None = None) -> None:
        """Delete all of it but the Restore at `keep`."""
        self._delete(lambda: [*(path for path in self._restores() if path != keep), *self._remaining()])

    def _delete(self, remaining: Callable[[], list[str]]) -> None:
        """What stays is a reason: it costs money and holds production's data."""
        try:
            left = self.space.delete_all(remaining)
        except ApiError as error:
            self.drill.fail(f"what the drill has made is not deleted: {error}; the next drill tries again")
            return
        if left:
            more = f" and {len(left) - _SHOWN} more" if len(left) > _SHOWN else ""
            self.drill.fail(
                f"what the drill has made is still there, in {self.task['scratch']} or of Velero: "
                f"{', '.join(left[:_SHOWN])}{more}; the next drill tries again"
            )


def _spoken(seconds: float) -> str:
    hours = seconds / 3600
    return f"{hours:.1f} h" if hours >= 1 else f"{seconds / 60:.0f} min"
