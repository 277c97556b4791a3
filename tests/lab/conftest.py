"""Fixtures that set up labs: two regions, both stacks, the application and its backups."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from ipaddress import ip_address, ip_network

import pytest

from lab import project
from lab.application import manifests
from lab.cloud.access_log import Request
from lab.cloud.cloud import CloudError
from lab.regions.spec import RegionSpec
from lab.waiting import until
from lab.world import Lab


@contextmanager
def deployed(lab: Lab) -> Iterator[Lab]:
    """Set up the lab from nothing, with both stacks and the application. It always goes down at the end, even after Ctrl-C."""
    lab.set_up()
    lab.down()
    lab.forget()
    try:
        lab.up(fresh=True)
        lab.deploy()
        yield lab
    finally:
        lab.down()


@pytest.fixture(scope="module")
def running_lab() -> Iterator[Lab]:
    """A lab without a database. It is set up once for each module, because a machine can run only one lab at a time."""
    with deployed(Lab()) as lab:
        lab.wait_backed_up()
        yield lab


@pytest.fixture
def lab(running_lab: Lab) -> Iterator[Lab]:
    """The lab in its ordinary state: the primary serves; the standby has its backups and nothing else."""
    until("the name to point to the primary", lambda: answer(running_lab) == project.load_balancer("primary"), timeout=120)
    yield running_lab
    back_to_normal(running_lab)


def answer(lab: Lab) -> str | None:
    """The load balancer to which the name server sends users now."""
    try:
        return str(lab.cloud.route53()["names"][f"{project.NAME} CNAME"]["is"])
    except (CloudError, KeyError):
        return None


def asked_by_pods(lab: Lab, spec: RegionSpec, since: datetime) -> list[Request]:
    """What a region's own Pods asked AWS for, from `since` on. They come with addresses of their own."""
    networks = [ip_network(network) for network in (spec.address, spec.pod_network)]
    return [
        request
        for request in lab.cloud.access_log()
        if any(ip_address(request.source) in network for network in networks) and datetime.fromisoformat(request.time) >= since
    ]


def back_to_normal(lab: Lab) -> None:
    """Undo a failover: the way back of a stateless application whose primary never lost its disk."""
    if not lab.region("primary").alive:
        lab.heal("primary")
    lab.cloud.restore("us-east-1")
    if "active:" not in (lab.paths.project / "Pulumi.secondary.yaml").read_text():
        return
    lab.pulumi.configure("secondary", "active", "primary")
    lab.pulumi.run("cancel", "-s", "secondary", "--yes", check=False)
    lab.pulumi.up("secondary")
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
