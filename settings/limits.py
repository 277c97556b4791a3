"""Limits that others set, as data that is generated from where they keep them (`scripts/limits.py`)."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

_DATA = Path(__file__).parent / "data"


@cache
def read(name: str) -> Any:
    return json.loads((_DATA / f"{name}.json").read_text())


def most(shape: str) -> int:
    """The longest text, or the largest number, that a shape of AWS's API takes: `route53.TTL`."""
    return int(read("aws")["shapes"][shape]["max"])


def pattern(shape: str) -> str:
    return str(read("aws")["shapes"][shape]["pattern"])


def regions() -> list[str]:
    """The regions of AWS's commercial partition that botocore knows."""
    return list(read("aws")["regions"])
