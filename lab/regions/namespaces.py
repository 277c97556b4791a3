"""The lab's network namespaces: their names, how to run a command in one, and which processes run in them."""

from __future__ import annotations

from pathlib import Path

from lab.regions.commands import attempt
from lab.regions.spec import REGIONS

WAN = "drlab-wan"
OPS = "drlab-ops"
NAMESPACES = (WAN, OPS, *(spec.namespace for spec in REGIONS))
DIRECTORY = Path("/run/netns")


def inside(namespace: str) -> list[str]:
    """The prefix for a command that runs it in network namespace `namespace`, with the same files and user.

    The prefix uses nsenter, because `ip netns exec` would mount a new /sys and so hide the cgroups.
    """
    return ["nsenter", f"--net={DIRECTORY / namespace}", "--"]


def present() -> list[str]:
    """The lab's namespaces that exist."""
    return [name for name in NAMESPACES if (DIRECTORY / name).exists()]


def processes() -> dict[int, str]:
    """The processes in the lab's namespaces: {process id: namespace}."""
    return {int(pid): namespace for namespace in present() for pid in attempt(["ip", "netns", "pids", namespace]).stdout.split()}
