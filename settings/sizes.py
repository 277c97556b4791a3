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
_UNIT = "|".join(sorted(_UNITS, key=len, reverse=True))
_SIZE = re.compile(rf"(\d+(?:\.\d+)?|\.\d+)({_UNIT})|([1-9]\d*)", re.ASCII)
"""A number alone is in bytes."""
_LEAST_IN_BYTES = 1 << 26
"""64 MiB: whoever writes a smaller number means another unit."""
_NEARLY = re.compile(r"(\d+(?:\.\d+)?) *([kmgtp])(?:i|b|ib|bytes?)?", re.ASCII | re.IGNORECASE)
"""As people and other tools write sizes: 100GB, 100gi, 100 G. To Kubernetes 100m is a tenth of a byte."""


def bytes_in(size: str) -> int:
    """The bytes of a checked size. Kubernetes rounds up, too."""
    found = _SIZE.fullmatch(size)
    assert found
    return int(found[3]) if found[3] else math.ceil(Fraction(found[1]) * _UNITS[found[2]])


def in_gibibytes(size: str) -> str:
    """The same number with the unit that was probably meant: 10Gi for 10Mi. Of bytes, 1Gi."""
    return "1Gi" if size.isdecimal() else f"{size.rstrip('kKMi')}Gi"


def _in_a_unit(text: str) -> str:
    """Of bytes, the largest unit in which they are a whole number."""
    if not text.isascii() or not text.isdecimal() or int(text) < _LEAST_IN_BYTES:
        return text
    return next((f"{int(text) // _UNITS[unit]}{unit}" for unit in ("Ti", "Gi", "Mi", "Ki") if not int(text) % _UNITS[unit]), text)


def _size(text: str) -> str:
    found = _SIZE.fullmatch(text)
    if found and (int(found[3]) >= _LEAST_IN_BYTES if found[3] else Fraction(found[1])):
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
        pattern=rf"^([0-9]+(\.[0-9]+)?|\.[0-9]+)({'|'.join(_UNITS)})$|^[0-9]{{8,}}$",
        nearly=_in_a_unit,
        units=("Gi", "Mi"),
    ),
]
