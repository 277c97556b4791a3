"""The recovery report as a page: needs nothing else, escapes every value, and draws each thing where it lies in time."""

from __future__ import annotations

import dataclasses
import re
from html.parser import HTMLParser

import pytest

from lab.samples import Interval
from report import page, terminal, timeline, wording
from report.model import Engine, Flip, Targets, held, verdict
from report.moments import Event
from tests.unit.report.reports import DIED, REHEARSAL, REPORT, WITH_DATABASE, at, command, flipped, step


class Page(HTMLParser):
    """The text, the attributes and the tags of an HTML page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.html, self.pieces, self.attributes, self.open = html, [], [], []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.attributes += [(tag, name, value) for name, value in attrs]
        if tag not in {"meta", "line", "rect", "circle"}:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.attributes += [(tag, name, value) for name, value in attrs]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.pieces.append(data)

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", " ".join(self.pieces))


@pytest.mark.parametrize("report", [REPORT, REHEARSAL, WITH_DATABASE], ids=["lab", "rehearsal", "database"])
def test_the_page_needs_nothing_from_anywhere(report):
    html = page.render(report)
    links = {"src", "href", "xlink:href", "srcset", "action", "data", "poster"}
    assert [entry for entry in Page(html).attributes if entry[1] in links] == []
    assert not re.search(r"https?://|url\(|@import|<script|<link|<iframe", html)
    assert not re.search(r"\son\w+=", html)


@pytest.mark.parametrize("report", [REPORT, REHEARSAL, WITH_DATABASE], ids=["lab", "rehearsal", "database"])
def test_the_page_is_well_formed_and_says_all_that_the_report_knows(report):
    found = Page(page.render(report))
    assert found.open == []
    for entry in report.steps:
        assert found.text.count(entry.name) >= 2, "in the drawing and in the table"
    for said in (
        *(entry.command for entry in report.commands),
        *(entry.name for entry in report.events),
        *(change.name for change in report.flip.resources),
        *report.flip.types,
        *report.not_proven,
        *(figure.name for figure in wording.witnesses(report)),
        *(f"{figure.value} {figure.note}" for figure in wording.recovery(report)),
        *(part for figure in wording.ledger(report) for part in (figure.name, figure.value, figure.note)),
        *(figure.value for figure in wording.engine(report)),
        *(figure.value for figure in wording.machine(report)),
        wording.headline(report),
        "24 November 2026, 12:01 UTC",
    ):
        assert said in found.text


def test_a_rehearsal_says_so_on_its_face_and_a_lab_does_not():
    rehearsal, lab = Page(page.render(REHEARSAL)).text, Page(page.render(REPORT)).text
    assert wording.REHEARSAL in rehearsal
    assert rehearsal.index(REHEARSAL.not_proven[0]) < rehearsal.index("Timeline")
    assert wording.REHEARSAL not in lab
    assert lab.count(REPORT.not_proven[0]) == rehearsal.count(REPORT.not_proven[0]) == 1


def test_every_value_on_the_page_is_escaped():
    evil = "\"><img src=x onerror=alert(1)>&'</style></title>"
    report = dataclasses.replace(
        WITH_DATABASE,
        served_by=evil,
        steps=(step(evil, 1, 2),),
        commands=(command(evil, 1, 2),),
        events=(Event(time=DIED, name=evil),),
        flip=Flip.of([{"type": evil, "name": evil, "operation": evil}]),
        client_requests=(Interval(start=at(-5), end=at(50), ok=True, region=evil, requests=1),),
        client_writes=(Interval(start=at(-5), end=at(50), ok=True, region=evil, requests=1),),
        targets=Targets(tier=evil, rpo_seconds=1, rto_seconds=1),
        replication=evil,
        source=evil,
        witnesses=dataclasses.replace(REPORT.witnesses, aws_requests={evil: 1}, api_server_changes={evil: 1}),
        machine=dataclasses.replace(REPORT.machine, cpu=evil, system=evil, kernel=evil, cgroup=evil),
        engine=Engine(cli=evil, language_host=evil, kubernetes=evil, aws=evil),
        not_proven=(evil,),
    )
    html = page.render(report)
    assert "<img" not in html
    assert html.count("</style>") == html.count("</title></style>") + 1
    assert Page(html).open == []
    assert {name for _, name, _ in Page(html).attributes} <= {name for _, name, _ in Page(page.render(WITH_DATABASE)).attributes}


def test_a_failed_failover_says_why_on_the_page():
    report = dataclasses.replace(flipped("aws:route53/record:Record"), seconds_without_service=None, served_by=None)
    text = Page(page.render(report)).text
    assert "Service did not come back" in text
    assert all(reason in text for reason in verdict(report))
    assert "not allowed" in text


def test_measured_rpo_and_rto_stand_before_everything_else_and_are_red_only_when_missed():
    kept, missed = (page.render(dataclasses.replace(WITH_DATABASE, rpo_seconds=seconds)) for seconds in (2.5, 301.0))
    text = Page(kept).text
    assert (
        text.index("RPO, measured 2.5 s target 5 min 00 s")
        < text.index("requests that failed")
        < text.index("Rows of the database")
    )
    assert 'class="bad"' not in kept
    assert "What held" in text
    assert "Why it failed" in Page(missed).text
    assert 'class="bad"><dt>RPO, measured' in missed
    assert "RPO, measured" not in page.render(REPORT)


def test_writes_and_reads_have_lanes_of_their_own():
    drawn = timeline.draw(WITH_DATABASE.course)
    assert drawn is not None
    lanes = {lane.name: lane for lane in drawn.lanes if lane.kind == "client"}
    assert {name: lane.detail for name, lane in lanes.items()} == {
        "a user's requests": "40 failed",
        "rows written": "60 failed",
        "rows read": "40 failed",
    }
    assert [bar.label for bar in lanes["rows written"].bars] == ["primary", "no writes 18.2 s", "secondary"]
    assert lanes["rows read"].bars[1].right < lanes["rows written"].bars[1].right


def test_the_axis_reaches_to_the_end_of_the_time_without_writes():
    late = Interval(start=at(0), end=at(300), ok=False, region=None, requests=60)
    drawn = timeline.draw(dataclasses.replace(WITH_DATABASE, client_writes=(late,)).course)
    assert drawn is not None
    assert "4 min" in [tick.label for tick in drawn.ticks]


def test_the_page_is_written_where_it_was_asked_for(tmp_path):
    page.write(REPORT, tmp_path / "new" / "report.html")
    assert (tmp_path / "new" / "report.html").read_text() == page.render(REPORT)


def test_the_drawing_begins_with_the_death_and_leaves_the_set_up_out():
    drawn = timeline.draw(REPORT.course)
    assert drawn is not None
    assert (drawn.zero_name, drawn.zero_clock) == ("region primary killed", "12:00:00.000")
    assert [lane.name for lane in drawn.lanes if lane.kind == "command"] == [entry.command for entry in REPORT.commands[1:]]
    assert [mark.left for mark in drawn.marks] == sorted(mark.left for mark in drawn.marks)
    assert "0 s" in [tick.label for tick in drawn.ticks]
    assert next(tick for tick in drawn.ticks if tick.label == "0 s").left == drawn.marks[0].left


def test_everything_drawn_lies_on_the_axis_and_the_client_fills_it():
    drawn = timeline.draw(REPORT.course)
    assert drawn is not None
    for lane in drawn.lanes:
        assert all(bar.left >= 0 and bar.right <= 100.01 for bar in lane.bars)
    (client,) = [lane for lane in drawn.lanes if lane.kind == "client"]
    assert [bar.kind for bar in client.bars] == ["served", "lost", "served"]
    assert client.bars[0].left == 0
    assert client.bars[-1].right == pytest.approx(100, abs=0.01)
    for left, right in zip(client.bars, client.bars[1:], strict=False):
        assert left.right == pytest.approx(right.left, abs=0.01)


def test_events_close_to_each_other_are_drawn_one_below_the_other():
    report = dataclasses.replace(REPORT, events=tuple(Event(time=at(second), name="x") for second in (0, 0.5, 1, 20)))
    drawn = timeline.draw(report.course)
    assert drawn is not None
    assert [mark.row for mark in drawn.marks] == [0, 1, 2, 0]
    assert drawn.rows == 3


@pytest.mark.parametrize(("span", "unit"), [(3, "s"), (45, "s"), (200, "min"), (3000, "min")])
def test_ticks_are_few_enough_to_be_read(span, unit):
    report = dataclasses.replace(REPORT, steps=(step("x", 0, span),), commands=(), client_requests=(), events=REPORT.events[:1])
    drawn = timeline.draw(report.course)
    assert drawn is not None
    assert 2 <= len(drawn.ticks) <= timeline.TICKS + 1
    assert {tick.label.split()[-1] for tick in drawn.ticks} == {unit}


def test_a_report_without_any_time_is_still_a_page():
    empty = dataclasses.replace(REPORT, steps=(), commands=(), events=(), client_requests=(), not_proven=())
    assert timeline.draw(empty.course) is None
    assert Page(page.render(empty)).open == []
    assert "none was recorded" in terminal.render(empty)


def test_a_failover_that_held_has_its_box_as_one_that_failed_has():
    text = Page(page.render(WITH_DATABASE)).text
    assert all(sentence in text for sentence in held(WITH_DATABASE))
    assert "RPO and RTO are within what tier warm-standby promises." in text
    failed = dataclasses.replace(WITH_DATABASE, calls_to_dead_region=1)
    assert held(failed) == []
    assert "What held" not in Page(page.render(failed)).text


def test_a_target_is_a_bar_that_is_full_where_the_value_reaches_it():
    half = page.render(dataclasses.replace(WITH_DATABASE, rpo_seconds=150.0))
    assert 'aria-label="50.0 % of the target"><span style="width: 50.0%">' in half
    twice = page.render(dataclasses.replace(WITH_DATABASE, rpo_seconds=600.0))
    assert 'aria-label="200.0 % of the target"><span style="width: 100%"></span><i style="left: 50.0%">' in twice
    assert "of the target" not in page.render(REPORT), "without a target there is no bar"


def test_where_no_client_asked_no_failed_request_is_counted():
    nobody = dataclasses.replace(REHEARSAL, client_requests=())
    text = Page(page.render(nobody)).text
    assert "requests that failed" not in text
    assert "a user's requests" not in text
    assert "of the client failed" not in terminal.render(nobody)
    assert "40 requests of the client failed" in terminal.render(REPORT)


def test_a_label_stands_in_its_bar_where_it_fits_and_above_it_on_a_phone():
    drawn = timeline.draw(WITH_DATABASE.course)
    assert drawn is not None
    for lane in drawn.lanes:
        for bar in lane.bars:
            widest = {"always": timeline.NARROW, "roomy": timeline.ROOMY}.get(bar.fits)
            assert widest is None or len(bar.label) * timeline.LETTER < bar.width * widest / 100
            if bar.kind == "lost":
                assert bar.label in lane.label
    (always, nowhere) = (timeline.Bar(left=0, width=width, kind="lost", label="no service 41.2 s", title="") for width in (60, 2))
    assert (always.fits, nowhere.fits) == ("always", "")
