"""The names of the files in an archive of a backup, whoever has written it: nothing of it decides how much memory is taken.

Python's tarfile reads a header of any size into memory, and keeps all of them. Velero writes files and their names alone (Go's
archive/tar), so that is all that is read here: what an archive has beside these is not what Velero writes.
"""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from pathlib import Path

_BLOCK = 512
_PIECE = 1 << 20
_LONGEST = 64 * 1024
"""Bytes of a header with a long name, which has one path of Kubernetes."""

_FILE, _PAX, _LONG = (b"0", b"\0"), (b"x",), (b"L",)


def files(archive: Path) -> Iterator[str]:
    """The name of each file. Raises ValueError, EOFError, zlib.error or OSError for what is no whole archive of Velero's."""
    with gzip.open(archive) as content:
        longer: str | None = None
        while any(header := _exactly(content, _BLOCK)):
            if _sum(header) != _number(header[148:156]):
                raise ValueError("a header in it has not the checksum that it names")
            size, kind = _number(header[124:136]), header[156:157]
            if kind in _PAX or kind in _LONG:
                if size > _LONGEST:
                    raise ValueError(f"a header in it has {size} bytes, as none that Velero writes")
                body = _exactly(content, _blocks(size))[:size]
                longer = _text(body) if kind in _LONG else _path(body) or longer
                continue
            name, longer = longer or _name(header), None
            _skip(content, _blocks(size))
            if kind in _FILE:
                yield name


def _exactly(content: gzip.GzipFile, size: int) -> bytes:
    found = content.read(size)
    if len(found) < size:
        raise EOFError("it ends in the middle of a file")
    return found


def _skip(content: gzip.GzipFile, size: int) -> None:
    while size:
        size -= len(_exactly(content, min(size, _PIECE)))


def _blocks(size: int) -> int:
    return -(-size // _BLOCK) * _BLOCK


def _sum(header: bytes) -> int:
    """The checksum of a header, in which its own field counts as blanks."""
    return sum(header[:148]) + 8 * ord(" ") + sum(header[156:])


def _number(field: bytes) -> int:
    digits = field.strip(b" \0")
    if not digits.isdigit():
        raise ValueError("a header in it has no number where one belongs")
    return int(digits, 8)


def _text(field: bytes) -> str:
    return field.partition(b"\0")[0].decode(errors="replace")


def _name(header: bytes) -> str:
    """USTAR has the first part of a long name in a field of its own. GNU's form has other things there."""
    prefix = _text(header[345:500]) if header[257:263] == b"ustar\0" else ""
    return f"{prefix}/{_text(header[:100])}" if prefix else _text(header[:100])


def _path(body: bytes) -> str | None:
    """The path of a PAX header: records of `LENGTH KEY=VALUE` and a line break."""
    while body:
        length, blank, _ = body.partition(b" ")
        if not blank or not length.isdigit() or not len(length) < int(length) <= len(body):
            raise ValueError("a header in it is not in the form of PAX")
        key, _, value = body[len(length) + 1 : int(length) - 1].partition(b"=")
        if key == b"path":
            return value.decode(errors="replace")
        body = body[int(length) :]
    return None
