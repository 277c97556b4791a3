"""What of this program asks AWS for something, each part with permissions of its own."""

from __future__ import annotations

from typing import Literal, get_args

Part = Literal["velero", "database", "etcd"]
PARTS: tuple[Part, ...] = get_args(Part)
