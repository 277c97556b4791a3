"""Asks servers over HTTP or HTTPS, and says in words what they answered.

As a step it asks several servers side by side, from one Pod: all of them by the same way out. Whether a server lives decides
whether two regions would write at once: any HTTP status below 500 is an answer of a living server, whatever it refuses.
"""

from __future__ import annotations

import http.client
import json
import queue
import socket
import ssl
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any
from urllib.parse import urlsplit


@dataclass(frozen=True, kw_only=True)
class Question:
    """One GET request to `url`, which has scheme http or https.

    `host` is the Host header and, over TLS, the name that the server is asked for (SNI); by default, what `url` says. With
    `verify` its certificate must be of that name, and of an authority that the image knows. `seconds` is how long the answer may
    take, from the look-up of the name on. Raises ValueError for another scheme or an invalid port.
    """

    url: str
    host: str | None = None
    verify: bool = False
    seconds: float = 3.0

    def __post_init__(self) -> None:
        address = urlsplit(self.url)
        if address.scheme not in ("http", "https") or not address.hostname:
            raise ValueError(f"{self.url} is no URL of a server; write one as in https://app.example.com/healthz")
        _ = address.port  # raises ValueError if it is no port

    def __str__(self) -> str:
        return f"{self.url} (Host: {self.host})" if self.host else self.url


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What came back: the HTTP `status`, None if there was none; and `said`, the same in words."""

    status: int | None
    said: str

    @property
    def of_a_living_server(self) -> bool:
        """Whether a server answered: one that says 500 or more does not work, or stands before one that does not."""
        return self.status is not None and self.status < 500

    @property
    def success(self) -> bool:
        """Whether the answer is what users want: 2xx, or a 3xx that sends them on. Redirects are not followed."""
        return self.status is not None and 200 <= self.status < 400


MOST = 16
"""Questions that one Pod is asked. What it says at its end holds as many answers, and no more."""

_LONGEST = 120
"""Characters of one answer in words. A server chooses its reason phrase."""


def run(task: Mapping[str, Any]) -> str:
    """Ask the task's `questions`, each with the fields of a Question. Returns a list of the fields of their Answers, as JSON and
    in the same order, also where nobody answered."""
    return json.dumps([asdict(answer) for answer in put_all([Question(**each) for each in task["questions"]])])


def put(question: Question) -> Answer:
    """Ask, and return what came back within the question's time."""
    return put_all([question])[0]


def put_all(questions: Sequence[Question]) -> list[Answer]:
    """Ask all of them side by side, and return what came back within the time of each."""
    waiting = [_begin(question) for question in questions]
    began = time.monotonic()
    return [_end(question, answers, began) for question, answers in zip(questions, waiting, strict=True)]


def _begin(question: Question) -> queue.SimpleQueue[Answer]:
    answers: queue.SimpleQueue[Answer] = queue.SimpleQueue()
    # In a thread, because neither the look-up of a name nor a server that sends one byte after the other knows a time limit.
    threading.Thread(target=lambda: answers.put(_answer(question)), daemon=True).start()
    return answers


def _end(question: Question, answers: queue.SimpleQueue[Answer], began: float) -> Answer:
    try:
        return answers.get(timeout=max(began + question.seconds - time.monotonic(), 0))
    except queue.Empty:
        return _silence(question)


def _answer(question: Question) -> Answer:
    address = urlsplit(question.url)
    name = address.hostname or ""
    try:
        connection = _connection(question)
        try:
            target = f"{address.path or '/'}{f'?{address.query}' if address.query else ''}"
            headers = {"Host": question.host} if question.host else {}
            connection.request("GET", target, headers={**headers, "User-Agent": "k8s-dr", "Connection": "close"})
            response = connection.getresponse()
            return Answer(status=response.status, said=f"HTTP {response.status} {response.reason}".strip()[:_LONGEST])
        finally:
            connection.close()
    except socket.gaierror as error:
        return Answer(status=None, said=f"nothing: the name {name} is not known ({error.strerror})")
    except TimeoutError:
        return _silence(question)
    except ssl.SSLCertVerificationError as error:
        return Answer(status=None, said=f"nothing, for its certificate is not good: {error.verify_message}"[:_LONGEST])
    except ssl.SSLError as error:
        return Answer(status=None, said=f"nothing over TLS: {error.reason or error}")
    except http.client.HTTPException as error:
        return Answer(status=None, said=f"nothing in HTTP ({type(error).__name__})")
    except OSError as error:
        return Answer(status=None, said=f"nothing: {error.strerror or error}")


def _silence(question: Question) -> Answer:
    return Answer(status=None, said=f"nothing within {question.seconds:g} s")


def _connection(question: Question) -> http.client.HTTPConnection:
    address = urlsplit(question.url)
    name = address.hostname or ""
    if address.scheme == "http":
        return http.client.HTTPConnection(name, address.port, timeout=question.seconds)
    asked_for = urlsplit(f"//{question.host}").hostname if question.host else name
    return _TlsConnection(name, address.port, question, asked_for=asked_for or name)


class _TlsConnection(http.client.HTTPSConnection):
    """A connection over TLS that asks for another name than it connects to. The library has no argument for that."""

    def __init__(self, name: str, port: int | None, question: Question, *, asked_for: str) -> None:
        self._tls = ssl.create_default_context()
        if not question.verify:
            # A load balancer is asked for its users' name by its own, and a Service by its name in the cluster: no certificate
            # has these. The question is only whether a server lives, and it sends no secret.
            self._tls.check_hostname = False
            self._tls.verify_mode = ssl.CERT_NONE
        self._asked_for = asked_for
        super().__init__(name, port, timeout=question.seconds)

    def connect(self) -> None:
        http.client.HTTPConnection.connect(self)
        self.sock = self._tls.wrap_socket(self.sock, server_hostname=self._asked_for)
