"""Files on volumes go the way round too: a planned switchover loses none, and the volumes of the time before are kept."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from components.kube.kept import KEPT_OF
from components.kube.records import HANDOVER_RECORD
from lab import circle, databases, demo
from lab.application import manifests
from lab.circle import User
from lab.world import Lab
from report import model
from settings.names import PROGRAM_NAMESPACE
from settings.roles import ROLES, Role
from tests.lab.conftest import deployed
from tests.lab.volumes import items

LEGS: tuple[Role, ...] = ("primary", "secondary", "primary")


@pytest.fixture(scope="module")
def home() -> Iterator[tuple[Lab, User]]:
    """A failover, a rejoin, and a switchover back to the primary, whose old volume is still there."""
    with deployed(Lab(plan=databases.Plan(), files=True)) as lab:
        report = demo.fail(lab, cache=False)
        assert model.verdict(report) == []
        with circle.user(lab) as user:
            with user.leg("the old primary follows again", "secondary") as record:
                circle.come_back(lab, record)
                circle.rejoin(lab, record)
            circle.wait_for_rows(lab, "primary", user.must_be_there())
            with user.leg("switchover to the primary", "primary") as record:
                circle.switch(lab, "primary", record)
            yield lab, user


def test_no_file_that_was_acknowledged_since_the_failover_is_lost_at_home(home: tuple[Lab, User]) -> None:
    _, user = home
    assert len(user.documents_due()) > 100
    assert user.missing_documents("primary") == set()
    assert user.missing("primary") == set()


def test_the_volume_from_before_the_failover_is_kept_under_another_claim(home: tuple[Lab, User]) -> None:
    lab, _ = home
    kept = items(lab, "primary", "pvc", "-n", manifests.APPLICATION_NAMESPACE, "-l", KEPT_OF)
    assert [each for each in kept if each["metadata"]["name"].startswith(f"kept-{manifests.ARCHIVE_CLAIM}")], kept
    assert {each["status"]["phase"] for each in kept} == {"Bound"}


def test_there_and_back_again_loses_no_file_either(home: tuple[Lab, User]) -> None:
    """On the way there users are held, and let in."""
    lab, user = home
    for to in LEGS[1:]:
        hold = to == "secondary"
        with user.leg(f"switchover to the {to}, again", to) as record:
            circle.switch(lab, to, record, hold=hold)
            if hold:
                circle.release(lab, record)
        assert user.missing_documents(to) == set()
        assert user.missing(to) == set()
        for role in ROLES:
            lab.pulumi.up(role, "--expect-no-changes")


def test_home_again_every_row_is_in_both_databases_and_the_region_that_serves_keeps_no_token_of_its_own(
    home: tuple[Lab, User],
) -> None:
    lab, user = home
    user.stop()
    circle.wait_for_rows(lab, "secondary", user.must_be_there())
    assert {role: sorted(user.missing(role)) for role in ROLES} == {role: [] for role in ROLES}
    found = items(lab, "primary", "configmaps", "-n", PROGRAM_NAMESPACE)
    assert found
    assert HANDOVER_RECORD not in {each["metadata"]["name"] for each in found}
