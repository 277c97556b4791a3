"""The claims and volumes of databases in a cluster in which neither CloudNativePG nor a controller of volumes runs.

As CloudNativePG does, each Cluster gets a claim, which goes with it. A claim of a Cluster that is gone would be adopted by the
next one of its name in place of its bootstrap: here that is an error. As Kubernetes does, claims are bound to the volume that
they name, and the volume of a claim that is gone is deleted, unless its reclaim policy is Retain.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from tests.engine.clusters import Cluster
from tests.engine.controllers import Object

CLUSTER, CLAIM, VOLUME = "Cluster.postgresql.cnpg.io", "PersistentVolumeClaim", "PersistentVolume"
OF = "cnpg.io/cluster"
_OWNER = "tests/owner"
"""Annotation of a claim: the UID of its Cluster. An owner reference would take it away in the same moment."""

Held = Literal["claims", "bindings"]


@dataclass(kw_only=True)
class Volumes:
    """They act in `cluster` whenever somebody calls `act`. What is in `held` stays undone: claims that would go, or be bound."""

    cluster: Cluster
    held: set[Held] = field(default_factory=set)

    def act(self) -> None:
        # The volumes first: a claim that is not there later is gone for good.
        volumes, clusters = self.cluster.objects(VOLUME), self.cluster.objects(CLUSTER)
        claims = self.cluster.objects(CLAIM)
        self._reclaim(volumes, {each["metadata"]["uid"] for each in claims})
        self._own(clusters, claims)
        if "bindings" not in self.held:
            self._bind(volumes, claims)

    def _own(self, clusters: list[Object], claims: list[Object]) -> None:
        alive = {each["metadata"]["uid"]: each for each in clusters}
        theirs = [each for each in claims if OF in (each["metadata"].get("labels") or {})]
        for claim in theirs:
            metadata = claim["metadata"]
            if metadata["annotations"][_OWNER] in alive:
                continue
            names = [each["metadata"]["name"] for each in clusters if each["metadata"]["namespace"] == metadata["namespace"]]
            assert metadata["labels"][OF] not in names, f"the new Cluster would adopt the old claim {metadata['name']}"
            if "claims" not in self.held:
                self._remove(CLAIM, claim)
        owners = {each["metadata"]["annotations"][_OWNER] for each in theirs}
        for uid, found in alive.items():
            if uid not in owners:
                self._make(found)

    def _make(self, owner: Object) -> None:
        name, namespace, uid = (owner["metadata"][key] for key in ("name", "namespace", "uid"))
        shared = {"accessModes": ["ReadWriteOnce"], "storageClassName": "gp3-encrypted", "volumeMode": "Filesystem"}
        volume, size = f"pvc-{uid}", {"storage": "1Gi"}
        claim = {
            "apiVersion": "v1",
            "kind": CLAIM,
            "metadata": {"name": f"{name}-1", "namespace": namespace, "labels": {OF: name}, "annotations": {_OWNER: uid}},
            "spec": {**shared, "resources": {"requests": size}, "volumeName": volume},
        }
        reference = {"apiVersion": "v1", "kind": CLAIM, "namespace": namespace, "name": f"{name}-1"}
        reference["uid"] = self.cluster.put(claim, manager="cnpg")["metadata"]["uid"]
        spec = {**shared, "capacity": size, "csi": {"driver": "ebs.csi.aws.com", "volumeHandle": volume}, "claimRef": reference}
        spec["persistentVolumeReclaimPolicy"] = "Delete"
        self.cluster.put({"apiVersion": "v1", "kind": VOLUME, "metadata": {"name": volume}, "spec": spec}, manager="ebs")

    def _reclaim(self, volumes: list[Object], claims: set[str]) -> None:
        for volume in volumes:
            held = volume["spec"].get("claimRef") or {}
            if not held.get("uid") or held["uid"] in claims:
                continue
            if volume["spec"]["persistentVolumeReclaimPolicy"] == "Delete":
                self._remove(VOLUME, volume)
            elif (volume.get("status") or {}).get("phase") != "Released":
                self.cluster.report(VOLUME, "", volume["metadata"]["name"], phase="Released")

    def _bind(self, volumes: list[Object], claims: list[Object]) -> None:
        named = {each["metadata"]["name"]: each for each in volumes}
        for claim in claims:
            volume, metadata = named.get(claim["spec"].get("volumeName", "")), claim["metadata"]
            held = ((volume or {}).get("spec") or {}).get("claimRef") or {}
            if volume is None or (held.get("namespace"), held.get("name")) != (metadata["namespace"], metadata["name"]):
                continue
            if (claim.get("status") or {}).get("phase") == "Bound" or held.get("uid") not in (None, metadata["uid"]):
                continue
            self.cluster.amend(VOLUME, "", volume["metadata"]["name"], {"spec": {"claimRef": {"uid": metadata["uid"]}}})
            self.cluster.report(VOLUME, "", volume["metadata"]["name"], phase="Bound")
            self.cluster.report(CLAIM, metadata["namespace"], metadata["name"], phase="Bound")

    def _remove(self, kind: str, found: Object) -> None:
        metadata: dict[str, Any] = found["metadata"]
        if metadata.get("finalizers"):  # a real API server protects what is in use, and its controller of that does not run
            self.cluster.amend(kind, metadata.get("namespace", ""), metadata["name"], {"metadata": {"finalizers": None}})
        self.cluster.remove(kind, metadata.get("namespace", ""), metadata["name"])
