"""What Velero said about a Restore, object by object. It is in the bucket, and Velero hands out a URL by which it can be read."""

from __future__ import annotations

import json
import time
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import urllib3

from components.kube.cluster_api import ClusterApi, ClusterUnreachableError

_SECONDS = 15.0
"""How long Velero may take to answer. It takes less than a second, unless it does not run."""

_TIMEOUT = urllib3.Timeout(connect=3, read=10)
_LARGEST = 64 * 1024 * 1024
"""Bytes of text that are read at most."""


class ResultsUnavailableError(Exception):
    """Velero's texts cannot be read; the message says why."""


@dataclass(frozen=True, kw_only=True)
class Results:
    """Velero's own texts, one for each object that it had something to say about."""

    errors: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


def read_url(url: str) -> bytes:
    """The content at a URL. Raises ResultsUnavailableError if it does not answer with it."""
    try:
        answer = urllib3.PoolManager(retries=False).request("GET", url, timeout=_TIMEOUT)
    except (urllib3.exceptions.HTTPError, OSError) as error:
        raise ResultsUnavailableError(f"this machine does not reach the bucket: {type(error).__name__}") from None
    if answer.status != 200:
        raise ResultsUnavailableError(f"the bucket answered {answer.status}")
    return bytes(answer.data)


def results_of(cluster: ClusterApi, restore: str, read: Callable[[str], bytes] = read_url) -> Results:
    """What Velero said about the Restore of that name. Raises ResultsUnavailableError where that cannot be had.

    The URL is good for ten minutes, after which Velero deletes the request by itself. It is never in a message.
    """
    try:
        return parsed(read(_url(cluster, restore)))
    except ClusterUnreachableError as error:
        raise ResultsUnavailableError(str(error)) from None


def _url(cluster: ClusterApi, restore: str) -> str:
    made = cluster.create_velero(
        "downloadrequests",
        {
            "apiVersion": "velero.io/v1",
            "kind": "DownloadRequest",
            "metadata": {"generateName": "k8s-dr-"},
            "spec": {"target": {"kind": "RestoreResults", "name": restore}},
        },
    )
    if made is None:
        raise ResultsUnavailableError("Velero is not installed in this cluster")
    name, deadline = made["metadata"]["name"], time.monotonic() + _SECONDS
    while True:
        for request in cluster.list_velero("downloadrequests") or []:
            if request["metadata"]["name"] == name and (url := (request.get("status") or {}).get("downloadURL")):
                return str(url)
        if time.monotonic() >= deadline:
            raise ResultsUnavailableError(f"Velero did not answer DownloadRequest {name} within {_SECONDS:.0f} s")
        time.sleep(0.2)


def parsed(content: bytes) -> Results:
    """The results of a Restore or a Backup, as Velero writes them. Raises ResultsUnavailableError for anything else."""
    try:
        found = json.loads(zlib.decompressobj(zlib.MAX_WBITS | 16).decompress(content, _LARGEST))
        return Results(errors=tuple(_texts(found.get("errors"))), warnings=tuple(_texts(found.get("warnings"))))
    except (zlib.error, ValueError, AttributeError, TypeError):
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
