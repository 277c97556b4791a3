"""The region's own endpoint, asked as a user would ask, as the last thing before users come."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from components.kube.runner import endpoint
from components.kube.runner.failure import StepFailedError
from tests.ports import refusing_port
from tests.unit.components.kube.runner.servers import certificate_of_somebody_else, http_server


@pytest.fixture(autouse=True)
def _no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(endpoint, "_PAUSE", 0.01)


def asked(*questions: dict[str, Any], seconds: float = 30, required: bool = True) -> str:
    return endpoint.run({"questions": list(questions), "seconds": seconds, "required": required})


def refused(*questions: dict[str, Any]) -> str:
    with pytest.raises(StepFailedError) as caught:
        asked(*questions, seconds=0.3)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def question(port: int, host: str = "app.example.com", scheme: str = "http", **more: Any) -> dict[str, Any]:
    return {"url": f"{scheme}://127.0.0.1:{port}/", "host": host, "seconds": 3, **more}


def test_it_is_asked_by_the_name_that_users_call() -> None:
    with http_server() as server:
        said = asked(question(server.port))
        assert said == f"http://127.0.0.1:{server.port}/ (Host: app.example.com) said HTTP 200 OK"
        assert server.hosts == ["app.example.com"]


def test_a_load_balancer_whose_targets_still_register_is_asked_again(capsys: pytest.CaptureFixture[str]) -> None:
    with http_server(503, 503, 200) as server:
        assert asked(question(server.port)).endswith("said HTTP 200 OK")
    assert capsys.readouterr().out.count("said HTTP 503 Service Unavailable; asking again") == 2


def test_what_it_said_last_stops_the_failover_with_a_way_on() -> None:
    with http_server(404) as server:
        told = refused(question(server.port))
    assert told.startswith(f"http://127.0.0.1:{server.port}/ (Host: app.example.com) said HTTP 404 Not Found, after 0.3 s")
    assert "no user was sent here" in told
    assert "pulumi config set force true -s secondary, or see k8s-dr:failover.endpoint" in told


def test_without_being_required_it_is_told_and_stops_nothing() -> None:
    said = asked(question(refusing_port()), seconds=0, required=False)
    assert "said nothing: Connection refused" in said
    assert said.endswith("(not required: force is set, or users are here already)")


def test_of_the_other_names_any_answer_of_a_living_server_will_do() -> None:
    with http_server(200) as first, http_server(404) as second:
        said = asked(question(first.port), question(second.port, "api.example.com"))
    assert "(Host: api.example.com) said HTTP 404 Not Found" in said
    with http_server(200) as first, http_server(503) as second:
        told = refused(question(first.port), question(second.port, "api.example.com"))
    assert told.startswith(f"http://127.0.0.1:{second.port}/ (Host: api.example.com) said HTTP 503")
    assert f":{first.port}/" not in told


def test_a_certificate_that_users_would_refuse_is_refused_and_taken_by_choice(tmp_path: Path) -> None:
    with http_server(200, tls=certificate_of_somebody_else(tmp_path)) as server:
        over_tls = question(server.port, scheme="https")
        assert "its certificate is not good" in refused({**over_tls, "verify": True})
        assert asked({**over_tls, "verify": False}).endswith("said HTTP 200 OK")
        assert server.names[-1] == "app.example.com"
