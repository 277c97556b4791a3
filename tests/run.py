"""`python -m tests.run`: all parts of the tests, and at the end where the time went.

A part that fails ends the run after the parts beside it, or with them if another part was to follow it at once. Where pytest
prints nothing for a minute, this says what it waits for.
With --long, the longer tests run instead, or those parts and files of them that are named, whether or not one fails.
docs/test-long.md records each file when it ends.
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
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, NoReturn

from lab.tools import groups, toolbox
from report.machine import machine_facts
from tests import faults, record, reliability, times
from tests.background import background
from tests.engine import clusters
from tests.record import Record, Recorder, minutes
from tests.times import Timed

ROOT = Path(__file__).parent.parent
SILENCE = 60.0  # seconds without a line, after which the run says what it waits for
LOOK = 5.0  # seconds between two looks at which files have ended
LONGEST = 12  # files in the table


@dataclass(frozen=True, kw_only=True)
class Part:
    """One command: pytest with the arguments `tests` in `workers` processes, or else a Python module with its arguments.

    A part that is `nice` leaves the processors to what runs beside it, all of whose sessions come first (tests/background.py).
    """

    name: str
    tests: tuple[str, ...] = ()
    workers: int = 1
    nice: bool = False
    module: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)

    @property
    def command(self) -> list[str]:
        python = [*(("nice", "-n", "15") if self.nice else ()), sys.executable, "-m"]
        if self.module:
            return [*python, *self.module]
        # The tests of one file stay in one process, because they share what they set up. The files keep their order: those of the
        # engine have one of their own (tests/engine/conftest.py).
        one_file_in_one = ["--dist", "loadfile", "--no-loadscope-reorder"]
        parallel = ["-n", str(self.workers), *one_file_in_one] if self.workers > 1 else []
        color = ["--color=yes"] if sys.stdout.isatty() else []
        return [*python, "pytest", *self.tests, *parallel, *color]

    @property
    def files(self) -> list[str]:
        """Its files: those that `tests` names, with or without a single test, and those in its folders."""
        words = [word for word in self.tests if not word.startswith("-")]
        single = {word.partition("::")[0] for word in words if ".py" in word}
        folders = [ROOT / word for word in words if ".py" not in word]
        return sorted({*single, *(str(path.relative_to(ROOT)) for folder in folders for path in folder.glob("test_*.py"))})

    def of(self, files: Sequence[str]) -> Part:
        """The same part with these files alone; of a file whose single tests it has, with those."""
        single = [word for word in self.tests if "::" in word]
        whole = [file for file in files if file not in {word.partition("::")[0] for word in single}]
        named = [word for word in single if word.partition("::")[0] in files]
        return replace(self, tests=(*whole, *named, *(word for word in self.tests if word.startswith("-"))))


UNIT = Part(name="unit", tests=("tests/unit",), workers=2, nice=True)
TOOLS = Part(name="tools", module=("lab.tools",))
ENGINE = Part(
    name="contract and engine", tests=("tests/contract", "tests/engine", "tests/aws", "-mnot long", "-v"), workers=2, nice=True
)
LAB = Part(name="lab", tests=("tests/lab", "-mnot long", "-v"))

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
WITH_LONG_TOOLS = "tests/long/test_velero_upgrade.py"
"""The one file that needs them: eight minutes of compiling."""

RECORDED = {
    reliability.VARIABLE: "1",
    faults.SEED_VARIABLE: os.environ.get(faults.SEED_VARIABLE) or f"{datetime.now(UTC):%Y%m%d}",
    faults.MOMENTS_VARIABLE: os.environ.get(faults.MOMENTS_VARIABLE) or "10",
}
"""Ten moments of each fault that has random ones, others each day; docs/reliability.md has what became of them."""
LONG = Part(name="upgrades and tiers in the lab", tests=("tests/long", "-v"), environment=RECORDED)
SHORT_FAULTS = [test for test in reliability.named_tests() if not test.startswith("tests/long/")]
FAULTS = Part(name="faults of make test", tests=(*SHORT_FAULTS, "-v"), environment=RECORDED)
REAL_CLUSTERS = Part(
    name="engine on real API servers", tests=("tests/engine", "-v"), workers=2, nice=True, environment={clusters.VARIABLE: "real"}
)
LONG_OF_ENGINE = tuple(
    str(path.relative_to(ROOT))
    for path in sorted((ROOT / "tests" / "engine").glob("test_*.py"))
    if "mark.long" in path.read_text() and path.name != "test_faults.py"
)
"""The files that have tests with the mark `long`: some two hundred `up`s, which the pipeline has no time for. Those of the faults
are in FAULTS."""

LONG_ENGINE = Part(name="long tests of the engine", tests=(*LONG_OF_ENGINE, "-mlong", "-v"), workers=2, nice=True)
LONG_STAGES: Sequence[Stage] = (((TOOLS,),), ((LONG_TOOLS,),), ((LONG, FAULTS), (LONG_ENGINE, REAL_CLUSTERS)))


@dataclass(kw_only=True)
class Result:
    """How a part ended. `seconds` are of the whole part, with pytest's own start and end."""

    part: Part
    exit_code: int
    seconds: float
    tests: list[Timed]


Look = Callable[[str, Path, bool], None]


def _nobody(*_: object) -> None:
    """Nobody looks at what has ended."""


class Run:
    """Runs parts. At an interrupt, each gets one too, and has the time it needs to clean up.

    `look` is called now and then with the name of a part that runs and the directory of its times; at its end, with True.
    """

    def __init__(self, scratch: Path, look: Look = _nobody) -> None:
        self._scratch, self._look = scratch, look
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
        with background(process.pid) if part.nice else nullcontext():
            self._listen(part, process.stdout, directory, began)
            exit_code = process.wait()
        self._look(part.name, directory, True)
        return Result(part=part, exit_code=exit_code, seconds=time.monotonic() - began, tests=times.read(directory))

    def _listen(self, part: Part, output: IO[str], directory: Path, began: float) -> None:
        heard = threading.Event()
        reader = threading.Thread(target=self._repeat, args=(output, heard), daemon=True)
        reader.start()
        last = began
        while reader.is_alive():
            reader.join(timeout=min(SILENCE, LOOK))
            self._look(part.name, directory, False)
            if heard.is_set():
                heard.clear()
                last = time.monotonic()
            elif reader.is_alive() and time.monotonic() - last >= SILENCE:
                last = time.monotonic()
                self._say_what_runs(part, directory, last - began)

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


def long_files() -> dict[str, Sequence[str]]:
    """The files of `make test-long`, by part."""
    return {part.name: part.files for stage in LONG_STAGES for chain in stage for part in chain if part.tests}


def chosen(words: Sequence[str]) -> Sequence[Stage]:
    """The stages of `make test-long`, with those parts and files alone that `words` name, or all. A part's name may be several
    words. Raises ValueError for what is neither."""
    if not words:
        return LONG_STAGES
    files = long_files()
    wanted: dict[str, set[str]] = {part: set() for part in files}
    rest = list(words)
    while rest:
        if name := next((part for part in files if rest[: len(part.split())] == part.split() or rest[0] == part), None):
            wanted[name] |= set(files[name])
            del rest[: 1 if rest[0] == name else len(name.split())]
            continue
        path = os.path.relpath(rest[0], ROOT) if os.path.isabs(rest[0]) else os.path.normpath(rest[0])
        if not (parts := [part for part in files if path in files[part]]):
            known = ", ".join(f"{part!r} ({files[part][0]}, …)" for part in files)
            raise ValueError(f"{rest[0]}: not a part or file of make test-long; these are its parts, with their files: {known}")
        for part in parts:
            wanted[part].add(path)
        del rest[0]
    needless = () if WITH_LONG_TOOLS in wanted[LONG.name] else (LONG_TOOLS,)

    def left(chain: Chain) -> Chain:
        named = [part for part in chain if part not in needless and (not part.tests or wanted[part.name])]
        return [part.of(sorted(wanted[part.name])) if part.tests else part for part in named]

    stages = [[kept for chain in stage if (kept := left(chain))] for stage in LONG_STAGES]
    return [stage for stage in stages if stage]


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
        longest = sorted(record.by_file(result.tests).items(), key=lambda each: -sum(timed.seconds for timed in each[1]))
        for file, tests in longest[:LONGEST]:
            whole, setup = sum(timed.seconds for timed in tests), sum(timed.setup for timed in tests)
            if whole >= 10:
                lines.append(f"    {file:<50}{minutes(whole):>6}  {minutes(setup)} of it set-up")
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.run", description=__doc__)
    parser.add_argument("--long", action="store_true", help=f"what is too long for every change, recorded in {record.PAGE}")
    parser.add_argument("--page", action="store_true", help=f"only write {record.PAGE} anew from its record")
    parser.add_argument("names", nargs="*", metavar="NAME", help="with --long: a part or a file; all if there is none")
    arguments = parser.parse_args()
    if arguments.names and not arguments.long:
        parser.error(f"{arguments.names[0]}: parts and files can be named with --long only")
    kept = Record(files=long_files())
    try:
        if arguments.page:
            kept.write_page()
            return 0
        what = chosen(arguments.names) if arguments.long else stages()
        kept.rows()  # one that cannot be read is told before hours of tests
    except (ValueError, record.RecordError) as error:
        parser.error(str(error))
    if not arguments.long:
        return run(what)
    recorder = Recorder(record=kept, commit=record.commit(), machine=machine_facts())
    return run(what, stop=False, look=recorder.note)


def run(what: Sequence[Stage], *, stop: bool = True, look: Look = _nobody) -> int:
    """Run the stages, and return the exit code."""
    # A shell that starts this in the background has it ignore interrupts, and so would pytest, which cleans up at an interrupt.
    signal.signal(signal.SIGINT, _interrupt)
    signal.signal(signal.SIGTERM, _interrupt)
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="k8s-dr-tests-") as scratch:
        try:
            results = Run(Path(scratch), look).stages(what, stop=stop)
        except KeyboardInterrupt:
            print("interrupted", file=sys.stderr)
            return 130
    print("\n" + table(results, seconds=time.monotonic() - began))
    return next((result.exit_code for result in results if result.exit_code), 0)


def _interrupt(*_: object) -> NoReturn:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
