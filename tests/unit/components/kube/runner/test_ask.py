"""Whether a server lives: which answers count, what is asked for by name, and that no server can hold the question up."""

from __future__ import annotations

import json
import socket
import threading
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from components.kube.runner.ask import MOST, Answer, Question, put, put_all, run
from tests.ports import refusing_port
from tests.unit.components.kube.runner.servers import certificate_of_somebody_else, http_server, raw_server


def asked(url: str, **question: Any) -> dict[str, Any]:
    [answer] = json.loads(run({"questions": [{"url": url, **question}]}))
    return {**answer, "answered": Answer(**answer).of_a_living_server}


@pytest.mark.parametrize(
    ("status", "answered", "said"),
    [
        (200, True, "HTTP 200 OK"),
        (301, True, "HTTP 301 Moved Permanently"),
        (401, True, "HTTP 401 Unauthorized"),
        (404, True, "HTTP 404 Not Found"),
        (429, True, "HTTP 429 Too Many Requests"),
        (499, True, "HTTP 499"),
        (500, False, "HTTP 500 Internal Server Error"),
        (503, False, "HTTP 503 Service Unavailable"),
    ],
)
def test_a_refusal_is_an_answer_of_a_living_server_and_an_error_of_its_own_is_none(
    status: int, answered: bool, said: str
) -> None:
    with http_server(status) as server:
        assert asked(f"http://127.0.0.1:{server.port}/") == {"status": status, "said": said, "answered": answered}


def test_the_path_and_the_query_are_asked_for_and_a_redirect_is_not_followed() -> None:
    with http_server(302) as server:
        asked(f"http://127.0.0.1:{server.port}/healthz?full=1")
        asked(f"http://127.0.0.1:{server.port}")
        assert server.paths == ["/healthz?full=1", "/"]


def test_a_server_is_asked_by_the_name_that_its_users_know() -> None:
    with http_server() as server:
        asked(f"http://127.0.0.1:{server.port}/", host="app.example.com")
        asked(f"http://127.0.0.1:{server.port}/")
        assert server.hosts == ["app.example.com", f"127.0.0.1:{server.port}"]


def test_over_tls_the_name_is_asked_for_too_and_no_certificate_is_judged(tmp_path: Path) -> None:
    with http_server(200, tls=certificate_of_somebody_else(tmp_path)) as server:
        url = f"https://localhost:{server.port}/"
        assert asked(url, host="app.example.com:8443")["answered"]
        assert asked(url)["answered"]
        assert server.names == ["app.example.com", "localhost"]
        assert server.hosts == ["app.example.com:8443", f"localhost:{server.port}"]


def test_a_port_on_which_nobody_listens_answers_nothing() -> None:
    answer = asked(f"http://127.0.0.1:{refusing_port()}/")
    assert answer == {"status": None, "said": "nothing: Connection refused", "answered": False}


def test_a_name_that_nobody_knows_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    said = asked("https://app.example.com/")["said"]
    assert said == "nothing: the name app.example.com is not known (Name or service not known)"


def test_a_server_that_is_silent_answers_nothing() -> None:
    with raw_server(lambda _: None) as port:
        assert asked(f"http://127.0.0.1:{port}/", seconds=0.2)["said"] == "nothing within 0.2 s"


def test_a_server_that_sends_one_byte_after_the_other_cannot_hold_the_question_up() -> None:
    ended = threading.Event()

    def trickle(connection: socket.socket) -> None:
        while not ended.wait(0.05):
            connection.sendall(b"H")

    with raw_server(trickle) as port:
        began = time.monotonic()
        assert asked(f"http://127.0.0.1:{port}/", seconds=0.5)["said"] == "nothing within 0.5 s"
        assert time.monotonic() - began < 5
        ended.set()


def test_a_look_up_that_hangs_cannot_hold_the_question_up(monkeypatch: pytest.MonkeyPatch) -> None:
    ended = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: ended.wait(60) and [])
    assert asked("https://app.example.com/", seconds=0.2)["said"] == "nothing within 0.2 s"
    ended.set()


def test_a_server_that_hangs_up_answers_nothing() -> None:
    with raw_server(lambda connection: connection.close()) as port:
        assert asked(f"http://127.0.0.1:{port}/")["answered"] is False


def test_what_speaks_something_else_answers_nothing() -> None:
    with raw_server(lambda connection: connection.sendall(b"220 mail.example.com ESMTP\r\n")) as port:
        assert asked(f"http://127.0.0.1:{port}/")["said"] == "nothing in HTTP (BadStatusLine)"


def test_a_server_without_tls_answers_nothing_over_tls() -> None:
    with raw_server(lambda connection: connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")) as port:
        assert asked(f"https://127.0.0.1:{port}/")["said"].startswith("nothing over TLS: ")


@pytest.mark.parametrize("url", ["ftp://app.example.com/", "app.example.com", "https:///healthz", "http://a:port/"])
def test_what_is_no_url_of_a_server_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match=r"no URL of a server|Port"):
        Question(url=url)


@pytest.mark.parametrize(("status", "success"), [(200, True), (204, True), (302, True), (399, True), (400, False), (503, False)])
def test_success_is_what_users_want(status: int, success: bool) -> None:
    assert Answer(status=status, said="").success is success


def test_silence_is_neither_a_success_nor_an_answer() -> None:
    answer = put(Question(url=f"http://127.0.0.1:{refusing_port()}/"))
    assert (answer.success, answer.of_a_living_server) == (False, False)


def test_several_servers_are_asked_side_by_side_and_answer_in_the_order_of_the_questions() -> None:
    with http_server(204) as server, raw_server(lambda _: None) as silent:
        urls = [f"http://127.0.0.1:{silent}/", f"http://127.0.0.1:{server.port}/", f"http://127.0.0.1:{silent}/"]
        began = time.monotonic()
        answers = put_all([Question(url=url, seconds=1) for url in urls])
        assert [answer.status for answer in answers] == [None, 204, None]
        assert time.monotonic() - began < 1.9, "one after the other they would take 2 s"


def test_where_the_certificate_counts_one_of_somebody_else_is_no_answer(tmp_path: Path) -> None:
    with http_server(200, tls=certificate_of_somebody_else(tmp_path)) as server:
        answer = asked(f"https://localhost:{server.port}/", host="app.example.com", verify=True)
    assert answer["status"] is None
    assert answer["said"].startswith("nothing, for its certificate is not good: ")


def test_what_the_most_questions_are_answered_fits_into_what_a_pod_says_at_its_end() -> None:
    longest = Answer(status=None, said="nothing" + "." * 113)
    assert len(longest.said) == 120
    assert len(json.dumps([asdict(longest)] * MOST)) <= 4096


def test_a_question_names_the_host_that_it_asks_for() -> None:
    assert str(Question(url="https://lb.example.com/", host="a.example.com")) == "https://lb.example.com/ (Host: a.example.com)"
    assert str(Question(url="https://lb.example.com/")) == "https://lb.example.com/"
