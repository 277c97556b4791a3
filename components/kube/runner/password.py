"""Whether two regions encrypt their volumes by the same password, without either telling it.

The region that serves writes a fingerprint of its password beside its inventory, and the other compares it with its own. Another
password would show on the night alone, when no volume can be read.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from functools import cache

_COST = {"n": 1 << 16, "r": 8, "p": 1, "maxmem": 1 << 27}
"""As kopia derives its key ("scrypt-65536-8-1"): the fingerprint makes guessing no easier than kopia's own file in the bucket."""


@cache
def fingerprint(password: str) -> str:
    """A salt and what scrypt makes of it and the password, as `salt:digest` in hexadecimal. One run uses one salt."""
    salt = secrets.token_bytes(16)
    return f"{salt.hex()}:{_derived(password, salt).hex()}"


@cache
def is_of(password: str, found: str) -> bool:
    """Whether the fingerprint is of this password."""
    salt, digest = _parts(found)
    return hmac.compare_digest(_derived(password, salt), digest)


def refuse_others(found: str) -> None:
    """Raises ValueError, TypeError or AttributeError for what is no fingerprint."""
    _parts(found)


def _parts(found: str) -> tuple[bytes, bytes]:
    salt, digest = found.split(":")
    return bytes.fromhex(salt), bytes.fromhex(digest)


def _derived(password: str, salt: bytes) -> bytes:
    return hashlib.scrypt(password.encode(), salt=salt, dklen=32, **_COST)
