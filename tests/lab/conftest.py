"""Fixtures that set up labs: two regions, both stacks, the application and its backups."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from ipaddress import ip_address, ip_network
from pathlib import Path

import pytest

from lab import project
from lab.application import manifests
from lab.cloud.access_log import Request
from lab.cloud.cloud import CloudError
from lab.collector import Kept
from lab.inhabitants import PAUSE
from lab.paths import CHECKOUT
from lab.processes import Daemon
from lab.regions.namespaces import OPS, inside
from lab.regions.spec import RegionSpec
from lab.waiting import until
from lab.world import Lab
from tests.lab.prompt import PromptLab

ORDER = ("test_failover.py", "test_volumes.py", "test_etcd.py", "test_data.py", "test_circle.py")
"""Files that come first, in this order. Those of volumes are run in the lab that those of the failover leave, whose regions have
disks for them, and those of etcd after them, for they lose its etcd. The way back of a database begins in the lab that those of
the data leave: the secondary serves, and the old primary is asleep."""

CRON_JOB = "nightly"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = [place for place, item in enumerate(items) if item.path.parent == Path(__file__).parent]
    ordered = sorted((items[place] for place in here), key=lambda item: _place(item.path.name))
    for place, item in zip(here, ordered, strict=True):
        items[place] = item


def _place(file: str) -> int:
    return ORDER.index(file) if file in ORDER else len(ORDER)


@contextmanager
def deployed(lab: Lab) -> Iterator[Lab]:
    """Set up the lab from nothing, with both stacks and the application. It always goes down at the end, even after Ctrl-C."""
    bring_up(lab)
    try:
        yield lab
    finally:
        lab.down()


def bring_up(lab: Lab, *, before_deploying: Callable[[Lab], None] = lambda _: None) -> None:
    """Set up the lab from nothing, with both stacks and the application. What is up already goes down, kept or not.
    `before_deploying` finds two regions that have nothing yet."""
    lab.set_up()
    lab.down()
    lab.forget()
    try:
        lab.up(fresh=True)
        before_deploying(lab)
        lab.deploy()
    except BaseException:
        lab.down()
        raise


@dataclass(kw_only=True)
class Keeper:
    """Keeps the lab of a file whose tests are over, until another file takes it or the last test is over.

    Nobody gets a lab in which a test has failed: what that left behind would make the next tests fail too.
    """

    failed: Callable[[], int]
    """How many tests have failed so far."""

    _kept: Lab | None = None
    _failed_before: int = 0

    def keep(self, lab: Lab, *, failed_before: int) -> None:
        """Keep a lab that was set up when `failed_before` tests had failed."""
        self._kept, self._failed_before = lab, failed_before

    def take(self, suits: Callable[[Lab], bool] = lambda _: True) -> Lab | None:
        """The lab that is kept, which the caller takes down. None if there is none, if a test has failed in it, or if it does not
        suit: some of a file's tests alone leave its lab in another state."""
        lab, self._kept = self._kept, None
        if lab and self.failed() == self._failed_before and lab.up_here and lab.cloud.running and suits(lab):
            return lab
        if lab:
            lab.down()
        return None

    def end(self) -> None:
        if self._kept:
            self._kept.down()
            self._kept = None


@pytest.fixture(scope="session")
def keeper(request: pytest.FixtureRequest) -> Iterator[Keeper]:
    keeper = Keeper(failed=lambda: request.session.testsfailed)
    yield keeper
    keeper.end()


@contextmanager
def handed_on(lab: Lab, keeper: Keeper) -> Iterator[Lab]:
    """Set up the lab from nothing like `deployed`, and leave it to the keeper at the end."""
    failed_before = keeper.failed()
    bring_up(lab)
    try:
        yield lab
    finally:
        keeper.keep(lab, failed_before=failed_before)


@pytest.fixture(scope="module")
def running_lab(keeper: Keeper) -> Iterator[Lab]:
    """A lab without a database, with disks for whoever has it next. It is set up once for each module, because a machine can run
    only one lab at a time."""
    with handed_on(PromptLab(disks=True), keeper) as lab:
        lab.wait_backed_up()
        yield lab


@pytest.fixture
def lab(running_lab: Lab) -> Lab:
    """The lab in its ordinary state, whatever the test before did: the primary serves; the standby has its backups and nothing
    else."""
    back_to_normal(running_lab)
    return running_lab


def answer(lab: Lab) -> str | None:
    """The load balancer to which the name server sends users now."""
    try:
        return str(lab.cloud.route53()["names"][f"{project.NAME} CNAME"]["is"])
    except (CloudError, KeyError):
        return None


def make_a_cron_job(lab: Lab) -> None:
    """Give the application in the primary region a CronJob that never runs: the 29th of February. Backups do not have it yet."""
    what = ("create", "cronjob", CRON_JOB, "-n", manifests.APPLICATION_NAMESPACE)
    lab.kubectl("primary", *what, f"--image={PAUSE}", "--schedule=0 0 29 2 *")


def asked_by_pods(lab: Lab, spec: RegionSpec, since: datetime) -> list[Request]:
    """What a region's own Pods asked AWS for, from `since` on. They come with addresses of their own."""
    networks = [ip_network(network) for network in (spec.address, spec.pod_network)]
    return [
        request
        for request in lab.cloud.access_log()
        if any(ip_address(request.source) in network for network in networks) and datetime.fromisoformat(request.time) >= since
    ]


@contextmanager
def collecting(lab: Lab) -> Iterator[Callable[[], Kept]]:
    """A collector of OpenTelemetry beside the lab's engine, which is told of it. Ask for what it has got so far."""
    file, port = lab.paths.logs / "otlp.jsonl", 4318
    file.unlink(missing_ok=True)
    daemon = Daemon(lab.paths, "collector")
    daemon.start([*inside(OPS), sys.executable, "-m", "lab.collector", f"127.0.0.1:{port}", str(file)], cwd=CHECKOUT)
    try:
        # It makes its file once it listens.
        until("the collector to listen", lambda: file.exists() or daemon.pid is None, timeout=60)
        assert daemon.pid is not None, daemon.log.read_text(errors="replace")
        lab.collector = f"http://127.0.0.1:{port}"
        yield partial(Kept.of, file)
    finally:
        lab.collector = None
        daemon.stop()


def bring_back_the_primary(lab: Lab) -> None:
    """Start the primary region if it was killed, and let its part of AWS answer."""
    if not lab.region("primary").alive:
        lab.heal("primary")
    lab.cloud.restore("us-east-1")


def back_to_normal(lab: Lab) -> None:
    """Undo a failover: the way back of a stateless application whose primary never lost its disk. Users are sent there again."""
    bring_back_the_primary(lab)
    if "active:" in (lab.paths.project / "Pulumi.secondary.yaml").read_text():
        _stand_by(lab)
    until("the name to point to the primary", lambda: answer(lab) == project.load_balancer("primary"), timeout=120)


def _stand_by(lab: Lab) -> None:
    """Let the secondary give up, and forget that it has served."""
    lab.pulumi.configure("secondary", "active", "primary")
    lab.pulumi.configure("secondary", "force", "true")  # it may serve, and leaves without a handover
    lab.pulumi.run("cancel", "-s", "secondary", "--yes", check=False)
    lab.pulumi.up("secondary")
    lab.pulumi.run("config", "rm", "force", "-s", "secondary")
    scaled = lab.kubectl(
        "secondary",
        "get",
        "deployments",
        "-n",
        manifests.APPLICATION_NAMESPACE,
        "-o",
        "jsonpath={.items[*].spec.replicas}",
        check=False,
    )
    assert scaled in ("", "0"), "a region that stands by runs nothing"
    for namespace in (manifests.APPLICATION_NAMESPACE, "databases"):
        lab.kubectl("secondary", "delete", "namespace", namespace, "--ignore-not-found", "--wait=true", "--timeout=120s")
    lab.kubectl("secondary", "delete", "configmap", "restore-attempts", "-n", "k8s-dr", "--ignore-not-found")
    lab.pulumi.run("config", "rm", "active", "-s", "secondary")
    lab.pulumi.up("secondary")
