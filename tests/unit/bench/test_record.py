"""`make bench` keeps what was finished, and writes the page from the record."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from tests.bench import __main__ as command
from tests.bench import page, plot
from tests.bench.record import BenchRecordError, Record
from tests.bench.rows import COPY, PAGE, PICTURES, RECORD, ROOT
from tests.unit.bench.rows import row

PREVIEW = row("preview", "1 database", facts={"resources": 100}, preview=[6.0, 6.0, 8.0], empty_preview=[3.0, 4.0, 4.0])


@pytest.fixture
def record(tmp_path: Path) -> Record:
    (tmp_path / "docs").mkdir()
    (tmp_path / PAGE).write_text(f"# Times\n\nOne.\n\n{page.BEFORE}\n\nTwo.\n")
    return Record(root=tmp_path)


def test_a_row_is_recorded_with_its_measures_and_is_on_the_page(record: Record) -> None:
    record.add(PREVIEW)
    assert record.rows() == [PREVIEW]
    written = json.loads((record.root / RECORD).read_text())
    assert written["measures"]["preview_ratio_to_empty"] == {"1 database": {"median": 2.0, "least": 1.5, "most": 2.0}}
    assert (record.root / COPY).read_text() == (record.root / RECORD).read_text()
    text = (record.root / PAGE).read_text()
    assert "| 1 database | 100 | 6.00 (6.00–8.00) | 2.00 (1.50–2.00) |" in text
    assert "3 repetitions: 2026-12-01, commit abc1234; Some CPU, 2 cores, 24 GiB" in text
    assert text.startswith("# Times\n\nOne.\n\n")
    assert text.endswith(f"{page.END}\n\n{page.BEFORE}\n\nTwo.\n")


def test_the_section_takes_the_place_of_the_last_one(record: Record) -> None:
    record.add(PREVIEW)
    before = (record.root / PAGE).read_text()
    record.write_page()
    assert (record.root / PAGE).read_text() == before


def test_an_interrupt_keeps_the_row_of_a_run_that_was_whole(record: Record) -> None:
    record.add(PREVIEW)
    half = replace(PREVIEW, figures={"preview": [1.0], "empty preview": [1.0]}, commit="new")
    record.add(half)
    assert record.rows() == [PREVIEW]
    whole = replace(half, figures={"preview": [1.0] * 3, "empty preview": [1.0] * 3})
    record.add(whole)
    assert record.rows() == [whole]


def test_an_interrupt_keeps_the_repetitions_that_were_finished(record: Record) -> None:
    half = replace(PREVIEW, figures={"preview": [1.0]})
    record.add(half)
    assert record.rows() == [half]
    more = half.having({"preview": 2.0, "empty preview": 1.0}, resources=7)
    assert more.figures == {"preview": [1.0, 2.0], "empty preview": [1.0]}
    assert more.facts == {"resources": 7}


def test_a_record_that_cannot_be_read_names_the_way_back(record: Record) -> None:
    (record.root / RECORD).write_text('{"rows": [{"part": "preview"}]}')
    with pytest.raises(BenchRecordError, match=f"git checkout {RECORD}"):
        record.rows()


def test_the_page_of_this_checkout_is_made_from_its_record() -> None:
    rows = Record().rows()
    text = (ROOT / PAGE).read_text()
    assert page.with_section(text, page.section(rows)) == text, "run: make bench ARGS=--page"
    for name, picture in plot.pictures(rows).items():
        assert (ROOT / PICTURES / name).read_text() == picture, "run: make bench ARGS=--page"


def test_what_was_never_run_says_so() -> None:
    said = page.section([])
    for part in command.PARTS:
        assert f'Never run: `make bench ARGS="{part}"`.' in said


def test_growth_is_of_what_a_resource_adds_to_the_empty_program() -> None:
    sizes = {"1 database": (3.0, 100), "10 databases": (4.8, 280), "100 databases": (40.8, 2080)}
    rows = [
        row("preview", size, facts={"resources": resources}, preview=[seconds], empty_preview=[1.0])
        for size, (seconds, resources) in sizes.items()
    ]
    found = page.measures.of_previews(rows)["preview_per_resource_growth_1_to_100"]
    assert found["per resource"]["median"] == round((39.8 / 2080) / (2.0 / 100), 4)
    # 0.2 s each from 1 to 10, 0.4 s each from 10 to 100.
    assert found["per further database"]["median"] == 2.0


def test_a_picture_has_a_bar_for_each_ratio(record: Record) -> None:
    record.add(PREVIEW)
    drawn = (record.root / PICTURES / "preview-light.svg").read_text()
    assert "1 database: preview" in drawn
    assert "2.00 × (1.50–2.00)" in drawn
    assert (record.root / PICTURES / "preview-dark.svg").exists()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["previews"], "previews: no part is called that"),
        (["preview", "--size", "2 databases"], "--size 2 databases: no size is called that"),
        (["-n", "0"], "--repetitions 0: nothing would be measured"),
    ],
)
def test_a_wrong_argument_is_named_with_what_there_is(given: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        command.arguments(given)
    assert said in capsys.readouterr().err
