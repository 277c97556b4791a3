"""The lab's network: a WAN, two regions, and a namespace for operators. It has no connection to the machine's own network.

    drlab-wan        bridge br0 172.30.0.1/24: AWS endpoint, name server, users
    drlab-ops        172.30.0.2: Pulumi engine, kubectl, hooks; a separate namespace, so that their packets can be counted
    drlab-primary    172.30.0.11, pods 10.11.0.0/16, services 10.111.0.0/16
    drlab-secondary  172.30.0.12, pods 10.12.0.0/16, services 10.112.0.0/16

Regions reach each other's pods, like peered VPCs.
"""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from pathlib import Path

from lab.paths import LabPaths
from lab.regions import ownership, wan
from lab.regions.commands import run
from lab.regions.namespaces import NAMESPACES, OPS, WAN, inside, present, processes
from lab.regions.spec import REGIONS, RegionSpec
from lab.waiting import until

__all__ = ["NAMESPACES", "OPS", "OPS_ADDRESS", "WAN", "WAN_ADDRESS", "cut", "down", "heal", "inside", "present", "up"]

WAN_ADDRESS = "172.30.0.1"
OPS_ADDRESS = "172.30.0.2"
_OPS_LINK = "to-ops"


def up(paths: LabPaths) -> None:
    """Create the network unless it exists completely. Raises RegionError if another checkout's lab is up."""
    ownership.claim(paths.root)
    if _is_whole():
        return
    _remove()
    _make_wan()
    _connect(OPS, OPS_ADDRESS, _OPS_LINK)
    for spec in REGIONS:
        run([*inside(WAN), "ip", "route", "add", spec.pod_network, "via", spec.address])
        _connect(spec.namespace, spec.address, spec.link)
        run([*inside(spec.namespace), "sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward"])
    for namespace in (OPS, *(spec.namespace for spec in REGIONS)):
        for spec in REGIONS:
            if namespace != spec.namespace:
                run([*inside(namespace), "ip", "route", "add", spec.pod_network, "via", spec.address])
    wan.start_counting()


def down(paths: LabPaths) -> None:
    """Kill the processes in the network and remove it. Does nothing if the network belongs to another checkout's lab."""
    if ownership.is_anothers(paths.root):
        return
    _remove()
    ownership.release(paths.root)


def cut(spec: RegionSpec) -> None:
    """Disconnect the region: all packets to and from it are lost, as in a network partition."""
    run([*inside(WAN), "ip", "link", "set", spec.link, "down"])


def heal(spec: RegionSpec) -> None:
    """Connect the region again."""
    run([*inside(WAN), "ip", "link", "set", spec.link, "up"])


def _is_whole() -> bool:
    return len(present()) == len(NAMESPACES) and wan.is_counting()


def _make_wan() -> None:
    run(["ip", "netns", "add", WAN])
    for command in (
        ["ip", "link", "set", "lo", "up"],
        ["ip", "link", "add", "br0", "type", "bridge"],
        ["ip", "addr", "add", f"{WAN_ADDRESS}/24", "dev", "br0"],
        ["ip", "link", "set", "br0", "up"],
    ):
        run([*inside(WAN), *command])


def _connect(namespace: str, address: str, link: str) -> None:
    run(["ip", "netns", "add", namespace])
    # Both ends are created directly in their namespaces, so that the machine's own namespace never has an interface of the lab.
    run(["ip", "link", "add", link, "netns", WAN, "type", "veth", "peer", "name", "eth0", "netns", namespace])
    run([*inside(WAN), "ip", "link", "set", link, "master", "br0", "up"])
    for command in (
        ["ip", "link", "set", "lo", "up"],
        ["ip", "addr", "add", f"{address}/24", "dev", "eth0"],
        ["ip", "link", "set", "eth0", "up"],
        # kubelet and CNI need a default route. The WAN forwards nothing, so it leads nowhere.
        ["ip", "route", "add", "default", "via", WAN_ADDRESS],
    ):
        run([*inside(namespace), *command])


def _remove() -> None:
    for pid in _processes_to_kill():
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    until("the processes in the lab's namespaces to end", lambda: not _processes_to_kill(), timeout=20, interval=0.1)
    for namespace in present():
        run(["ip", "netns", "del", namespace])


def _processes_to_kill() -> set[int]:
    """The processes in the namespaces, without this one and its parents: a user may call `down` from inside the lab."""
    pid, ancestors = os.getpid(), set()
    while pid > 0:
        ancestors.add(pid)
        pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    return processes().keys() - ancestors
