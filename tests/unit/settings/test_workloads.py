"""Entries of `workloads`: several of one namespace, as long as each workload is in one of them."""

from __future__ import annotations

from typing import Any

import pytest

from settings import load
from settings.load import SECRETS
from settings.workloads import Check, Workload, by_namespace, cron_jobs_of
from tests.examples import example


def entries(*written: dict[str, Any]) -> list[Workload]:
    return load(
        "secondary", example("secondary", {"workloads": [{"replicas": 3, **each} for each in written]}), SECRETS
    ).workloads


def test_a_namespace_may_have_an_entry_for_each_of_its_workloads_and_one_for_the_rest() -> None:
    web = {"namespace": "production", "names": ["deployment/web"], "replicas": 12}
    found = entries(web, {"namespace": "production"}, {"namespace": "batch", "names": ["deployment/web"]})
    assert {namespace: [each.names for each in its] for namespace, its in by_namespace(found).items()} == {
        "production": [["deployment/web"], []],
        "batch": [["deployment/web"]],
    }


def test_an_entry_is_required_and_its_cron_jobs_are_suspended_unless_a_person_says_otherwise() -> None:
    (entry,) = entries({"namespace": "production"})
    assert (entry.required, entry.cron_jobs) == (True, "suspend")


def test_one_entry_speaks_for_the_cron_jobs_of_its_whole_namespace() -> None:
    found = entries({"namespace": "production"}, {"namespace": "production", "names": ["deployment/web"], "cronJobs": "leave"})
    assert cron_jobs_of(found) == "leave"
    assert cron_jobs_of(found[:1]) == "suspend"


def test_a_host_cannot_be_asked_for_through_the_api_server() -> None:
    with pytest.raises(ValueError, match="cannot be asked for through the API server"):
        Check.model_validate({"service": "web", "via": "api-server", "host": "app.example.com"})
