"""Files that one process writes while others read them: logs with one JSON object on each line, and state files."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any


def timestamp(seconds: float | None = None) -> str:
    """A time in UTC as RFC 3339 with milliseconds: `seconds` since the epoch, or now."""
    moment = datetime.now(UTC) if seconds is None else datetime.fromtimestamp(seconds, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


class JsonLines:
    """Appends whole lines to a log. Safe for threads."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("a", encoding="utf-8")
        self._lock = threading.Lock()

    def write(self, fields: Mapping[str, Any]) -> None:
        line = json.dumps(fields, ensure_ascii=False) + "\n"
        with self._lock:
            self._file.write(line)
            self._file.flush()


def read_lines(path: Path) -> list[dict[str, Any]]:
    """All lines logged so far, without a line that is still being written."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return []
    return [json.loads(line) for line in text.split("\n")[:-1]]


def write_state(path: Path, state: Mapping[str, Any]) -> None:
    """Replace the file at once: a reader sees either the old state or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(path.name + ".new")
    new.write_text(json.dumps(state, indent=1, ensure_ascii=False), encoding="utf-8")
    os.replace(new, path)


def read_state(path: Path) -> dict[str, Any] | None:
    """The state, or None before it was first written."""
    try:
        state: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    return state
