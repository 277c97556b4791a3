"""URLs that a region calls: which ones are taken, and that no message repeats one."""

from __future__ import annotations

import json
from typing import Any

import pytest

from settings import load
from settings.load import SECRETS
from tests.examples import example
from tests.unit.settings.test_mistakes import complaint

NEAR = [
    "https://oneuptime.com/heartbeat/0d9c",
    "https://hc-ping.com/0d9c-4e?rid=1",
    "http://uptime-kuma.monitoring.svc:3001/api/push/abc",
    "http://uptime-kuma/api/push/abc",
    "http://10.1.0.5:9093/hook",
    "http://127.0.0.1:8080/",
    "https://[2001:db8::1]/hook",
]
WRONG = [
    ("http://hooks.example.com/hush", "is http to a host that is neither in the cluster nor at a private address; write https"),
    ("http://8.8.8.8/hush", "is http to a host that is neither in the cluster nor at a private address; write https"),
    ("https://me:hush@hooks.example.com/", "has a user or a password before its host, which nobody sends"),
    ("ftp://hooks.example.com/hush", "is not a URL; write one as in https://"),
    ("hooks.example.com/hush", "is not a URL; write one as in https://"),
    ("https://hooks.example.com:99999/hush", "is not a URL; write one as in https://"),
    ("https://hooks.example.com/hu sh", "is not a URL that can be called as it is"),
    ("https://hooks.example.com/hush\n", "is not a URL; write one as in https://"),
    ("https://hooks.example.com/hush#top", "is not a URL that can be called as it is"),
    ("", "is not a URL; write one as in https://"),
]


def heard(receivers: dict[str, Any]) -> str:
    return complaint("secondary", example("secondary", {"receivers": receivers}))


def test_nothing_is_called_where_nobody_has_set_a_url() -> None:
    settings = load("secondary", example("secondary"), SECRETS)
    assert list(settings.receivers.heartbeats.of_jobs()) == []
    assert settings.receivers.status_page is None


@pytest.mark.parametrize("url", NEAR)
def test_https_may_go_anywhere_and_http_no_further_than_the_cluster_and_its_network(url: str) -> None:
    assert heard({"statusPage": url, "heartbeats": {"schedules": {"hourly-critical": url}}}) == ""


@pytest.mark.parametrize(("url", "told"), WRONG)
def test_a_url_that_cannot_be_called_is_refused_and_not_repeated(url: str, told: str) -> None:
    for receivers, key in (
        ({"statusPage": url}, "receivers.statusPage"),
        ({"heartbeats": {"drills": {"integrity": url}}}, "receivers.heartbeats.drills.integrity"),
    ):
        line = heard(receivers)
        assert line.startswith(f"k8s-dr:{key}: the secret {told}")
        assert "hush" not in line
        assert "\n" not in line


def test_a_misspelt_job_is_named_and_its_url_is_not() -> None:
    line = heard({"heartbeats": {"drills": {"integrety": "https://hooks.example.com/hush"}}})
    assert "did you mean integrity?" in line
    assert "hush" not in line


def test_the_jobs_have_the_names_by_which_their_urls_are_set() -> None:
    url = "https://hooks.example.com/"
    asked = {
        "guard": f"{url}1",
        "marks": f"{url}2",
        "drills": {"namespace": f"{url}3"},
        "schedules": {"hourly-critical": f"{url}4"},
        "databases": {"app-database": f"{url}5"},
    }
    raw = {**example("secondary"), "receivers": json.dumps({"heartbeats": asked})}
    assert dict(load("secondary", raw, SECRETS).receivers.heartbeats.of_jobs()) == {
        "guard": f"{url}1",
        "marks": f"{url}2",
        "drills.namespace": f"{url}3",
        "schedules.hourly-critical": f"{url}4",
        "databases.app-database": f"{url}5",
    }
