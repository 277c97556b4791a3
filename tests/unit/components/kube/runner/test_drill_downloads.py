"""Files that Velero hands out a URL for, and what a drill says where it gets none."""

from __future__ import annotations

import pytest

from components.kube.runner.api import ApiError
from components.kube.runner.drill_downloads import VELERO, Downloads, read_url
from components.kube.runner.drill_space import Space
from components.kube.runner.restored import ResultsUnavailableError
from tests.unit.components.kube.runner.drill_world import DrillCluster
from tests.unit.components.kube.runner.servers import http_server
from tests.unit.components.kube.runner.steps import Clock


def downloads(api: DrillCluster, content: bytes = b"") -> Downloads:
    clock = Clock()
    space = Space(api=api, namespace="scratch", clock=clock, sleep=clock.sleep)  # type: ignore[arg-type]
    return Downloads(api=api, wait=space.wait, labels={"k8s-dr/drill": "namespace"}, read=lambda _: content)  # type: ignore[arg-type]


def test_a_velero_that_does_not_answer_is_the_reason() -> None:
    api = DrillCluster()
    with pytest.raises(ResultsUnavailableError, match=r"Velero did not answer DownloadRequest drill-0 within 20 s"):
        downloads(api).listed("daily-1")
    assert [path for path, _ in api.created] == [f"{VELERO}/downloadrequests"]


def test_an_api_server_that_refuses_is_the_reason() -> None:
    api = DrillCluster()
    api.refused[f"{VELERO}/downloadrequests"] = ApiError(403, "downloadrequests.velero.io is forbidden")
    with pytest.raises(ResultsUnavailableError, match="is forbidden"):
        downloads(api).results("drill-1")


def test_a_file_that_is_not_packed_is_none_of_veleros() -> None:
    api = DrillCluster()

    def velero() -> None:
        for body in api.objects.values():
            body["status"] = {"downloadURL": "https://bucket"}

    api.controllers.append(velero)
    with pytest.raises(ResultsUnavailableError, match="is not what Velero writes"):
        downloads(api, b"no gzip").results("drill-1")


def test_a_bucket_that_refuses_is_told_without_the_url_which_is_as_good_as_a_key() -> None:
    with http_server(403) as server, pytest.raises(ResultsUnavailableError) as told:
        read_url(f"http://127.0.0.1:{server.port}/file?signature=secret")
    assert str(told.value) == "the bucket answered 403"


def test_a_bucket_that_is_not_there_is_told() -> None:
    with pytest.raises(ResultsUnavailableError, match="this Pod does not reach the bucket: URLError"):
        read_url("http://127.0.0.1:9/file?signature=secret")
