"""Paths and values of JSON patches, as Velero makes a text of JSON of them (internal/resourcemodifiers, json_patch.go)."""

from __future__ import annotations

import json
import re
from typing import Annotated

from settings.fields import Form
from settings.mistake import Mistake

_POINTER = re.compile(r"(/([^~/\"\\\x00-\x1f]|~[01])*)+")  # RFC 6901, without what Velero's text of JSON would break at
_OF_ITS_METADATA = re.compile(r"(/(?:spec/template/)?metadata/(?:annotations|labels)/)(.*/.*)")
# strconv.ParseFloat of Go.
_NUMBER = re.compile(r"[+-]?(inf(inity)?|nan|(\d+\.?\d*|\.\d+)(e[+-]?\d+)?|0x[0-9a-f_]*\.?[0-9a-f_]*p[+-]?\d+)", re.ASCII | re.I)


def _pointer(text: str) -> str:
    if (found := _OF_ITS_METADATA.fullmatch(text)) and _POINTER.fullmatch(text):
        escaped = found[1] + found[2].replace("/", "~1")
        raise Mistake("has a / in the name of a label or an annotation, which a JSON pointer writes as ~1; write {}", escaped)
    if not _POINTER.fullmatch(text):
        dotted = re.fullmatch(r"\$?\.?([A-Za-z][\w.-]*)", text.replace("/", "."))
        if dotted:
            raise Mistake("is not a JSON pointer (RFC 6901); write {}", f"/{dotted[1].replace('.', '/')}")
        raise ValueError("is not a JSON pointer (RFC 6901); write one as in /spec/replicas")
    return text


JsonPointer = Annotated[
    str,
    Form(
        check=_pointer,
        name="a JSON pointer, as in /spec/replicas (~1 for a slash in a name)",
        examples=("/spec/replicas", "/metadata/annotations/example.com~1team"),
        pattern=r"^/.*$",
    ),
]


def why_velero_cannot_write(value: str) -> str | None:
    """Why the value would not be JSON in Velero's text. Velero puts it between quotes unless it has its own, or is null, true,
    false, a number, an object or a list; and escapes nothing."""
    bare = value == "null" or value.lower() in ("true", "false") or value.startswith(("{", "[")) or _NUMBER.fullmatch(value)
    quoted = len(value) > 1 and value.startswith('"') and value.endswith('"')
    text = value if bare or quoted else f'"{value}"'
    try:
        json.loads(text, parse_constant=_is_none)
    except (ValueError, RecursionError):
        if text.startswith(("{", "[")):
            return 'begins as an object or a list and is not JSON; write it as JSON, as in {"app": "web"}'
        if text == value and not text.startswith('"'):
            return "is read as a number or a boolean and is not JSON; write it in quotes of its own, as in '\"007\"'"
        return "has a quote, a backslash or a line break, at which Velero's JSON breaks; write them as in JSON: \\\" \\\\ \\n"
    return None


def _is_none(constant: str) -> float:
    raise ValueError(constant)
