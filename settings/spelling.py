"""Which known word a person may have meant."""

from __future__ import annotations

import difflib
from collections.abc import Collection

_OF_OTHER_TOOLS = {
    "ttl": "keep",
    "schedule": "cron",
    "cron": "schedule",
    "interval": "schedule",
    "resourceModifiers": "modifiers",
    "nodeSelector": "nodes",
    "qps": "clientQps",
    "topics": "alarms",
    "retention": "keepDays",
    "namespaces": "include",
    "includedNamespaces": "include",
    "excludedNamespaces": "exclude",
    "includedResources": "includeResources",
    "excludedResources": "excludeResources",
    "size": "storage",
    "version": "image",
    "imageName": "image",
    "enabled": "managed",
    "region": "topology",
}
"""How Velero, CloudNativePG, Helm charts and Pulumi's own provider call what a key of ours says."""


_IN_ANOTHER_OBJECT = {f"{part}.{word}": f"images.{part}" for part in ("velero", "etcd") for word in ("image", "version", "tag")}
"""As charts have it: what a part runs stands below the part."""


def in_another_object(path: str) -> str | None:
    """The path of the key that means what other tools have at `path`."""
    return _IN_ANOTHER_OBJECT.get(path)


def of_another_tool(word: str, known: Collection[str]) -> str | None:
    """The known key that means what another tool calls `word`."""
    ours = _OF_OTHER_TOOLS.get(word)
    return ours if ours in known else None


def closest(word: str, known: Collection[str], *, cutoff: float = 0.6) -> str | None:
    """The known word that is spelt alike; case, `-` and `_` do not count."""
    plain, letters = {_plain(key): key for key in known}, sorted(_plain(word))
    close = difflib.get_close_matches(_plain(word), list(plain), n=2, cutoff=cutoff)
    exchanged = [key for key in close if sorted(key) == letters]
    return plain[[*exchanged, *close][0]] if close else None


def all_of(keys: Collection[str]) -> str:
    return f"(known: {', '.join(sorted(keys))})"


def _plain(key: str) -> str:
    return key.lower().replace("-", "").replace("_", "")
