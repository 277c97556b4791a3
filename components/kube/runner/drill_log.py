"""The last words of a Pod that recovers a database, as far as they say why it does not."""

from __future__ import annotations

import json
from collections.abc import Iterator

_REFUSALS = (
    "AccessDenied",
    "Access Denied",
    "ExpiredToken",
    "InvalidAccessKeyId",
    "SignatureDoesNotMatch",
    "Unable to locate credentials",
    "(403)",
)
_MEANINGS = {
    "no target backup found": "no base backup is in the archive from which that point can be reached",
    "recovery ended before configured recovery target was reached": "the WAL that is here ends before that time",
    "WAL ends before end of online backup": "WAL that the base backup itself needs is missing",
    "could not locate required checkpoint record": "WAL with which the base backup begins is missing",
    "Expected empty archive": "it would archive, which no drill may",
    **dict.fromkeys(_REFUSALS, "the account of the drill may not read the archive: see its identity (docs/drills.md)"),
    "No space left on device": "its volume is full: the database has outgrown databases[].storage",
    "invalid checksum": "what is archived is damaged",
    "checksum mismatch": "what is archived is damaged",
    "invalid magic number": "what is archived is damaged",
}
"""What a text means, by a part of it: of PostgreSQL, Barman Cloud, the plugin and S3."""

_LENGTH, _SHOWN = 300, 2
_SERIOUS = ("error", "fatal", "panic")


def last_words(log: str) -> str:
    """What it means, where that is known, and the last texts that are serious. Empty for a log without one."""
    texts = [text for line in log.splitlines() for text in _serious(line)]
    last = [each if len(each) <= _LENGTH else f"{each[:_LENGTH]}…" for each in list(dict.fromkeys(reversed(texts)))[:_SHOWN]]
    whole = "\n".join(texts) or log
    meaning = next((meaning for part, meaning in _MEANINGS.items() if part in whole), None)
    return "; ".join([*([meaning] if meaning else []), *reversed(last)])


def _serious(line: str) -> Iterator[str]:
    """The text of a line of JSON, as CloudNativePG writes it, if it is an error; and any line that names one."""
    try:
        entry = json.loads(line)
    except ValueError:
        if any(part in line for part in _MEANINGS) or line.startswith(("ERROR", "FATAL", "PANIC")):
            yield " ".join(line.split())
        return
    if not isinstance(entry, dict):
        return
    inner = entry.get("record")
    record = inner if isinstance(inner, dict) else {}
    said = [str(each) for each in (record.get("message"), entry.get("msg"), entry.get("error")) if each and each != "record"]
    level = str(record.get("error_severity") or entry.get("level") or "").lower()
    text = " ".join(": ".join(dict.fromkeys(said)).split())
    if text and (level in _SERIOUS or any(part in text for part in _MEANINGS)):
        yield text
