"""Facts about the machine on which a report was made. Without them, its figures mean nothing."""

from __future__ import annotations

import os
import platform
import subprocess
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Machine:
    """One machine. `cores` are the ones that this process may use. `cgroup` is the version of cgroups: v1, v2 or none."""

    cpu: str
    cores: int
    memory_gib: float
    kernel: str
    system: str
    cgroup: str


def machine_facts(root: Path = Path("/")) -> Machine:
    """The facts in /proc, /sys and /etc below `root`. Without /proc, as on macOS, they come from sysctl."""
    return Machine(
        cpu=_field(root / "proc/cpuinfo", "model name") or _sysctl("machdep.cpu.brand_string") or platform.machine(),
        cores=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        memory_gib=round(_memory_bytes(root) / 2**30, 1),
        kernel=f"{platform.system()} {platform.release()}",
        system=_system(root),
        cgroup=_cgroup(root / "sys/fs/cgroup"),
    )


def _field(path: Path, name: str) -> str | None:
    """The value of the first line `name : value` in a /proc file."""
    try:
        lines = path.read_text().splitlines()
    except OSError:
        return None
    return next((value.strip() for key, _, value in (line.partition(":") for line in lines) if key.strip() == name), None)


def _memory_bytes(root: Path) -> int:
    if total := _field(root / "proc/meminfo", "MemTotal"):
        return int(total.split()[0]) * 1024
    return int(_sysctl("hw.memsize") or 0)


def _system(root: Path) -> str:
    try:
        lines = (root / "etc/os-release").read_text().splitlines()
    except OSError:
        return f"macOS {platform.mac_ver()[0]}" if platform.system() == "Darwin" else platform.system()
    names = dict(line.split("=", 1) for line in lines if "=" in line)
    return names.get("PRETTY_NAME", platform.system()).strip('"')


def _cgroup(mounted: Path) -> str:
    if (mounted / "cgroup.controllers").exists():
        return "v2"
    return "v1" if (mounted / "memory").exists() else "none"


def _sysctl(name: str) -> str | None:
    try:
        return subprocess.run(["sysctl", "-n", name], capture_output=True, text=True, check=True).stdout.strip() or None
    except (OSError, subprocess.CalledProcessError):
        return None
