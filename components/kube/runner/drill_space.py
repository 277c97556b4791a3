"""Where a drill works: what stands in its way there, and how nothing of it is left.

Whatever a drill makes is in a namespace that holds nothing else. The volumes of that namespace's claims go with it, also those
of a class that keeps them: a copy of production's data must not stay on a disk that nobody knows.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from .api import Api, ApiError, Object
from .drill_end import undisturbed
from .drill_record import RUN_LABEL, moment, now_in_utc
from .failure import StepFailedError
from .trouble import waiting, when

CLEANING_SECONDS = 300.0
"""How long what a drill has made may take to go. A Job must last so much longer than its drill."""

_PAUSE_SECONDS = 2.0
_VOLUMES = "/api/v1/persistentvolumes"
_LENGTH, _SHOWN = 300, 3
_CLOCKS = timedelta(minutes=1)
"""How far the clocks of the nodes may differ."""

PROVISIONED_BY = "pv.kubernetes.io/provisioned-by"
"""The annotation of a volume that was made for its claim, with the name of what has made it."""

_SPARE_DISKS = "local-volume-provisioner"
"""How the static provisioner of local disks is called. What it offers waits for any claim, and it empties it afterwards."""


@dataclass(frozen=True, kw_only=True)
class Space:
    """One namespace of drills."""

    api: Api
    namespace: str
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    now: Callable[[], datetime] = now_in_utc
    began: datetime = field(init=False)
    """When this run began."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "began", self.now() - _CLOCKS)

    def path(self, plural: str, group: str = "", version: str = "v1") -> str:
        """The list of a kind in this namespace."""
        return f"{f'/apis/{group}' if group else '/api'}/{version}/namespaces/{self.namespace}/{plural}"

    def make(self, path: str, body: Object) -> None:
        """Create an object that carries the label of its run. One of its name that is there is this very call's, whose answer was
        lost, or it is another run's."""
        try:
            self.api.create(path, body)
        except ApiError as error:
            if error.status != 409:
                raise
            name = body["metadata"]["name"]
            labels = ((self.api.find(f"{path}/{name}") or {}).get("metadata") or {}).get("labels") or {}
            if labels.get(RUN_LABEL) != body["metadata"]["labels"][RUN_LABEL]:
                whose = labels.get(RUN_LABEL) or "nobody knows which"
                raise StepFailedError(f"{_short(f'{path}/{name}')} is there already, of another run ({whose})") from None

    def wait(self, ended: Callable[[], bool], seconds: float) -> bool:
        """Whether it ended within so many seconds."""
        end = self.clock() + seconds
        while not ended():
            if self.clock() >= end:
                return False
            self.sleep(_PAUSE_SECONDS)
        return True

    def ask_for_room(self, classes: Collection[str] = ()) -> None:
        """Raises StepFailedError if a volume waits for any claim, of these StorageClasses where they are known. One that somebody
        has made for the night of a failover would be bound to a claim of the drill, and never again to the one that it is for."""
        found = sorted(
            each["metadata"]["name"]
            for each in self.api.list(_VOLUMES)
            if not each["spec"].get("claimRef")
            and (not classes or each["spec"].get("storageClassName") in classes)
            and (each.get("status") or {}).get("phase") in (None, "Pending", "Available")
            and not _provisioner(each).startswith(_SPARE_DISKS)
        )
        if found:
            more = f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
            raise StepFailedError(
                f"nothing was made: volume {', '.join(found[:_SHOWN])}{more} waits for any claim, and one of the drill's could "
                "take it for good; set claimRef (namespace and name) there, to the claim that it is for: docs/volumes.md"
            )

    def free_ephemeral(self) -> None:
        """Delete claims of generic ephemeral volumes that a restore has brought: a Pod never starts beside one of its name that
        it does not own. A failover does the same (components/velero/claims.py)."""
        theirs = {
            f"{pod['metadata']['name']}-{volume['name']}"
            for pod in self.api.list(self.path("pods"))
            for volume in (pod.get("spec") or {}).get("volumes") or ()
            if "ephemeral" in volume
        }
        for claim in self.api.list(self.path("persistentvolumeclaims"), names_only=True) if theirs else ():
            if claim["metadata"]["name"] in theirs and not claim["metadata"].get("ownerReferences"):
                self.api.delete(f"{self.path('persistentvolumeclaims')}/{claim['metadata']['name']}")

    def release_volumes(self) -> None:
        """Have the volumes that were made for this namespace's claims, and no others, deleted with the claims."""
        claims = {
            each["metadata"]["name"]: str(each["metadata"].get("creationTimestamp") or "")
            for each in self.api.list(self.path("persistentvolumeclaims"), names_only=True)
        }
        for volume in self._volumes():
            if volume["spec"].get("persistentVolumeReclaimPolicy") != "Delete" and self._is_own(volume, claims):
                version = {"resourceVersion": volume["metadata"]["resourceVersion"]}
                patch = {"metadata": version, "spec": {"persistentVolumeReclaimPolicy": "Delete"}}
                try:
                    self.api.patch(f"{_VOLUMES}/{volume['metadata']['name']}", patch)
                except ApiError as error:
                    if error.status not in (404, 409):  # it is gone, or it has changed and is seen again in a moment
                        raise

    def delete_all(self, remaining: Callable[[], Sequence[str]], seconds: float = CLEANING_SECONDS) -> list[str]:
        """Delete what `remaining` lists, by its path, until nothing is left of it or of the volumes here. Returns what is still
        there after so many seconds."""
        left: list[str] = []

        def empty() -> bool:
            self.release_volumes()
            paths = list(remaining())
            for path in paths:
                self.api.delete(path)
            left[:] = [*map(_short, paths), *(f"volume {each['metadata']['name']}" for each in self._volumes())]
            return not left

        with undisturbed():
            self.wait(empty, seconds)
        return left

    def _is_own(self, volume: Object, claims: Mapping[str, str]) -> bool:
        """Whether it was made for a claim of a drill: after this run began or, for what another run has left, after its claim.
        One that was there before is somebody's."""
        if not _provisioner(volume) or not (made := volume["metadata"].get("creationTimestamp")):
            return False
        claim = claims.get(str(volume["spec"]["claimRef"].get("name")))
        return moment(made) >= self.began or bool(claim and moment(made) >= moment(claim))

    def _volumes(self) -> list[Object]:
        found = self.api.list(_VOLUMES)
        return [each for each in found if (each["spec"].get("claimRef") or {}).get("namespace") == self.namespace]

    def troubles(self) -> str:
        """Why nothing goes on here: Pods without a node, claims without a volume, what a quota refuses. Empty if nothing says."""
        try:
            found = list(dict.fromkeys(self._troubles()))
        except ApiError as error:
            return f"why could not be read: {error}"
        return "; ".join(each if len(each) <= _LENGTH else f"{each[:_LENGTH]}…" for each in found[:_SHOWN])

    def _troubles(self) -> Iterator[str]:
        for pod in self.api.list(self.path("pods")):
            for condition in (pod.get("status") or {}).get("conditions") or ():
                if condition.get("type") == "PodScheduled" and condition.get("status") == "False":
                    said = " ".join(str(condition.get("message") or condition.get("reason") or "no reason").split())
                    yield f"Pod {pod['metadata']['name']} has no node: {said}"
            yield from waiting(pod)
        for claim in self.api.list(self.path("persistentvolumeclaims")):
            if (claim.get("status") or {}).get("phase") == "Pending":
                name = claim["metadata"]["name"]
                # CloudNativePG calls a Pod as its claim.
                said = self._last_warning(
                    lambda about, name=name: (about.get("kind"), about.get("name")) == ("PersistentVolumeClaim", name)  # type: ignore[misc]
                )
                yield f"claim {name} has no volume: {said or 'no event says why'}"
        if said := self._last_warning(lambda about: about.get("kind") not in ("Pod", "PersistentVolumeClaim")):
            yield said

    def _last_warning(self, concerns: Callable[[Object], bool]) -> str:
        events = [each for each in self.api.list(self.path("events"), fields="type=Warning") if concerns(each["involvedObject"])]
        if not events:
            return ""
        newest = max(events, key=when)
        about, said = newest["involvedObject"], " ".join(str(newest.get("message", "")).split())
        return f"{about.get('kind')} {about.get('name')}: {newest.get('reason', '')}: {said}"


def _provisioner(volume: Object) -> str:
    return str((volume["metadata"].get("annotations") or {}).get(PROVISIONED_BY) or "")


def _short(path: str) -> str:
    """As in deployments/web."""
    return "/".join(path.split("/")[-2:])
