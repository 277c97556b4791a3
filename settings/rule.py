"""A rule on what several keys must agree on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from settings.mistake import Mistake

if TYPE_CHECKING:
    from settings.model import Settings

_ACRONYMS = ("rpo", "rto", "wal", "ebs", "eks", "irsa")

Mistakes = Iterator[Mistake]


@dataclass(frozen=True, kw_only=True)
class Rule:
    """A key, and a pure function that yields what is wrong there: one mistake for each place that breaks the rule.

    The function passes every value that it repeats to `Mistake` apart from the text, because the value may be a secret. Its name
    is the rule in words, for docs/configuration.md.
    """

    key: str
    mistakes: Callable[[Settings], Mistakes]

    @property
    def says(self) -> str:
        words = self.mistakes.__name__.split("_")
        return " ".join(word.upper() if word in _ACRONYMS else word for word in words)
