"""The lab's network namespaces: their names, how a command gets into one, and what runs in them."""

from __future__ import annotations

from pathlib import Path

from lab.regions.commands import attempt
from lab.regions.spec import REGIONS

WAN = "drlab-wan"
OPS = "drlab-ops"
NAMESPACES = (WAN, OPS, *(spec.namespace for spec in REGIONS))
DIRECTORY = Path("/run/netns")


def inside(namespace: str) -> list[str]:
    """What to put before a command so that it runs in `namespace`: the same files and user, another network.

    It is nsenter and never `ip netns exec`, which would mount /sys anew and hide the cgroups.
    """
    return ["nsenter", f"--net={DIRECTORY / namespace}", "--"]


def present() -> list[str]:
    """The lab's namespaces that exist."""
    return [name for name in NAMESPACES if (DIRECTORY / name).exists()]


def processes() -> dict[int, str]:
    """What runs in the lab's namespaces: {process id: namespace}."""
    return {int(pid): namespace for namespace in present() for pid in attempt(["ip", "netns", "pids", namespace]).stdout.split()}
