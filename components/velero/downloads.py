"""What Velero said about a Restore, object by object. It is in the bucket, and Velero hands out a URL by which it can be read."""

from __future__ import annotations

import time
from collections.abc import Callable

import urllib3

from components.kube.cluster_api import ClusterApi, ClusterUnreachableError
from components.kube.runner.restored import Results, ResultsUnavailableError, parsed

_SECONDS = 15.0
"""How long Velero may take to answer. It takes less than a second, unless it does not run."""

_TIMEOUT = urllib3.Timeout(connect=3, read=10)


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
