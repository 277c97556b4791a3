"""Commands of the documentation as a machine reads them: each fenced `sh` block, in order, and whether it can run here."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from tests.examples import ROOT

_BLOCK = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_ELSEWHERE = re.compile(r"# (?:not run|run in the lab|run with recorded clusters)[^:\n]*: (.+)")


@dataclass(frozen=True, kw_only=True)
class Block:
    """One block of commands. `excuse` is why it does not run with the page's other blocks, or what runs it elsewhere, as its
    first line tells the reader too."""

    page: str
    line: int
    commands: str
    excuse: str | None

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def blocks(page: Path) -> list[Block]:
    text = page.read_text()
    found = []
    for match in _BLOCK.finditer(text):
        excuse = _ELSEWHERE.match(match[1])
        line = text.count("\n", 0, match.start()) + 2
        found.append(Block(page=str(page.relative_to(ROOT)), line=line, commands=match[1], excuse=excuse[1] if excuse else None))
    return found
