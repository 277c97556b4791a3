"""What a failover needs is tried by day: what would go wrong on the night is a warning, and the good case says nothing."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from components.failover import by_day
from components.kube.cluster_api import ClusterUnreachableError
from components.kube.runner.flag import Flag
from components.traffic.flag_object import FlagUnreadableError
from settings import load
from settings.load import SECRETS
from settings.roles import Role, duties
from tests.examples import example
from tests.unit.components.database.sides import side
from tests.unit.fakes import FakeCluster
from tests.unit.recorder import run_program

LONG_AGO = datetime.now(UTC) - timedelta(minutes=5)
PROBE = "https://app.example.com/"
LB = {
    role: f"https://lb-{role}.{region}.elb.amazonaws.com/"
    for role, region in (("primary", "us-east-1"), ("secondary", "us-west-2"))
}
CHECK = "http://web.production.svc:80/healthz"
OPERATOR = "path /apis/apps/v1/deployments?labelSelector=app.kubernetes.io/name=cloudnative-pg"
CHECKED = {"workloads": [{"namespace": "production", "replicas": 3, "check": {"service": "web", "path": "/healthz"}}]}


def warnings(
    stack: Role, cluster: FakeCluster, active: Role | None = None, *, arriving: bool = False, **changes: Any
) -> list[str]:
    settings = load(stack, example(stack, {**changes, **({"active": active} if active else {})}), SECRETS)
    sides = [side(stack, active or "primary")] if settings.databases else []
    return by_day.warnings(cluster, settings, duties(stack, active), sides, lambda: arriving)


def alive(**changes: Any) -> FakeCluster:
    """A cluster whose Pods reach the primary too."""
    return FakeCluster(reached={PROBE: 200}, **changes)


def test_a_standby_whose_primary_and_control_answer_has_nothing_to_say() -> None:
    cluster = alive()
    assert warnings("secondary", cluster) == []
    assert cluster.asked == [
        f"primary-answers {PROBE} {LB['secondary']}",
        "promotion of databases/app-database to app-database-secondary",
        "dry run /apis/batch/v1/namespaces/databases/jobs",
        "dry run /api/v1/namespaces/databases/pods",
        OPERATOR,
    ]


def test_a_primary_that_does_not_answer_by_day_is_told() -> None:
    [told] = warnings("secondary", FakeCluster())
    assert told == (
        f"the primary said nothing within 3 s at {PROBE}: this region would take it for dead; see k8s-dr:failover.probe"
    )
    [told] = warnings("secondary", FakeCluster(reached={PROBE: 502}))
    assert told.startswith(f"the primary said HTTP 502 at {PROBE}: ")


def test_a_primary_to_which_users_are_on_their_way_need_not_answer_under_their_name_yet() -> None:
    assert warnings("secondary", FakeCluster(), arriving=True) == []
    [told] = warnings("secondary", FakeCluster(unreached={LB["secondary"]}), arriving=True)
    assert told.startswith(f"the control {LB['secondary']} "), "what is wrong with the question itself is told all the same"


def unreadable() -> Flag | None:
    raise FlagUnreadableError("it cannot be read")


@pytest.mark.parametrize(
    ("flag", "arriving"),
    [
        (lambda: Flag(active="secondary", handover="primary", written=LONG_AGO), True),
        (lambda: Flag(active="primary", written=datetime.now(UTC)), True),
        (lambda: Flag(active="primary", written=LONG_AGO), False),
        (lambda: Flag(active="primary"), False),
        (lambda: None, False),
        (unreadable, False),
    ],
    ids=["sent to the secondary", "moved just now", "moved long ago", "moved nobody knows when", "no flag", "unreadable"],
)
def test_users_are_on_their_way_until_all_that_they_go_by_has_followed_the_flag(
    flag: Callable[[], Flag | None], arriving: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last `up` of a planned switchover to the primary moves them, and asks in the same minute."""
    told: list[str] = []
    monkeypatch.setattr("pulumi.log.warn", lambda line, *_: told.append(line))
    moved = {"peerReady": True, "active": "primary", "handover": "receipt.0123456789abcdef"}
    run_program("secondary", moved, cluster=FakeCluster(), flag=flag)
    assert ["primary said" in line for line in told].count(True) == (0 if arriving else 1)


def test_a_silent_primary_is_told_where_no_switchover_has_moved_users(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also in the minutes after the flag was first written."""
    told: list[str] = []
    monkeypatch.setattr("pulumi.log.warn", lambda line, *_: told.append(line))
    run_program(
        "secondary", {"peerReady": True}, cluster=FakeCluster(), flag=lambda: Flag(active="primary", written=datetime.now(UTC))
    )
    assert [line for line in told if "primary said" in line]


def test_a_silent_control_is_loud_whether_the_primary_answers_or_not() -> None:
    [told] = warnings("secondary", alive(unreached={LB["secondary"]}))
    assert told.startswith(
        f"the control {LB['secondary']} (Host: app.example.com) said nothing within 3 s: on the night nobody could"
    )
    assert told.endswith("k8s-dr:failover.control")
    first, second = warnings("secondary", FakeCluster(unreached={LB["secondary"]}))
    assert first == told
    assert second.endswith("the question does not work; see k8s-dr:failover.probe")


def test_a_pod_that_cannot_ask_is_told_by_day() -> None:
    [told] = warnings("secondary", FakeCluster(reached=None))
    assert told == (
        "whether the primary region answers could not be asked, and on the night a failover would stop: namespace k8s-dr of "
        "cluster prod-usw2 is gone"
    )


def test_a_promotion_that_would_be_refused_is_told_with_the_webhooks_words() -> None:
    refused = 'cluster prod-usw2 refused: 500 failed calling webhook "mcluster.cnpg.io"'
    [told] = warnings("secondary", alive(refused=refused))
    assert told.startswith(f"database app-database would not be promoted: {refused}; ")


def test_a_pod_that_would_not_be_let_in_to_confirm_a_promotion_is_told() -> None:
    [told] = warnings("secondary", alive(refused_kinds={"Pod": "403 exceeded quota: small"}))
    assert told.startswith(
        "namespace databases would not take the Pod that confirms the promotion of database app-database: 403 "
    )


@pytest.mark.parametrize("stack", ["primary", "secondary"])
def test_an_operator_of_databases_that_is_too_old_is_told_in_either_region(stack: Role) -> None:
    containers = [{"image": "ghcr.io/cloudnative-pg/cloudnative-pg:1.28.1"}]
    operator = {"metadata": {"namespace": "cnpg", "name": "o"}, "spec": {"template": {"spec": {"containers": containers}}}}
    [told] = warnings(stack, alive(paths={"/apis/apps/v1/deployments": {"items": [operator]}}))
    assert told.startswith("CloudNativePG's operator 1.28.1 runs here (Deployment cnpg/o), which knows no serviceAccountName")


def test_without_databases_nobody_asks_the_primary() -> None:
    cluster = FakeCluster()
    assert warnings("secondary", cluster, databases=[], databasePasswords={}) == []
    assert cluster.asked == []


@pytest.mark.parametrize(("stack", "active"), [("primary", None), ("primary", "primary"), ("secondary", "secondary")])
def test_the_region_that_serves_asks_each_check_and_its_own_endpoint(stack: Role, active: Role | None) -> None:
    cluster = FakeCluster()
    assert warnings(stack, cluster, active, **CHECKED) == []
    assert cluster.asked == [f"workloads-answer {CHECK}", f"endpoint-answers {LB[stack]}", OPERATOR]


def test_a_check_that_fails_by_day_is_told_with_what_to_look_at() -> None:
    [told] = warnings("primary", FakeCluster(reached={CHECK: 503}), **CHECKED)
    assert told == (
        f"the check of workloads {CHECK} said HTTP 503: see the logs of what serves Service web in namespace production"
    )
    [told] = warnings("primary", FakeCluster(unreached={CHECK}), **CHECKED)
    assert "NetworkPolicy of production" in told


def test_an_endpoint_that_serves_no_user_is_told() -> None:
    [told] = warnings("primary", FakeCluster(reached={LB["primary"]: 404}))
    assert told == (
        f"this region's own endpoint, {LB['primary']} (Host: app.example.com), said HTTP 404: a failover that asks so would stop "
        "before users are moved; see k8s-dr:failover.endpoint"
    )


def test_a_standby_asks_its_endpoint_where_something_runs_behind_it() -> None:
    cluster = alive()
    changes = {"tier": "warm-standby", "databases": [], "databasePasswords": {}}
    assert warnings("secondary", cluster, **changes) == []
    assert cluster.asked == [f"endpoint-answers {LB['secondary']}"]


def test_an_endpoint_that_pods_do_not_reach_is_not_asked_where_somebody_says_so() -> None:
    cluster = FakeCluster()
    assert warnings("primary", cluster, failover={"endpoint": {"ask": False}}) == []
    assert cluster.asked == [OPERATOR]


def test_how_the_endpoint_is_asked_follows_the_probe_and_may_be_written() -> None:
    def asked(**failover: Any) -> str:
        cluster = FakeCluster()
        warnings("primary", cluster, failover=failover)
        return cluster.asked[0].removeprefix("endpoint-answers ")

    assert asked(probe="http://app.example.com:8080/healthz") == "http://lb-primary.us-east-1.elb.amazonaws.com:8080/healthz"
    assert asked(endpoint={"path": "/up", "port": 8443}) == "https://lb-primary.us-east-1.elb.amazonaws.com:8443/up"
    assert asked(probe="https://app.example.com:8443/", endpoint={"scheme": "http"}) == (
        "http://lb-primary.us-east-1.elb.amazonaws.com/"
    ), "another scheme has another port"


def test_a_cluster_that_does_not_answer_is_one_line_and_fails_nothing() -> None:
    silent = ClusterUnreachableError("cluster prod-usw2 does not answer: no route to host")
    assert warnings("secondary", FakeCluster(error=silent)) == [
        f"whether a failover would work was not tried to the end: {silent}"
    ]


def test_the_program_warns_by_day_and_asks_nobody_in_a_preview(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    monkeypatch.setattr("pulumi.log.warn", lambda line, *_: told.append(line))
    run_program("secondary", {"peerReady": True}, cluster=FakeCluster(), preview=True)
    assert not [line for line in told if "primary said" in line]
    run_program("secondary", cluster=FakeCluster())
    assert not [line for line in told if "primary said" in line], "the other region is not deployed yet"
    run_program("secondary", {"peerReady": True}, cluster=FakeCluster())
    assert [line for line in told if "primary said" in line]


def test_the_up_of_a_failover_asks_nothing_by_day_and_the_next_one_does() -> None:
    cluster = FakeCluster()
    run_program("secondary", {"active": "secondary"}, cluster=cluster)
    assert not [line for line in cluster.asked if line.startswith("endpoint-answers")]
    cluster.records["serving"] = {"region": "us-west-2"}
    run_program("secondary", {"active": "secondary"}, cluster=cluster)
    assert [line for line in cluster.asked if line.startswith("endpoint-answers")]


def test_a_check_through_the_api_server_is_asked_so_by_day_too() -> None:
    check = {"service": "web", "path": "/healthz", "via": "api-server"}
    cluster = FakeCluster()
    assert warnings("primary", cluster, workloads=[{"namespace": "production", "replicas": 3, "check": check}]) == []
    assert cluster.asked[0] == "through the API server /api/v1/namespaces/production/services/http:web:80/proxy/healthz"
