"""A workload's check: it asks the Service by its name in the cluster, waits for a success, and says what it was told instead."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import pytest

from components.kube.runner import verify
from components.kube.runner.failure import StepFailedError
from tests.ports import refusing_port
from tests.unit.components.kube.runner.servers import certificate_of_somebody_else, http_server


@pytest.fixture(autouse=True)
def resolved(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every name leads to loopback. Returns the names that were looked up."""
    names: list[str] = []
    look_up = socket.getaddrinfo

    def here(name: str, *args: Any, **options: Any) -> Any:
        names.append(name)
        return look_up("127.0.0.1", *args, **options)

    monkeypatch.setattr(socket, "getaddrinfo", here)
    monkeypatch.setattr(verify, "_PAUSE", 0.01)
    return names


def verified(port: int, **changes: Any) -> str:
    check = {"namespace": "production", "service": "web", "path": "/healthz", "scheme": "http", "host": None, "seconds": 30}
    return verify.run({**check, "port": port, **changes})


def refused(port: int, **changes: Any) -> str:
    with pytest.raises(StepFailedError) as caught:
        verified(port, **{"seconds": 0.3, **changes})
    return str(caught.value)


def test_a_service_is_asked_by_its_name_in_the_cluster(resolved: list[str]) -> None:
    with http_server() as server:
        said = verified(server.port)
        assert said == f"http://web.production.svc:{server.port}/healthz said HTTP 200 OK"
        assert (server.paths, server.hosts) == (["/healthz"], [f"web.production.svc:{server.port}"])
    assert resolved == ["web.production.svc"]


def test_a_service_may_want_to_be_asked_by_its_users_name_over_tls(tmp_path: Path) -> None:
    with http_server(tls=certificate_of_somebody_else(tmp_path)) as server:
        said = verified(server.port, scheme="https", host="app.example.com")
        assert said == f"https://web.production.svc:{server.port}/healthz (Host: app.example.com) said HTTP 200 OK"
        assert (server.names, server.hosts) == (["app.example.com"], ["app.example.com"])


def test_a_workload_that_still_starts_is_asked_again(capsys: pytest.CaptureFixture[str]) -> None:
    with http_server(503, 404, 302) as server:
        assert verified(server.port).endswith("said HTTP 302 Found")
        assert len(server.paths) == 3
    log = capsys.readouterr().out.splitlines()
    assert [line.partition(" said ")[2] for line in log] == [
        "HTTP 503 Service Unavailable; asking again",
        "HTTP 404 Not Found; asking again",
    ]


def test_what_a_workload_said_last_is_told() -> None:
    with http_server(503) as server:
        told = refused(server.port)
    assert told.startswith(
        f"http://web.production.svc:{server.port}/healthz said HTTP 503 Service Unavailable, after 0.3 s of asking; "
    )
    assert told.endswith("see the logs of what serves Service web in namespace production")


def test_where_nothing_answers_the_message_says_what_may_be_in_between() -> None:
    told = refused(refusing_port())
    assert "said nothing: Connection refused" in told
    assert "kubectl get service,endpointslices -n production" in told
    assert "NetworkPolicy of production" in told
    assert "\n" not in told


class TestThroughTheApiServer:
    """The API server asks the Service. It passes on what that answers, and says itself where it does not get there."""

    def asked(self, monkeypatch: pytest.MonkeyPatch, *answers: tuple[int, str] | Exception, seconds: float = 30) -> str:
        waiting = list(answers)
        paths: list[str] = []
        self.paths = paths

        class ApiServer:
            def status(self, path: str) -> tuple[int, str]:
                paths.append(path)
                answer = waiting.pop(0) if len(waiting) > 1 else waiting[0]
                if isinstance(answer, Exception):
                    raise answer
                return answer

        monkeypatch.setattr(verify.Api, "in_cluster", lambda **_: ApiServer())
        return verified(80, via="api-server", seconds=seconds)

    def test_a_success_of_the_workload_is_a_success(self, monkeypatch: pytest.MonkeyPatch) -> None:
        refused = OSError("connection refused")
        said = self.asked(monkeypatch, (503, "no endpoints available for service web (HTTP 503)"), refused, (200, "ok"))
        assert said == "http://web.production.svc:80/healthz (through the API server) said HTTP 200"
        assert set(self.paths) == {"/api/v1/namespaces/production/services/http:web:80/proxy/healthz"}
        assert len(self.paths) == 3

    def test_the_api_servers_own_words_are_told(self, monkeypatch: pytest.MonkeyPatch) -> None:
        forbidden = 'services "http:web:80" is forbidden: cannot get resource "services/proxy" (HTTP 403)'
        with pytest.raises(StepFailedError) as caught:
            self.asked(monkeypatch, (403, forbidden), seconds=0)
        assert f"(through the API server) said {forbidden}, after 0 s of asking" in str(caught.value)
