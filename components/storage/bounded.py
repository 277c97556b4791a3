"""Reads objects and archives of others with a limit: who may write to the peer's bucket decides how large they are."""

from __future__ import annotations

import zlib
from typing import Any


class TooLargeError(ValueError):
    """An object has more bytes than anything that it should be; the message says how many are the most."""


def read_at_most(s3: Any, bucket: str, key: str, most: int) -> bytes:
    """The content of an object of at most so many bytes. Raises TooLargeError for a larger one, and what `s3` raises."""
    found = s3.get_object(Bucket=bucket, Key=key)
    with found["Body"] as body:
        content = b"" if found["ContentLength"] > most else bytes(body.read(most + 1))
    if found["ContentLength"] > most or len(content) > most:
        raise TooLargeError(f"s3://{bucket}/{key} has more than {most // 1024} KiB, as no such file has")
    return content


def unzip_at_most(content: bytes, most: int) -> bytes:
    """What gzip has compressed, of at most so many bytes. Raises TooLargeError for more, ValueError for what is not gzip."""
    unpacker = zlib.decompressobj(zlib.MAX_WBITS | 16)
    try:
        unpacked = unpacker.decompress(content, most + 1)
    except zlib.error as error:
        raise ValueError(str(error)) from None
    if len(unpacked) > most:
        raise TooLargeError(f"it unpacks to more than {most // 1024} KiB, as no such file does")
    return unpacked
