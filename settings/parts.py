"""The parts of this program whose pods call AWS. Each part has an IAM policy of its own."""

from __future__ import annotations

from typing import Literal, get_args

Part = Literal["velero", "database", "etcd", "freshness", "guard", "drills"]
PARTS: tuple[Part, ...] = get_args(Part)
