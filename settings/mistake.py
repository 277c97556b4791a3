"""A mistake in the configuration, in the words that a person reads."""

from __future__ import annotations


class Mistake(ValueError):  # noqa: N818 - the person's mistake, told in one line; the program has not failed
    """What is wrong with a value, in the words that follow its key.

    Each `{}` of `text` stands for a piece of what the person wrote. The pieces are kept apart from the text, because they may be
    secret. `at` leads from the value that was checked to the one that is wrong: `("secondary",)`, or in a list `(1, "name")`.
    """

    def __init__(self, text: str, *written: str, at: tuple[int | str, ...] = ()) -> None:
        super().__init__(text.format(*written))
        self.text, self.written, self.at = text, written, at
