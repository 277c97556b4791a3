"""What each `pulumi up` says by day of backups: the region that serves of its own, the standby of its peer's."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from components import tried_by_day
from components.velero.inventory import Inventory, Needs
from settings.roles import Role
from tests.unit.components.failover.test_gate import BOTH, aged, cluster
from tests.unit.fakes import FakeFiles
from tests.unit.recorder import run_program

OWN = {"primary": "hourly-critical-us-east-1", "secondary": "hourly-critical-us-west-2"}
LATE = "the newest Completed backup"


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    texts: list[str] = []
    monkeypatch.setattr("pulumi.log.warn", lambda text, *_: texts.append(text))
    return texts


@pytest.mark.parametrize(
    ("stack", "changes", "own", "peers"),
    [
        ("primary", {}, True, False),
        ("primary", {"active": "secondary"}, False, False),
        ("secondary", {"peerReady": True}, False, True),
        ("secondary", {}, False, False),
        ("secondary", {"active": "secondary", "peerReady": True}, False, False),  # it only takes over now
    ],
)
def test_who_serves_tells_of_its_own_backups_and_a_standby_of_its_peers_and_no_preview_of_any(
    stack: Role, changes: dict[str, Any], own: bool, peers: bool, said: list[str]
) -> None:
    asked = cluster(*(aged(schedule, 300) for schedule in OWN.values()))
    if stack == "primary":
        asked.databases.clear()  # that one runs, and a stack that gives up waits until its own has stopped
    for preview in (False, True):
        said.clear()
        run_program(stack, {"backups": BOTH, **changes}, cluster=asked, preview=preview)
        late = [text for text in said if LATE in text]
        assert bool([text for text in late if OWN[stack] in text]) is (own and not preview)
        assert bool([text for text in late if OWN[stack] not in text]) is (peers and not preview)


def test_a_secondary_that_has_taken_over_tells_of_its_own_backups(said: list[str]) -> None:
    asked = cluster(aged(OWN["secondary"], 300))
    asked.records["serving"] = {"region": "us-west-2"}
    run_program("secondary", {"backups": BOTH, "active": "secondary", "peerReady": True}, cluster=asked)
    assert [text for text in said if LATE in text and OWN["secondary"] in text]


def test_a_standby_says_by_day_what_its_cluster_lacks(said: list[str]) -> None:
    needs = {"production": Needs(ingress_classes={"nginx"})}
    files = FakeFiles(needs=Inventory(written=datetime.now(UTC), namespaces=needs))
    run_program("secondary", {"backups": BOTH, "peerReady": True}, files=files)
    assert [text for text in said if "Ingresses need IngressClass nginx" in text]


@pytest.mark.parametrize(("stack", "active", "writes"), [("primary", None, True), ("secondary", None, False)])
def test_the_region_that_serves_writes_down_what_its_workloads_need(stack: Role, active: str | None, writes: bool) -> None:
    old = datetime.now(UTC) - timedelta(days=1)
    for preview in (True, False):
        files = FakeFiles(needs=Inventory(written=old, namespaces={}))
        run_program(stack, {}, files=files, preview=preview)
        assert files.needs is not None
        assert (files.needs.written != old) is (writes and not preview)


def test_a_question_that_breaks_is_a_warning_and_does_not_end_the_up() -> None:
    def ask() -> list[str]:
        raise KeyError("begin_wal")

    assert tried_by_day.answers(ask) == ["what a failover needs was not tried to the end: KeyError: 'begin_wal'"]
    assert tried_by_day.answers(lambda: ["late"]) == ["late"]
