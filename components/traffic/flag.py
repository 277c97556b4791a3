"""What the traffic flag says: how it is written, what a health check looks for in it, how it is read, and what is refused.

The flag is one S3 object that the secondary region owns, and the most critical one of all: its content decides where users go.
Route 53 only searches it for a text, and the program parses it. This module keeps both of one mind, also about a flag that
somebody wrote by hand.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from settings.roles import ROLES, Role

SEARCHED = '"secondary"'
"""What Route 53 looks for. Not the key with it: a person may write a space after the colon, and users would stay where they are.
The value stands in a flag only if the secondary serves; `Flag` allows it nowhere else."""

LONGEST = 5120
"""Bytes of a body that Route 53 searches; what stands behind them it does not see."""

_HANDOVER = "handover"


class FlagInvalidError(Exception):
    """The flag's content is not a flag; the message says why, and ends where "write it anew" may follow."""


@dataclass(frozen=True, kw_only=True)
class Flag:
    """The region that serves; and, while the secondary still serves and a planned move back has begun, whom it hands over to.

    Raises ValueError for a handover that is none: only the secondary hands over by the flag, for the flag is its own.
    """

    active: Role
    handover: Role | None = None

    def __post_init__(self) -> None:
        if self.handover is not None and (self.active, self.handover) != ("secondary", "primary"):
            raise ValueError(f"a handover from {self.active} to {self.handover} is not told by the flag")

    def content(self) -> str:
        """The object's content. It names nothing that changes by itself: its age is the object's own Last-Modified."""
        told = {"active": self.active, **({_HANDOVER: self.handover} if self.handover else {})}
        return json.dumps(told, separators=(",", ":"))


def moves_users(content: str) -> bool:
    """Whether a health check finds what it searches, and users are sent to the secondary."""
    return SEARCHED.encode() in content.encode()[:LONGEST]


def parse(content: str) -> Flag:
    """What `content` says. Raises FlagInvalidError with the reason where that is not certain."""
    if len(content.encode()) > LONGEST:
        raise FlagInvalidError(f"is longer than the {LONGEST} bytes that Route 53 searches: {_shown(content)}")
    try:
        told = json.loads(content, object_pairs_hook=_each_key_once)
    except (ValueError, RecursionError) as error:
        raise FlagInvalidError(f"says {_shown(content)}, which is not JSON that can be read ({error})") from None
    if not isinstance(told, dict):
        raise FlagInvalidError(f"says {_shown(content)}, which is not a JSON object")
    if unknown := sorted(told.keys() - {"active", _HANDOVER}):
        raise FlagInvalidError(f"has an unknown field {unknown[0]!r}: {_shown(content)}")
    active, handover = (_role(told, field, content) for field in ("active", _HANDOVER))
    if active is None:
        raise FlagInvalidError(f'has no "active": {_shown(content)}')
    try:
        flag = Flag(active=active, handover=handover)
    except ValueError as error:
        raise FlagInvalidError(f"says {_shown(content)}, and {error}") from None
    if moves_users(content) != (active == "secondary"):
        # Written with escapes: the program would stop a primary that users are still sent to.
        raise FlagInvalidError(f"says {active} in a form that Route 53's health check does not recognise: {_shown(content)}")
    return flag


def _each_key_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    keys = [key for key, _ in pairs]
    if twice := next((key for key in keys if keys.count(key) > 1), None):
        raise ValueError(f"{twice!r} stands in it twice")
    return dict(pairs)


def _role(told: dict[str, Any], field: str, content: str) -> Role | None:
    value = told.get(field)
    if field in told and value not in ROLES:
        raise FlagInvalidError(f"has {field} {value!r}, which is neither primary nor secondary: {_shown(content)}")
    return value


def _shown(content: str) -> str:
    """Enough of a content to recognise it, in one line."""
    line = " ".join(content.split())
    return repr(line if len(line) <= 80 else f"{line[:77]}…")
