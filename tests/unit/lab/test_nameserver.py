"""The name server answers as Route 53 does, by failover, weight and health. It judges health as Route 53's checkers do."""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from dnslib import QTYPE, DNSRecord
from hypothesis import given
from hypothesis import strategies as st

from components.kube.runner.flag import SEARCHED, Flag
from lab.cloud import nameserver, probe
from lab.cloud.answers import Answers
from lab.cloud.health import CHECKERS, Monitor, Observation
from lab.cloud.lines import read_lines, read_state
from lab.cloud.nameserver import NameServer, serve
from lab.cloud.network import control, resolve
from lab.cloud.probe import Prober
from lab.cloud.records import Alias, HealthCheck, Record, Route53, Zone
from lab.cloud.routing import choose, eligible
from lab.waiting import until
from settings.names import FLAG_KEY
from tests.unit.lab.aws import client, serving

HOSTS = {"lb-primary.lab.internal": "172.30.0.11", "lb-secondary.lab.internal": "172.30.0.12"}
SOA = Record(
    name="example.com", type="SOA", ttl=900, values=("ns-1.example.net. hostmaster.example.com. 1 7200 900 1209600 86400",)
)


def routed(identifier: str, **fields: Any) -> Record:
    values = (f"lb-{identifier}.lab.internal",)
    return Record(
        **{"name": "app.example.com", "type": "CNAME", "ttl": 60, "values": values, "set_identifier": identifier, **fields}
    )


PRIMARY = routed("primary", failover="PRIMARY", health_check_id="p")
SECONDARY = routed("secondary", failover="SECONDARY", health_check_id="s")


# Routing


@pytest.mark.parametrize(
    ("primary", "secondary", "served"),
    [(True, True, PRIMARY), (True, False, PRIMARY), (False, True, SECONDARY), (False, False, PRIMARY)],
)
def test_failover_serves_the_secondary_only_while_it_alone_is_healthy(primary: bool, secondary: bool, served: Record) -> None:
    health = {"p": primary, "s": secondary}
    for records in ([PRIMARY, SECONDARY], [SECONDARY, PRIMARY]):
        assert choose(records, lambda record: health[str(record.health_check_id)]) == served


def test_failover_serves_what_there_is() -> None:
    assert choose([PRIMARY], lambda _: False) == PRIMARY
    assert choose([SECONDARY], lambda _: True) == SECONDARY
    assert choose([], lambda _: True) is None


@pytest.mark.parametrize(
    ("weights", "healthy", "served"),
    [
        ({"a": 0, "b": 255}, "ab", "b"),
        ({"a": 0, "b": 255}, "a", "a"),
        ({"a": 0, "b": 255}, "b", "b"),
        ({"a": 0, "b": 255}, "", "b"),
        ({"a": 0, "b": 0}, "ab", "ab"),
        ({"a": 0, "b": 0}, "a", "a"),
        ({"a": 1, "b": 3}, "ab", "ab"),
        ({"a": 1, "b": 3}, "", "ab"),
        ({"a": 0}, "a", "a"),
    ],
)
def test_weight_0_is_served_only_when_nothing_else_can_be(weights: dict[str, int], healthy: str, served: str) -> None:
    records = [routed(identifier, weight=weight) for identifier, weight in weights.items()]
    found = eligible(records, lambda record: str(record.set_identifier) in healthy)
    assert "".join(str(record.set_identifier) for record in found) == served


def test_weights_are_proportions() -> None:
    records = [routed("a", weight=1), routed("b", weight=3)]
    chances = [number / 100 for number in range(100)]
    chosen = Counter(choose(records, lambda _: True, lambda chance=chance: chance) for chance in chances)  # type: ignore[misc]
    assert chosen == {records[0]: 25, records[1]: 75}


# Answers


def answers(*records: Record, healthy: Callable[[str], bool] = lambda _: True) -> Answers:
    zone = Zone(id="Z1", name="example.com", records=(SOA, *records))
    return Answers(data=Route53(zones=(zone,)), hosts=HOSTS, healthy=healthy)


def lines(found: Answers, name: str, kind: str = "A") -> list[str]:
    return [" ".join(str(record).split()) for record in found.reply(name, kind).records]


def test_a_cname_comes_with_the_address_of_its_target() -> None:
    assert lines(answers(PRIMARY, SECONDARY), "App.Example.com.") == [
        "app.example.com. 60 IN CNAME lb-primary.lab.internal.",
        "lb-primary.lab.internal. 60 IN A 172.30.0.11",
    ]
    assert lines(answers(PRIMARY), "app.example.com", "CNAME") == ["app.example.com. 60 IN CNAME lb-primary.lab.internal."]
    sick = answers(PRIMARY, SECONDARY, healthy=lambda check: check != "p")
    assert lines(sick, "app.example.com")[0] == "app.example.com. 60 IN CNAME lb-secondary.lab.internal."


def test_a_record_s_own_ttl_is_answered() -> None:
    simple = Record(name="app.example.com", type="A", ttl=5, values=("10.0.0.1", "10.0.0.2"))
    assert lines(answers(simple), "app.example.com") == ["app.example.com. 5 IN A 10.0.0.1", "app.example.com. 5 IN A 10.0.0.2"]


def test_an_alias_is_answered_under_its_own_name() -> None:
    def alias(target: str) -> Record:
        where = Alias(name=target, evaluate_target_health=True)
        return routed("a", type="A", ttl=None, values=(), alias=where, failover="PRIMARY")

    assert lines(answers(alias("lb-primary.lab.internal")), "app.example.com") == ["app.example.com. 60 IN A 172.30.0.11"]
    other = Record(name="other.example.com", type="A", ttl=7, values=("10.0.0.1",))
    assert lines(answers(alias("other.example.com"), other), "app.example.com") == ["app.example.com. 7 IN A 10.0.0.1"]
    assert lines(answers(alias("unknown.example.net")), "app.example.com") == []


def test_an_alias_is_as_healthy_as_the_records_it_points_to() -> None:
    where = Alias(name="inner.example.com", evaluate_target_health=True)
    outer = routed("outer", type="A", ttl=None, values=(), alias=where, failover="PRIMARY")
    standby = routed("standby", type="A", values=("10.0.0.2",), failover="SECONDARY")
    inner = routed("inner", name="inner.example.com", type="A", values=("10.0.0.1",), weight=1, health_check_id="inner")
    assert lines(answers(outer, standby, inner), "app.example.com") == ["app.example.com. 60 IN A 10.0.0.1"]
    assert lines(answers(outer, standby, inner, healthy=lambda _: False), "app.example.com") == [
        "app.example.com. 60 IN A 10.0.0.2"
    ]


@pytest.mark.parametrize(
    ("name", "kind", "rcode", "has_soa"),
    [
        ("nothing.example.com", "A", "NXDOMAIN", True),
        ("plain.example.com", "TXT", "NOERROR", True),
        ("example.com", "A", "NOERROR", True),
        ("example.org", "A", "REFUSED", False),
        ("lb-primary.lab.internal", "AAAA", "NOERROR", False),
    ],
)
def test_what_is_not_there_is_said_properly(name: str, kind: str, rcode: str, has_soa: bool) -> None:
    plain = Record(name="plain.example.com", type="A", ttl=5, values=("10.0.0.1",))
    reply = answers(PRIMARY, plain).reply(name, kind)
    assert (reply.rcode, reply.records, bool(reply.authority)) == (rcode, (), has_soa)


def test_a_circle_of_cnames_ends() -> None:
    there = Record(name="a.example.com", type="CNAME", ttl=1, values=("b.example.com",))
    back = Record(name="b.example.com", type="CNAME", ttl=1, values=("a.example.com",))
    assert len(lines(answers(there, back), "a.example.com")) < 20


# Health


CHECK = HealthCheck(id="c", type="HTTP", fqdn="x", request_interval=10, failure_threshold=3)


def monitor(*checks: HealthCheck) -> Monitor:
    found = Monitor()
    found.know(checks, 0)
    return found


def see(found: Monitor, ok: bool, *, checker: int = 0, times: int = 1, check: str = "c") -> None:
    for _ in range(times):
        found.observe(check, Observation(time=0, ok=ok, reason="", checker=checker))


def test_a_new_check_is_healthy_and_a_new_inverted_one_is_not() -> None:
    found = monitor(CHECK, HealthCheck(id="i", type="HTTP", fqdn="x", inverted=True))
    assert (found.healthy("c"), found.healthy("i")) == (True, False)


def test_the_threshold_counts_in_both_directions() -> None:
    found = monitor(CHECK)
    for checker in range(1, CHECKERS):
        see(found, False, checker=checker, times=3)
    see(found, False, times=2)
    see(found, True)
    see(found, False, times=2)
    assert found.healthy("c")
    see(found, False)
    assert not found.healthy("c")
    see(found, True, times=2)
    see(found, False)
    see(found, True, times=2)
    assert not found.healthy("c")
    see(found, True)
    assert found.healthy("c")


def test_one_checker_in_three_is_more_than_18_percent() -> None:
    found = monitor(CHECK)
    see(found, False, checker=0, times=3)
    see(found, False, checker=1, times=3)
    assert found.healthy("c")
    see(found, False, checker=2, times=3)
    assert not found.healthy("c")


@pytest.mark.parametrize(("disabled", "inverted", "up"), list(product((False, True), repeat=3)))
def test_a_disabled_check_is_healthy_and_inversion_comes_last(disabled: bool, inverted: bool, up: bool) -> None:
    found = monitor(
        HealthCheck(id="c", type="TCP", ip_address="10.0.0.1", disabled=disabled, inverted=inverted, failure_threshold=1)
    )
    for checker in range(CHECKERS):
        see(found, up, checker=checker)
    assert found.healthy("c") == ((disabled or up) != inverted)


@pytest.mark.parametrize(("threshold", "expected"), [(0, True), (1, True), (2, False), (3, False)])
def test_a_calculated_check_counts_its_healthy_children(threshold: int, expected: bool) -> None:
    down = HealthCheck(id="down", type="HTTP", fqdn="x", inverted=True)
    both = HealthCheck(id="both", type="CALCULATED", children=("c", "down"), health_threshold=threshold)
    assert monitor(CHECK, down, both).healthy("both") == expected


def test_checkers_are_staggered_and_keep_their_distance() -> None:
    found = monitor(CHECK)
    asked = []
    for now in range(31):
        for check, checker in found.due(now):
            asked.append((now, checker))
            see(found, True, checker=checker, check=check.id)
    assert asked == [(0, 0), (4, 1), (7, 2), (10, 0), (14, 1), (17, 2), (20, 0), (24, 1), (27, 2), (30, 0)]


def test_a_check_that_changes_keeps_its_history_and_one_that_goes_is_forgotten() -> None:
    found = monitor(CHECK)
    for checker in range(CHECKERS):
        see(found, False, checker=checker, times=3)
    found.know([HealthCheck(id="c", type="HTTP", fqdn="y", inverted=True)], 1)
    assert found.healthy("c")
    found.know([], 2)
    assert found.checks() == []


@given(st.lists(st.tuples(st.integers(0, CHECKERS - 1), st.booleans()), max_size=60), st.integers(1, 5))
def test_an_inverted_check_is_always_the_opposite(seen: Sequence[tuple[int, bool]], threshold: int) -> None:
    plain = HealthCheck(id="plain", type="HTTP", fqdn="x", failure_threshold=threshold)
    found = monitor(plain, HealthCheck(id="inverted", type="HTTP", fqdn="x", failure_threshold=threshold, inverted=True))
    for checker, ok in seen:
        for check in ("plain", "inverted"):
            see(found, ok, checker=checker, check=check)
        assert found.healthy("plain") != found.healthy("inverted")


# Observations


class Site(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        status = int(self.path.strip("/").split("-")[0])
        self.send_response(status)
        self.end_headers()
        self.wfile.write(b"x" * int(self.path.split("-")[1]) + b"needle" + self.headers["Host"].encode())

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def site() -> Iterator[int]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Site)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield server.server_port
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize(
    ("kind", "path", "search", "ok", "reason"),
    [
        ("HTTP", "/200-0", None, True, "HTTP 200"),
        ("HTTP", "/302-0", None, True, "HTTP 302"),
        ("HTTP", "/404-0", None, False, "HTTP 404"),
        ("HTTP", "/503-0", None, False, "HTTP 503"),
        ("HTTP_STR_MATCH", "/200-0", "needle", True, "HTTP 200, string found"),
        ("HTTP_STR_MATCH", "/200-0", "absent", False, "HTTP 200, string not found"),
        ("HTTP_STR_MATCH", "/404-0", "needle", False, "HTTP 404"),
        ("HTTP_STR_MATCH", "/200-5114", "needle", True, "HTTP 200, string found"),
        ("HTTP_STR_MATCH", "/200-5115", "needle", False, "HTTP 200, string not found"),
        ("HTTP_STR_MATCH", "/200-0", "needlesite.lab.internal", True, "HTTP 200, string found"),
        ("TCP", "/", None, True, "connected"),
    ],
)
def test_one_observation(site: int, kind: str, path: str, search: str | None, ok: bool, reason: str) -> None:
    check = HealthCheck(id="c", type=kind, fqdn="site.lab.internal", port=site, resource_path=path, search_string=search)
    assert Prober("http://127.0.0.1:1", {"site.lab.internal": "127.0.0.1"})(check) == (ok, reason)


def test_s3_is_asked_at_the_endpoint_with_its_real_name(site: int) -> None:
    host = "acme-flag.s3.us-west-2.amazonaws.com"
    check = HealthCheck(
        id="c", type="HTTPS_STR_MATCH", fqdn=host, port=443, resource_path="/200-0", search_string=f"needle{host}"
    )
    assert Prober(f"http://127.0.0.1:{site}", {})(check) == (True, "HTTP 200, string found")


def test_what_cannot_be_reached_is_unhealthy(site: int) -> None:
    prober = Prober("http://127.0.0.1:1", {"site.lab.internal": "127.0.0.1"})
    assert prober(HealthCheck(id="c", type="HTTP", fqdn="elsewhere.example.net")) == (
        False,
        "no address for elsewhere.example.net",
    )
    assert prober(HealthCheck(id="c", type="TCP", ip_address="127.0.0.1", port=1))[0] is False
    assert prober(HealthCheck(id="c", type="HTTPS", fqdn="site.lab.internal", port=site))[0] is False


# All of it, against moto


@pytest.fixture
def endpoint(tmp_path: Path) -> Iterator[str]:
    with serving(tmp_path / "access.jsonl") as url:
        yield url


@pytest.mark.parametrize(
    "content", [Flag(active="secondary").content(), '{"active": "secondary"}'], ids=["by the program", "by hand, with a space"]
)
def test_the_flag_in_the_standby_s_bucket_moves_the_answer_there_and_its_silence_moves_it_back(
    endpoint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str
) -> None:
    monkeypatch.setattr(probe, "ANSWER_TIMEOUT", 0.3)

    bucket, s3, route53 = "acme-traffic-flag", client(endpoint, "s3", "us-west-2"), client(endpoint, "route53", "us-east-1")
    zone = control(endpoint, "zone/flag.example", method="PUT")["id"]

    def flag(content: str) -> None:
        s3.put_object(Bucket=bucket, Key=FLAG_KEY, Body=content.encode())

    def create(role: str, **extra: str) -> None:
        record = {
            "Name": "app.flag.example",
            "Type": "CNAME",
            "TTL": 60,
            "SetIdentifier": f"dr-{role}-app.flag.example",
            "Failover": role.upper(),
            "ResourceRecords": [{"Value": f"lb-{role}.lab.internal"}],
            **extra,
        }
        batch = {"Changes": [{"Action": "CREATE", "ResourceRecordSet": record}]}
        route53.change_resource_record_sets(HostedZoneId=zone, ChangeBatch=batch)

    s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": "us-west-2"})
    statement = {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": f"arn:aws:s3:::{bucket}/*"}
    s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps({"Version": "2012-10-17", "Statement": [statement]}))
    flag(Flag(active="primary").content())
    check = route53.create_health_check(
        CallerReference="flag",
        HealthCheckConfig={
            "Type": "HTTPS_STR_MATCH",
            "FullyQualifiedDomainName": f"{bucket}.s3.us-west-2.amazonaws.com",
            "Port": 443,
            "ResourcePath": f"/{FLAG_KEY}",
            "SearchString": SEARCHED,
            "Inverted": True,
            "RequestInterval": 10,
            "FailureThreshold": 3,
        },
    )["HealthCheck"]["Id"]
    create("primary", HealthCheckId=check)
    create("secondary")

    server = NameServer(endpoint, HOSTS, state=tmp_path / "state.json", changes=tmp_path / "changes.jsonl")
    port = serve(server, ("127.0.0.1", 0))
    clock = [1_000_000.0]
    server.refresh(clock[0])

    def answer_becomes(address: str) -> None:
        """Move the clock, second by second, until this is the answer. The checks' intervals follow the clock."""

        def second() -> bool:
            clock[0] += 1
            server.tick(clock[0])
            return resolve("app.flag.example", "127.0.0.1", port) == (address, 60)

        until(f"the answer to be {address}", second, timeout=20, interval=0.01)

    assert resolve("app.flag.example", "127.0.0.1", port)[0] == "172.30.0.12"  # new and inverted: unhealthy until there is data
    answer_becomes("172.30.0.11")
    flag(content)
    flipped = clock[0]
    answer_becomes("172.30.0.12")
    assert clock[0] - flipped >= 20  # three observations, ten seconds apart
    control(endpoint, "black-hole/us-west-2", method="PUT")
    answer_becomes("172.30.0.11")

    def last_reason() -> str:
        server.tick(clock[0])
        state = read_state(tmp_path / "state.json")
        assert state is not None
        assert state["names"]["app.flag.example CNAME"]["is"] == "lb-primary.lab.internal"
        return str(state["health_checks"][check]["last"]["reason"])

    # An observation that began before the silence may be the last to be written down.
    until("the silence to be the reason", lambda: last_reason() == "no answer in time", timeout=20, interval=0.01)
    changes = read_lines(tmp_path / "changes.jsonl")
    names = [change["to"] for change in changes if change["id"] == "app.flag.example CNAME"]
    assert names == [f"lb-{role}.lab.internal" for role in ("secondary", "primary", "secondary", "primary")]


def test_both_udp_and_tcp_answer_and_nothing_is_a_server_failure(endpoint: str, tmp_path: Path) -> None:
    server = NameServer(endpoint, HOSTS, state=tmp_path / "state.json", changes=tmp_path / "changes.jsonl")
    port = serve(server, ("127.0.0.1", 0))
    for tcp, (name, kind) in product((False, True), [("lb-primary.lab.internal", "A"), ("nowhere.example.net", "A")]):
        reply = DNSRecord.parse(DNSRecord.question(name, kind).send("127.0.0.1", port, tcp=tcp, timeout=5))
        assert [QTYPE.get(record.rtype) for record in reply.rr] == (["A"] if name in HOSTS else [])
        assert reply.header.rcode != 2
    with pytest.raises(OSError, match="no address for nowhere"):
        resolve("nowhere.example.net", "127.0.0.1", port)


def test_a_port_that_is_free_for_udp_alone_is_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    offered, closed = iter([1, 2]), []

    class Listener:
        """A DNSServer to which the system offers two ports, of which somebody else has the first for TCP."""

        def __init__(self, *_: Any, port: int, tcp: bool = False, **__: Any) -> None:
            if tcp and port == 1:
                raise OSError(98, "Address already in use")
            self.server, self.server_address = self, ("127.0.0.1", port or next(offered))

        def server_close(self) -> None:
            closed.append(self.server_address[1])

        def start_thread(self) -> None: ...

    monkeypatch.setattr(nameserver, "DNSServer", Listener)
    asked: Any = None
    assert serve(asked, ("127.0.0.1", 0)) == 2
    assert closed == [1]
