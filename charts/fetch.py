"""`make charts`: downloads the archives of charts.lock, and checks each before it writes it. A second run does nothing."""

from __future__ import annotations

import http.client
import sys
import urllib.error
import urllib.request
from pathlib import Path

from charts.archives import DIRECTORY, LOCK, Chart, LockError, digest, fault, read_lock

PATIENCE = 30.0
"""Seconds without a byte after which a server counts as silent."""


class FetchError(Exception):
    """A chart could not be fetched. The message is one line, with what to do."""


def download(chart: Chart) -> bytes:
    """The whole archive, as its server sends it. Raises FetchError."""
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
    """Put the chart's archive into `directory`; False if it was there already. Raises FetchError, and then changes nothing."""
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
            f"{chart.url} has the sha256 {found}, charts.lock says {chart.sha256}; the archive was not kept: find out which of "
            "the two is right before you change the lock"
        )
    _write(directory / chart.file, archive)
    return True


def _write(target: Path, archive: bytes) -> None:
    """Write the whole archive or nothing. Until it is whole, `target` keeps its old content. Raises FetchError."""
    part = target.with_name(f"{target.name}.part")
    try:
        part.write_bytes(archive)
        part.replace(target)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise FetchError(f"{target} cannot be written ({error.strerror})") from None


def main(directory: Path = DIRECTORY, lock: Path = LOCK) -> int:
    """Fetch every chart and print what became of each. Returns the exit code: 1 if a chart is missing in the end."""
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
