"""A region dies whose standby had streamed, and the rows are counted.

`make test` has the whole failover of the default, replication by archive. This one takes five minutes more, and most of it is the
same: what differs are the database's objects, which unit tests and the contract tests with the operator's own webhooks have.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from lab import databases, demo
from lab.waiting import until
from lab.world import Lab
from report import model
from report.model import Report
from tests.lab.conftest import deployed


@pytest.fixture(scope="module")
def failed_over() -> Iterator[tuple[Lab, Report]]:
    """The standby streams from the primary. Its fallback is the archive in the region that dies."""
    lab = Lab(plan=databases.Plan(replication="streaming", source="primary-bucket"))
    with deployed(lab):
        streams = "select status from pg_stat_wal_receiver"
        until("the standby to stream", lambda: lab.query(streams) == "streaming", timeout=120)
        yield lab, demo.fail(lab, cache=False)


def test_the_standby_streams_and_loses_less_than_an_archive_would(failed_over: tuple[Lab, Report]) -> None:
    _, report = failed_over
    assert model.verdict(report) == []
    assert report.rpo_seconds is not None
    assert report.rpo_seconds < 5, "a segment would be as old as archive_timeout"


def test_a_source_that_is_silent_does_not_hold_the_promotion(failed_over: tuple[Lab, Report]) -> None:
    lab, report = failed_over
    silent = [request for request in lab.cloud.access_log() if request.status == "black-hole"]
    assert [request for request in silent if request.source.startswith(("10.12.", "172.30.0.12"))], (
        "the standby asked the archive of the dead region, which does not answer"
    )
    assert "promote app-database" in [step.name for step in report.steps]
