"""A server that can be watched: it sends what a test tells it to, when it tells it to."""

from __future__ import annotations

import json
import queue
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Stream:
    """What a watch gets: `lines`, each in a piece of its own; None ends it. `documents` are what other paths answer."""

    url: str = ""
    lines: queue.SimpleQueue[bytes | None] = field(default_factory=queue.SimpleQueue)
    documents: dict[str, dict[str, Any]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def send(self, what: str, body: dict[str, Any]) -> None:
        self.lines.put(json.dumps({"type": what, "object": body}).encode() + b"\n")


@contextmanager
def streaming(status: int = 200) -> Iterator[Stream]:
    """Such a server. A watch is answered with `status`."""
    stream = Stream()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: Any) -> None:
            pass

        def do_GET(self) -> None:
            stream.asked.append(self.path)
            if "watch=true" not in self.path:
                data = json.dumps(stream.documents[self.path]).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)
                return
            self.send_response(status)
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            while (line := stream.lines.get()) is not None:
                self.wfile.write(b"%x\r\n%s\r\n" % (len(line), line))
            self.wfile.write(b"0\r\n\r\n")

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        server.block_on_close = False
        server.handle_error = lambda *_: None  # type: ignore[method-assign]  # who watches may hang up
        stream.url = f"http://127.0.0.1:{server.server_address[1]}"
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield stream
        stream.lines.put(None)
        server.shutdown()
