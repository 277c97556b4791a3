"""A status page hears once, from the `up` that moves users and after it has, which region serves them: a real HTTP receiver."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from components.failover import status_page
from components.kube.runner.flag import Flag
from tests.ports import refusing_port
from tests.unit.components.failover.test_gate import READY, cluster
from tests.unit.components.failover.test_handover import follower, token
from tests.unit.components.kube.runner.servers import http_server, raw_server
from tests.unit.fakes import FakeCluster
from tests.unit.recorder import Recorder, run_program

RECORD_HOOK, FLAG_HOOK = "failover-status-page", "failover-flag-status-page"


def page(port: int) -> dict[str, Any]:
    return {"receivers": {"statusPage": f"http://127.0.0.1:{port}/hush"}}


def takeover(port: int, **options: Any) -> Recorder:
    """A failover of which the hook of the status page alone is called, as the engine does after the record was made."""
    changes = {"active": "secondary", **page(port)}
    return run_program("secondary", changes, cluster=cluster(*READY), run_hooks={RECORD_HOOK}, **options)


def test_a_failover_says_which_region_serves_since_when_and_why_and_says_it_once() -> None:
    with http_server(200) as server:
        region = takeover(server.port)
    [said] = [json.loads(body) for body in server.bodies]
    since = said.pop("since")
    assert said == {
        "event": "failover",
        "role": "secondary",
        "region": "us-west-2",
        "organization": "acme",
        "names": ["app.example.com"],
        "text": f"app.example.com: served from us-west-2 since {since} (failover)",
    }
    assert since in str(region.outputs["serving"])
    assert server.paths == ["/hush"]


def test_it_is_said_after_the_flag_was_written() -> None:
    region = run_program("secondary", {"active": "secondary", **page(1)}, cluster=cluster(*READY))
    record = region["failover-serving"]
    assert record.hooks["after_create"] == ["failover-report", RECORD_HOOK]
    assert "failover-flag" in record.depends_on


@pytest.mark.parametrize("stack", ["primary", "secondary"])
def test_an_ordinary_up_says_nothing(stack: Any) -> None:
    region = run_program(stack, {**page(1), "peerReady": True})
    assert not [name for seen in region.seen for names in seen.hooks.values() for name in names if "status-page" in name]


def test_nobody_is_told_in_a_preview() -> None:
    with http_server(200) as server:
        takeover(server.port, preview=True)
    assert server.paths == []


def test_one_that_hangs_holds_a_failover_up_for_seconds_and_fails_nothing(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(status_page, "SECONDS", 0.5)
    with raw_server(lambda _: None) as port:
        region = takeover(port)
        began = time.monotonic()
        assert region.call_hook(RECORD_HOOK, metadata={"creationTimestamp": "2026-01-01T03:00:00Z"}) == ""
        assert time.monotonic() - began < 3
    assert "the status page was not told that us-west-2 serves: no answer" in caplog.text
    assert "hush" not in caplog.text


def test_one_that_refuses_is_a_warning_without_its_url(caplog: pytest.LogCaptureFixture) -> None:
    region = takeover(refusing_port())
    assert region["failover-serving"]
    assert "the status page was not told that us-west-2 serves: Connection refused; tell it by hand" in caplog.text
    assert "hush" not in caplog.text


def test_the_url_is_in_no_input_and_no_output() -> None:
    region = takeover(refusing_port())
    assert "hush" not in json.dumps([seen.inputs for seen in region.seen])
    assert "hush" not in json.dumps(region.outputs, default=str)


def test_how_long_it_may_take_is_seconds() -> None:
    assert status_page.SECONDS <= 5


def test_a_planned_takeover_of_the_secondary_is_told_as_what_it_is() -> None:
    given = token()
    with http_server(200) as server:
        changes = {"active": "secondary", "handover": given.text, "peerReady": True, **page(server.port)}
        region = run_program("secondary", changes, cluster=follower("secondary"))
        assert region.call_hook(RECORD_HOOK, metadata={"creationTimestamp": "2026-01-01T03:00:00Z"}) == ""
    [said] = [json.loads(body) for body in server.bodies]
    assert (said["event"], said["region"], said["since"]) == ("switchover", "us-west-2", "2026-01-01T03:00:00Z")


def test_on_the_planned_way_back_the_secondary_tells_it_as_it_moves_users_and_not_the_primary_before() -> None:
    given = token("secondary")
    flag = Flag(active="secondary", handover="primary")
    changes = {"active": "primary", "peerReady": True}
    back = run_program("primary", {**changes, "handover": given.text, **page(1)}, cluster=follower("primary"), flag=lambda: flag)
    assert back["failover-serving"].hooks["after_create"] == ["failover-report"]
    moved = follower("secondary")
    moved.records["handover"] = {"token": given.text}
    with http_server(200) as server:
        region = run_program("secondary", {**changes, "handover": given.receipt, **page(server.port)}, cluster=moved)
        assert region["failover-flag"].hooks == {"after_update": [FLAG_HOOK]}
        assert region.call_hook(FLAG_HOOK) == ""
    [said] = [json.loads(body) for body in server.bodies]
    assert (said["event"], said["region"], said["role"]) == ("switchover", "us-east-1", "primary")


def test_a_region_that_takes_back_what_it_gave_moves_nobody_and_says_nothing() -> None:
    given = FakeCluster(databases=follower("secondary").databases, records={"handover": {"token": token("secondary").text}})
    changes = {"active": "secondary", "force": True, "peerReady": True, **page(1)}
    region = run_program("secondary", changes, cluster=given)
    assert not region.of("Restore"), "it takes back"
    assert not [name for name in region.hooks if "status-page" in name]
