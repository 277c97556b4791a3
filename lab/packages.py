"""System packages of the lab: programs that come from the machine's operating system."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from lab import console

LOCK_PATIENCE = 120  # seconds to wait for another apt-get on this machine
SYSTEMD = Path("/run/systemd/system")
_CONTAINERD_SERVICE = "containerd.service"


class PackagesError(Exception):
    """A system package is missing and could not be installed; the message names it and the command that installs it."""


@dataclass(frozen=True, kw_only=True)
class Package:
    """A Debian package, and how to see that it, or another distribution's version of it, is installed.

    All `programs` must be on PATH. If there are `files`, at least one of them must exist.
    """

    name: str
    programs: tuple[str, ...] = ()
    files: tuple[Path, ...] = ()

    def present(self) -> bool:
        path = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin"])  # root's PATH does not always have these
        programs = all(shutil.which(program, path=path) for program in self.programs)
        return programs and (not self.files or any(file.exists() for file in self.files))


PACKAGES = (
    Package(name="containerd", programs=("containerd", "ctr", "containerd-shim-runc-v2")),
    Package(name="runc", programs=("runc",)),
    Package(name="containernetworking-plugins", files=(Path("/usr/lib/cni/ptp"), Path("/opt/cni/bin/ptp"))),
    Package(name="iptables", programs=("iptables",)),  # the CNI plugins that forward ports and masquerade call it
    Package(name="nftables", programs=("nft",)),  # kube-proxy, and the packet counters
    Package(name="conntrack", programs=("conntrack",)),  # kube-proxy
    Package(name="iproute2", programs=("ip",)),
    Package(name="util-linux", programs=("unshare", "nsenter")),
    # The keys that sign Debian's packages. Distributions derived from Debian do not install them by default.
    Package(name="debian-archive-keyring", files=(Path("/usr/share/keyrings/debian-archive-keyring.gpg"),)),
    Package(name="mmdebstrap", programs=("mmdebstrap",)),  # images with PostgreSQL, Barman or the AWS CLI
    Package(name="mount", programs=("mount", "umount")),
)


def missing() -> list[str]:
    """The names of the Debian packages that are not installed."""
    return [package.name for package in PACKAGES if not package.present()]


def ensure() -> None:
    """Install missing packages if this is root on a machine with apt-get. Otherwise raise PackagesError with the command."""
    if not (names := missing()):
        return
    # --no-remove: nothing that the machine's owner has installed goes away for the lab.
    command = ["apt-get", "install", "--yes", "--no-remove", "--no-install-recommends", *names]
    advice = f"run `sudo apt-get update && sudo {' '.join(command)}`, or install what your distribution calls them"
    if shutil.which("apt-get") is None or os.geteuid() != 0:
        raise PackagesError(f"the lab needs system packages that are not installed: {', '.join(names)}; {advice}")
    with console.step(f"installing system packages: {', '.join(names)}"), _containerd_not_started(names):
        for action in (["apt-get", "update"], command):
            _run(action, names)
    if left := missing():
        raise PackagesError(f"apt-get succeeded, but the programs or files of these packages are missing: {', '.join(left)}")


def _run(command: list[str], names: list[str]) -> None:
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    patient = [*command, "--option", f"DPkg::Lock::Timeout={LOCK_PATIENCE}"]
    done = subprocess.run(patient, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        why = (done.stderr.strip() or done.stdout.strip() or f"exit status {done.returncode}").splitlines()[-1]
        raise PackagesError(
            f"{' '.join(command)} failed: {why}; repair apt-get on this machine, or install these another way: {', '.join(names)}"
        )


@contextmanager
def _containerd_not_started(names: list[str]) -> Iterator[None]:
    """Keep Debian from starting a containerd for the whole system. The lab runs one in each region and needs no other.

    The package's scripts do not start a masked unit. The mask is in /run, so it would not survive a reboot. Disabling the unit
    afterwards keeps it off at the next boot. This does nothing if containerd was installed before, or on a machine without
    systemd, where nothing would start it.
    """
    if "containerd" not in names or not SYSTEMD.is_dir():
        yield
        return
    subprocess.run(["systemctl", "mask", "--runtime", _CONTAINERD_SERVICE], capture_output=True, check=False)
    try:
        yield
    finally:
        for action in (["unmask", "--runtime"], ["disable"]):
            subprocess.run(["systemctl", *action, _CONTAINERD_SERVICE], capture_output=True, check=False)
