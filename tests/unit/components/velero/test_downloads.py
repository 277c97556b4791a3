"""Velero's own texts are read by a URL that Velero hands out, and a failure to do so has a reason and no secret in it."""

from __future__ import annotations

import gzip
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from components.kube.cluster_api import ClusterUnreachableError
from components.kube.runner.restored import Results, ResultsUnavailableError
from components.velero import downloads
from components.velero.downloads import read_url, results_of
from tests.unit.components.conftest import Clock
from tests.unit.fakes import FakeCluster

URL = "https://bucket/restores/r?X-Amz-Signature=5ecre7"
SAID = {
    "errors": {"velero": ["a\nb"], "namespaces": {"shop": ["error restoring pods/shop/web: no", "plain"]}},
    "warnings": {"cluster": ["c"]},
}


def packed(found: Any = SAID) -> bytes:
    return gzip.compress(json.dumps(found).encode(), mtime=0)


def answering(url: str | None = URL) -> FakeCluster:
    return FakeCluster(velero={"downloadrequests": []}, answer={"status": {"downloadURL": url} if url else {}})


def test_every_text_is_one_line_that_names_its_namespace() -> None:
    results = results_of(answering(), "r", lambda url: packed() if url == URL else b"")
    assert results == Results(errors=("a b", "error restoring pods/shop/web: no", "shop: plain"), warnings=("c",))


def test_the_request_asks_for_the_results_of_that_restore() -> None:
    cluster = answering()
    results_of(cluster, "r", lambda _: packed({}))
    (request,) = cluster.velero["downloadrequests"] or []
    assert request["spec"] == {"target": {"kind": "RestoreResults", "name": "r"}}


def test_an_answer_of_another_request_is_not_taken(clock: Clock) -> None:
    other = {"metadata": {"name": "other"}, "status": {"downloadURL": "https://other"}}
    cluster = FakeCluster(velero={"downloadrequests": [other]})
    with pytest.raises(ResultsUnavailableError, match="Velero did not answer DownloadRequest downloadrequests-1 within 15 s"):
        results_of(cluster, "r", lambda _: packed())
    assert sum(clock.naps) == pytest.approx(15, abs=0.5)


@pytest.mark.parametrize(
    "content",
    [b"", b"<html>", gzip.compress(b"no", mtime=0), packed([]), packed({"errors": {"namespaces": {"a": 1}}})],
    ids=["nothing", "a page", "no JSON", "a list", "no messages"],
)
def test_an_answer_that_is_not_veleros_is_told_as_such(content: bytes) -> None:
    with pytest.raises(ResultsUnavailableError, match="not what Velero writes"):
        results_of(answering(), "r", lambda _: content)


def test_a_cluster_that_does_not_answer_is_the_reason() -> None:
    with pytest.raises(ResultsUnavailableError, match="does not answer"):
        results_of(FakeCluster(error=ClusterUnreachableError("cluster b does not answer")), "r")
    with pytest.raises(ResultsUnavailableError, match="Velero is not installed"):
        results_of(FakeCluster(), "r")


@pytest.fixture
def bucket() -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.path.startswith("/there") else 403)
            self.end_headers()
            self.wfile.write(packed())

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_the_url_is_read(bucket: str) -> None:
    assert read_url(f"{bucket}/there?X-Amz-Signature=5ecre7") == packed()


def test_a_url_that_cannot_be_read_is_never_in_the_message(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ResultsUnavailableError, match="the bucket answered 403"):
        read_url(f"{bucket}/?X-Amz-Signature=5ecre7")
    monkeypatch.setattr(downloads, "_TIMEOUT", 0.5)
    with pytest.raises(ResultsUnavailableError, match="does not reach the bucket") as failed:
        read_url("http://127.0.0.1:1/?X-Amz-Signature=5ecre7")
    assert "5ecre7" not in str(failed.value)
