"""The calendar of drills: what is in it, and that it is a calendar as RFC 5545 has it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from scripts import drill_calendar
from scripts.ics import Event, calendar, escaped, folded
from scripts.stack_files import settings_of
from settings import load
from settings.explain import SECRETS
from settings.files import NOT_READ
from settings.load import ConfigurationError
from settings.model import Settings
from settings.roles import ROLES, Role
from tests.examples import ROOT, STATIC, example
from tests.unit.settings.test_mistakes import COMMITTED

NOW = datetime(2026, 1, 1, 10, 0, tzinfo=UTC)
DAY = timedelta(days=1)


def stacks(**changes: Any) -> Mapping[Role, Settings]:
    return {role: load(role, example(role, {"peerReady": True, **changes}), SECRETS) for role in ROLES}


def days_of(kind: str, **changes: Any) -> list[date]:
    found = drill_calendar.events(stacks(**changes), NOW.date(), 365)
    return [event.begin for event in found if event.uid.startswith(f"{kind}-20")]


def project(directory: Path, own: Mapping[str, Any], **shared: Any) -> Path:
    """A copy of the committed configuration, with `own` in both stack files and `shared` in Pulumi.yaml."""
    common = yaml.safe_load((ROOT / "Pulumi.yaml").read_text())
    common["config"] |= {key: {"value": value} for key, value in shared.items()}
    (directory / "Pulumi.yaml").write_text(json.dumps(common))
    for role in ROLES:
        file = yaml.safe_load((ROOT / f"Pulumi.{role}.yaml").read_text())
        file["config"] |= own
        (directory / f"Pulumi.{role}.yaml").write_text(json.dumps(file))
    return directory


def test_the_year_has_the_guides_calendar() -> None:
    assert days_of("tabletop") == [date(2026, 1, 20), date(2026, 7, 20)]
    assert days_of("partial") == [date(2026, 3, 15), date(2026, 9, 15)]
    assert days_of("full") == [date(2026, 6, 15), date(2026, 12, 15)]
    assert days_of("runbook-review") == [date(2026, 6, 20), date(2026, 12, 20)]


def test_each_region_has_its_own_drills_of_the_machine_at_their_times() -> None:
    found = drill_calendar.events(stacks(), NOW.date(), 31)
    times = [event.begin for event in found if event.uid.startswith("integrity-secondary-")]
    assert times == [datetime(2026, 1, day, 5, 30, tzinfo=UTC) for day in (5, 12, 19, 26)]
    assert {event.uid.split("-")[1] for event in found if event.uid.startswith(("integrity", "namespace", "database"))} == {
        *ROLES
    }


@pytest.mark.parametrize("kind", ["tabletop", "partial", "full", "runbook-review"])
def test_one_key_switches_one_off(kind: str) -> None:
    key = {"runbook-review": "runbookReview"}.get(kind, kind)
    assert days_of(kind)
    assert not days_of(kind, drills={"people": {key: {"enabled": False}}})
    assert not days_of(kind, drills={"people": {"enabled": False}})
    assert not days_of(kind, drills={"enabled": False})


def test_nobody_moves_users_before_the_other_region_is_there() -> None:
    assert not days_of("partial", peerReady=False)
    assert not days_of("full", peerReady=False)
    assert days_of("tabletop", peerReady=False)


def test_an_event_keeps_its_uid_from_one_file_to_the_next_and_no_two_have_the_same() -> None:
    one = {event.uid for event in drill_calendar.events(stacks(), date(2026, 1, 1), 366)}
    other = {event.uid for event in drill_calendar.events(stacks(), date(2026, 2, 1), 335)}
    assert other < one
    assert len(one) == len(drill_calendar.events(stacks(), date(2026, 1, 1), 366))


def test_a_line_has_75_octets_at_the_most_and_unfolds_to_what_it_was() -> None:
    event = Event(uid="a@b", begin=date(2026, 1, 1), lasts=DAY, summary="Übung – " * 60, description="a,b;c\\d\ne")
    text = calendar("x", [event], stamp=NOW)
    assert text.endswith("END:VCALENDAR\r\n")
    lines = text.split("\r\n")
    assert "\n" not in "".join(lines)
    assert max(len(line.encode()) for line in lines) <= 75
    assert f"SUMMARY:{event.summary}\r\n" in text.replace("\r\n ", "")
    assert "DESCRIPTION:a\\,b\\;c\\\\d\\ne\r\n" in text.replace("\r\n ", "")


def test_a_fold_never_cuts_a_character() -> None:
    for width in range(60, 80):
        line = "x" * width + "日本語" * 30
        parts = list(folded(line))
        assert all(len(part.encode()) <= 75 for part in parts)
        assert parts[0] + "".join(part[1:] for part in parts[1:]) == line


def test_no_text_begins_a_property_of_its_own() -> None:
    text = escaped("a\r\nBEGIN:VALARM\x0bATTACH:x\u2028b\x00")
    assert "\r" not in text
    assert "\n" not in text
    assert text == "a\\nBEGIN:VALARM\\nATTACH:x\\nb"


def test_every_event_has_what_the_standard_asks_for() -> None:
    text = calendar("x", drill_calendar.events(stacks(), NOW.date(), 366), stamp=NOW)
    parts = text.split("BEGIN:VEVENT\r\n")[1:]
    assert len(parts) == len(drill_calendar.events(stacks(), NOW.date(), 366))
    for part in parts:
        for line in ("UID:", "DTSTAMP:20260101T100000Z", "DTSTART", "DTEND", "SUMMARY:", "END:VEVENT"):
            assert re.search(rf"^{line}", part, re.MULTILINE), part


def test_a_day_ends_where_the_next_begins() -> None:
    text = calendar("x", [Event(uid="a", begin=date(2026, 6, 15), lasts=3 * DAY, summary="s")], stamp=NOW)
    assert "DTSTART;VALUE=DATE:20260615\r\nDTEND;VALUE=DATE:20260618\r\n" in text


def test_the_command_prints_the_calendar_of_the_files(tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    folder = project(tmp_path, {"k8s-dr:peerReady": True})
    assert drill_calendar.main(["--directory", str(folder), "--people"], NOW) == 0
    text = capfdbinary.readouterr().out.decode()
    assert text.count("BEGIN:VEVENT") == 8
    assert "X-WR-CALNAME:Drills of acme\r\n" in text


def test_what_is_wrong_in_a_file_is_said_as_pulumi_up_says_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = project(tmp_path, {}, drills={"people": {"full": {"cron": "0 8 * * *"}}})
    assert drill_calendar.main(["--directory", str(folder)], NOW) == 1
    said = capsys.readouterr().err
    assert "drills.people.full.cron" in said
    assert "comes on 366 days of a year" in said
    assert drill_calendar.main(["--days", "0"], NOW) == 2


def test_no_secret_is_read_from_the_files(tmp_path: Path) -> None:
    secrets = {
        "k8s-dr:backupEncryptionPassword": {"secure": "v1:abc:def"},
        "k8s-dr:databasePasswords": {"app-database": {"secure": "v1:abc:def"}},
        "k8s-dr:receivers": {"heartbeats": {"guard": {"secure": "v1:abc:def"}}},
        "k8s-dr:handover": "planned",
    }
    found = settings_of("secondary", project(tmp_path, secrets))
    assert found.backup_encryption_password.get_secret_value() == NOT_READ
    assert found.handover is None


def test_databases_that_a_command_stored_as_json_have_their_passwords_too(tmp_path: Path) -> None:
    text = json.dumps(COMMITTED["databases"])
    assert settings_of("secondary", project(tmp_path, {"k8s-dr:databases": text})).databases[0].name == "app-database"


@pytest.mark.parametrize("written", [5, True, "no list", [{"name": ["app-database"]}]])
def test_databases_that_are_no_list_are_told_with_their_key(written: Any, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="databases"):
        settings_of("secondary", project(tmp_path, {"k8s-dr:databases": written}))


HIDDEN = {"secure": "v1:abc:def"}


@pytest.mark.parametrize(
    "keys",
    [HIDDEN, dict.fromkeys(STATIC["staticCredentials"], dict.fromkeys(("accessKeyId", "secretAccessKey"), HIDDEN))],
    ids=["one secret", "a secret each"],
)
def test_access_keys_that_are_not_read_are_no_mistake(keys: dict[str, Any], tmp_path: Path) -> None:
    written = {"k8s-dr:identity": "static", "k8s-dr:staticCredentials": keys}
    assert settings_of("secondary", project(tmp_path, written)).identity_mode == "static"


def test_a_folder_without_the_files_is_an_error_that_names_a_key(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="topology"):
        settings_of("primary", tmp_path)
