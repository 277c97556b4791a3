"""Runs the Go compiler, and reports its progress: what it builds, how far it is, and how long it will take."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from lab.tools.groups import BUILD_ENVIRONMENT, Group, SharedFile

OLDEST = (1, 26, 6)
"""What the newest of the modules asks for."""

HEARTBEAT = 30.0  # seconds between two progress messages

_PACKAGE = re.compile(r"[\w.~+/-]+")  # `go list` and `go build -v` print each package as one word on a separate line


class ToolError(Exception):
    """A tool could not be built or installed; the message says which, why, and what to do."""


def check(what: str) -> None:
    """Raise ToolError unless PATH has a Go that can build the modules. `what` names the tools to build, for the message."""
    wanted = ".".join(map(str, OLDEST))
    advice = f"install Go {wanted} or newer (https://go.dev/dl) and put its bin directory on PATH"
    if shutil.which("go") is None:
        raise ToolError(f"Go is not on PATH, and these tools are still to be built with it: {what}; {advice}")
    # GOTOOLCHAIN=local keeps Go from downloading a newer version of itself without asking the user.
    command = ["go", "env", "GOVERSION"]
    version = subprocess.run(
        command, env={**os.environ, "GOTOOLCHAIN": "local"}, cwd="/", capture_output=True, text=True, check=False
    )
    numbers = re.search(r"go(\d+)\.(\d+)(?:\.(\d+))?", version.stdout)
    if numbers is None:
        why = (version.stderr.strip() or version.stdout.strip() or f"exit status {version.returncode}").splitlines()[-1]
        raise ToolError(f"{shutil.which('go')} does not say its version: {why}; {advice}")
    if tuple(int(number or 0) for number in numbers.groups()) < OLDEST:
        raise ToolError(f"{shutil.which('go')} is {version.stdout.strip()}, too old for the pinned modules: {advice}")


def environment(scratch: Path, caches: Path) -> dict[str, str]:
    """The environment of a build. Go's caches are in `caches`, unless the user's environment names others."""
    ours = {"GOCACHE": str(caches / "build"), "GOMODCACHE": str(caches / "modules")}
    user = {name: os.environ[name] for name in ours if os.environ.get(name)}
    flags = ["-mod=readonly", "-buildvcs=false"]
    if "GOMODCACHE" not in user:
        flags.append("-modcacherw")  # otherwise module directories are read-only, and only root can delete them
    temporary = scratch / "tmp"
    temporary.mkdir(parents=True, exist_ok=True)
    fixed = {"GOTOOLCHAIN": "local", "GOWORK": "off", "GOFLAGS": " ".join(flags), "GOTMPDIR": str(temporary), **BUILD_ENVIRONMENT}
    inherited = {name: value for name, value in os.environ.items() if name not in ("GOOS", "GOARCH")}
    return {**inherited, **ours, **user, **fixed}


def seconds_left(cold_seconds: float, elapsed: float, done: int, total: int) -> float:
    """How long a build will still take. At first this is based on `cold_seconds`; after a tenth of the build, on its own pace."""
    if total == 0 or done < total / 10:
        return max(cold_seconds - elapsed, 0)
    return elapsed * (total - done) / done


def spoken(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"


class GroupBuild:
    """Builds one group into `directory`, and reports its progress every HEARTBEAT seconds.

    The directory then has `bin`, with one file for each program and one link for each further name, and `share`, with files
    copied from modules, if any. `after` is how many seconds the next groups will take, for the estimate of the whole. All output
    of Go goes to `log`.
    """

    def __init__(
        self, group: Group, directory: Path, *, env: Mapping[str, str], log: Path, after: float, say: Callable[[str], None]
    ) -> None:
        self._group, self._directory, self._env, self._log, self._after, self._say = group, directory, env, log, after, say
        self._started = time.monotonic()
        self._wanted: set[str] = set()
        self._compiled: set[str] = set()
        self._doing = "downloading modules"

    def run(self) -> None:
        (self._directory / "bin").mkdir(parents=True)
        for program in self._group.programs:  # one by one: Go refuses two programs that spell the same import differently
            listing = ["go", "list", "-deps", *program.tag_flags, program.package]
            self._wanted |= set(self._packages_named_by(listing, counting=False))
        for program in self._group.programs:
            self._doing = f"compiling {program.name}"
            self._packages_named_by(program.build_command(str(self._directory / "bin" / program.name)), counting=True)
            for link in program.links:
                (self._directory / "bin" / link).symlink_to(program.name)
        for file in self._group.files:
            self._keep(file)

    def heartbeat(self) -> None:
        elapsed, done, total = time.monotonic() - self._started, len(self._compiled), len(self._wanted)
        left = seconds_left(self._group.cold_seconds, elapsed, done, total)
        count = f", {done} of {total} packages" if total else ""
        whole = f"; everything: about {spoken(left + self._after)}" if self._after else ""
        self._say(f"    {self._group.name}: {self._doing}{count}, {spoken(elapsed)} so far, about {spoken(left)} left{whole}")

    def _keep(self, file: SharedFile) -> None:
        """Copy a file out of Go's module cache, which is deleted after the build."""
        command = ["go", "list", "-m", "-f", "{{.Dir}}", file.module]
        listed = subprocess.run(command, cwd=self._group.module, env=self._env, capture_output=True, text=True, check=False)
        source, target = Path(listed.stdout.strip()) / file.path, self._directory / "share" / file.name
        if listed.returncode != 0 or not source.is_file():
            why = (listed.stderr.strip() or "there is no such file").splitlines()[-1]
            raise ToolError(
                f"building {self._group.name} failed: no {file.path} in {file.module}: {why}; correct the path in groups.py"
            )
        target.parent.mkdir(exist_ok=True)
        target.write_bytes(source.read_bytes())  # without the mode: files in the cache are read-only

    def _packages_named_by(self, command: Sequence[str], *, counting: bool) -> list[str]:
        """Run Go, and return the packages in its output. With `counting`, each counts as compiled as soon as Go prints it."""
        named: list[str] = []
        complaint: list[str] = []

        def read(lines: Iterator[str]) -> None:
            with self._log.open("a") as log:
                for line in lines:
                    log.write(line)
                    text = line.strip()
                    if _PACKAGE.fullmatch(text):
                        named.append(text)
                        if counting:
                            self._compiled.add(text)
                    elif text and not text.startswith(("#", "go: downloading")):
                        complaint.append(text)

        with _running(command, cwd=self._group.module, env=self._env) as process:
            assert process.stdout is not None
            reader = threading.Thread(target=read, args=(process.stdout,), daemon=True)
            reader.start()
            while reader.is_alive():
                reader.join(timeout=HEARTBEAT)
                if reader.is_alive():
                    self.heartbeat()
            if process.wait() != 0:
                why = complaint[0] if complaint else f"exit status {process.returncode}"
                raise ToolError(f"building {self._group.name} failed while {self._doing}: {why}; Go's whole output: {self._log}")
        return named


@contextmanager
def _running(command: Sequence[str], *, cwd: Path, env: Mapping[str, str]) -> Iterator[subprocess.Popen[str]]:
    """Run a child in its own process group. Leaving the block, also by Ctrl-C, kills it and all compilers that it started."""
    process = subprocess.Popen(
        command,
        cwd=cwd,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        process_group=0,  # and no session: Linux shares processors by session first, and only within one by `nice`
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
