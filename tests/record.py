"""What `make test-long` has last seen of each file: docs/test-long.json, and the page docs/test-long.md made from it.

A file's row is written when all its tests have ended, so an interrupt keeps what was finished. A file that was interrupted keeps
the row of an earlier run that got to its end, unless a test has failed by then.
"""

from __future__ import annotations

import json
import subprocess
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from report.machine import Machine
from tests import times
from tests.times import Timed

ROOT = Path(__file__).parent.parent
RECORD, PAGE = "docs/test-long.json", "docs/test-long.md"
WRITTEN = (RECORD, PAGE, "docs/reliability.json", "docs/reliability.md")
"""What a run itself writes."""

Files = Mapping[str, Sequence[str]]
"""The files of the tests in each part, by the part's name."""


class RecordError(Exception):
    """The record cannot be read; the message says what to do."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """How a file of tests ended when it ran last, as a part of the run: `seconds` are those of its tests, set-ups included."""

    part: str
    file: str
    passed: int
    skipped: int
    failures: tuple[str, ...] = ()
    """The node ids of the tests that failed."""

    interrupted: bool = False
    seconds: float
    day: str
    commit: str
    machine: Machine

    @property
    def result(self) -> str:
        if self.failures:
            return "**FAILED**"
        if self.interrupted:
            return "**interrupted**"
        return "passed" if self.passed else "skipped"


@dataclass(frozen=True, kw_only=True)
class Record:
    """The record below `root`. It has rows of those files alone that exist."""

    files: Files
    root: Path = ROOT
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def rows(self) -> dict[tuple[str, str], Row]:
        """All rows, by part and file."""
        file = self.root / RECORD
        if not file.exists():
            return {}
        try:
            entries = [
                Row(**{**entry, "machine": Machine(**entry["machine"]), "failures": tuple(entry["failures"])})
                for entry in json.loads(file.read_text())
            ]
        except (ValueError, TypeError, KeyError) as error:
            why = f"{file} is no record of make test-long ({error!r})"
            raise RecordError(f"{why}; bring it back with: git checkout {RECORD}") from None
        rows = {(row.part, row.file): row for row in entries}
        return {(part, name): rows[part, name] for part, names in self.files.items() for name in names if (part, name) in rows}

    def add(self, new: Sequence[Row]) -> None:
        """Put these rows in the place of earlier ones. What other runs have written meanwhile stays."""
        with self._lock:
            rows = self.rows()
            for row in new:
                earlier = rows.get((row.part, row.file))
                if row.interrupted and not row.failures and earlier and not earlier.interrupted:
                    continue
                rows[row.part, row.file] = row
            self._write(RECORD, json.dumps([asdict(row) for row in rows.values()], indent=1, ensure_ascii=False) + "\n")
            self._write(PAGE, page(self.files, self.rows()))

    def write_page(self) -> None:
        self.add([])

    def _write(self, name: str, text: str) -> None:
        """Write a file as a whole or not at all."""
        file = self.root / name
        half = file.with_suffix(f"{file.suffix}.half")
        half.write_text(text)
        half.replace(file)


@dataclass(kw_only=True)
class Recorder:
    """Notes in the record what a run has finished."""

    record: Record
    commit: str
    machine: Machine
    today: Callable[[], str] = lambda: f"{datetime.now(UTC):%Y-%m-%d}"
    _noted: set[tuple[str, str]] = field(default_factory=set)

    def note(self, part: str, directory: Path, over: bool) -> None:
        """Add the files of which every test has ended, by what tests.times has written to `directory`. When the part is `over`,
        no other test comes: what has begun and not ended was interrupted."""
        found, begun = set(times.collected(directory)), by_file(times.read(directory))
        new = []
        for file, tests in begun.items():
            whole = {test for test in found if test.partition("::")[0] == file}
            ended = {timed.test for timed in tests if timed.ended}
            interrupted = not whole or not (whole | {timed.test for timed in tests}) <= ended
            if file in self.record.files.get(part, ()) and (part, file) not in self._noted and (over or not interrupted):
                new.append(self._row(part, file, tests, interrupted=interrupted))
        if new:
            self.record.add(new)
            self._noted |= {(row.part, row.file) for row in new}

    def _row(self, part: str, file: str, tests: Sequence[Timed], *, interrupted: bool) -> Row:
        outcomes = [timed.outcome for timed in tests]
        return Row(
            part=part,
            file=file,
            passed=outcomes.count("passed"),
            skipped=outcomes.count("skipped"),
            failures=tuple(timed.test for timed in tests if timed.outcome == "failed"),
            interrupted=interrupted,
            seconds=round(sum(timed.seconds for timed in tests), 1),
            day=self.today(),
            commit=self.commit,
            machine=self.machine,
        )


def by_file(tests: Sequence[Timed]) -> dict[str, list[Timed]]:
    grouped: dict[str, list[Timed]] = {}
    for timed in tests:
        grouped.setdefault(timed.file, []).append(timed)
    return grouped


def commit(root: Path = ROOT, *, besides: Sequence[str] = WRITTEN) -> str:
    """The commit that is checked out, with `-dirty` where other files than `besides`, those of the record, differ from it."""

    def git(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(["git", *arguments], cwd=root, capture_output=True, text=True, check=False)

    name = git("rev-parse", "--short=10", "HEAD").stdout.strip() or "unknown"
    others = [f":(exclude){file}" for file in besides]
    return name if git("diff", "--quiet", "HEAD", "--", ".", *others).returncode == 0 else f"{name}-dirty"


def minutes(seconds: float) -> str:
    """For example `2:05`."""
    whole = round(seconds)
    return f"{whole // 60}:{whole % 60:02}"


def page(files: Files, rows: Mapping[tuple[str, str], Row]) -> str:
    """The record as a page of Markdown: each file of each part, with the run that ran it last."""
    machines = list(dict.fromkeys(row.machine for row in rows.values()))
    lines = [
        "# The last runs of `make test-long`",
        "",
        "`make test-long` writes this page and `test-long.json`, file by file as they end. A row is of the run that ran the file",
        'last, so rows may be of different commits; `make test-long ARGS="FILE"` brings one up to date. `-dirty` means that the',
        "checkout had other changes than the commit. An interrupted file keeps the row of an earlier run that got to its end.",
        "",
        "| part, file | result | passed | skipped | failed | minutes | day | commit | machine |",
        "|---|---|---:|---:|---:|---:|---|---|---|",
    ]
    for part, names in files.items():
        there = [rows[part, name] for name in names if (part, name) in rows]
        lines.append(_cells(f"**{part}**", f"{len(there)} of {len(names)} files have a row", *_counts(there), "", "", ""))
        for name in names:
            if row := rows.get((part, name)):
                last = (row.day, row.commit, str(machines.index(row.machine) + 1))
                lines.append(_cells(f"`{name}`", row.result, *_counts([row]), *last))
            else:
                lines.append(_cells(f"`{name}`", "never run", "", "", "", "", "", "", ""))
    lines += ["", *(f"Machine {number}: {described(each)}." for number, each in enumerate(machines, 1))] if machines else []
    failures = [failure for row in rows.values() for failure in row.failures]
    lines += ["", *(f"- failed: `{failure}`" for failure in failures)] if failures else []
    return "\n".join(lines) + "\n"


def _counts(rows: Sequence[Row]) -> tuple[str, str, str, str]:
    passed, skipped = sum(row.passed for row in rows), sum(row.skipped for row in rows)
    failed = sum(len(row.failures) for row in rows)
    return str(passed), str(skipped), str(failed), minutes(sum(row.seconds for row in rows))


def _cells(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def described(machine: Machine) -> str:
    return f"{machine.cpu}, {machine.cores} cores, {machine.memory_gib:g} GiB, {machine.system}, cgroup {machine.cgroup}"
