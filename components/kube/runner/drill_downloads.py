"""Files beside a Backup or a Restore, by the URL that Velero hands out: a drill's Pod has no key to the bucket."""

from __future__ import annotations

import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from .api import Api, ApiError
from .restored import Results, ResultsUnavailableError, parsed, unpacked

VELERO = "/apis/velero.io/v1/namespaces/velero"

_ANSWER_SECONDS, _URL_SECONDS = 10.0, 20.0
_LARGEST = 64 * 1024 * 1024


def read_url(url: str) -> bytes:
    """What Velero has signed a URL for. Raises ResultsUnavailableError, without the URL: it is as good as a key."""
    try:
        with urllib.request.urlopen(url, timeout=_ANSWER_SECONDS) as answer:
            content = bytes(answer.read(_LARGEST + 1))
    except urllib.error.HTTPError as error:
        raise ResultsUnavailableError(f"the bucket answered {error.code}") from None
    except (OSError, ValueError) as error:
        raise ResultsUnavailableError(f"this Pod does not reach the bucket: {type(error).__name__}") from None
    if len(content) > _LARGEST:
        raise ResultsUnavailableError("the bucket's answer is not what Velero writes")
    return content


@dataclass(frozen=True, kw_only=True)
class Downloads:
    """Each method raises ResultsUnavailableError. `wait` waits until something has ended, for so many seconds; `labels` are those
    of what the drill makes; `read` fetches what is at a URL."""

    api: Api
    wait: Callable[[Callable[[], bool], float], bool]
    labels: Mapping[str, str]
    read: Callable[[str], bytes] = read_url

    def listed(self, backup: str) -> Any:
        """Velero's own list of what a Backup holds."""
        return unpacked(self._file("BackupResourceList", backup))

    def volumes(self, backup: str) -> Any:
        """Velero's own list of a Backup's volumes, and of how it has saved each."""
        return unpacked(self._file("BackupVolumeInfos", backup))

    def results(self, restore: str) -> Results:
        """What Velero said of a Restore, object by object."""
        return parsed(self._file("RestoreResults", restore))

    def _file(self, kind: str, name: str) -> bytes:
        body = {
            "apiVersion": "velero.io/v1",
            "kind": "DownloadRequest",
            "metadata": {"generateName": "drill-", "namespace": "velero", "labels": dict(self.labels)},
            "spec": {"target": {"kind": kind, "name": name}},
        }
        found: list[str] = []
        try:
            made = self.api.create(f"{VELERO}/downloadrequests", body)["metadata"]["name"]

            def answered() -> bool:
                status = (self.api.find(f"{VELERO}/downloadrequests/{made}") or {}).get("status") or {}
                found[:] = [status["downloadURL"]] if status.get("downloadURL") else []
                return bool(found)

            if not self.wait(answered, _URL_SECONDS):
                raise ResultsUnavailableError(f"Velero did not answer DownloadRequest {made} within {_URL_SECONDS:.0f} s")
        except ApiError as error:
            raise ResultsUnavailableError(str(error)) from None
        return self.read(found[0])
