"""Sizes of volumes and of memory, as Kubernetes writes quantities of bytes (apimachinery, resource.Quantity)."""

from __future__ import annotations

import math
import re
from fractions import Fraction
from typing import Annotated

from settings.fields import Form
from settings.mistake import Mistake

_UNITS: dict[str, int] = {
    **{f"{letter}i": 1 << 10 * power for power, letter in enumerate("KMGTP", start=1)},
    **{letter: 1000**power for power, letter in enumerate("kMGTP", start=1)},
}
_SIZE = re.compile(rf"(\d+(?:\.\d+)?)({'|'.join(sorted(_UNITS, key=len, reverse=True))})", re.ASCII)
_NEARLY = re.compile(r"(\d+(?:\.\d+)?) *([kmgtp])(?:i|b|ib|bytes?)?", re.ASCII | re.IGNORECASE)
"""As people and other tools write sizes: 100GB, 100gi, 100 G. To Kubernetes 100m is a tenth of a byte."""


def bytes_in(size: str) -> int:
    """The bytes of a checked size. Kubernetes rounds up, too."""
    found = _SIZE.fullmatch(size)
    assert found
    return math.ceil(Fraction(found[1]) * _UNITS[found[2]])


def _size(text: str) -> str:
    found = _SIZE.fullmatch(text)
    if found and Fraction(found[1]):
        return text
    if not found and (nearly := _NEARLY.fullmatch(text)):
        raise Mistake("is not a size as Kubernetes writes it; write {}", f"{nearly[1]}{nearly[2].upper()}i")
    if text.isascii() and text.isdecimal() and text.strip("0"):
        raise Mistake("has no unit; write {}", f"{text}Gi or {text}Mi")
    raise ValueError("is not a size; write one as in 100Gi")


Size = Annotated[
    str,
    Form(
        check=_size,
        name="a size, as in 100Gi",
        examples=("100Gi", "1.5Ti"),
        pattern=rf"^[0-9]+(\.[0-9]+)?({'|'.join(_UNITS)})$",
        units=("Gi", "Mi"),
    ),
]
