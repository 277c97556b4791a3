"""The step `drill_database`: recovers each database from the archive in this region's bucket, asks it, and deletes it.

The steps of the drill `integrity` have fetched what the archive holds, so a base backup or WAL that is missing is known before
anything is made. Then one throw-away Cluster after the other recovers, from the archive of the side that serves. It archives
nothing, follows nobody, and reads the archive under an account of its own. A Job asks it with psql, as the database's owner. What
a killed run has left is deleted first; at the end nothing is left, whatever happened.

The task is that of `drill_ask`, and: `cluster`, the name of the throw-away Cluster, of its account and its ObjectStore;
`space`, its namespace; `back`, how many seconds before now the recovery ends, or null for all that is archived; `lost`, phases
that do not pass; `patience`, for how many seconds a Pod may have no node; `seconds`, for each database. Each of `databases` has
beside it `cluster`, the Cluster's spec; `job`, the spec of the Job that asks; and `checks`, each with `sql`, and `expect` or
`within`.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

from .api import Api, ApiError, Object
from .drill_alone import refuse_beside_another
from .drill_archive import Archived, judge_archive
from .drill_checks import Told, answers, statements
from .drill_choice import Choice
from .drill_fetch import Fetched
from .drill_log import last_words
from .drill_record import ASKED, DIRECTORY, LABEL, Drill, now_in_utc, run_drill, text
from .drill_space import Space
from .failure import StepFailedError
from .mark import SEGMENT_KEY, is_segment, position_of

CHECKS = "checks"
"""How the name of the Job ends that asks, after the Cluster's, and the name of its container."""

_FAILED_TRIES = 2
"""Pods that may fail before the drill does: S3 may have failed the first."""

_RECOVERY = "full-recovery"
_SIDECAR = "plugin-barman-cloud"
_LINES = 200
_NO_ARCHIVE = {"cnpg.io/skipWalArchiving": "enabled"}
"""With `archive_mode` on, PostgreSQL goes on in the next segment each time it is shut down, and CloudNativePG does so twice after
a recovery: two segments that cannot be read would look as if the recovery had come past them."""


def run(task: Mapping[str, Any]) -> str:
    """Do the drill. It leaves its record, and fails nothing: the record says how it went."""
    return run_drill(task, partial(_drill, Api.in_cluster(), task, DIRECTORY))


def _drill(api: Api, task: Mapping[str, Any], directory: Path, drill: Drill) -> None:
    DatabaseDrill(api=api, task=task, directory=directory, drill=drill).run()


@dataclass(kw_only=True)
class DatabaseDrill:
    """One run, of all databases one after the other."""

    api: Api
    task: Mapping[str, Any]
    directory: Path
    drill: Drill
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    now: Callable[[], datetime] = now_in_utc
    space: Space = field(init=False)

    def __post_init__(self) -> None:
        self.space = Space(api=self.api, namespace=self.task["space"], clock=self.clock, sleep=self.sleep, now=self.now)

    @property
    def _name(self) -> str:
        return str(self.task["cluster"])

    @property
    def _cluster(self) -> str:
        return f"{self.space.path('clusters', 'postgresql.cnpg.io')}/{self._name}"

    @property
    def _job(self) -> str:
        return f"{self.space.path('jobs', 'batch')}/{self._name}-{CHECKS}"

    def run(self) -> None:
        refuse_beside_another(self.api, self.drill.kind)
        if left := self._remaining():
            self.drill.note(f"an earlier drill has left {len(left)} objects, which were deleted first")
            if not self._clean():
                return
        found = json.loads((self.directory / ASKED).read_text())
        if "error" in found:
            raise StepFailedError(found["error"])
        self.drill.versions["kubernetes"] = found["kubernetes"]
        choice, fetched = Choice(task=self.task, side=found["side"]), Fetched(directory=self.directory)
        if choice.side is None:
            self.drill.skip("this region stands by, and the other one is not known to be deployed (k8s-dr:peerReady)")
            return
        for settings, archived in zip(self.task["databases"], choice.archives, strict=True):
            empty = False
            try:
                self._database(settings, archived, fetched)
            except (StepFailedError, ApiError) as failure:
                self.drill.fail(f"database {archived.database}: {failure}")
            finally:
                empty = self._clean()
            if not empty:
                return  # the next one would be refused, for its name is taken

    def _database(self, settings: Mapping[str, Any], archived: Archived, fetched: Fetched) -> None:
        """Recover one database and ask it. Raises StepFailedError with what is wrong with it."""
        now, used = self.now(), len(self.drill.used)
        judge_archive(self.drill, fetched, archived, now)
        if len(self.drill.used) == used:
            return  # without a base backup there is nothing to recover from, and the drill has failed with that
        back = self.task["back"]
        point = now - timedelta(seconds=back) if back is not None else now
        self.space.ask_for_room(_classes(settings["cluster"]))
        began = self.clock()
        end = began + self.task["seconds"]
        self._create(settings, archived, text(point) if back is not None else None)
        self._await_recovery(end)
        told = self._asked(settings, point, end)
        seconds = round(self.clock() - began)
        for failure in told.failures:
            self.drill.fail(f"database {archived.database}: {failure}")
        if back is None:
            self._judge_reach(archived, fetched, told.reached)
        self.drill.count("tables", told.tables)
        self.drill.count("answers", told.right)
        self.drill.count("databases")
        self.drill.rto_seconds = max(self.drill.rto_seconds or 0.0, seconds)
        target = self.task["targets"]["rto"]
        if target is not None and seconds > target:
            self.drill.fail(f"database {archived.database}: it was back after {seconds} s, and its RTO is {target:.0f} s")

    def _create(self, settings: Mapping[str, Any], archived: Archived, target: str | None) -> None:
        spec = json.loads(json.dumps(settings["cluster"]))
        [source] = spec["externalClusters"]
        source["plugin"]["parameters"]["serverName"] = archived.server
        spec["inheritedMetadata"]["labels"] |= self.drill.labels
        if target:
            spec["bootstrap"]["recovery"]["recoveryTarget"] = {"targetTime": target}
        body = {
            "apiVersion": "postgresql.cnpg.io/v1",
            "kind": "Cluster",
            "metadata": {
                "name": self._name,
                "namespace": self.task["space"],
                "labels": spec["inheritedMetadata"]["labels"],
                "annotations": _NO_ARCHIVE,
            },
            "spec": spec,
        }
        self.space.make(self._cluster.rpartition("/")[0], body)

    # The recovery

    def _await_recovery(self, end: float) -> None:
        """Return once an instance serves. Raises StepFailedError with the reason if that will not be."""
        waits_since: float | None = None
        while True:
            status = (self.api.find(self._cluster) or {}).get("status") or {}
            if int(status.get("readyInstances") or 0) >= 1:
                return
            if status.get("phase") in self.task["lost"]:
                why = status.get("phaseReason") or "the operator gives no reason"
                raise StepFailedError(f"the throw-away Cluster is lost: {status['phase']}: {why}")
            pods = self._pods()
            failed = [each for each in pods if (each.get("status") or {}).get("phase") == "Failed"]
            if len(failed) >= _FAILED_TRIES:
                raise StepFailedError(f"the recovery fails: {self._why(failed)}")
            if not self._waits(pods):
                waits_since = None
            elif waits_since is None:
                waits_since = self.clock()
            elif self.clock() - waits_since > self.task["patience"]:
                raise StepFailedError(f"there is no room for it: {self.space.troubles() or 'nothing says why'}")
            if self.clock() >= end:
                raise StepFailedError(
                    f"it is not recovered within {self.task['seconds']} s: {status.get('phase') or 'the operator does not act'}; "
                    f"{self.space.troubles() or self._why(pods) or 'nothing says why'}"
                )
            self.sleep(5.0)

    def _pods(self) -> list[Object]:
        return self.api.list(self.space.path("pods"), f"cnpg.io/cluster={self._name}")

    def _waits(self, pods: list[Object]) -> bool:
        """Whether nothing runs: no Pod is made, as where a quota refuses it, or one has no node."""
        return not any((each.get("status") or {}).get("phase") in ("Running", "Succeeded", "Failed") for each in pods)

    def _why(self, pods: list[Object]) -> str:
        """What the containers of the newest Pod wrote last, as far as it says why."""
        if not pods:
            return ""
        newest = max(pods, key=lambda each: str(each["metadata"].get("creationTimestamp", "")))
        role = (newest["metadata"].get("labels") or {}).get("cnpg.io/jobRole")
        said = []
        for container in (_RECOVERY if role else "postgres", _SIDECAR):
            try:
                said.append(self.api.log(self.task["space"], newest["metadata"]["name"], container, lines=_LINES))
            except ApiError as error:
                said.append("" if error.status in (400, 404) else f"its log could not be read: {error}")
        return last_words("\n".join(said))

    # What it answers

    def _asked(self, settings: Mapping[str, Any], point: datetime, end: float) -> Told:
        """The answers of the recovered database. Raises StepFailedError if it cannot be asked."""
        asked = statements(settings["checks"], point)
        spec = json.loads(json.dumps(settings["job"]))
        spec["template"]["metadata"]["labels"] |= self.drill.labels
        [container] = spec["template"]["spec"]["containers"]
        container["env"] += [{"name": f"SQL_{place}", "value": sql} for place, sql in enumerate(asked)]
        container["env"].append({"name": "COUNT", "value": str(len(asked))})
        path, _, name = self._job.rpartition("/")
        labels = {**spec["template"]["metadata"]["labels"]}
        metadata = {"name": name, "namespace": self.task["space"], "labels": labels}
        self.space.make(path, {"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": spec})
        told: list[str] = []

        def ended() -> bool:
            for pod in self.api.list(self.space.path("pods"), f"batch.kubernetes.io/job-name={name}"):
                for each in (pod.get("status") or {}).get("containerStatuses") or ():
                    if each["name"] == CHECKS and (stopped := (each.get("state") or {}).get("terminated")):
                        told[:] = [str(stopped.get("message") or "")]
            return bool(told)

        if not self.space.wait(ended, max(end - self.clock(), 60.0)):
            raise StepFailedError(
                f"it is recovered, and the Job that asks it has not ended: {self.space.troubles() or 'nothing says why'}"
            )
        return answers(told[0], settings["checks"])

    def _judge_reach(self, archived: Archived, fetched: Fetched, reached: str | None) -> None:
        """Whether the recovery has come to the end of what is archived. PostgreSQL takes WAL that cannot be read for the end, and
        says nothing. Of the last segment nobody can tell, for the recovered database goes on in it."""
        segments = (
            match[1] for each in fetched.objects(archived.bucket, archived.wals) if (match := SEGMENT_KEY.search(each.key))
        )
        last = max(segments, key=position_of, default=None)
        if reached is None or not is_segment(reached) or last is None or position_of(reached) >= position_of(last):
            return
        self.drill.fail(
            f"database {archived.database}: the recovery ended in WAL segment {reached}, and {last} is archived: a "
            "segment between them cannot be read"
        )

    # Nothing is left

    def _remaining(self) -> list[str]:
        """By path, what a drill of databases has made and is still there."""
        found = [path for path in (self._job, self._cluster) if self.api.find(path) is not None]
        # The Pods of its recovery have none of the Cluster's labels but its name; those of the Job have the drill's.
        for plural, selector in (
            ("pods", f"cnpg.io/cluster={self._name}"),
            ("pods", f"{LABEL}={self.drill.kind}"),
            ("persistentvolumeclaims", f"cnpg.io/cluster={self._name}"),
        ):
            path = self.space.path(plural)
            found += [f"{path}/{each['metadata']['name']}" for each in self.api.list(path, selector, names_only=True)]
        return list(dict.fromkeys(found))

    def sweep(self) -> int:
        """Delete what a killed run has left. Returns how many objects there were; what stays is a reason."""
        if left := self._remaining():
            self._clean()
        return len(left)

    def _clean(self) -> bool:
        """Delete all of it. Returns whether nothing is left; what stays is a reason."""
        try:
            left = self.space.delete_all(self._remaining)
        except ApiError as error:
            left = [str(error)]
        if left:
            self.drill.fail(
                f"what the drill has made is still in {self.task['space']}: {', '.join(left[:5])}; the next drill tries again"
            )
        return not left


def _classes(cluster: Mapping[str, Any]) -> list[str]:
    """The StorageClasses of a Cluster's volumes; none where one of them has the default class, whichever that is."""
    found = [cluster[key].get("storageClass") for key in ("storage", "walStorage") if cluster.get(key)]
    return found if all(found) else []
