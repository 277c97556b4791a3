"""The way round in the report: each leg with what it cost, on one timeline, and rows that are missing fail it."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from lab.samples import Interval
from report import model, page, terminal, timeline, wording
from report.legs import Leg, Legs
from report.model import held, verdict
from report.moments import Event
from tests.unit.report.reports import DIED, WITH_DATABASE, at, command
from tests.unit.report.test_report_page import Page

LEGS = Legs(
    each=(
        Leg(
            name="failover to the secondary",
            start=DIED,
            end=at(60),
            seconds_without_service=41.25,
            seconds_without_writes=18.375,
            seconds_without_reads=9.5,
            rows_acknowledged=112,
            rows_missing=13,
            commands=WITH_DATABASE.commands[1:],
            events=WITH_DATABASE.events,
        ),
        Leg(
            name="the old primary follows again",
            start=at(300),
            end=at(700),
            seconds_without_service=0.0,
            seconds_without_writes=0.0,
            seconds_without_reads=0.0,
            rows_acknowledged=2000,
            commands=(
                command("pulumi config set rejoin app-database-primary-g1 -s primary", 301, 1),
                command("pulumi up -s primary --yes", 310, 42.5),
            ),
            events=(Event(time=at(400), name="the primary's database is made anew"),),
        ),
        Leg(
            name="switchover to the primary",
            start=at(800),
            end=at(1000),
            seconds_without_service=71.5,
            seconds_without_writes=72.25,
            seconds_without_reads=70.125,
            rows_acknowledged=640,
            commands=(command("pulumi up -s secondary --yes", 801, 60.0),),
            events=(Event(time=at(850), name="the handover token is there"),),
        ),
    ),
    rows=2752,
    rows_missing={"primary": 0, "secondary": 0},
    documents=77,
    documents_missing=0,
    rows_kept_apart=19,
    client_writes=(
        Interval(start=at(-15), end=at(0), ok=True, region="primary", requests=75),
        Interval(start=at(0), end=at(18.25), ok=False, region=None, requests=60),
        Interval(start=at(18.25), end=at(840), ok=True, region="secondary", requests=4000),
        Interval(start=at(840), end=at(912.25), ok=False, region=None, requests=300),
        Interval(start=at(912.25), end=at(1000), ok=True, region="primary", requests=440),
    ),
)
ROUND = dataclasses.replace(WITH_DATABASE, legs=LEGS)


def changed(**changes: object) -> model.Report:
    return dataclasses.replace(ROUND, legs=dataclasses.replace(LEGS, **changes))  # type: ignore[arg-type]


def test_a_report_with_legs_reads_back_the_same(tmp_path: Path) -> None:
    model.write(ROUND, tmp_path / "report.json")
    assert model.read(tmp_path / "report.json") == ROUND


def test_a_way_round_on_which_nothing_is_lost_holds_and_says_so() -> None:
    assert verdict(ROUND) == []
    said = " ".join(held(ROUND))
    assert "The way round went 3 legs, and each of 2752 acknowledged rows is in both databases in the end." in said
    assert "So is each of 77 acknowledged files" in said


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"rows_missing": {"primary": 2, "secondary": 0}}, "2 rows that were acknowledged on the way round are missing"),
        ({"rows": 0}, "nothing was measured"),
        ({"documents_missing": 3}, "3 files that were acknowledged on the way round are missing"),
        (
            {"each": (*LEGS.each[:2], dataclasses.replace(LEGS.each[2], seconds_without_writes=None))},
            "the user was not served again: switchover to the primary",
        ),
    ],
)
def test_a_way_round_fails_that_loses_something_or_somebody(changes: dict[str, object], reason: str) -> None:
    report = changed(**changes)
    assert any(reason in each for each in verdict(report)), verdict(report)
    assert reason in Page(page.render(report)).text
    assert reason in " ".join(terminal.render(report).split())


def test_page_and_terminal_say_of_each_leg_what_it_took_and_what_it_cost() -> None:
    text, lines = Page(page.render(ROUND)).text, terminal.render(ROUND).splitlines()
    for leg in LEGS.each:
        assert " ".join((leg.name, *wording.leg(leg))) in text
        (line,) = [each for each in lines if each.startswith(f"  {leg.name}") and wording.leg(leg)[0] in each]
        assert line.split()[-2:] == [str(leg.rows_acknowledged), str(leg.rows_missing)]
    for figure in wording.legs(LEGS):
        assert figure.name in text
        assert any(each.startswith(f"  {figure.name}") and each.endswith(figure.value) for each in lines)
    assert max(map(len, lines)) <= terminal.WIDTH
    for said in ("pulumi up -s primary --yes", "the handover token is there"):
        assert any(said in each for each in lines)


def test_all_legs_are_drawn_on_one_axis_that_begins_with_the_death() -> None:
    drawn = timeline.draw(LEGS.course)
    assert drawn
    assert drawn.zero_name == "failover to the secondary"
    legs = [lane for lane in drawn.lanes if lane.kind == "step"]
    assert [lane.name for lane in legs] == [leg.name for leg in LEGS.each]
    starts = [lane.bars[0].left for lane in legs]
    assert starts == sorted(starts)
    ups = [lane.name for lane in drawn.lanes if lane.kind == "command"]
    assert ups == ["pulumi up -s secondary --yes", "pulumi up -s primary --yes", "pulumi up -s secondary --yes"]
    (writes,) = [lane for lane in drawn.lanes if lane.kind == "client"]
    assert [bar.kind for bar in writes.bars].count("lost") == 2


def test_a_report_of_a_failover_alone_says_nothing_of_legs() -> None:
    assert "way round" not in Page(page.render(WITH_DATABASE)).text
    assert "way round" not in terminal.render(WITH_DATABASE)
