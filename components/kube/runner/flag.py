"""The content of the traffic flag: how it is written, what a health check looks for in it, how it is read, and what is refused.

The flag is one S3 object that the secondary region owns. It is the most critical object of all: its content decides where users
go. Route 53 only searches it for a text, while the program parses it. This module makes both come to the same answer, even for a
flag that somebody wrote by hand. The guard parses it in a Pod, so it is a module of the runner.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, get_args

Role = Literal["primary", "secondary"]
ROLES: tuple[Role, ...] = get_args(Role)

SEARCHED = '"secondary"'
"""The text that Route 53 searches for. It is the value without its key: a person may write a space after the colon, and users
would then stay where they are. A flag has this value only if the secondary serves; `Flag` allows it nowhere else."""

LONGEST = 5120
"""Bytes of a body that Route 53 searches. It does not see what comes after them."""

_HANDOVER = "handover"


class FlagInvalidError(Exception):
    """The content is not a valid flag. The message says why, without its subject, as in "is not a JSON object"."""


@dataclass(frozen=True, kw_only=True)
class Flag:
    """The region that serves. `handover` is the region that takes its place, once a planned move back has begun. `written` is
    when S3 was given the flag, where that is known; it is no part of what the flag says.

    Raises ValueError for an impossible handover: only the secondary can hand over by the flag, because it owns the flag.
    """

    active: Role
    handover: Role | None = None
    written: datetime | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        if self.handover is not None and (self.active, self.handover) != ("secondary", "primary"):
            raise ValueError(f"the flag cannot tell a handover from {self.active} to {self.handover}")

    def content(self) -> str:
        """The object's content. It holds no time, so it changes only with the flag: its age is the object's Last-Modified."""
        fields = {"active": self.active, **({_HANDOVER: self.handover} if self.handover else {})}
        return json.dumps(fields, separators=(",", ":"))


def moves_users(body: str | bytes) -> bool:
    """Whether a health check finds in the object what it searches for, and Route 53 sends users to the secondary."""
    return SEARCHED.encode() in _bytes(body)[:LONGEST]


def parse(body: str | bytes) -> Flag:
    """The flag that the object's body holds. Raises FlagInvalidError, with the reason, if that is not certain."""
    raw = _bytes(body)
    content = raw.decode(errors="replace")
    if len(raw) > LONGEST:
        raise FlagInvalidError(f"is longer than the {LONGEST} bytes that Route 53 searches: {_shown(content)}")
    try:
        fields = json.loads(raw.decode(), object_pairs_hook=_each_key_once)
    except (ValueError, RecursionError) as error:
        raise FlagInvalidError(f"says {_shown(content)}, which is not JSON that can be read ({error})") from None
    if not isinstance(fields, dict):
        raise FlagInvalidError(f"says {_shown(content)}, which is not a JSON object")
    if unknown := sorted(fields.keys() - {"active", _HANDOVER}):
        raise FlagInvalidError(f"has an unknown field {unknown[0]!r}: {_shown(content)}")
    active, handover = (_role(fields, field, content) for field in ("active", _HANDOVER))
    if active is None:
        raise FlagInvalidError(f'has no "active": {_shown(content)}')
    try:
        flag = Flag(active=active, handover=handover)
    except ValueError as error:
        raise FlagInvalidError(f"says {_shown(content)}, and {error}") from None
    if moves_users(raw) != (active == "secondary"):
        # The value is written with JSON escapes: the program would stop a primary to which users are still sent.
        raise FlagInvalidError(f"says {active} in a form that Route 53's health check does not recognise: {_shown(content)}")
    return flag


def _bytes(body: str | bytes) -> bytes:
    return body if isinstance(body, bytes) else body.encode(errors="surrogatepass")


def _each_key_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    keys = [key for key, _ in pairs]
    if twice := next((key for key in keys if keys.count(key) > 1), None):
        raise ValueError(f"{twice!r} stands in it twice")
    return dict(pairs)


def _role(fields: dict[str, Any], field: str, content: str) -> Role | None:
    value = fields.get(field)
    if field in fields and value not in ROLES:
        raise FlagInvalidError(f"has {field} {value!r}, which is neither primary nor secondary: {_shown(content)}")
    return value


def _shown(content: str) -> str:
    """The beginning of `content` in one line, enough to recognise it."""
    line = " ".join(content.split())
    return repr(line if len(line) <= 80 else f"{line[:77]}…")
