"""The report as a picture: well-formed, self-contained, in the page's colours, and with nothing outside its frame."""

from __future__ import annotations

import dataclasses
from datetime import timedelta
from pathlib import Path
from xml.etree import ElementTree

import pytest

from report import __main__ as command
from report import model, picture, wording
from report.moments import Event
from tests.unit.report.reports import DIED, REPORT, WITH_DATABASE, step

SVG = "{http://www.w3.org/2000/svg}"
LETTER = 7.4
"""Width of a letter of 13 pixels in a wide font, on average, in pixels."""


def texts(svg: str) -> list[str]:
    return [element.text or "" for element in ElementTree.fromstring(svg).iter(f"{SVG}text")]


@pytest.mark.parametrize("scheme", picture.SCHEMES)
def test_it_shows_what_was_measured_beside_its_target_and_each_step_and_event(scheme: picture.Scheme) -> None:
    shown = texts(picture.render(WITH_DATABASE, scheme))
    measured = [figure for figure in wording.recovery(WITH_DATABASE) if figure.share is not None]
    assert [figure.name for figure in measured] == ["RPO, measured", "RTO, measured"]
    for said in (
        wording.headline(WITH_DATABASE),
        *(part for figure in measured for part in (figure.name, figure.value, figure.note)),
        *(entry.name for entry in WITH_DATABASE.steps),
        *(event.name for event in WITH_DATABASE.events),
        "no service 41.2 s",
        "pulumi up -s secondary --yes",
    ):
        assert said in shown, said


def test_the_two_pictures_differ_in_their_colours_alone() -> None:
    light, dark = (picture.render(WITH_DATABASE, scheme) for scheme in picture.SCHEMES)
    assert texts(light) == texts(dark)
    ours = picture.colours("light"), picture.colours("dark")
    assert ours[0].keys() == ours[1].keys() >= {"paper", "ink", "soft", "served", "lost", "step", "command", "mark"}
    assert f'fill="{ours[0]["paper"]}"' in light
    assert f'fill="{ours[1]["paper"]}"' in dark
    assert ours[0]["paper"] != ours[1]["paper"]


def test_it_needs_nothing_from_anywhere() -> None:
    found = picture.render(WITH_DATABASE, "light")
    assert "href" not in found
    assert "url(" not in found
    assert found.count("http") == 1, "the namespace alone"


def test_every_value_is_escaped() -> None:
    evil = '"><script>alert(1)</script>&'
    report = dataclasses.replace(WITH_DATABASE, steps=(step(evil, 1, 2),), events=(Event(time=DIED, name=evil),))
    found = picture.render(report, "light")
    assert "<script" not in found
    assert texts(found).count(evil) == 2


def test_everything_lies_within_the_frame() -> None:
    long = Event(time=DIED, name="health check of the traffic flag, inverted: healthy → unhealthy " * 4)
    root = ElementTree.fromstring(picture.render(dataclasses.replace(WITH_DATABASE, events=(long,)), "light"))
    width, height = (float(root.attrib[side]) for side in ("width", "height"))
    for box in root.iter(f"{SVG}rect"):
        left, top = (float(box.get(side, 0)) for side in ("x", "y"))
        assert left >= 0
        assert left + float(box.attrib["width"]) <= width
        assert top + float(box.attrib["height"]) <= height
    for text in root.iter(f"{SVG}text"):
        assert 0 < float(text.attrib["y"]) < height
        if text.get("text-anchor") is None and float(text.get("font-size", 13)) <= 13:
            assert float(text.attrib["x"]) + LETTER * len(text.text or "") < width, text.text


def test_events_of_one_moment_stand_above_each_other_below_the_figures() -> None:
    close = tuple(Event(time=DIED + timedelta(milliseconds=number), name="x") for number in range(4))
    root = ElementTree.fromstring(picture.render(dataclasses.replace(WITH_DATABASE, events=close), "light"))
    heights = [float(circle.attrib["cy"]) for circle in root.iter(f"{SVG}circle")]
    assert len(set(heights)) == 4
    bars = [float(box.attrib["y"]) + 8 for box in root.iter(f"{SVG}rect") if box.get("height") == "8"]
    assert min(heights) - 9 > max(bars)


def test_a_missed_target_is_red_and_its_bar_is_full() -> None:
    missed = dataclasses.replace(WITH_DATABASE, rpo_seconds=601.0)
    root = ElementTree.fromstring(picture.render(missed, "light"))
    track, value = [box for box in root.iter(f"{SVG}rect") if box.get("height") == "8"][:2]
    assert float(track.attrib["width"]) == float(value.attrib["width"])
    assert value.attrib["fill"] == picture.colours("light")["lost"]


def test_a_report_without_any_time_has_no_picture() -> None:
    with pytest.raises(ValueError, match="nothing in this report has a time"):
        picture.render(dataclasses.replace(REPORT, steps=(), commands=(), events=(), client_requests=()), "light")


def test_the_command_writes_both_pictures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model.write(WITH_DATABASE, tmp_path / "report.json")
    command.main([str(tmp_path / "report.json"), "--picture", str(tmp_path / "new")])
    assert (tmp_path / "new" / "light.svg").read_text() == picture.render(WITH_DATABASE, "light")
    assert (tmp_path / "new" / "dark.svg").read_text() == picture.render(WITH_DATABASE, "dark")
    assert "Pictures: " in capsys.readouterr().out
    assert not (tmp_path / "report.html").exists()
