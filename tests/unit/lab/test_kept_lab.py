"""One lab does for several files of tests, unless a test has failed in it."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import cast

import pytest

from lab.world import Lab
from tests.examples import ROOT
from tests.lab import conftest
from tests.lab.conftest import Keeper


@dataclass
class FakeLab:
    up_here: bool = True
    cloud: SimpleNamespace = field(default_factory=lambda: SimpleNamespace(running=True))
    downs: int = 0

    def down(self) -> None:
        self.downs += 1


@dataclass
class Session:
    """A session of pytest, of which the keeper sees how many tests have failed."""

    failed: int = 0
    lab: FakeLab = field(default_factory=FakeLab)

    def keeper(self) -> Keeper:
        keeper = Keeper(failed=lambda: self.failed)
        keeper.keep(cast(Lab, self.lab), failed_before=self.failed)
        return keeper


def test_the_next_file_has_the_lab_as_it_is_and_takes_it_down() -> None:
    session = Session(failed=2)
    keeper = session.keeper()
    assert keeper.take() is cast(Lab, session.lab)
    assert keeper.take() is None, "it is the other file's now"
    keeper.end()
    assert session.lab.downs == 0


def test_a_lab_in_which_a_test_has_failed_goes_down_and_nobody_has_it() -> None:
    session = Session()
    keeper = session.keeper()
    session.failed += 1
    assert keeper.take() is None
    assert session.lab.downs == 1


@pytest.mark.parametrize("lab", [FakeLab(up_here=False), FakeLab(cloud=SimpleNamespace(running=False))], ids=["regions", "AWS"])
def test_a_lab_that_another_file_has_taken_down_is_not_handed_out(lab: FakeLab) -> None:
    assert Session(lab=lab).keeper().take() is None


def test_a_lab_in_another_state_than_the_next_file_needs_goes_down() -> None:
    session = Session()
    assert session.keeper().take(lambda lab: lab is not cast(Lab, session.lab)) is None
    assert session.lab.downs == 1


def test_a_lab_that_nobody_took_goes_down_at_the_end_and_once() -> None:
    session = Session()
    keeper = session.keeper()
    keeper.end()
    keeper.end()
    assert session.lab.downs == 1


def test_files_that_go_on_in_the_lab_of_another_come_right_after_it() -> None:
    unit, here = ROOT / "tests" / "unit" / "test_run.py", sorted((ROOT / "tests" / "lab").glob("test_*.py"))
    items = [SimpleNamespace(path=path, number=number) for path in (*here, unit) for number in (1, 2)]
    conftest.pytest_collection_modifyitems(cast(list[pytest.Item], items))
    first = [name for name in conftest.ORDER for _ in (1, 2)]
    assert [item.path.name for item in items[: len(first)]] == first
    handed_on = (
        ("test_failover.py", "test_volumes.py"),
        ("test_volumes.py", "test_etcd.py"),
        ("test_data.py", "test_circle.py"),
    )
    for one, other in handed_on:
        assert first[first.index(one) + 2] == other
    assert [item.number for item in items] == [1, 2] * (len(here) + 1), "the tests of a file keep their order"
    assert [item.path for item in items[len(first) :: 2]] == [path for path in here if path.name not in conftest.ORDER] + [unit]
