"""Real receivers on loopback hear of each job that is in order once, and of no other: the step as its Pod runs it, by HTTP."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from components.kube.runner.api import Api
from components.kube.runner.heartbeat import beat
from tests.ports import refusing_port
from tests.unit.components.kube.runner.servers import http_server, raw_server

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
CRON_JOB = "/apis/batch/v1/namespaces/k8s-dr/cronjobs/drill-integrity"
BACKUPS = "/apis/velero.io/v1/namespaces/velero/backups"
CLUSTER = "/apis/postgresql.cnpg.io/v1/namespaces/databases/clusters/app"
DRILL = {"job": "drills.integrity", "path": CRON_JOB, "within": 3600, "failures": True}
SCHEDULE = {"job": "schedules.hourly", "path": BACKUPS, "schedules": ["hourly-us-east-1", "hourly-us-west-2"], "within": 3600}
DATABASE = {"job": "databases.app", "path": CLUSTER}


def ago(**span: float) -> str:
    return (NOW - timedelta(**span)).strftime("%Y-%m-%dT%H:%M:%SZ")


def drill(**status: Any) -> dict[str, Any]:
    return {
        CRON_JOB: {"metadata": {}, "status": {"lastSuccessfulTime": ago(minutes=5), "lastScheduleTime": ago(hours=1), **status}}
    }


def backups(*ended: tuple[str, str]) -> dict[str, Any]:
    items = [{"status": {"phase": phase, "completionTimestamp": time}} for phase, time in ended]
    return {BACKUPS: {"metadata": {}, "items": items}}


def cluster(conditions: dict[str, str], **annotations: str) -> dict[str, Any]:
    listed = [{"type": name, "status": status} for name, status in conditions.items()]
    return {CLUSTER: {"metadata": {"annotations": annotations}, "status": {"conditions": listed}}}


@contextmanager
def api_server(objects: dict[str, Any], status: int = 200) -> Iterator[tuple[str, list[str]]]:
    """Yields its address, and the paths that it is asked for."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            found = objects.get(urlsplit(self.path).path)
            body = json.dumps(found if found is not None else {"message": "not found"}).encode()
            self.send_response(404 if found is None else status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def look(
    directory: Path, objects: dict[str, Any], urls: dict[str, str], *, status: int = 200, seconds: float = 5.0, **task: Any
) -> str:
    for job, url in urls.items():
        (directory / job).write_text(f"{url}\n")
    with api_server(objects, status) as (address, asked):
        api = Api(address, token=lambda: "a token", patience=0)
        said = beat(api, {"cronJobs": [], "backups": [], "databases": [], **task}, directory, now=lambda: NOW, seconds=seconds)
    for path in asked:
        selector = parse_qs(urlsplit(path).query).get("labelSelector")
        assert selector in (None, ["velero.io/schedule-name in (hourly-us-east-1,hourly-us-west-2)"])
    assert "hush" not in said
    return said


WELL: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("drills.integrity", {"cronJobs": [DRILL]}, drill()),
    ("drills.integrity", {"cronJobs": [DRILL]}, drill(lastScheduleTime=ago(minutes=1), active=[{"name": "it-runs"}])),
    ("drills.integrity", {"cronJobs": [{**DRILL, "failures": False}]}, drill(lastScheduleTime=ago(minutes=1))),
    ("schedules.hourly", {"backups": [SCHEDULE]}, backups(("Completed", ago(minutes=50)), ("Completed", ago(hours=9)))),
    ("databases.app", {"databases": [DATABASE]}, cluster({"Ready": "True", "ContinuousArchiving": "True"})),
    ("databases.app", {"databases": [DATABASE]}, cluster({"Ready": "True"}, **{"cnpg.io/fencedInstances": "[]"})),
]


@pytest.mark.parametrize(("job", "task", "objects"), WELL)
def test_a_job_that_is_in_order_is_told_of_once(job: str, task: dict[str, Any], objects: dict[str, Any], tmp_path: Path) -> None:
    with http_server(200) as receiver:
        said = look(tmp_path, objects, {job: f"http://127.0.0.1:{receiver.port}/hush"}, **task)
    assert receiver.paths == ["/hush"]
    assert said == f"told of {job}"


ILL: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("its CronJob is not there", {"cronJobs": [DRILL]}, {}),
    ("it has never succeeded", {"cronJobs": [DRILL]}, {CRON_JOB: {"metadata": {}}}),
    ("its last run has failed", {"cronJobs": [DRILL]}, drill(lastScheduleTime=ago(minutes=1))),
    (
        "it last succeeded 7200 s ago, and 3600 s are allowed",
        {"cronJobs": [DRILL]},
        drill(lastSuccessfulTime=ago(hours=2), lastScheduleTime=ago(hours=3)),
    ),
    ("is not what it should be (ValueError)", {"cronJobs": [DRILL]}, drill(lastSuccessfulTime="yesterday")),
    ("no Completed backup of it is here", {"backups": [SCHEDULE]}, backups(("PartiallyFailed", ago(minutes=5)))),
    ("no Completed backup of it is here", {"backups": [SCHEDULE]}, {}),
    ("its newest backup ended 7200 s ago, and 3600 s are allowed", {"backups": [SCHEDULE]}, backups(("Completed", ago(hours=2)))),
    ("its Cluster is not there", {"databases": [DATABASE]}, {}),
    ("it is not ready", {"databases": [DATABASE]}, cluster({"Ready": "False"})),
    ("it does not archive", {"databases": [DATABASE]}, cluster({"Ready": "True", "ContinuousArchiving": "False"})),
    ("it is fenced", {"databases": [DATABASE]}, cluster({"Ready": "True"}, **{"cnpg.io/fencedInstances": '["*"]'})),
]


@pytest.mark.parametrize(("why", "task", "objects"), ILL)
def test_a_job_that_is_not_is_silent_and_said_why(
    why: str, task: dict[str, Any], objects: dict[str, Any], tmp_path: Path
) -> None:
    [[job]] = [[each["job"] for each in listed] for listed in task.values()]
    with http_server(200) as receiver:
        said = look(tmp_path, objects, {job: f"http://127.0.0.1:{receiver.port}/hush"}, **task)
    assert receiver.paths == []
    assert said == f"told of nothing; silent: {job}: {why}"


def test_an_api_server_that_refuses_makes_all_of_it_silent(tmp_path: Path) -> None:
    with http_server(200) as receiver:
        urls = {"drills.integrity": f"http://127.0.0.1:{receiver.port}/hush"}
        said = look(tmp_path, drill(), urls, status=403, cronJobs=[DRILL])
    assert receiver.paths == []
    assert "silent: drills.integrity: cannot be asked: " in said


def test_a_receiver_that_hangs_or_refuses_keeps_no_other_from_its_heartbeat_and_fails_nothing(tmp_path: Path) -> None:
    objects = {**drill(), **backups(("Completed", ago(minutes=5))), **cluster({"Ready": "True"})}
    began = time.monotonic()
    with http_server(200) as receiver, raw_server(lambda _: None) as silent:
        ports = {"drills.integrity": silent, "schedules.hourly": receiver.port, "databases.app": refusing_port()}
        urls = {job: f"http://127.0.0.1:{port}/hush" for job, port in ports.items()}
        said = look(tmp_path, objects, urls, seconds=0.5, cronJobs=[DRILL], backups=[SCHEDULE], databases=[DATABASE])
    assert receiver.paths == ["/hush"]
    assert said.startswith("told of schedules.hourly; not taken: ")
    assert "not taken: drills.integrity: no answer" in said
    assert "not taken: databases.app: Connection refused" in said
    assert time.monotonic() - began < 5


def test_a_job_whose_url_is_gone_is_silent(tmp_path: Path) -> None:
    said = look(tmp_path, drill(), {}, cronJobs=[DRILL])
    assert said == "told of nothing; silent: drills.integrity: has no URL here: No such file or directory"
