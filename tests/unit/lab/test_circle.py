"""What a leg of the way round cost its user comes from the client's log, and no row is overlooked."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import yaml

from lab import __main__ as command_line
from lab import circle
from lab.failover import Record
from lab.pulumi import Ran
from lab.samples import Write, writes_log
from lab.world import Lab, LabError
from settings.roles import Role
from tests.unit.report.reports import WITH_DATABASE

START = datetime(2026, 11, 24, 12, 0, 0, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def written(seconds: float, region: str | None, sequence: int) -> Write:
    return Write(time=at(seconds), sent=at(seconds), ok=region is not None, region=region, sequence=sequence)


WRITES = [
    *(written(number, "secondary", number) for number in range(-5, 10)),
    *(written(number, None, number) for number in range(10, 30)),
    *(written(number, "primary", number) for number in range(30, 60)),
]


@dataclass
class FakePulumi:
    """Types nothing. `handover` is what each stack prints."""

    directory: Path
    handover: dict[str, str] = field(default_factory=dict)
    typed: list[str] = field(default_factory=list)

    def run(self, *args: str, **_: Any) -> Ran:
        if args[:2] == ("stack", "output"):
            return self.ran(args, self.handover.get(args[-1], ""))
        self.typed.append(" ".join(args))
        return self.ran(args, "")

    def outputs(self, _: str) -> dict[str, str]:
        return {"next": "do this and that"}

    def details(self, _: str) -> dict[str, Any]:
        return {"failover": {"steps": []}}

    @staticmethod
    def ran(args: tuple[str, ...], output: str) -> Ran:
        return Ran(command=" ".join(("pulumi", *args)), start=START, seconds=1.0, exit_code=0, output=output)


@pytest.fixture
def pulumi(tmp_path: Path) -> FakePulumi:
    token = base64.b64encode(b"x" * 300).decode()
    return FakePulumi(directory=tmp_path, handover={"primary": f"receipt.{'0' * 32}\n", "secondary": f"handover.{token}\n"})


@pytest.fixture
def lab(pulumi: FakePulumi, tmp_path: Path) -> Lab:
    paths = SimpleNamespace(project=tmp_path, logs=tmp_path)
    return cast(Lab, SimpleNamespace(pulumi=pulumi, paths=paths, kubectl=lambda *_, **__: "", files=False, both_serve=False))


def test_a_leg_costs_its_user_from_the_last_answer_before_to_the_first_after() -> None:
    leg = circle.measured("home", START, at(50), requests=WRITES, writes=WRITES, reads=WRITES[:15], record=Record())
    assert (leg.seconds_without_service, leg.seconds_without_writes, leg.seconds_without_reads) == (21.0, 21.0, 0.0)
    assert leg.rows_acknowledged == 10 + 21
    assert [(event.name, event.time) for event in leg.events] == [("first row taken by the primary", at(30))]


def test_a_leg_that_costs_nothing_has_no_first_row() -> None:
    leg = circle.measured("follows", START, at(9), requests=WRITES, writes=WRITES, reads=WRITES, record=Record())
    assert (leg.seconds_without_writes, leg.events) == (0.0, ())


def test_what_comes_after_a_leg_is_not_its_own() -> None:
    later = [*WRITES, written(70, None, 70)]
    leg = circle.measured("home", START, at(60), requests=later, writes=later, reads=later, record=Record())
    assert leg.seconds_without_writes == 21.0


def test_service_lasts_once_one_region_has_answered_enough_requests_in_a_row() -> None:
    assert circle.lasts(WRITES, "primary")
    assert not circle.lasts(WRITES, "secondary")
    assert not circle.lasts(WRITES[: 20 + circle.LASTING], "primary")
    assert not circle.lasts(WRITES[-5:], "primary")
    mixed = [replace(write, region="secondary" if write.sequence % 2 else "primary") for write in WRITES]
    assert circle.lasts(mixed, None)


def test_rows_that_a_database_lacks_are_counted_by_leg_and_by_region(lab: Lab, tmp_path: Path) -> None:
    log = tmp_path / "circle.jsonl"
    writes_log(log).write_text("".join(write.to_json() + "\n" for write in WRITES))
    user = circle.User(lab=lab, log=log, stop=lambda: None, kept=frozenset({-100}))
    home = circle.measured("home", START, at(50), requests=WRITES, writes=WRITES, reads=WRITES, record=Record())
    user.legs.append(home)
    legs = circle.legs_of(WITH_DATABASE, user, {"primary": {31, -100}, "secondary": {31, 55}})
    assert [leg.rows_missing for leg in legs.each] == [13, 1]
    assert legs.rows_missing == {"primary": 2, "secondary": 2}
    assert legs.rows == 1 + 15 + 30
    assert [found.region for found in legs.client_writes[-3:]] == ["secondary", None, "primary"]


HOME = [
    "config set active primary -s secondary",
    "config set handover planned -s secondary",
    "up -s secondary --yes",
    "config set handover TOKEN -s primary",
    "config set active primary -s primary",
    "up -s primary --yes",
    "config set handover RECEIPT -s secondary",
    "up -s secondary --yes",
]
AWAY = [
    "config set hold true -s secondary",
    "config set active secondary -s primary",
    "config set handover planned -s primary",
    "up -s primary --yes",
    "config set handover RECEIPT -s secondary",
    "config set active secondary -s secondary",
    "up -s secondary --yes",
]


@pytest.mark.parametrize(("to", "hold", "typed"), [("primary", False, HOME), ("secondary", True, AWAY)])
def test_a_switchover_is_typed_as_the_runbook_says(lab: Lab, pulumi: FakePulumi, to: Role, hold: bool, typed: list[str]) -> None:
    record = Record()
    circle.switch(lab, to, record, hold=hold)
    told = {"TOKEN": pulumi.handover["secondary"].strip(), "RECEIPT": pulumi.handover["primary"].strip()}
    assert pulumi.typed == [" ".join(told.get(word, word) for word in line.split()) for line in typed]
    shown = [command.command for command in record.commands]
    assert f'pulumi config set handover "$handover" -s {to}' in shown, "a report has no room for a token"


def test_a_stack_that_prints_no_token_is_told_with_what_it_prints_instead(lab: Lab, pulumi: FakePulumi) -> None:
    pulumi.handover.clear()
    with pytest.raises(LabError, match="stack secondary prints no handover, and says: do this and that"):
        circle.switch(lab, "primary", Record())
    assert pulumi.typed[-1] == "up -s secondary --yes"


def test_a_raised_generation_keeps_the_other_regions(lab: Lab, tmp_path: Path) -> None:
    file = tmp_path / "Pulumi.yaml"
    database = {"name": "app-database", "generations": {"secondary": 3}}
    file.write_text(yaml.safe_dump({"name": "x", "config": {"databases": {"value": [database]}}}))
    circle.set_generation(lab, 2)
    (found,) = yaml.safe_load(file.read_text())["config"]["databases"]["value"]
    assert found == {"name": "app-database", "generations": {"secondary": 3, "primary": 2}}


@pytest.mark.parametrize(
    ("primary", "secondary", "asleep"),
    [("secondary", "secondary", True), (None, "secondary", False), (None, None, False), ("primary", "primary", False)],
)
def test_a_lab_is_taken_over_only_where_the_old_primary_stands_by(
    lab: Lab, tmp_path: Path, primary: str | None, secondary: str | None, asleep: bool
) -> None:
    for role, active in (("primary", primary), ("secondary", secondary)):
        config = {"config": {"k8s-dr:active": active} if active else {"k8s-dr:peerReady": True}}
        (tmp_path / f"Pulumi.{role}.yaml").write_text(yaml.safe_dump(config))
    alive = replace_region(lab, alive=True)
    assert circle.is_asleep(alive) is asleep
    assert not circle.is_asleep(replace_region(lab, alive=False))


def replace_region(lab: Lab, *, alive: bool) -> Lab:
    return cast(Lab, SimpleNamespace(paths=lab.paths, region=lambda _: SimpleNamespace(alive=alive)))


def test_a_tier_without_a_standby_has_no_way_round(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["lab", "demo", "--circle", "--tier", "backup-restore"])
    monkeypatch.setattr("signal.signal", lambda *_: None)
    with pytest.raises(SystemExit):
        command_line.main()
    assert "--circle: tier backup-restore keeps no standby" in capsys.readouterr().err
