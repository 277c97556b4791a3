"""A mistake in the configuration, in the words that a person reads."""

from __future__ import annotations

LONGEST = 120
"""Characters of a value that a message repeats. No key takes a longer value that a person would recognise: what is longer is a
file's contents, with whatever secrets the file has."""


def shortened(text: str) -> str:
    """`text`, or in place of a long one how long it is."""
    return text if len(text) <= LONGEST else f"a text of {len(text)} characters"


class Mistake(ValueError):  # noqa: N818 - the person's mistake, told in one line; the program has not failed
    """What is wrong with a value, in the words that follow its key.

    Each `{}` of `text` stands for a piece of what the person wrote. The pieces are kept apart from the text, because they may be
    secret. A long one is not repeated. `at` leads from the value that was checked to the one that is wrong: `("secondary",)`, or
    in a list `(1, "name")`. `hidden` are the words to use where what the person wrote is a secret; without it, `text` is.
    """

    def __init__(self, text: str, *written: str, at: tuple[int | str, ...] = (), hidden: str | None = None) -> None:
        super().__init__(text.format(*map(shortened, written)))
        self.text, self.written, self.at, self.hidden = text, written, at, hidden
