"""Tells receivers of heartbeats and webhooks: one request to each, side by side and within seconds.

Whoever has such a URL can speak in this region's name, so nothing of it is in what is said of the request. What goes wrong is
said and not raised: a receiver that is away must stop nothing.
"""

from __future__ import annotations

import json
import queue
import socket
import ssl
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import Any

SECONDS = 5.0
"""How long all answers together may take, from the look-up of a name on."""


def tell(urls: Mapping[str, str], document: Mapping[str, Any] | None = None, *, seconds: float = SECONDS) -> dict[str, str]:
    """GET each URL or, with a document, POST it as JSON. Returns what went wrong, by the URL's name: nothing of those that took
    it."""
    answers: queue.SimpleQueue[tuple[str, str | None]] = queue.SimpleQueue()
    try:
        opener = _opener()
    except Exception as error:  # noqa: BLE001 - no authorities, or a key log that cannot be written: said as all else is
        return dict.fromkeys(urls, _in_words(error))
    for name, url in urls.items():
        # In a thread, because neither the look-up of a name nor a server that sends one byte after the other knows a time limit.
        threading.Thread(target=_ask, args=(opener, name, url, document, seconds, answers), daemon=True).start()
    end, wrong = time.monotonic() + seconds, dict.fromkeys(urls, f"no answer within {seconds:g} s")
    for _ in urls:
        try:
            name, problem = answers.get(timeout=max(end - time.monotonic(), 0))
        except queue.Empty:
            break
        if problem is None:
            del wrong[name]
        else:
            wrong[name] = problem
    return wrong


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A receiver is called where a person said, and nowhere else."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        """No other request: the redirect is the answer."""


def _opener() -> urllib.request.OpenerDirector:
    """What makes all requests. To read the authorities takes a Pod of half a core 50 ms: once for each of a hundred URLs, it
    would take all the time there is, and each of them would look silent."""
    context = ssl.create_default_context()
    context.set_alpn_protocols(["http/1.1"])
    return urllib.request.build_opener(_NoRedirect, urllib.request.HTTPSHandler(context=context))


def _ask(
    opener: urllib.request.OpenerDirector,
    name: str,
    url: str,
    document: Mapping[str, Any] | None,
    seconds: float,
    answers: queue.SimpleQueue[tuple[str, str | None]],
) -> None:
    try:
        data = None if document is None else json.dumps(document).encode()
        headers = {"User-Agent": "k8s-dr", **({"Content-Type": "application/json"} if data else {})}
        request = urllib.request.Request(url, data, headers)
        with opener.open(request, timeout=seconds):
            answers.put((name, None))
    except Exception as error:  # noqa: BLE001 - whatever a receiver does, it is said in words without the URL
        answers.put((name, _in_words(error)))


def _in_words(error: BaseException) -> str:
    """No text of the error itself, which may repeat the URL or a part of it."""
    if isinstance(error, urllib.error.HTTPError):
        return f"HTTP {error.code}"
    if isinstance(error, urllib.error.URLError) and isinstance(error.reason, BaseException):
        return _in_words(error.reason)
    if isinstance(error, socket.gaierror):
        return "the name of its host is not known"
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not good (code {error.verify_code})"
    if isinstance(error, TimeoutError):
        return "no answer in time"
    # What the operating system says has no URL in it, as "Connection refused".
    of_the_system = isinstance(error, OSError) and not isinstance(error, ssl.SSLError)
    return (of_the_system and getattr(error, "strerror", None)) or type(error).__name__
