"""What one region says to the other in a planned switchover, as a person carries it from one stack to the other.

The region that gives up prints a **handover token**: a demotion token of CloudNativePG for each database, and the last backup of
each schedule. The region that takes over by it has replayed exactly what the token says before it takes writes, so nothing is
lost. A primary that has taken over prints a **receipt**, without which the secondary, whose flag it is, moves no users away.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Annotated, Any

from settings import nearly
from settings.fields import Form, matching
from settings.mistake import Mistake
from settings.roles import ROLES, Role

PLANNED = "planned"
"""What the region is told that gives up in good order."""

NOTHING = "none"
"""What a stack prints that has nothing for the other one."""

_TOKEN, _RECEIPT = "handover.", "receipt."
_MOST = 256 * 1024
"""Characters of a token: a database's part has some 300."""

_POSITION = ("latestCheckpointTimelineID", "redoWalFile", "databaseSystemIdentifier", "latestCheckpointREDOLocation")
"""Fields of a demotion token by which a database knows whether it is its own (CloudNativePG, pkg/utils/parser.go)."""


class HandoverInvalidError(ValueError):
    """The text is none of the three. The message goes on after the value."""


@dataclass(frozen=True, kw_only=True)
class Demotion:
    """What a demoted database says of its end: the last WAL segment that it archived, and whose WAL that is."""

    segment: str
    timeline: int
    system: str

    @property
    def token(self) -> str:
        """A demotion token of this content, as a test needs one."""
        fields = {
            "latestCheckpointTimelineID": str(self.timeline),
            "redoWalFile": self.segment,
            "databaseSystemIdentifier": self.system,
            "latestCheckpointREDOLocation": "0/0",
            "timeOfLatestCheckpoint": "-",
            "operatorVersion": "-",
        }
        return base64.b64encode(json.dumps(fields).encode()).decode()


@dataclass(frozen=True, kw_only=True)
class Token:
    """What a region that has given up hands to the other: a demotion token by database, a Backup's name by entry of `backups`."""

    given_by: Role
    databases: Mapping[str, str]
    backups: Mapping[str, str]

    @property
    def text(self) -> str:
        """The token as people carry it: one word that no shell changes."""
        fields = {"from": self.given_by, "databases": dict(self.databases), "backups": dict(self.backups)}
        return _TOKEN + base64.urlsafe_b64encode(json.dumps(fields, sort_keys=True, separators=(",", ":")).encode()).decode()

    @property
    def receipt(self) -> str:
        """What the region prints that has taken over by this token."""
        return _RECEIPT + sha256(self.text.encode()).hexdigest()[:32]

    def demotion(self, database: str) -> Demotion:
        """What the token says of a database that it has. Raises HandoverInvalidError if that is no demotion token."""
        return _demotion(self.databases[database])


def parse(text: str) -> Token | str:
    """The token, or `planned`, or a receipt as it is. Raises HandoverInvalidError for any other text."""
    if text == PLANNED or (text.startswith(_RECEIPT) and text.removeprefix(_RECEIPT).isalnum()):
        return text
    if text == NOTHING:
        raise HandoverInvalidError(
            "is what a stack prints that gives nothing: it has not given up, or not taken over, yet; run pulumi up "
            "there first, and take what it prints then"
        )
    if not text.startswith(_TOKEN) or len(text) > _MOST:
        raise HandoverInvalidError(
            "is neither planned nor what the other stack printed; run: pulumi stack output handover -s STACK, with the other "
            "stack's name, and take all of it"
        )
    try:
        fields = json.loads(base64.b64decode(text.removeprefix(_TOKEN), altchars=b"-_", validate=True))
        token = Token(given_by=fields["from"], databases=_texts(fields["databases"]), backups=_texts(fields["backups"]))
        whole = token.given_by in ROLES and token.text == text
    except (binascii.Error, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        whole = False
    if not whole:
        raise HandoverInvalidError(
            "is not a whole handover token; take all of it: pulumi stack output handover -s STACK, with the other stack's name"
        )
    for name in token.databases:
        token.demotion(name)
    return token


def _text(text: str) -> str:
    if not text:
        raise HandoverInvalidError(
            "is empty, as where the command before it failed; run: pulumi stack output handover -s STACK, with the other stack's "
            "name; or, for no handover: pulumi config rm handover"
        )
    if text.strip("'\" \t\r\n").lower() == PLANNED != text:
        raise Mistake("is not written as it is read; write {}", PLANNED)
    parse(text)
    return text


HandoverText = Annotated[
    str,
    Form(
        check=_text,
        name="planned, or what the other stack printed, as in receipt.0123456789abcdef",
        examples=(PLANNED, f"{_RECEIPT}0123456789abcdef"),
        pattern=r"^(?:planned|(?:handover|receipt)\.[A-Za-z0-9=_-]+)$",
    ),
]
Servers = Annotated[
    str,
    matching(
        re.compile(r"[a-z][-a-z0-9]*-(primary|secondary)-g[1-9]\d*(\s*,\s*[a-z][-a-z0-9]*-(primary|secondary)-g[1-9]\d*)*"),
        "a list of archives' names, with commas between them",
        "app-database-primary-g1",
        "app-database-primary-g1,orders-primary-g1",
        nearly=nearly.names_with_commas,
    ),
]


def is_receipt(text: str | None) -> bool:
    return bool(text) and str(text).startswith(_RECEIPT)


def _texts(found: Any) -> dict[str, str]:
    if not isinstance(found, dict) or not all(isinstance(each, str) and each for pair in found.items() for each in pair):
        raise ValueError
    return dict(found)


def _demotion(text: str) -> Demotion:
    try:
        fields = json.loads(base64.b64decode(text, validate=True))
        timeline, segment, system, _ = (str(fields[key]) for key in _POSITION)
        return Demotion(segment=segment, timeline=int(timeline), system=system)
    except (binascii.Error, ValueError, KeyError, TypeError, RecursionError):
        raise HandoverInvalidError("has a part that is no demotion token of CloudNativePG; take all of it anew") from None
