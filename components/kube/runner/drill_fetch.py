"""What a drill has fetched from the bucket: a plan of what to fetch, which drill-fetch.sh follows, and what came of it.

The AWS CLI has the identity and no judgement; the runner's steps judge and have no identity. A plan has a line for each thing,
with tabs between: `list`, the objects below a prefix; `dirs`, the directories there; `get`, an object; `link`, a second name for
an object that was got. A line ends with the most bytes that may come, for whoever may write to the bucket decides how many are
there. What came is a file whose name is made from the line, and what went wrong a file of the same name and `.error`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import Literal

from .drill_record import moment
from .failure import StepFailedError

What = Literal["list", "dirs", "get"]

LISTING_BYTES = 128 * 1024**2
"""The most of a listing that is read: about a million objects."""

_DIRECTORIES_BYTES = 1024**2


@dataclass(frozen=True, kw_only=True, slots=True)
class Object:
    """An object as a listing names it."""

    key: str
    size: int
    modified: datetime


@dataclass(kw_only=True)
class Plan:
    """What to fetch. Keys hold no tab and no line break: what has one is not written by any program of ours."""

    lines: list[str] = field(default_factory=list)

    def listing(self, bucket: str, prefix: str) -> None:
        self._add("list", bucket, prefix, LISTING_BYTES)

    def directories(self, bucket: str, prefix: str) -> None:
        self._add("dirs", bucket, prefix, _DIRECTORIES_BYTES)

    def get(self, bucket: str, key: str, most: int) -> None:
        self._add("get", bucket, key, most)

    def _add(self, what: What, bucket: str, name: str, most: int) -> None:
        if not any(each in name for each in "\t\r\n"):
            self.lines.append("\t".join((what, bucket, name, _file(what, bucket, name), str(most))))

    def link(self, bucket: str, key: str, name: str) -> None:
        """Give what was got a second name, which something knows beforehand."""
        self.lines.append("\t".join(("link", name, key, _file("get", bucket, key), "0")))

    def write(self, path: Path) -> None:
        path.write_text("".join(f"{line}\n" for line in dict.fromkeys(self.lines)))


def _file(what: What, bucket: str, name: str) -> str:
    return f"{what}-{sha256(f'{bucket}/{name}'.encode()).hexdigest()[:20]}"


@dataclass(frozen=True, kw_only=True)
class Fetched:
    """What came. Each method raises StepFailedError with what the AWS CLI said where nothing did."""

    directory: Path

    def objects(self, bucket: str, prefix: str) -> Iterator[Object]:
        """The objects below a prefix, in the order of their keys."""
        with self._came("list", bucket, prefix, "be listed").open() as lines:
            for line in lines:
                parts = line.rstrip("\n").split("\t")
                with suppress(ValueError):  # an empty page is the word None
                    key, size, modified = parts
                    yield Object(key=key, size=int(size), modified=moment(modified))

    def directories(self, bucket: str, prefix: str) -> list[str]:
        """The prefixes right below a prefix, each with its slash."""
        lines = self._came("dirs", bucket, prefix, "be listed").read_text().split("\n")
        return [line for line in lines if line.startswith(prefix)]

    def file(self, bucket: str, key: str) -> Path:
        """The file with an object's content."""
        return self._came("get", bucket, key, "be read")

    def has(self, bucket: str, key: str) -> bool:
        return (self.directory / _file("get", bucket, key)).exists()

    def _came(self, what: What, bucket: str, name: str, verb: str) -> Path:
        path = self.directory / _file(what, bucket, name)
        if path.exists():
            return path
        said = ""
        with suppress(OSError):
            said = " ".join(path.with_name(f"{path.name}.error").read_text(errors="replace").split())
        raise StepFailedError(f"s3://{bucket}/{name} cannot {verb}: {said or 'it was not fetched, as where it has no room'}")
