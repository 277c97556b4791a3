"""A mistake in the configuration, in the words that a person reads."""

from __future__ import annotations

import json
import re

LONGEST = 120
"""Characters of a value that a message repeats. No key takes a longer value that a person would recognise: what is longer is a
file's contents, with whatever secrets the file has."""


_USER_OF_A_URL = re.compile(r"(?<=://)(?:[^/@\s]*|[^/@\s:]+:[^@\s]*)@")
_USER = re.compile(r"(?<![^\s\"'({\[,=])[^\s/@:]+:(?!//)[^\s@]*@(?!sha256:)")
"""name:password@, where no scheme is before it. An image has its digest there."""
_QUERY = re.compile(r"(?<=[?&])(?!region=)([^=&#\s]+=)[^&#\s]+")
_NAMED = re.compile(r"((?:token|password|passwd|pwd|secret|credential|key|auth)[\w.-]*[\"']?(?::\s+|=))[^\s,;}&]+", re.IGNORECASE)
"""password: value, or PASSWORD=value."""


def shortened(text: str) -> str:
    """`text` as a message repeats it: without what may be a password, and in place of a long text how long it is."""
    if len(text) > LONGEST:
        return f"a text of {len(text)} characters"
    text = _USER.sub("…@", _USER_OF_A_URL.sub("…@", text))
    return _NAMED.sub(r"\1…", _QUERY.sub(r"\1…", text))


def quoted_where_needed(text: str) -> str:
    """`text`, in quotes where it would not be seen otherwise: an empty one, a space at an end, a line break."""
    return text if text and text == text.strip() and text.isprintable() else json.dumps(text, ensure_ascii=False)


class Mistake(ValueError):  # noqa: N818 - the person's mistake, told in one line; the program has not failed
    """What is wrong with a value, in the words that follow its key.

    Each `{}` of `text` stands for a piece of what the person wrote. The pieces are kept apart from the text, because they may be
    secret. A long one is not repeated. `at` leads from the value that was checked to the one that is wrong: `("secondary",)`, or
    in a list `(1, "name")`. `hidden` are the words to use where what the person wrote is a secret; without it, `text` is.
    """

    def __init__(self, text: str, *written: str, at: tuple[int | str, ...] = (), hidden: str | None = None) -> None:
        super().__init__(text.format(*(quoted_where_needed(shortened(each)) for each in written)))
        self.text, self.written, self.at, self.hidden = text, written, at, hidden
