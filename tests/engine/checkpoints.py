"""Checkpoints: what a pair of stacks consists of is kept, and put back later as often as one likes, in less than a second.

Without them each test would need several `pulumi up` to begin where it has to. Files are copied; moto forks (`moto_server`); a
cluster copies its store (`clusters`).
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterable
from dataclasses import asdict
from pathlib import Path
from typing import TypeAlias

import urllib3

from tests.engine.refusals import Refusal
from tests.examples import ROOT

PutBack: TypeAlias = Callable[[], None]
"""A checkpoint. A call brings back the state in which it was made."""


def keep_files(root: Path, kept: Path, *, besides: Iterable[str]) -> PutBack:
    """Copy what is in `root` into the new directory `kept`, without the entries `besides`: these are never put back."""
    besides = frozenset(besides)

    def own() -> list[Path]:
        return [entry for entry in root.iterdir() if entry.name not in besides]

    def put_back() -> None:
        for entry in own():
            _remove(entry)
        for entry in kept.iterdir():
            _copy(entry, root / entry.name)

    kept.mkdir(parents=True)
    for entry in own():
        _copy(entry, kept / entry.name)
    return put_back


def _copy(source: Path, target: Path) -> None:
    if source.is_dir():
        shutil.copytree(source, target, symlinks=True)
    else:
        shutil.copy2(source, target)


def _remove(entry: Path) -> None:
    if entry.is_dir() and not entry.is_symlink():
        shutil.rmtree(entry)
    else:
        entry.unlink()


class Moto:
    """A moto server in processes of its own, on a free port of loopback. Its log is `log`."""

    def __init__(self, log: Path) -> None:
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.engine.moto_server"],
                cwd=ROOT,
                stdin=subprocess.PIPE,  # never written to: the server ends with it, also when this process is killed
                stdout=subprocess.PIPE,
                stderr=output,
                start_new_session=True,
            )
        assert self._process.stdout is not None
        port = self._process.stdout.readline().decode().strip()
        assert port, f"moto ended: {log.read_text()[-2000:]}"
        self.endpoint = f"http://127.0.0.1:{port}"

    def checkpoint(self) -> PutBack:
        holder = int(self._tell("checkpoint"))

        def put_back() -> None:
            self._tell("end")
            with socket.create_connection(("127.0.0.1", holder), timeout=20) as connection:
                assert connection.recv(1) == b"", "a holder says nothing"

        return put_back

    def refuse(self, *refusals: Refusal) -> None:
        """Refuse what these cover, and nothing else any more. A return to a checkpoint forgets them."""
        self._tell("refuse", json.dumps([asdict(each) for each in refusals]))

    def refused(self) -> list[str]:
        """Method and path of each request that was refused since."""
        return list(json.loads(self._tell("refused")))

    def stop(self) -> None:
        """End the server and every process that holds a checkpoint."""
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            assert stream is not None
            stream.close()

    def _tell(self, what: str, body: str = "") -> str:
        answer = urllib3.request("POST", f"{self.endpoint}/_lab/{what}", body=body, timeout=20, retries=False)
        assert answer.status == 200, answer.data
        return answer.data.decode()
