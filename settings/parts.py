"""The parts of this program whose pods call AWS. Each part has an IAM policy of its own."""

from __future__ import annotations

from typing import Literal, get_args

Part = Literal["velero", "database", "etcd", "freshness", "guard", "drills", "drill-database"]
PARTS: tuple[Part, ...] = get_args(Part)


def key_of(part: Part) -> str:
    """What a part is called in the settings, as drillDatabase."""
    first, *others = part.split("-")
    return first + "".join(each.capitalize() for each in others)
