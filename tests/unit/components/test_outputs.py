"""What `pulumi up` prints at the end, for whoever reads it at 3 a.m."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from components.kube.runner.flag import Flag
from components.traffic.flag_object import FlagUnreadableError
from settings.roles import Role
from tests.examples import example
from tests.unit.components.conftest import Program
from tests.unit.fakes import FakeCluster
from tests.unit.recorder import Recorder, run_program

SINCE = "2026-01-01T03:00:40Z"
NAMES = ["app.example.com"]
SERVING: dict[tuple[Role, Role], dict[str, Any]] = {
    ("primary", "primary"): {
        "region": "us-east-1",
        "since": SINCE,
        "names": NAMES,
        "endpoint": "lb-primary.us-east-1.elb.amazonaws.com",
    },
    ("primary", "secondary"): {"region": "us-west-2", "names": NAMES},
    ("secondary", "primary"): {"region": "us-east-1", "names": NAMES},
    ("secondary", "secondary"): {
        "region": "us-west-2",
        "since": SINCE,
        "names": NAMES,
        "endpoint": "lb-secondary.us-west-2.elb.amazonaws.com",
    },
}
A, B = "s3://acme-pulumi-us-east-1?region=us-east-1", "s3://acme-pulumi-us-west-2?region=us-west-2"
FLIP = "pulumi config set active secondary -s secondary && pulumi up -s secondary"
FENCE = "pulumi config set active secondary -s primary && pulumi up -s primary"
ARRIVE = "users arrive within 90 s (health checks 30 s, DNS 60 s); when the primary comes back, before anything else: "
ALONE = "; until it follows again, the data here have no other copy (docs/runbook.md, Rejoin)"
NEXT: dict[tuple[Role, Role], str] = {
    ("primary", "primary"): f"if us-east-1 is lost: (export PULUMI_BACKEND_URL='{B}'; {FLIP})",
    ("secondary", "primary"): f"if us-east-1 is lost: {FLIP}",
    ("primary", "secondary"): "this region stands by; whether the secondary serves is not known, for no traffic flag can be read "
    f"here; see: (export PULUMI_BACKEND_URL='{B}'; pulumi stack output serving -s secondary)",
    ("secondary", "secondary"): f"{ARRIVE}(export PULUMI_BACKEND_URL='{A}'; {FENCE}){ALONE}",
}
WORDS: dict[tuple[Role, Role], str] = {
    ("primary", "primary"): f"us-east-1 since {SINCE}: app.example.com at lb-primary.us-east-1.elb.amazonaws.com",
    ("primary", "secondary"): "us-west-2: app.example.com",
    ("secondary", "primary"): "us-east-1: app.example.com",
    ("secondary", "secondary"): f"us-west-2 since {SINCE}: app.example.com at lb-secondary.us-west-2.elb.amazonaws.com",
}


def test_each_output_is_one_line_of_text(combination: tuple[Role, Role], recorder: Recorder) -> None:
    told = {key: value for key, value in recorder.outputs.items() if key != "details"}
    assert list(told) == ["active", "serving", "protected", "databases", "targets", "failover", "drills", "handover", "next"]
    assert not [key for key, value in told.items() if not isinstance(value, str) or not value or not value.isprintable()]


def test_the_details_name_the_archives_of_both_sides_and_what_is_given_up(recorder: Recorder) -> None:
    details = recorder.outputs["details"]
    archives = {role: {"app-database": f"app-database-{role}-g1"} for role in ("primary", "secondary")}
    assert sorted([details["archives"], details["peerArchives"]], key=str) == sorted(archives.values(), key=str)
    assert details["givenUp"] is False


def test_the_details_have_the_same_for_programs(recorder: Recorder) -> None:
    assert list(recorder.outputs["details"]) == [
        "serving",
        "protected",
        "databases",
        "archives",
        "peerArchives",
        "givenUp",
        "targets",
        "failover",
        "drills",
    ]


def test_active_and_serving_say_where_users_are_and_since_when(combination: tuple[Role, Role], recorder: Recorder) -> None:
    assert recorder.outputs["active"] == combination[1]
    assert recorder.outputs["serving"] == WORDS[combination]
    assert recorder.outputs["details"]["serving"] == SERVING[combination]


@pytest.mark.parametrize(("active", "also"), [("primary", "us-west-2"), ("secondary", None)])
@pytest.mark.parametrize("stack", ["primary", "secondary"])
def test_where_both_regions_serve_the_other_is_named_too_until_one_was_replaced(
    stack: Role, active: Role, also: str | None
) -> None:
    both = {"tier": "active-active", "databases": [], "databasePasswords": {}, "active": active}
    outputs = run_program(stack, both).outputs
    serving = outputs["details"]["serving"]
    assert outputs["serving"].startswith("us-east-1 and us-west-2" if also else "us-west-2")
    assert (serving["region"], serving.get("also")) == ("us-east-1" if active == "primary" else "us-west-2", also)


def test_next_is_one_line_that_can_be_pasted(combination: tuple[Role, Role], recorder: Recorder) -> None:
    assert recorder.outputs["next"] == NEXT[combination]


STANDS_BY = "this region stands by; the traffic flag sends users to the secondary"
FLIPS = f"(export PULUMI_BACKEND_URL='{B}'; {FLIP})"
STAYS = f"this region stands by, and the traffic flag still sends users to it; let the secondary take over: {FLIPS}"


@pytest.mark.parametrize(
    ("flag", "words"),
    [
        (Flag(active="secondary"), STANDS_BY),
        (Flag(active="secondary", handover="primary"), STANDS_BY),
        (Flag(active="primary"), STAYS),
    ],
)
def test_a_primary_that_stands_by_says_of_the_secondary_what_the_flag_says(flag: Flag, words: str) -> None:
    told = run_program("primary", {"active": "secondary", "peerReady": True}, flag=lambda: flag)
    assert told.outputs["next"] == words


def test_where_the_flag_cannot_be_read_nobody_is_said_to_serve() -> None:
    def unreadable() -> Flag | None:
        raise FlagUnreadableError("no right")

    told = run_program("primary", {"active": "secondary", "peerReady": True}, flag=unreadable).outputs["next"]
    assert told == NEXT["primary", "secondary"]


GAVE_UP = {"active": "secondary", "peerReady": True, "handover": "planned"}


@pytest.mark.parametrize(
    ("active", "begins"), [("primary", "all has stopped here, and nobody serves until"), ("secondary", STANDS_BY)]
)
def test_a_primary_that_gave_up_says_that_nobody_serves_only_until_the_flag_has_moved(active: Role, begins: str) -> None:
    there = FakeCluster(records={"serving": {}})
    assert run_program("primary", GAVE_UP, cluster=there, flag=lambda: Flag(active=active)).outputs["next"].startswith(begins)


def test_a_flag_that_force_has_overruled_says_nothing_of_who_serves() -> None:
    old = Flag(active="secondary", written=datetime(2026, 3, 1, 2, tzinfo=UTC))
    there = FakeCluster(records={"serving": {}, "guard": {"overruled": "2026-03-01T02:00:00Z"}})
    assert run_program("primary", GAVE_UP, cluster=there, flag=lambda: old).outputs["next"].startswith("all has stopped here")


@pytest.mark.parametrize(
    ("stack", "active", "words"), [("primary", "primary", f"secondary: {FLIP}"), ("secondary", "secondary", f"primary: {FENCE}")]
)
def test_where_the_backends_are_not_written_down_the_other_stacks_command_says_that_it_needs_one(
    stack: Role, active: Role, words: str
) -> None:
    topology = json.loads(example(stack)["topology"])
    del topology["backends"]
    told = run_program(stack, {"topology": topology, "active": active, "peerReady": True}).outputs["next"]
    assert f"with the PULUMI_BACKEND_URL of stack {words}" in told


def test_protected_says_what_by_which_schedule_and_where_the_copy_is(combination: tuple[Role, Role], recorder: Recorder) -> None:
    stack, active = combination
    own, peer = ("us-east-1", "us-west-2") if stack == "primary" else ("us-west-2", "us-east-1")
    copy = f"s3://acme-velero-{peer}-123456789012/velero/{stack}"
    shared = {"runs": stack == active, "copy": copy}
    names = f"daily-full-{own}, hourly-critical-{own}"
    assert recorder.outputs["protected"] == f"{'' if stack == active else 'paused: '}{names}; copied to {copy}"
    assert recorder.outputs["details"]["protected"] == [
        {
            "namespaces": "all but kube-system, velero",
            "schedule": f"daily-full-{own}",
            "cron": "0 2 * * *",
            "keep": "720h",
            "restores": "nothing: set restore: everything to restore what no other entry does",
            **shared,
        },
        {
            "namespaces": "production, databases",
            "schedule": f"hourly-critical-{own}",
            "cron": "0 * * * *",
            "keep": "168h",
            "restores": "production, databases",
            **shared,
        },
    ]


def test_failover_has_its_steps_with_seconds_after_a_takeover_and_none_before(program: Program) -> None:
    for stack, active in (("primary", "primary"), ("primary", "secondary"), ("secondary", "primary")):
        assert program(stack, active).outputs["details"]["failover"] == {"steps": [], "seconds": None}
        assert program(stack, active).outputs["failover"] == "none"
    outputs = program("secondary", "secondary").outputs
    assert outputs["failover"] == (
        "40 s: restore hourly-critical 8 s, promote app-database 15 s, scale production 15 s, ask endpoint 15 s, traffic 15 s"
    )
    timeline = outputs["details"]["failover"]
    assert [(step["name"], step["seconds"]) for step in timeline["steps"]] == [
        ("restore hourly-critical", 8),
        ("promote app-database", 15),
        ("scale production", 15),
        ("ask endpoint", 15),
        ("traffic", 15),
    ]
    assert timeline["seconds"] == 40


@pytest.mark.parametrize(
    ("stack", "active", "side"),
    [
        ("primary", "primary", "primary"),
        ("primary", "secondary", "fenced"),
        ("secondary", "primary", "replica"),
        ("secondary", "secondary", "promoted"),
    ],
)
def test_databases_say_what_this_regions_side_is(program: Program, stack: Role, active: Role, side: str) -> None:
    assert program(stack, active).outputs["databases"] == f"app-database: {side}"
    assert program(stack, active).outputs["details"]["databases"] == {"app-database": side}


def test_checks_are_steps_of_a_failover_too() -> None:
    workloads = [{"namespace": "production", "replicas": 3, "check": {"service": "web"}}]
    takeover = run_program("secondary", {"active": "secondary", "workloads": workloads})
    assert "verify production" in [step["name"] for step in takeover.outputs["details"]["failover"]["steps"]]


@pytest.mark.parametrize("active", ["primary", "secondary"])
@pytest.mark.parametrize("stack", ["primary", "secondary"])
def test_a_region_whose_backups_go_nowhere_says_so_first(stack: Role, active: Role) -> None:
    alone = run_program(stack, {"active": active, "peerReady": False})
    assert alone.outputs["next"].startswith(
        "no backup leaves this region: once the other stack is up set k8s-dr:peerReady to true"
    )
    assert alone.outputs["protected"].endswith("; copied nowhere: set k8s-dr:peerReady to true")
    assert {entry["copy"] for entry in alone.outputs["details"]["protected"]} == {"none: set k8s-dr:peerReady to true"}


@pytest.mark.parametrize("peer_ready", [False, True])
@pytest.mark.parametrize("active", ["primary", "secondary"])
@pytest.mark.parametrize("stack", ["primary", "secondary"])
def test_force_that_is_left_set_is_what_comes_next(stack: Role, active: Role, peer_ready: bool) -> None:
    forced = run_program(stack, {"active": active, "peerReady": peer_ready, "force": True})
    assert forced.outputs["next"] == f"force is set, and the gate asks less: pulumi config rm force -s {stack}"


def test_a_backup_of_everything_says_all() -> None:
    region = run_program("primary", {"backups": [{"name": "all", "cron": "0 3 * * *", "keep": "24h"}]})
    assert region.outputs["details"]["protected"][0]["namespaces"] == "all"


def test_an_alias_endpoint_is_named() -> None:
    region = run_program("primary", {"endpoint": {"name": "lb.example.com", "zoneId": "Z35SXDOTRQ7X7K"}})
    assert region.outputs["details"]["serving"]["endpoint"] == "lb.example.com"


def test_targets_are_written_as_durations(program: Program) -> None:
    assert program("primary", "primary").outputs["targets"] == "RPO 5m, RTO 30m (tier pilot-light)"


def test_a_stack_without_databases_says_none() -> None:
    region = run_program("primary", {"databases": [], "databasePasswords": {}})
    assert region.outputs["databases"] == "none"
