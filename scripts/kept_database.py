"""Which kept volume of a database is meant, which running database it is compared with, and the Pod that compares them."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any, Protocol

from components.kube.kept import KEPT_CLAIM, KEPT_OF, NotKeptError, mark_of
from components.kube.pods import CONTAINER_SECURITY, pod_metadata, pod_security

_SCRIPT = Path(__file__).parent / "only-kept.sh"
_USER = 26
"""User of PostgreSQL in CloudNativePG's images, and owner of its files."""

_DATA, _WAL, _SCRATCH = "/var/lib/postgresql/data", "/var/lib/postgresql/wal", "/scratch"
"""Where CloudNativePG mounts both volumes: the data directory leads to its WAL by this path."""


class ComparisonError(Exception):
    """Why there is no comparison, in one line."""


class Api(Protocol):
    """What the script asks of the API server. Each method raises ComparisonError if it does not answer, or refuses."""

    def read(self, path: str) -> dict[str, Any] | None:
        """The object or list at a path; None where there is none."""

    def create(self, path: str, body: dict[str, Any]) -> dict[str, Any] | None:
        """Create an object below a path."""

    def delete(self, path: str, uid: str) -> None:
        """Delete the object at a path, if it has this UID."""

    def log(self, path: str) -> str:
        """The log of the Pod at a path."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What is compared with what: `claim` and `wal_claim` of the kept volumes, and the running database behind `host`."""

    namespace: str
    claim: str
    wal_claim: str | None
    image: str
    database: str
    secret: str
    host: str
    placed: dict[str, Any] = field(default_factory=dict)
    """The pull secrets, nodes and tolerations of the running database, as a Pod's spec has them."""

    @property
    def pod(self) -> str:
        """The Pod's name: of each kept volume there is one at a time, because two servers on one volume would destroy it."""
        return f"only-kept-{sha256(self.claim.encode()).hexdigest()[:8]}"

    @property
    def pods(self) -> str:
        return f"/api/v1/namespaces/{self.namespace}/pods"


def plan(api: Api, options: argparse.Namespace) -> Plan:
    """What the options mean in this cluster. Raises ComparisonError."""
    name, namespace = options.cluster, options.namespace
    cluster = api.read(f"/apis/postgresql.cnpg.io/v1/namespaces/{namespace}/clusters/{name}")
    if cluster is None:
        raise ComparisonError(f"namespace {namespace} has no Cluster {name} to compare with; look at --cluster and --namespace")
    begun: dict[str, Any] = next(iter((cluster["spec"].get("bootstrap") or {}).values()), {})
    image = options.image or (cluster.get("status") or {}).get("image") or cluster["spec"].get("imageName")
    if not image:
        raise ComparisonError(f"Cluster {name} does not say its image; give one with --image")
    claim, wal_claim = claims(api, options)
    return Plan(
        namespace=namespace,
        claim=claim,
        wal_claim=options.wal_claim or wal_claim,
        image=image,
        database=options.database or begun.get("database") or "app",
        secret=options.secret or (begun.get("secret") or {}).get("name") or f"{name}-app",
        host=options.against or f"{name}-rw",
        placed=_placed(cluster["spec"]),
    )


def _placed(spec: dict[str, Any]) -> dict[str, Any]:
    """Where the instances of a Cluster run, and by which Secrets they are pulled: the comparison has the same image."""
    affinity = spec.get("affinity") or {}
    found = {
        "imagePullSecrets": spec.get("imagePullSecrets"),
        **{key: affinity.get(key) for key in ("nodeSelector", "tolerations")},
    }
    return {key: value for key, value in found.items() if value}


def claims(api: Api, options: argparse.Namespace) -> tuple[str, str | None]:
    """The kept claims of the old primary's data and of its WAL, if that is on a volume of its own. Raises ComparisonError."""
    kept = list(_kept(api, options.namespace))
    if options.claim:
        if api.read(f"/api/v1/namespaces/{options.namespace}/persistentvolumeclaims/{options.claim}") is None:
            raise ComparisonError(f"namespace {options.namespace} has no claim {options.claim}; look at --claim")
        data = next((each for each in kept if each.name == options.claim), None)
    else:
        ours = re.compile(re.escape(options.of) if options.of else rf"{re.escape(options.cluster)}-(primary|secondary)-g\d+")
        data = _primary([each for each in kept if ours.fullmatch(each.of)], options)
    if data is None:
        return options.claim, None
    return data.name, next((each.name for each in kept if each.is_wal_of(data)), None)


@dataclass(frozen=True, kw_only=True)
class _Claim:
    """A kept claim: what it is kept of, and the name and the labels of the claim that it was."""

    name: str
    of: str
    old: str
    labels: dict[str, str]

    @property
    def is_data(self) -> bool:
        return self.labels.get("cnpg.io/pvcRole", "PG_DATA") == "PG_DATA" and not self.old.endswith("-wal")

    @property
    def was_primary(self) -> bool:
        return "primary" in (self.labels.get("cnpg.io/instanceRole"), self.labels.get("role"))

    def is_wal_of(self, data: _Claim) -> bool:
        return (self.of, self.old) == (data.of, f"{data.old}-wal")


def _kept(api: Api, namespace: str) -> Iterator[_Claim]:
    listed = api.read(f"/api/v1/namespaces/{namespace}/persistentvolumeclaims?labelSelector={KEPT_OF}") or {}
    for each in listed.get("items") or ():
        metadata = each["metadata"]
        volume = api.read(f"/api/v1/persistentvolumes/{each['spec'].get('volumeName', '')}")
        try:
            mark = mark_of(volume) if volume else None
        except NotKeptError as error:
            raise ComparisonError(str(error)) from None
        old = (metadata.get("annotations") or {}).get(KEPT_CLAIM, "")
        of = mark.of if mark else metadata["labels"][KEPT_OF]
        yield _Claim(name=metadata["name"], of=of, old=old, labels=mark.labels if mark else {})


def _primary(found: Sequence[_Claim], options: argparse.Namespace) -> _Claim:
    """The claim of the data of whichever instance was the primary."""
    where = f"of Cluster {options.cluster} in namespace {options.namespace}"
    if not found:
        raise ComparisonError(
            f"no kept claims {where} are there (kubectl get pvc -n {options.namespace} -l {KEPT_OF}); look at --namespace, --of"
        )
    kept_of = sorted({each.of for each in found})
    if len(kept_of) > 1:
        raise ComparisonError(f"volumes of several archives {where} are kept; name one with --of: {', '.join(kept_of)}")
    data = [each for each in found if each.is_data]
    chosen = data if len(data) == 1 else [each for each in data if each.was_primary]
    if len(chosen) != 1:
        names = ", ".join(sorted(each.name for each in data)) or "none of data"
        raise ComparisonError(f"which of the kept claims {where} was the primary's is not known; name it with --claim: {names}")
    return chosen[0]


def pod(planned: Plan, *, limit: int, seconds: int) -> dict[str, Any]:
    """The Pod that compares. It has no token, and reaches nothing but the running database."""
    environment = {
        "PGHOST": planned.host,
        "PGDATABASE": planned.database,
        "KEPT": f"{_DATA}/pgdata",
        "SCRATCH": _SCRATCH,
        "LIMIT": str(limit),
        "SECONDS_TO_TRY": str(seconds),
    }
    login = {"PGUSER": "username", "PGPASSWORD": "password"}
    volumes = {"data": (planned.claim, _DATA), **({"wal": (planned.wal_claim, _WAL)} if planned.wal_claim else {})}
    container = {
        "name": "compare",
        "image": planned.image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["/bin/sh", "-c", _SCRIPT.read_text()],
        "env": [
            *({"name": name, "value": value} for name, value in environment.items()),
            *({"name": name, "valueFrom": {"secretKeyRef": {"name": planned.secret, "key": key}}} for name, key in login.items()),
        ],
        "resources": {"requests": {"cpu": "100m", "memory": "256Mi"}, "limits": {"cpu": "2", "memory": "1Gi"}},
        "securityContext": {**CONTAINER_SECURITY, "readOnlyRootFilesystem": True},
        "volumeMounts": [
            {"name": "scratch", "mountPath": _SCRATCH},
            *({"name": name, "mountPath": path} for name, (_, path) in volumes.items()),
        ],
    }
    # The owner of the files stays who it is: a change of every file would take long on a large volume.
    owner = {"runAsGroup": _USER, "fsGroup": _USER, "fsGroupChangePolicy": "OnRootMismatch"}
    return {
        "metadata": {"name": planned.pod, "namespace": planned.namespace, **pod_metadata()},
        "spec": {
            **planned.placed,
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "restartPolicy": "Never",
            "securityContext": {**pod_security(_USER), **owner},
            "containers": [container],
            "volumes": [
                {"name": "scratch", "emptyDir": {}},
                *({"name": name, "persistentVolumeClaim": {"claimName": claim}} for name, (claim, _) in volumes.items()),
            ],
        },
    }
