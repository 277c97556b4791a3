"""Stores the recorded cluster's objects, and implements writes to them."""

from __future__ import annotations

import base64
import copy
import json
import threading
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from lab.standins.recorded_cluster.kinds import BUILT_IN, Kind
from lab.standins.recorded_cluster.ownership import conflicts, disowned, without

Object = dict[str, Any]
Key = tuple[str, str, str, str]
"""Group, plural, namespace ("" for objects without one), name."""


class Refused(Exception):  # noqa: N818 - a normal answer of the API server
    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(message)
        self.status, self.reason = status, reason


@dataclass(kw_only=True)
class Clock:
    """The clock of all recorded clusters of this process, and how far it is ahead of the machine's."""

    ahead: timedelta = timedelta(0)

    def now(self) -> datetime:
        return datetime.now(UTC) + self.ahead


CLOCK = Clock()


def now() -> str:
    return CLOCK.now().strftime("%Y-%m-%dT%H:%M:%SZ")


def merge(old: Any, new: Any, *, delete_null: bool) -> Any:
    """Merge `new` into `old`, key by key in maps. With `delete_null`, null deletes a key, as in a merge patch."""
    if not isinstance(old, dict) or not isinstance(new, dict):
        return copy.deepcopy(new)
    answer = dict(old)
    for key, value in new.items():
        if value is None and delete_null:
            answer.pop(key, None)
        else:
            answer[key] = merge(answer.get(key), value, delete_null=delete_null)
    return answer


@dataclass(frozen=True, kw_only=True)
class Content:
    """All that a store holds, as a copy that no write changes."""

    kinds: dict[tuple[str, str], Kind]
    objects: dict[Key, Object]
    applied: dict[Key, dict[str, Object]]
    version: int


class Store:
    """All objects by key. Not safe for threads by itself: hold `lock` around operations that belong together."""

    def __init__(self, file: Path | None = None, *, installed: Sequence[Kind] = ()) -> None:
        self.lock = threading.RLock()
        self._file = file
        self._kinds = {(kind.api_version, kind.plural): kind for kind in BUILT_IN}
        self._objects: dict[Key, Object] = {}
        self._applied: dict[Key, dict[str, Object]] = {}
        self._version = 0
        if file and file.exists():
            self._load(json.loads(file.read_text()))
        else:
            for namespace in ("default", "kube-system"):
                body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}
                self.create(self.kind("v1", "namespaces"), "", body)
        self.install(installed)

    # Kinds

    def kind(self, api_version: str, plural: str) -> Kind:
        if found := self._kinds.get((api_version, plural)):
            return found
        raise Refused(404, "NotFound", "the server could not find the requested resource")

    def kinds(self) -> list[Kind]:
        return list(self._kinds.values())

    def install(self, kinds: Sequence[Kind]) -> None:
        self._kinds |= {(kind.api_version, kind.plural): kind for kind in kinds}
        self.save()

    def uninstall(self, kinds: Sequence[Kind]) -> None:
        """Stop serving kinds. Their objects stay, and are back once the kinds are installed again."""
        self._kinds = {key: kind for key, kind in self._kinds.items() if kind not in kinds}
        self.save()

    # Reading

    def get(self, kind: Kind, namespace: str, name: str) -> Object:
        if found := self._objects.get((kind.group, kind.plural, namespace, name)):
            return copy.deepcopy(found)
        raise Refused(404, "NotFound", f'{_resource(kind)} "{name}" not found')

    def config_map(self, namespace: str, name: str) -> Object | None:
        """The ConfigMap; None if there is none of that name."""
        return self._objects.get(("", "configmaps", namespace, name))

    def list(self, kind: Kind, namespace: str = "") -> list[Object]:
        return [
            copy.deepcopy(obj)
            for (group, plural, place, _), obj in self._objects.items()
            if (group, plural) == (kind.group, kind.plural) and namespace in ("", place)
        ]

    # Writing

    def create(self, kind: Kind, namespace: str, body: Object, *, dry_run: bool = False) -> Object:
        obj = copy.deepcopy(body)
        meta = obj.setdefault("metadata", {})
        if not meta.get("name") and meta.get("generateName"):
            meta["name"] = f"{meta['generateName']}{uuid.uuid4().hex[:5]}"
        key = (kind.group, kind.plural, namespace, meta["name"])
        if key in self._objects:
            raise Refused(409, "AlreadyExists", f'{_resource(kind)} "{meta["name"]}" already exists')
        if kind.namespaced and ("", "namespaces", "", namespace) not in self._objects:
            raise Refused(404, "NotFound", f'namespaces "{namespace}" not found')
        if kind.namespaced:
            meta["namespace"] = namespace
        meta |= {"uid": str(uuid.uuid4()), "creationTimestamp": now(), "generation": 1}
        obj.setdefault("apiVersion", kind.api_version)
        obj.setdefault("kind", kind.kind)
        return self._put(key, _served(obj), dry_run=dry_run)

    def replace(self, kind: Kind, namespace: str, name: str, obj: Object, *, dry_run: bool = False) -> Object:
        """Replace the whole object. A change of its spec increments the generation."""
        old = self.get(kind, namespace, name)
        kept = {field: old["metadata"][field] for field in ("uid", "creationTimestamp", "generation", "name")}
        new = copy.deepcopy(obj)
        new["metadata"] = {**(new.get("metadata") or {}), **kept}
        if kind.namespaced:
            new["metadata"]["namespace"] = namespace
        new = _served(new)
        if new.get("spec") != old.get("spec"):
            new["metadata"]["generation"] += 1
        return self._put((kind.group, kind.plural, namespace, name), new, dry_run=dry_run)

    def patch(self, kind: Kind, namespace: str, name: str, patch: Object, *, dry_run: bool = False) -> Object:
        merged = merge(self.get(kind, namespace, name), patch, delete_null=True)
        return self.replace(kind, namespace, name, merged, dry_run=dry_run)

    def apply(
        self, kind: Kind, namespace: str, name: str, body: Object, manager: str, *, force: bool = False, dry_run: bool = False
    ) -> Object:
        """Server-side apply. Fields that the manager applied before and now leaves out are removed.

        Without `force`, a change of a field that another manager applied is a conflict.
        """
        key = (kind.group, kind.plural, namespace, name)
        applied = self._applied.get(key, {})
        others = {other: theirs for other, theirs in applied.items() if other != manager}
        if key in self._objects:
            live = self.get(kind, namespace, name)
            if not force and (found := conflicts(body, live, others)):
                raise Refused(409, "Conflict", f"Apply failed with {len(found)} conflict(s): {'; '.join(found)}")
            old = without(live, applied.get(manager), body)
            answer = self.replace(kind, namespace, name, merge(old, body, delete_null=False), dry_run=dry_run)
            others = {other: disowned(theirs, body, live) for other, theirs in others.items()}
        else:
            answer = self.create(kind, namespace, body, dry_run=dry_run)
        if not dry_run:
            self._applied[key] = {**others, manager: copy.deepcopy(body)}
        return answer

    def note_created(self, kind: Kind, obj: Object, manager: str) -> None:
        """Record that `manager` created the object: its later applies remove the fields that they leave out."""
        meta = obj["metadata"]
        key = (kind.group, kind.plural, meta.get("namespace", ""), meta["name"])
        self._applied.setdefault(key, {})[manager] = copy.deepcopy(obj)

    def set_status(self, kind: Kind, obj: Object, status: Object) -> None:
        """Set the status of an object, as a controller does."""
        meta = obj["metadata"]
        self.patch(kind, meta.get("namespace", ""), meta["name"], {"status": status})

    def delete(self, kind: Kind, namespace: str, name: str, *, dry_run: bool = False) -> Object:
        """Delete the object at once: a namespace with its objects, a Job with its pods."""
        obj = self.get(kind, namespace, name)
        if dry_run:
            return obj
        for key in list(self._objects):
            belongs = kind.plural == "namespaces" and key[2] == name
            owned = any(owner["uid"] == obj["metadata"]["uid"] for owner in self._owners(key))
            if belongs or owned or key == (kind.group, kind.plural, namespace, name):
                self._objects.pop(key, None)
                self._applied.pop(key, None)
        self.save()
        return obj

    def _owners(self, key: Key) -> Iterator[Mapping[str, str]]:
        yield from self._objects[key]["metadata"].get("ownerReferences") or []

    def _put(self, key: Key, obj: Object, *, dry_run: bool) -> Object:
        if dry_run:
            return obj
        old = self._objects.get(key)
        if old is None or _content(old) != _content(obj):
            self._version += 1
            obj["metadata"]["resourceVersion"] = str(self._version)
            self._objects[key] = obj
            self.save()
        return copy.deepcopy(self._objects[key])

    # All of it

    def content(self) -> Content:
        return Content(
            kinds=dict(self._kinds),
            objects=copy.deepcopy(self._objects),
            applied=copy.deepcopy(self._applied),
            version=self._version,
        )

    def put_back(self, content: Content) -> None:
        """Hold again what the store held when `content` was copied. The same copy can be put back again."""
        self._kinds, self._version = dict(content.kinds), content.version
        self._objects, self._applied = copy.deepcopy(content.objects), copy.deepcopy(content.applied)
        self.save()

    # The file

    def save(self) -> None:
        if self._file is None:
            return
        content = {
            "version": self._version,
            "kinds": [asdict(kind) for kind in self._kinds.values() if kind not in BUILT_IN],
            "objects": [{"key": key, "object": obj, "applied": self._applied.get(key, {})} for key, obj in self._objects.items()],
        }
        part = self._file.with_suffix(".part")
        part.write_text(json.dumps(content, indent=1))
        part.replace(self._file)

    def _load(self, content: Mapping[str, Any]) -> None:
        self._version = content["version"]
        for entry in content["objects"]:
            group, plural, namespace, name = entry["key"]
            self._objects[group, plural, namespace, name] = entry["object"]
            self._applied[group, plural, namespace, name] = entry["applied"]
        self.install([Kind(**kind) for kind in content["kinds"]])


def _resource(kind: Kind) -> str:
    return f"{kind.plural}.{kind.group}" if kind.group else kind.plural


def _content(obj: Object) -> Object:
    return {**obj, "metadata": {key: value for key, value in obj["metadata"].items() if key != "resourceVersion"}}


def _served(obj: Object) -> Object:
    """Normalize a written object like every API server: encode a Secret's texts, and drop a status that is null."""
    if obj.get("kind") == "Secret" and obj.get("stringData"):
        encoded = {key: base64.b64encode(str(text).encode()).decode() for key, text in obj.pop("stringData").items()}
        obj["data"] = {**(obj.get("data") or {}), **encoded}
    if obj.get("status", ...) is None:
        del obj["status"]
    return obj
