"""The content of an API server, read from its etcd and put back there, while everything goes on running.

The server and its watchers see what is put back as ordinary changes, so nothing has to start again. Objects come back byte for
byte, with their identities.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

import urllib3

_PREFIX = b"/registry/"
_OWN = (b"/registry/leases/", b"/registry/masterleases/", b"/registry/events/")
"""Keys that the server writes for itself, or that expire. They are neither kept nor put back."""


class Etcd:
    """An etcd at `url`, asked in JSON."""

    def __init__(self, url: str) -> None:
        self._url = url

    def content(self) -> dict[str, str]:
        """Every value by its key, both in base64."""
        kvs = self._ask("range", key=_text(_PREFIX), range_end=_text(_PREFIX[:-1] + b"0")).get("kvs", ())
        return {kv["key"]: kv["value"] for kv in kvs if not base64.b64decode(kv["key"]).startswith(_OWN)}

    def put_back(self, content: Mapping[str, str]) -> None:
        """Hold again what was there when `content` was read."""
        now = self.content()
        for key in now.keys() - content.keys():
            self._ask("deleterange", key=key)
        for key, value in content.items():
            if now.get(key) != value:
                self._ask("put", key=key, value=value)

    def revision(self) -> int:
        """The version of the newest change, as an object's `resourceVersion` has it."""
        return int(self._ask("range", key=_text(_PREFIX), count_only=True)["header"]["revision"])

    def _ask(self, what: str, **body: Any) -> dict[str, Any]:
        answer = urllib3.request("POST", f"{self._url}/v3/kv/{what}", json=body, timeout=20, retries=False)
        assert answer.status == 200, answer.data
        return dict(answer.json())


def _text(key: bytes) -> str:
    return base64.b64encode(key).decode()
