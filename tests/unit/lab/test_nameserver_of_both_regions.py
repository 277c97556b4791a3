"""The name server where both regions serve. Each region has a weighted record, whose check combines the flag and its endpoint."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import cycle
from pathlib import Path
from typing import Any

import pytest

from components.kube.runner.flag import SEARCHED, Flag
from lab.cloud import probe
from lab.cloud.answers import Answers
from lab.cloud.lines import read_lines
from lab.cloud.nameserver import NameServer, serve
from lab.cloud.network import control, resolve
from lab.cloud.records import Record, Route53, Zone
from lab.waiting import until
from settings.names import FLAG_KEY
from tests.unit.lab.aws import client, serving

ADDRESSES = {"primary": "127.0.0.2", "secondary": "127.0.0.3"}
HOSTS = {f"lb-{role}.lab.internal": address for role, address in ADDRESSES.items()}
NAME = "app.both.example"
BUCKET = "acme-both-flag"


class Site(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/healthz" else 404)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def region(role: str, port: int = 0) -> Iterator[int]:
    """A region's application behind its load balancer, until the block ends; yields its port."""
    server = ThreadingHTTPServer((ADDRESSES[role], port), Site)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()


@pytest.fixture
def endpoint(tmp_path: Path) -> Iterator[str]:
    with serving(tmp_path / "access.jsonl") as url, pytest.MonkeyPatch.context() as patch:
        patch.setattr(probe, "ANSWER_TIMEOUT", 0.3)
        yield url


class Aws:
    """The zone, the flag and both regions' records, as the two stacks make them."""

    def __init__(self, endpoint: str, ports: dict[str, int]) -> None:
        self._s3, self._route53 = client(endpoint, "s3", "us-west-2"), client(endpoint, "route53", "us-east-1")
        self._zone = control(endpoint, "zone/both.example", method="PUT")["id"]
        self._s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": "us-west-2"})
        statement = {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": f"arn:aws:s3:::{BUCKET}/*"}
        self._s3.put_bucket_policy(Bucket=BUCKET, Policy=json.dumps({"Version": "2012-10-17", "Statement": [statement]}))
        self.flag(Flag(active="primary").content())
        for role, port in ports.items():
            self._record(role, port)

    def flag(self, content: str) -> None:
        self._s3.put_object(Bucket=BUCKET, Key=FLAG_KEY, Body=content.encode())

    def _check(self, name: str, **config: Any) -> str:
        made = self._route53.create_health_check(CallerReference=name, HealthCheckConfig=config)
        return str(made["HealthCheck"]["Id"])

    def _record(self, role: str, port: int) -> None:
        flag = self._check(
            f"{role}-flag",
            Type="HTTPS_STR_MATCH",
            FullyQualifiedDomainName=f"{BUCKET}.s3.us-west-2.amazonaws.com",
            Port=443,
            ResourcePath=f"/{FLAG_KEY}",
            SearchString=SEARCHED,
            Inverted=role == "primary",
            RequestInterval=10,
            FailureThreshold=3,
        )
        alive = self._check(
            f"{role}-alive",
            Type="HTTP",
            FullyQualifiedDomainName=f"lb-{role}.lab.internal",
            Port=port,
            ResourcePath="/healthz",
            RequestInterval=10,
            FailureThreshold=3,
        )
        children = {"ChildHealthChecks": [flag, alive], "HealthThreshold": 2 if role == "primary" else 1}
        record = {
            "Name": NAME,
            "Type": "CNAME",
            "TTL": 60,
            "SetIdentifier": f"dr-{role}-{NAME}",
            "Weight": 1,
            "ResourceRecords": [{"Value": f"lb-{role}.lab.internal"}],
            "HealthCheckId": self._check(f"{role}-both", Type="CALCULATED", **children),
        }
        batch = {"Changes": [{"Action": "CREATE", "ResourceRecordSet": record}]}
        self._route53.change_resource_record_sets(HostedZoneId=self._zone, ChangeBatch=batch)


@pytest.mark.parametrize(
    "content", [Flag(active="secondary").content(), '{"active": "secondary"}'], ids=["by the program", "by hand, with a space"]
)
def test_both_are_answered_a_dead_one_drops_out_and_a_replaced_one_never_comes_back(
    endpoint: str, tmp_path: Path, content: str
) -> None:
    with ExitStack() as living:
        dying = living.enter_context(ExitStack())
        ports = {"primary": dying.enter_context(region("primary")), "secondary": living.enter_context(region("secondary"))}
        aws = Aws(endpoint, ports)
        server = NameServer(
            endpoint, HOSTS, state=tmp_path / "state.json", changes=tmp_path / "changes.jsonl", chance=cycle([0.1, 0.9]).__next__
        )
        port = serve(server, ("127.0.0.1", 0))
        clock = [1_000_000.0]
        server.refresh(clock[0])

        def answered() -> set[str]:
            clock[0] += 1
            server.tick(clock[0])
            return {resolve(NAME, "127.0.0.1", port)[0] for _ in range(4)}

        def answers_become(*roles: str) -> None:
            """Move the clock, second by second, until these are the answers. The checks' intervals follow the clock."""
            wanted = {ADDRESSES[role] for role in roles}
            until(f"{roles} to be answered", lambda: answered() == wanted, timeout=20, interval=0.01)

        def stays(role: str, seconds: int = 60) -> bool:
            return all(answered() == {ADDRESSES[role]} for _ in range(seconds))

        answers_become("primary", "secondary")
        died = clock[0]
        dying.close()
        answers_become("secondary")
        assert clock[0] - died >= 20  # three observations, ten seconds apart
        aws.flag(content)
        assert stays("secondary")
        with region("primary", ports["primary"]):
            assert stays("secondary"), "a primary that comes back gets nobody"
            living.close()
            assert stays("secondary"), "not even when the secondary does not answer"
    changes = [change for change in read_lines(tmp_path / "changes.jsonl") if change["kind"] == "health-check"]
    assert {(change["type"], change["target"]) for change in changes} >= {("HTTP", "lb-primary.lab.internal")}


@pytest.mark.parametrize(
    ("chance", "answered"), [(0.0, "127.0.0.2"), (0.49, "127.0.0.2"), (0.5, "127.0.0.3"), (0.99, "127.0.0.3")]
)
def test_which_of_two_is_answered_is_a_matter_of_chance(chance: float, answered: str) -> None:
    def weighted(role: str) -> Record:
        values = (f"lb-{role}.lab.internal",)
        return Record(name=NAME, type="CNAME", ttl=60, values=values, set_identifier=role, weight=1, health_check_id=role)

    def reply(healthy: Callable[[str], bool]) -> str:
        zone = Zone(id="Z1", name="both.example", records=(weighted("primary"), weighted("secondary")))
        found = Answers(data=Route53(zones=(zone,)), hosts=HOSTS, healthy=healthy, chance=lambda: chance)
        return str(found.reply(NAME, "A").records[-1].rdata)

    assert reply(lambda _: True) == answered
    assert reply(lambda _: False) == answered, "with nobody healthy all are answered"
    assert reply(lambda check: check == "secondary") == "127.0.0.3"
