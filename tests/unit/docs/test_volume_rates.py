"""What was measured of volumes stands in two pages as the record has it, and what follows for large ones is computed from it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from report.machine import Machine
from tests.long import rates
from tests.long.rates import GIB, LARGE, MANY, MIB, Measured, Move, parts, seconds_of_a_restore, seconds_of_files, with_part

MACHINE = Machine(cpu="AMD EPYC", cores=2, memory_gib=24.0, kernel="Linux 6", system="Debian 12", cgroup="v1")
RESTORE = Move(
    what="restore",
    volume=LARGE,
    size=GIB,
    files=1,
    seconds=36,
    mover_seconds=16,
    moved=GIB,
    mover_memory=300 * MIB,
    agent_memory=80 * MIB,
)
BACKUP = replace(RESTORE, what="first backup", seconds=50, mover_seconds=32)
FILES = replace(RESTORE, volume=MANY, size=100 * MIB, files=10_000, moved=100 * MIB, seconds=30, mover_seconds=10)
MEASURED = Measured(day="2026-11-30", commit="abc1234", machine=MACHINE, moves=[BACKUP, RESTORE, FILES])


def test_a_large_volume_takes_what_a_restore_took_beside_its_data_mover_and_its_size_by_the_rate() -> None:
    assert seconds_of_a_restore(MEASURED, 100 * GIB) == 20 + 100 * 16
    assert seconds_of_files(MEASURED, 1_000_000) == 20 + 1000
    no_time = replace(RESTORE, mover_seconds=0, seconds=20)
    assert seconds_of_a_restore(replace(MEASURED, moves=[no_time, FILES]), GIB) == 21, "Velero notes whole seconds"


def test_the_tables_have_each_move_and_say_what_ran_where() -> None:
    performance, volumes = parts(MEASURED).values()
    assert f"| {LARGE}: first backup | 50 | 32 | 1.00 GiB | 32 MiB/s | 300.0 MiB | 80.0 MiB |" in performance
    assert f"| {MANY}: restore | 30 | 10 | 100.0 MiB | 10 MiB/s |" in performance
    assert "2026-11-30, commit abc1234; AMD EPYC, 2 cores, 24 GiB" in performance
    assert "| 100 GiB | 27 min 0 s |" in volumes
    assert "| 1 TiB | 4 h 33 min |" in volumes
    assert "| a million small files | 17 min 0 s |" in volumes
    assert "filled 1 GiB at 64 MiB/s, and wrote 1000 small files in a second; the Restore took 20 s more" in volumes


@pytest.mark.parametrize("page", rates.PLACES, ids=lambda page: page.stem)
def test_a_page_gets_its_part_once_and_the_next_run_replaces_it(page: Path) -> None:
    text, part = page.read_text(), parts(MEASURED)[page]
    once = with_part(text, part, rates.PLACES[page])
    assert once.count(rates.BEGIN) == once.count(rates.END) == 1
    other = parts(replace(MEASURED, day="2027-01-01", moves=[replace(RESTORE, seconds=99), FILES]))[page]
    assert with_part(with_part(once, other, "no such text"), part, "no such text") == once
    with pytest.raises(ValueError, match="substring not found"):
        with_part("another page", part, rates.PLACES[page])


def test_a_record_is_read_as_it_was_written(tmp_path: Path) -> None:
    assert rates.read(tmp_path / "none.json") is None
    MEASURED.write(tmp_path / "rates.json")
    assert rates.read(tmp_path / "rates.json") == MEASURED


def test_the_pages_hold_what_the_record_says() -> None:
    measured = rates.read()
    assert measured, "run: .venv/bin/python -m tests.long.volume_rates"
    for page in rates.PLACES:
        assert parts(measured)[page] in page.read_text()
