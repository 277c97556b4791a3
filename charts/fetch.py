"""`make charts`: bring the archives of charts.lock here, each checked before it is written. Run again, it does nothing."""

from __future__ import annotations

import http.client
import sys
import urllib.error
import urllib.request
from pathlib import Path

from charts.archives import DIRECTORY, LOCK, Chart, LockError, digest, fault, read_lock

PATIENCE = 30.0
"""Seconds without a byte before a server counts as silent."""


class FetchError(Exception):
    """A chart could not be had; the message is one line with what to do."""


def download(chart: Chart) -> bytes:
    """The archive as its server sends it, whole or not at all. Raises FetchError."""
    by_hand = f"or download it where you can and put it here as {chart.file}"
    try:
        with urllib.request.urlopen(chart.url, timeout=PATIENCE) as answer:
            return bytes(answer.read())
    except urllib.error.HTTPError as error:
        raise FetchError(f"{chart.url} answers {error.code} {error.reason}; correct url in charts.lock, {by_hand}") from None
    except http.client.IncompleteRead as error:
        raise FetchError(f"{chart.url} broke off after {len(error.partial)} bytes; run make charts again") from None
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", None) or error
        raise FetchError(f"{chart.url} cannot be reached ({reason}); run make charts again, {by_hand}") from None


def fetch(chart: Chart, directory: Path) -> bool:
    """Make the chart's archive be in `directory`; False if it was there already. Raises FetchError, having changed nothing."""
    if fault(chart, directory) is None:
        return False
    if not chart.sha256:
        raise FetchError(
            f"has no sha256 in charts.lock; download {chart.url}, verify it against its publisher's index or signature, "
            f"and write what sha256sum says of it"
        )
    archive = download(chart)
    if (found := digest(archive)) != chart.sha256:
        raise FetchError(
            f"{chart.url} has the sha256 {found}, charts.lock says {chart.sha256}; it was not kept, for it is not what was "
            "pinned: find out which of the two is right before you change the lock"
        )
    _write(directory / chart.file, archive)
    return True


def _write(target: Path, archive: bytes) -> None:
    """Whole or not at all: whoever looks at `target` meanwhile finds what was there before."""
    part = target.with_name(f"{target.name}.part")
    try:
        part.write_bytes(archive)
        part.replace(target)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise FetchError(f"{target} cannot be written ({error.strerror})") from None


def main(directory: Path = DIRECTORY, lock: Path = LOCK) -> int:
    """Fetch every chart and say what became of each; 1 if one is missing in the end."""
    try:
        charts = read_lock(lock)
    except LockError as error:
        print(error, file=sys.stderr)
        return 1
    missing = 0
    for chart in charts.values():
        title = f"{chart.name} {chart.version}"
        try:
            print(f"  {title}: {'fetched' if fetch(chart, directory) else 'already there'}")
        except FetchError as error:
            missing += 1
            print(f"  {title}: {error}", file=sys.stderr)
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
