"""What somebody wrote to `backups` for one failover does not work silently in the next one."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from components.kube.cluster_api import ClusterUnreachableError
from components.velero.age import expected_backups, told
from components.velero.left_over import objections, warnings_by_day
from components.velero.selection import Chosen, chosen
from settings.backup import Backup
from settings.names import Names
from settings.topology import Topology
from tests.unit.fakes import FakeCluster

REGIONS = {"primary": "us-east-1", "secondary": "us-west-2"}
TOPOLOGY = Topology.model_validate({"organization": "acme", "accountId": "123456789012", "regions": REGIONS})
NAMES = Names(topology=TOPOLOGY, role="secondary")


def entry(name: str = "hourly", **changes: Any) -> Backup:
    return Backup.model_validate({"name": name, "cron": "0 * * * *", "keep": "168h", "include": ["production"], **changes})


def made(hours: float, schedule: str = "hourly") -> dict[str, Any]:
    began = (datetime.now(UTC) - timedelta(hours=hours, seconds=30)).strftime("%Y-%m-%dT%H:%M:%SZ")
    labels = {"velero.io/schedule-name": f"{schedule}-us-east-1"}
    status = {"phase": "Completed", "startTimestamp": began, "completionTimestamp": began}
    return {"metadata": {"name": f"{schedule}-{hours:g}", "labels": labels}, "status": status}


def here(*backups: dict[str, Any], claims: int = 0) -> FakeCluster:
    found = [{"metadata": {"namespace": "production", "name": f"files-{number}"}} for number in range(claims)]
    path = "/api/v1/namespaces/production/persistentvolumeclaims"
    return FakeCluster(velero={"backups": list(backups)}, paths={path: {"items": found}})


def by_day(cluster: FakeCluster, *entries: Backup) -> list[str]:
    return warnings_by_day(cluster, entries, expected_backups(NAMES, chosen(entries, [])))


def test_an_entry_as_it_should_be_is_not_told() -> None:
    assert by_day(here(made(5)), entry(), entry("daily", include=[], restore=False, existing="keep")) == []


def test_a_backup_that_is_still_named_is_told_by_day_with_its_age_beside_the_newest_ones() -> None:
    (said,) = by_day(here(made(5), made(960)), entry("daily", include=["databases"]), entry(**{"from": "hourly-960"}))
    assert said.startswith("k8s-dr:backups[1].from: hourly still has hourly-960, which the next failover restores: ")
    assert (
        "Backup hourly-960, named by from, is 40 d 0 h old, and the newest Completed backup of schedule hourly-us-east-1 is"
        in said
    )
    assert said.endswith("hourly-5, 5 h 0 min old; take from out, if it was for a failover that is over")


def test_one_that_is_named_and_gone_is_told_too() -> None:
    (said,) = by_day(here(), entry(**{"from": "gone"}))
    assert "Backup gone, named by from, is of unknown age, for it is not here" in said


@pytest.mark.parametrize("existing", ["keep", "update"])
def test_what_keeps_the_other_regions_files_out_is_told_by_day(existing: str) -> None:
    (said,) = by_day(here(made(5)), entry(existing=existing))
    assert said.startswith(f"k8s-dr:backups[0].existing: hourly still has {existing}, by which the next failover or switchover ")
    assert "is hourly-5, 5 h 0 min old; take existing out" in said


def test_a_cluster_that_does_not_answer_is_a_line() -> None:
    silent = FakeCluster(error=ClusterUnreachableError("cluster b does not answer"))
    assert by_day(silent, entry(existing="keep")) == ["how old the peer's backups are is not known: cluster b does not answer"]


def against(cluster: FakeCluster, *entries: Backup, without: tuple[str, str] | None = None) -> list[str]:
    def without_data(_: Chosen) -> list[tuple[str, str]]:
        return [without] if without else []

    found = list(objections(cluster, entries, chosen(entries, []), "secondary", without_data))
    assert all(each.judgement for each in found), "force passes over it"
    return [str(each) for each in found]


def test_a_takeover_by_a_token_does_not_leave_the_files_of_an_earlier_time_in_the_place_of_the_last_ones() -> None:
    (said,) = against(here(claims=4), entry(existing="keep"))
    assert said.startswith(
        "k8s-dr:backups[0].existing: keep leaves the claims that are here (production/files-0, production/files-1, "
    )
    assert said.endswith("to go on all the same: pulumi config set force true -s secondary")


def test_where_no_claim_is_here_or_nobody_wrote_it_nothing_stands_against_it() -> None:
    assert against(here(), entry(existing="keep")) == []
    assert against(here(claims=1), entry()) == []
    assert against(here(claims=1), entry(existing="keep"), without=("production", "files-0")) == [], "no backup has its data"


def test_a_failover_tells_the_age_of_what_somebody_named_as_a_warning_and_of_the_tokens_in_passing() -> None:
    wanted = chosen([entry(**{"from": "hourly-960"})], [])
    ((said, warns),) = told(here(made(5), made(960)), expected_backups(NAMES, wanted))
    assert (warns, "named by from, is 40 d 0 h old" in said) == (True, True)
    ((said, warns),) = told(here(made(5), made(2)), expected_backups(NAMES, wanted, {"hourly": "hourly-5"}))
    assert (warns, "named by the handover token, is 5 h 0 min old" in said) == (False, True)
