"""How a message repeats what a person wrote: in one line, and without what may be a secret."""

from __future__ import annotations

import json
import re
from typing import Any

from settings.mistake import Mistake, quoted_where_needed, shortened

HIDDEN = "the secret"

_MAY_BE_SECRET = re.compile("kubeconfig|token|password|secret|credential|key|data|auth", re.IGNORECASE)
"""In the name of a key that a person invented, as those of a kubeconfig: its value is not repeated."""


def show(value: Any, *, secret: bool = False) -> str:
    """The value in one line, as a person wrote it, without what may be a secret in it. A space at an end is seen in quotes."""
    if secret:
        return HIDDEN
    value = _without_private_parts(value)
    return quoted_where_needed(value) if isinstance(value, str) else json.dumps(value, default=str)


def _without_private_parts(value: Any) -> Any:
    """`value` without long texts, the user and password of a URL, and what stands below a key that sounds secret."""
    if isinstance(value, str):
        shown = shortened(value)
        # Of several lines, as of a file that was pasted, nothing is repeated but what they name.
        return shown if shown.isprintable() else re.sub(r"(:|=)[^\S\n]*\S[^\n]*", r"\1 …", shown)
    if isinstance(value, dict):
        return {key: "…" if _MAY_BE_SECRET.search(str(key)) else _without_private_parts(inner) for key, inner in value.items()}
    return [_without_private_parts(inner) for inner in value] if isinstance(value, list) else value


def without_secrets(mistake: Mistake) -> str:
    return mistake.hidden or mistake.text.format(*[HIDDEN] * len(mistake.written))
