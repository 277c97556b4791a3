"""One request to a real server, within its time, and nothing of the URL in what is said of it."""

from __future__ import annotations

import json
import socket
import ssl
import time
from contextlib import suppress
from pathlib import Path

import pytest

from components.kube.runner.receiver import tell
from tests.ports import refusing_port
from tests.unit.components.kube.runner.servers import certificate_of_somebody_else, http_server, raw_server


def test_a_heartbeat_is_one_get_of_the_url_as_it_is() -> None:
    with http_server(200) as server:
        assert tell({"etcd": f"http://127.0.0.1:{server.port}/ping/hush?rid=1"}) == {}
    assert (server.paths, server.bodies) == (["/ping/hush?rid=1"], [])


def test_a_document_is_posted_as_json_once() -> None:
    with http_server(202) as server:
        assert tell({"page": f"http://127.0.0.1:{server.port}/hush"}, {"region": "us-west-2"}) == {}
    assert server.paths == ["/hush"]
    assert [json.loads(body) for body in server.bodies] == [{"region": "us-west-2"}]


@pytest.mark.parametrize(("status", "said"), [(404, "HTTP 404"), (500, "HTTP 500"), (302, "HTTP 302")])
def test_a_receiver_that_does_not_take_it_is_asked_once_and_goes_nowhere_else(status: int, said: str) -> None:
    with http_server(status) as server:
        assert tell({"etcd": f"http://127.0.0.1:{server.port}/hush"}) == {"etcd": said}
    assert server.paths == ["/hush"]


def test_one_that_hangs_is_waited_for_as_long_as_was_said_and_holds_no_other_up() -> None:
    def one_byte_after_the_other(connection: socket.socket) -> None:
        with suppress(OSError):  # whoever asked is gone
            connection.sendall(b"HTTP/1.1 200 OK\r\nX: ")
            for _ in range(40):
                connection.sendall(b"x")
                time.sleep(0.1)

    with http_server(200) as server, raw_server(lambda _: None) as silent, raw_server(one_byte_after_the_other) as slow:
        urls = {name: f"http://127.0.0.1:{port}/hush" for name, port in (("a", silent), ("b", server.port), ("c", slow))}
        began = time.monotonic()
        wrong = tell(urls, seconds=0.5)
        took = time.monotonic() - began
    assert set(wrong) == {"a", "c"}
    assert set(wrong.values()) <= {"no answer within 0.5 s", "no answer in time"}
    assert took < 3
    assert server.paths == ["/hush"]


def test_one_that_is_away_is_said_in_words_without_its_url(tmp_path: Path) -> None:
    with http_server(200, tls=certificate_of_somebody_else(tmp_path)) as foreign:
        wrong = tell(
            {
                "refuses": f"http://127.0.0.1:{refusing_port()}/hush",
                "nowhere": "http://hush.invalid/hush",
                "foreign": f"https://127.0.0.1:{foreign.port}/hush",
                "spoilt": "http://127.0.0.1:0x1/hush",
                "blank": "hush",
            },
            seconds=20,
        )
    assert wrong["refuses"] == "Connection refused"
    assert wrong["foreign"].startswith("its certificate is not good (code ")
    assert foreign.paths == [], "whoever has no good certificate hears no URL"
    assert set(wrong) == {"refuses", "nowhere", "foreign", "spoilt", "blank"}
    assert "hush" not in str(wrong.values())


def test_the_authorities_are_read_once_for_all_of_a_hundred_urls(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[int] = []
    load = ssl.SSLContext.load_default_certs
    monkeypatch.setattr(ssl.SSLContext, "load_default_certs", lambda *given: (read.append(1), load(*given))[1])
    wrong = tell({str(number): f"https://127.0.0.1:{refusing_port()}/hush" for number in range(100)}, seconds=30)
    assert set(wrong.values()) == {"Connection refused"}
    assert len(read) == 1


def test_a_machine_that_can_make_no_tls_says_so_and_raises_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SSLKEYLOGFILE", str(tmp_path / "gone" / "keys"))
    assert tell({"etcd": "https://127.0.0.1:1/hush"}) == {"etcd": "No such file or directory"}


def test_nobody_is_asked_where_there_is_no_url() -> None:
    assert tell({}) == {}
