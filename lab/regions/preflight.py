"""Finds out whether this machine can run the lab, by trying each thing that the lab needs."""

from __future__ import annotations

import os
import platform

from lab.regions import cgroups
from lab.regions.commands import RegionError, attempt, last_words

AS_ROOT = 'run it with sudo env PATH="$PATH"'
ARCHITECTURES = ("x86_64", "amd64", "aarch64", "arm64")
_NAMESPACES = ("unshare", "--net", "--pid", "--mount", "--uts", "--ipc", "--fork", "--kill-child", "--mount-proc")
# Each trial runs in new namespaces, so that nothing of it remains.
_TRIALS = {
    "mount a file system": "mount -t tmpfs tmpfs /tmp",
    "make network interfaces (veth, bridge)": "! command -v ip >/dev/null || "
    "{ ip link add name t0 type veth peer name t1 && ip link add name t2 type bridge; }",
    "count packets with nftables": "! command -v nft >/dev/null || nft add table ip trial",
}


def obstacles() -> list[str]:
    """The reasons why the lab cannot run on this machine, one line each; empty if it can. Never raises an exception."""
    try:
        return _obstacles()
    except Exception as error:  # noqa: BLE001 - any failure here means that the lab cannot run
        return [f"this machine could not be examined: {error}"]


def _obstacles() -> list[str]:
    if (system := platform.system()) != "Linux":
        return [f"the lab needs Linux, and this is {system}"]
    found = []
    if (machine := platform.machine()) not in ARCHITECTURES:
        found.append(f"the lab needs an amd64 or arm64 processor, and this is {machine}")
    if os.geteuid() != 0:
        # Without root, all further checks would fail for the same reason.
        return [*found, f"the lab needs root, to create namespaces and cgroups: {AS_ROOT}"]
    return [*found, *_namespaces(), *_cgroups()]


def _namespaces() -> list[str]:
    try:
        if (done := attempt([*_NAMESPACES, "true"])).returncode != 0:
            return [f"this process may not create namespaces (net, pid, mount, uts, ipc): {last_words(done)}"]
        trials = {what: attempt([*_NAMESPACES, "sh", "-c", script]) for what, script in _TRIALS.items()}
    except RegionError as error:
        return [str(error)]
    return [f"this machine cannot {what} in a namespace: {last_words(done)}" for what, done in trials.items() if done.returncode]


def _cgroups() -> list[str]:
    try:
        obstacle = cgroups.current().obstacle()
    except RegionError as error:
        return [str(error)]
    return [obstacle] if obstacle else []
