"""What the end of a Restore or a Backup means: in one line with Velero's own words, and which volumes did not come."""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

ENDED = ("Completed", "PartiallyFailed", "Failed", "FailedValidation")
"""Every phase in which a Restore ends, or a Backup."""

DONE = "Completed"

_LARGEST = 64 * 1024 * 1024
"""Bytes of text that are read at most."""

_SHOWN, _LONGEST = 3, 500
"""How many of Velero's texts a message has, and how many characters of each."""

_NOT_HERE = "a part of the repository is not in this region's bucket"
_REASONS = {
    "invalid repository password": "the peer's repository was made with another backupEncryptionPassword than this stack has",
    **dict.fromkeys(("BLOB not found", "content not found", "object not found"), _NOT_HERE),
}
"""What kopia's texts mean, by a part of each: ErrInvalidPassword, and what its packages blob, content and object do not find."""


class ResultsUnavailableError(Exception):
    """Velero's texts cannot be read; the message says why."""


@dataclass(frozen=True, kw_only=True)
class Results:
    """Velero's own texts, one for each object that it had something to say about."""

    errors: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


def parsed(content: bytes) -> Results:
    """The results of a Restore or a Backup, as Velero writes them. Raises ResultsUnavailableError for anything else."""
    found = unpacked(content)
    try:
        return Results(errors=tuple(_texts(found.get("errors"))), warnings=tuple(_texts(found.get("warnings"))))
    except (AttributeError, TypeError):
        raise ResultsUnavailableError("the bucket's answer is not what Velero writes") from None


def unpacked(content: bytes) -> Any:
    """What a file beside a backup holds, which is JSON that gzip has compressed. Raises ResultsUnavailableError."""
    try:
        return json.loads(zlib.decompressobj(zlib.MAX_WBITS | 16).decompress(content, _LARGEST))
    except (zlib.error, ValueError, RecursionError):
        raise ResultsUnavailableError("the bucket's answer is not what Velero writes") from None


def _texts(result: Mapping[str, Any] | None) -> Iterator[str]:
    """Every text of one result, each in one line. Those of a namespace name it."""
    result = result or {}
    for text in [*(result.get("velero") or ()), *(result.get("cluster") or ())]:
        yield " ".join(text.split())
    for namespace, texts in sorted((result.get("namespaces") or {}).items()):
        for text in texts:
            line = " ".join(text.split())
            yield line if f"/{namespace}/" in line else f"{namespace}: {line}"


def shortened(texts: tuple[str, ...], more: str) -> str:
    """The first texts, and how many there are beside them. `more` is the command that shows all."""
    shown = [text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…" for text in texts[:_SHOWN]]
    rest = len(texts) - len(shown)
    return "; ".join(shown) + (f"; and {rest} more: {more}" if rest else "")


def failure(
    name: str,
    status: Mapping[str, Any],
    read: Callable[[], Results] | None = None,
    *,
    kind: Literal["Restore", "Backup"] = "Restore",
) -> str | None:
    """Why a Restore failed, or a Backup, in one line with Velero's own reason; None if it completed.

    `read` fetches what Velero said object by object; it is called only if there is something to fetch.
    """
    phase = status.get("phase")
    if phase == DONE:
        return None
    reasons = [*(status.get("validationErrors") or []), *([status["failureReason"]] if status.get("failureReason") else [])]
    if errors := int(status.get("errors") or 0):
        reasons.append(_errors(errors, f"velero {kind.lower()} describe {name} --details", read))
    return f"{kind} {name} ended {phase or 'without a phase'}: {'; '.join(map(str, reasons)) or 'Velero gives no reason'}"


def _errors(count: int, command: str, read: Callable[[], Results] | None) -> str:
    told = f"{count} error{'' if count == 1 else 's'}"
    if read is None:
        return f"{told}, see: {command}"
    try:
        texts = read().errors
    except ResultsUnavailableError as error:
        return f"{told}, whose text could not be read ({error}); see: {command}"
    return f"{told}: {shortened(texts, command)}" if texts else f"{told}, see: {command}"


def phase_of(item: Mapping[str, Any]) -> str:
    return str((item.get("status") or {}).get("phase") or "New")


def target_of(download: Mapping[str, Any]) -> tuple[str, str]:
    """The claim that a DataDownload fills, by its namespace and name."""
    target = download["spec"]["targetVolume"]
    return str(target["namespace"]), str(target["pvc"])


def failed_volumes(downloads: Sequence[Mapping[str, Any]], by_files: Sequence[Mapping[str, Any]]) -> list[str]:
    """The volumes whose data did not come, a text each, with Velero's reason and what that means: of the DataDownloads and the
    PodVolumeRestores of a Restore.

    Velero writes no such text beside the Restore's others: of a claim it only counts one more error
    (restore_operations_controller.go: "FIXME: download/upload results"), of a Pod's volume it says not which.
    """
    named = [
        *((f"claim {'/'.join(target_of(each))}", each) for each in downloads),
        *(
            (f"volume {each['spec']['volume']} of Pod {each['spec']['pod']['namespace']}/{each['spec']['pod']['name']}", each)
            for each in by_files
        ),
    ]
    return [
        f"{what} has not got its data ({phase_of(each)}: {volume_reason(each)})" for what, each in named if phase_of(each) != DONE
    ]


def volume_reason(item: Mapping[str, Any]) -> str:
    """Why a volume's data did not come, in Velero's words, and what these mean."""
    text = " ".join(str((item.get("status") or {}).get("message") or "Velero gives no reason").split())
    meaning = next((meaning for part, meaning in _REASONS.items() if part in text), None)
    return f"{meaning}: {text}" if meaning else text
