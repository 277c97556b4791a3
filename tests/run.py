"""`python -m tests.run`: all parts of the tests, and at the end where the time went.

A part that fails ends the run after the parts beside it, or with them if another part was to follow it at once. Where pytest
prints nothing for a minute, this says what it waits for.
With --long, the longer tests run instead, whether or not one fails, and docs/test-long.md records the run.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from typing import IO, NoReturn

from lab.tools import groups, toolbox
from report.machine import Machine, machine_facts
from tests import times
from tests.engine import clusters
from tests.times import Timed

ROOT = Path(__file__).parent.parent
SILENCE = 60.0  # seconds without a line, after which the run says what it waits for
LONGEST = 12  # files in the table


@dataclass(frozen=True, kw_only=True)
class Part:
    """One command: pytest with the arguments `tests` in `workers` processes, or else a Python module with its arguments.

    A part that is `nice` leaves the processors to what runs beside it.
    """

    name: str
    tests: tuple[str, ...] = ()
    workers: int = 1
    nice: bool = False
    module: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)

    @property
    def command(self) -> list[str]:
        python = [*(("nice", "-n", "10") if self.nice else ()), sys.executable, "-m"]
        if self.module:
            return [*python, *self.module]
        # The tests of one file stay in one process, because they share what they set up. The files keep their order: those of the
        # engine have one of their own (tests/engine/conftest.py).
        one_file_in_one = ["--dist", "loadfile", "--no-loadscope-reorder"]
        parallel = ["-n", str(self.workers), *one_file_in_one] if self.workers > 1 else []
        color = ["--color=yes"] if sys.stdout.isatty() else []
        return [*python, "pytest", *self.tests, *parallel, *color]


UNIT = Part(name="unit", tests=("tests/unit",), workers=2, nice=True)
TOOLS = Part(name="tools", module=("lab.tools",))
ENGINE = Part(name="contract and engine", tests=("tests/contract", "tests/engine", "tests/aws", "-v"), workers=2, nice=True)
LAB = Part(name="lab", tests=("tests/lab", "-v"))

Chain = Sequence[Part]
"""Parts that run one after the other. One that fails ends what runs beside the chain too, unless it was the last: what is left
would take half an hour, and is run again anyway."""
Stage = Sequence[Chain]
"""Chains that run at the same time."""

STAGES: Sequence[Stage] = (((TOOLS,),), ((UNIT, ENGINE), (LAB,)))
"""The lab takes longest, and mostly waits. The others mostly compute, and leave it the processors that it needs."""

FROM_NOTHING: Sequence[Stage] = (((UNIT,),), ((TOOLS,),), ((ENGINE,), (LAB,)))
"""Where tools are still to be built: whoever waits for them a quarter of an hour knows before that the unit tests pass."""

LONG_TOOLS = Part(name="more tools", module=("lab.tools", *groups.LONG))
LONG = Part(name="upgrades and tiers in the lab", tests=("tests/long", "-v"))
REAL_CLUSTERS = Part(
    name="engine on real API servers", tests=("tests/engine", "-v"), workers=2, nice=True, environment={clusters.VARIABLE: "real"}
)
LONG_STAGES: Sequence[Stage] = (((TOOLS,),), ((LONG_TOOLS,),), ((LONG,), (REAL_CLUSTERS,)))
RECORD = ROOT / "docs" / "test-long.md"


@dataclass(kw_only=True)
class Result:
    """How a part ended. `seconds` are of the whole part, with pytest's own start and end."""

    part: Part
    exit_code: int
    seconds: float
    tests: list[Timed]


class Run:
    """Runs parts. At an interrupt, each gets one too, and has the time it needs to clean up."""

    def __init__(self, scratch: Path) -> None:
        self._scratch = scratch
        self._running: list[subprocess.Popen[str]] = []
        self._lock = threading.Lock()

    def stages(self, stages: Sequence[Stage], *, stop: bool = True) -> list[Result]:
        """Run all parts. With `stop`, a failure ends the run after the parts of its stage, or with them: see Chain."""
        results: list[Result] = []
        for stage in stages:
            with ThreadPoolExecutor() as pool:
                try:
                    chains = list(pool.map(lambda chain: self._chain(chain, stop=stop), stage))
                except BaseException:
                    self.interrupt()
                    raise
            results += [result for chain in chains for result in chain]
            if stop and any(result.exit_code for result in results):
                break
        return results

    def _chain(self, chain: Chain, *, stop: bool) -> list[Result]:
        results: list[Result] = []
        for part in chain:
            results.append(self._run(part))
            if stop and results[-1].exit_code and part is not chain[-1]:
                with self._lock:
                    print(f"    … {part.name} failed, so what runs beside it ends too", flush=True)
                self.interrupt()
                break
        return results

    def interrupt(self) -> None:
        for process in self._running:
            with suppress(ProcessLookupError):
                process.send_signal(signal.SIGINT)

    def _run(self, part: Part) -> Result:
        directory = self._scratch / part.name.replace(" ", "-")
        directory.mkdir()
        environment = {**os.environ, **part.environment, times.VARIABLE: str(directory)}
        began = time.monotonic()
        process = subprocess.Popen(
            part.command,
            cwd=ROOT,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self._running.append(process)
        assert process.stdout is not None
        heard = threading.Event()
        reader = threading.Thread(target=self._repeat, args=(process.stdout, heard), daemon=True)
        reader.start()
        while reader.is_alive():
            heard.clear()
            reader.join(timeout=SILENCE)
            if reader.is_alive() and not heard.is_set():
                self._say_what_runs(part, directory, time.monotonic() - began)
        exit_code = process.wait()
        return Result(part=part, exit_code=exit_code, seconds=time.monotonic() - began, tests=times.read(directory))

    def _repeat(self, output: IO[str], heard: threading.Event) -> None:
        for line in output:
            heard.set()
            with self._lock:
                print(line, end="", flush=True)

    def _say_what_runs(self, part: Part, directory: Path, seconds: float) -> None:
        running = "; ".join(f"{what} for {minutes(since)}" for what, since in times.now(directory)) or "no test yet"
        with self._lock:
            print(f"    … {part.name}, {minutes(seconds)} so far: {running}", flush=True)


def stages() -> Sequence[Stage]:
    """The stages of `make test` on this machine."""
    return FROM_NOTHING if toolbox.missing([name for name in groups.GROUPS if name not in groups.LONG]) else STAGES


def minutes(seconds: float) -> str:
    """For example `2:05`."""
    whole = round(seconds)
    return f"{whole // 60}:{whole % 60:02}"


def table(results: Sequence[Result], *, seconds: float) -> str:
    """Where the time went, of `seconds` in all: each part, and below it the files that took longest."""
    lines = [f"Where the time went: {minutes(seconds)} min on {os.cpu_count()} CPUs"]
    for result in results:
        outcomes = [timed.outcome for timed in result.tests]
        count = f"{len(outcomes)} tests" if outcomes else ""
        count += f", {outcomes.count('skipped')} skipped" if "skipped" in outcomes else ""
        count += f", {outcomes.count('failed')} FAILED" if "failed" in outcomes else ""
        verdict = "" if result.exit_code == 0 else f"  FAILED (exit code {result.exit_code})"
        lines.append(f"  {result.part.name:<52}{minutes(result.seconds):>6}  {count}{verdict}".rstrip())
        files: dict[str, list[Timed]] = {}
        for timed in result.tests:
            files.setdefault(timed.file, []).append(timed)
        longest = sorted(files.items(), key=lambda each: -sum(timed.seconds for timed in each[1]))
        for file, tests in longest[:LONGEST]:
            whole, setup = sum(timed.seconds for timed in tests), sum(timed.setup for timed in tests)
            if whole >= 10:
                lines.append(f"    {file:<50}{minutes(whole):>6}  {minutes(setup)} of it set-up")
    return "\n".join(lines)


def record(results: Sequence[Result], *, machine: Machine, commit: str, day: date) -> str:
    """The run as a page of Markdown: each part, each file of the tests in it, and each test that did not pass."""
    lines = [
        "# The last run of `make test-long`",
        "",
        "`make test-long` writes this page. It is run before a release.",
        "",
        f"{day:%Y-%m-%d}, commit {commit}; {machine.cpu}, {machine.cores} cores, {machine.memory_gib:g} GiB, {machine.system}, "
        f"cgroup {machine.cgroup}",
        "",
        "| part, file | passed | skipped | failed | minutes |",
        "|---|---|---|---|---|",
    ]
    for result in results:
        lines.append(_row(f"**{result.part.name}**", result.tests, result.seconds))
        files: dict[str, list[Timed]] = {}
        for timed in result.tests:
            files.setdefault(timed.file, []).append(timed)
        lines += [_row(f"`{file}`", tests, sum(timed.seconds for timed in tests)) for file, tests in sorted(files.items())]
    not_passed = [timed for result in results for timed in result.tests if timed.outcome == "failed"]
    lines += ["", *(f"- failed: `{timed.test}`" for timed in not_passed)] if not_passed else []
    return "\n".join(lines) + "\n"


def _row(name: str, tests: Sequence[Timed], seconds: float) -> str:
    outcomes = [timed.outcome for timed in tests]
    counts = [str(outcomes.count(outcome)) for outcome in ("passed", "skipped", "failed")]
    return f"| {' | '.join([name, *counts, minutes(seconds)])} |"


def _commit() -> str:
    command = ["git", "describe", "--always", "--dirty"]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False).stdout.strip() or "unknown"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.run", description=__doc__)
    parser.add_argument(
        "--long", action="store_true", help="what is too long for every change; records the run in docs/test-long.md"
    )
    long = parser.parse_args().long
    # A shell that starts this in the background has it ignore interrupts, and so would pytest, which cleans up at an interrupt.
    signal.signal(signal.SIGINT, _interrupt)
    signal.signal(signal.SIGTERM, _interrupt)
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="k8s-dr-tests-") as scratch:
        try:
            results = Run(Path(scratch)).stages(LONG_STAGES if long else stages(), stop=not long)
        except KeyboardInterrupt:
            print("interrupted", file=sys.stderr)
            return 130
    print("\n" + table(results, seconds=time.monotonic() - began))
    if long:
        RECORD.write_text(record(results, machine=machine_facts(), commit=_commit(), day=datetime.now(UTC).date()))
    return next((result.exit_code for result in results if result.exit_code), 0)


def _interrupt(*_: object) -> NoReturn:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
