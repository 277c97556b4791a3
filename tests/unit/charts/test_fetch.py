"""`make charts` against a chart repository that behaves and one that does not. Never a half-written or unpinned archive."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from charts import fetch
from charts.archives import digest

ARCHIVE = b"\x1f\x8b" + bytes(range(256)) * 400
FILE = "operator-1.2.3.tgz"


@dataclass
class Repository:
    """A chart repository on loopback. `body` is what it sends, of `length` bytes as it claims."""

    url: str = ""
    body: bytes = ARCHIVE
    length: int = len(ARCHIVE)
    status: int = 200
    asked: list[str] = field(default_factory=list)


@pytest.fixture
def repository(monkeypatch: pytest.MonkeyPatch) -> Iterator[Repository]:
    monkeypatch.setenv("no_proxy", "*")
    behaviour = Repository()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            behaviour.asked.append(self.path)
            self.send_response(behaviour.status)
            self.send_header("Content-Length", str(behaviour.length))
            self.end_headers()
            self.wfile.write(behaviour.body)

        def log_message(self, *_: object) -> None:
            """Not into the tests' output."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        behaviour.url = f"http://127.0.0.1:{server.server_port}/{FILE}"
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield behaviour
        server.shutdown()


@dataclass
class Outcome:
    code: int
    lines: list[str]
    """Everything that was printed, errors last."""


@pytest.fixture
def make_charts(tmp_path: Path, repository: Repository, capsys: pytest.CaptureFixture[str]) -> Callable[..., Outcome]:
    """Run it with a lock of one chart, in an empty directory."""

    def run(*, url: str | None = None, sha256: str = digest(ARCHIVE)) -> Outcome:
        lock = tmp_path / "charts.lock"
        lock.write_text(
            f'[[chart]]\nname = "operator"\nversion = "1.2.3"\napp_version = "1"\nurl = "{url or repository.url}"\n'
            f'sha256 = "{sha256}"\n'
        )
        directory = tmp_path / "charts"
        directory.mkdir(exist_ok=True)
        code = fetch.main(directory, lock)
        printed = capsys.readouterr()
        return Outcome(code, (printed.out + printed.err).splitlines())

    return run


def files(tmp_path: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (tmp_path / "charts").iterdir()}


def test_a_good_archive_is_kept(make_charts: Callable[..., Outcome], tmp_path: Path) -> None:
    assert make_charts() == Outcome(0, ["  operator 1.2.3: fetched"])
    assert files(tmp_path) == {FILE: ARCHIVE}


def test_an_archive_that_is_there_already_is_not_asked_for_again(
    make_charts: Callable[..., Outcome], repository: Repository, tmp_path: Path
) -> None:
    make_charts()
    assert make_charts() == Outcome(0, ["  operator 1.2.3: already there"])
    assert len(repository.asked) == 1
    assert files(tmp_path) == {FILE: ARCHIVE}


def test_an_archive_that_was_spoilt_on_disk_is_fetched_again(make_charts: Callable[..., Outcome], tmp_path: Path) -> None:
    make_charts()
    (tmp_path / "charts" / FILE).write_bytes(ARCHIVE[:100])
    assert make_charts().lines == ["  operator 1.2.3: fetched"]
    assert files(tmp_path) == {FILE: ARCHIVE}


def refused(outcome: Outcome, tmp_path: Path) -> str:
    """The one line that a failure is told in; nothing was written."""
    assert outcome.code == 1
    assert files(tmp_path) == {}
    (line,) = outcome.lines
    return line


def test_an_archive_of_another_digest_is_not_kept(
    make_charts: Callable[..., Outcome], repository: Repository, tmp_path: Path
) -> None:
    repository.body = ARCHIVE[:-1] + b"!"
    line = refused(make_charts(), tmp_path)
    assert f"has the sha256 {digest(repository.body)}, charts.lock says {digest(ARCHIVE)}" in line
    assert "find out which of the two is right" in line


def test_a_download_that_breaks_off_is_not_kept(
    make_charts: Callable[..., Outcome], repository: Repository, tmp_path: Path
) -> None:
    repository.body = ARCHIVE[:1000]
    line = refused(make_charts(), tmp_path)
    assert line == f"  operator 1.2.3: {repository.url} broke off after 1000 bytes; run make charts again"


def test_a_chart_that_is_not_there_any_more_is_told_with_its_address(
    make_charts: Callable[..., Outcome], repository: Repository, tmp_path: Path
) -> None:
    repository.status = 404
    line = refused(make_charts(), tmp_path)
    assert f"{repository.url} answers 404 Not Found; correct url in charts.lock" in line
    assert line.endswith(f"put it here as {FILE}")


def test_a_repository_that_cannot_be_reached_is_told_with_the_way_around(
    make_charts: Callable[..., Outcome], tmp_path: Path
) -> None:
    line = refused(make_charts(url=f"http://127.0.0.1:1/{FILE}"), tmp_path)
    assert f"http://127.0.0.1:1/{FILE} cannot be reached" in line
    assert "Connection refused" in line
    assert line.endswith(f"or download it where you can and put it here as {FILE}")


def test_a_repository_that_falls_silent_is_given_up(
    make_charts: Callable[..., Outcome], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(fetch, "PATIENCE", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        line = refused(make_charts(url=f"http://127.0.0.1:{silent.getsockname()[1]}/{FILE}"), tmp_path)
    assert "cannot be reached (timed out)" in line


def test_a_chart_without_a_digest_is_not_asked_for_and_says_how_to_pin_it(
    make_charts: Callable[..., Outcome], repository: Repository, tmp_path: Path
) -> None:
    line = refused(make_charts(sha256=""), tmp_path)
    assert "has no sha256 in charts.lock" in line
    assert all(step in line for step in (f"download {repository.url}", "verify it", "write what sha256sum says"))
    assert not repository.asked


def test_a_directory_that_cannot_be_written_is_one_line(make_charts: Callable[..., Outcome], tmp_path: Path) -> None:
    (tmp_path / "charts" / FILE).mkdir(parents=True)
    outcome = make_charts()
    assert (outcome.code, len(outcome.lines)) == (1, 1)
    assert f"{tmp_path}/charts/{FILE} cannot be written (Is a directory)" in outcome.lines[0]
    assert [path.name for path in (tmp_path / "charts").iterdir()] == [FILE]


def test_one_chart_that_fails_keeps_no_other_from_being_fetched(
    repository: Repository, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    entry = '[[chart]]\nname = "{name}"\nversion = "1"\napp_version = "1"\nurl = "{url}"\nsha256 = "' + digest(ARCHIVE) + '"\n'
    lock = tmp_path / "charts.lock"
    lock.write_text(entry.format(name="a", url="http://127.0.0.1:1/") + entry.format(name="b", url=repository.url))
    assert fetch.main(tmp_path, lock) == 1
    assert capsys.readouterr().out == "  b 1: fetched\n"
    assert (tmp_path / "b-1.tgz").read_bytes() == ARCHIVE


def test_a_lock_that_cannot_be_read_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert fetch.main(tmp_path, tmp_path / "charts.lock") == 1
    assert capsys.readouterr().err.count("\n") == 1
