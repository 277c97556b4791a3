"""Whether two regions set the same passwords for the owners of their databases, without either telling them.

CloudNativePG sets the password of its own region's Secret as soon as a database takes writes. Applications that a restore brings
have the password of the region that they come from. With another one none of them can log in, and that shows on the night alone.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from components.kube.runner.password import fingerprint, is_of, refuse_others

_AT_A_TIME = 4
"""Each fingerprint takes 64 MiB, and about as long as a blink: with hundreds of databases that is worth several threads."""


@dataclass(frozen=True, kw_only=True)
class OwnerPasswords:
    """Fingerprints of a region's passwords: by the database's name, and one of all `together`.

    The one answers in the usual case, that all are the same, however many databases there are.
    """

    each: dict[str, str]
    together: str


def fingerprints(passwords: Mapping[str, str]) -> OwnerPasswords | None:
    """What a region writes of its passwords, which are by the database's name; None where it has no database."""
    if not passwords:
        return None
    with ThreadPoolExecutor(_AT_A_TIME) as threads:
        each = dict(zip(passwords, threads.map(fingerprint, passwords.values()), strict=True))
    return OwnerPasswords(each=each, together=fingerprint(_text(passwords)))


def owner_passwords_of(document: Any) -> OwnerPasswords | None:
    """Raises ValueError, KeyError, TypeError or AttributeError for what are no fingerprints. Whoever knew of none wrote None."""
    if document is None:
        return None
    found = OwnerPasswords(each={str(name): each for name, each in document["each"].items()}, together=document["together"])
    for each in (*found.each.values(), found.together):
        refuse_others(each)
    return found


def differing(own: Mapping[str, str], peers: OwnerPasswords | None) -> list[str]:
    """The databases, by name, whose password here is not the peer's. One that only one region has is not compared."""
    both = {name: own[name] for name in sorted(peers.each) if name in own} if peers else {}
    if peers is None or not both or (both.keys() == peers.each.keys() and is_of(_text(both), peers.together)):
        return []
    with ThreadPoolExecutor(_AT_A_TIME) as threads:
        same = threads.map(lambda name: is_of(both[name], peers.each[name]), both)
        return [name for name, alike in zip(both, same, strict=True) if not alike]


def _text(passwords: Mapping[str, str]) -> str:
    return json.dumps(sorted(passwords.items()))
