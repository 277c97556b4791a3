"""Reads from the engine's own log what it asked providers for. The log is the same for real providers and stand-ins."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

VARIABLE = "PULUMI_DEBUG_GRPC"
"""Environment variable of the CLI: the file to which it appends every call between its processes."""

_PROVIDER = "/pulumirpc.ResourceProvider/"
_BEGINS = '{"method":"/pulumirpc.'


def read(log: Path) -> list[dict[str, Any]]:
    """Every call, in the order in which they began: `method`, `urn`, `type`, `preview` and `places`. A Configure tells the
    provider its `places`: a region or a context."""
    return list(_calls(log)) if log.exists() else []


def _calls(log: Path) -> Iterator[dict[str, Any]]:
    *whole, _ = log.read_text().split("\n")  # the last one is being written, or its writer was killed
    for line in whole:
        # Behind what a killed engine has begun to write, the next one goes on in the same line.
        entry = json.loads(line[max(line.rfind(_BEGINS), 0) :])
        if not entry["method"].startswith(_PROVIDER) or entry.get("progress") != "request_started":
            continue
        asked = entry.get("request") or {}
        urn = asked.get("urn", "")
        yield {
            "method": entry["method"].removeprefix(_PROVIDER),
            "urn": urn,
            "type": urn.split("::")[2].rpartition("$")[2] if urn else "",
            "preview": bool(asked.get("preview")),
            "places": {value for key, value in (asked.get("args") or {}).items() if key in ("region", "context")},
        }
