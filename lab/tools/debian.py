"""Unpacks Debian packages into root file systems for images. They come from the mirror that this machine's apt uses."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from lab.tools.go import ToolError

SUITE = "bookworm"
_TARGETS = ("apt-get", "indextargets", "--format", "$(ORIGIN)|$(LABEL)|$(COMPONENT)|$(REPO_URI)", "Created-By: Packages")
_MAIN = ("Debian", "Debian", "main")
# Documentation, translations, and files that only the installation of packages needs. etc/apt would also reveal the mirror.
_UNWANTED = (
    "dev/*",
    "etc/apt",
    "etc/hostname",
    "etc/resolv.conf",
    "usr/share/doc",
    "usr/share/i18n",
    "usr/share/info",
    "usr/share/lintian",
    "usr/share/locale",
    "usr/share/man",
    "var/cache/*",
    "var/lib/apt",
    "var/lib/dpkg",
    "var/log/*",
)


def unpack(packages: Sequence[str], target: Path) -> None:
    """Unpack packages of SUITE and their dependencies into `target`. They are not configured, so none of their scripts run.

    Raises ToolError if this machine has no Debian mirror, or the mirror does not have the packages.
    """
    command = [
        "mmdebstrap",
        "--quiet",
        "--variant=extract",
        f"--include={','.join(packages)}",
        SUITE,
        str(target),
        *filter(None, [mirror()]),
    ]
    run(command, f"unpacking Debian packages for {target.name}")
    remove(target, _UNWANTED)


def mirror() -> str | None:
    """The address of Debian's main archive in this machine's apt configuration. Raises ToolError without apt.

    None on a distribution derived from Debian, such as Ubuntu: mmdebstrap then uses Debian's public mirror.
    """
    if shutil.which("apt-get") is None:
        raise ToolError("images with PostgreSQL or the AWS CLI are made from Debian packages, and this machine has no apt-get")
    found = _mirrors()
    if not found and os.geteuid() == 0:  # apt only knows an archive's origin once it has its index
        run(["apt-get", "update"], "reading the package index")
        found = _mirrors()
    if not found:
        return None
    return found[0]


def _mirrors() -> list[str]:
    listed = subprocess.run(_TARGETS, capture_output=True, text=True, check=False).stdout
    rows = [line.split("|") for line in listed.splitlines()]
    return [address for *which, address in rows if tuple(which) == _MAIN]


def remove(root: Path, patterns: Sequence[str]) -> None:
    """Delete everything below `root` that matches the patterns."""
    for pattern in patterns:
        for path in root.glob(pattern):
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()


def run(command: Sequence[str], what: str) -> str:
    """Run a command that makes part of an image, and return its output. Raises ToolError with its last line if it fails."""
    try:
        ran = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    except FileNotFoundError as error:
        raise ToolError(f"{what} failed: {error}; `python -m lab.tools` installs what is missing") from error
    except OSError as error:
        raise ToolError(f"{what} failed: {error}") from error
    if ran.returncode != 0:
        why = (ran.stderr.strip() or ran.stdout.strip() or f"exit status {ran.returncode}").splitlines()[-1]
        raise ToolError(f"{what} failed: {why}; the command was {' '.join(command)}")
    return ran.stdout
