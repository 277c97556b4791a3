"""The lab's directories: one in each checkout, and a cache that all checkouts of one user share."""

from __future__ import annotations

import os
import pwd
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent


def cache_directory() -> Path:
    """Built tools and images, by version. All checkouts of one user share it, so a second clone builds nothing."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "k8s-dr"


class ForeignLabError(PermissionError):
    """The lab's directory belongs to another user; the message names it, its owner, and the commands that solve this."""


@dataclass(frozen=True, kw_only=True)
class LabPaths:
    """Where one checkout's lab writes: everything is below one directory that git ignores."""

    root: Path = CHECKOUT / ".lab"

    @property
    def logs(self) -> Path:
        return self.root / "logs"

    @property
    def run(self) -> Path:
        """One file for each background process, with its process id."""
        return self.root / "run"

    @property
    def regions(self) -> Path:
        return self.root / "regions"

    @property
    def project(self) -> Path:
        """The lab's copy of the Pulumi project, with its own stack files."""
        return self.root / "project"

    @property
    def state(self) -> Path:
        """The Pulumi backend (file://)."""
        return self.root / "state"

    @property
    def kubeconfig(self) -> Path:
        return self.root / "kubeconfig"

    @property
    def bin(self) -> Path:
        """Wrappers that run pulumi, kubectl and velero inside the lab's operations network namespace."""
        return self.root / "bin"

    @property
    def report_json(self) -> Path:
        return self.root / "report.json"

    @property
    def report_html(self) -> Path:
        return self.root / "report.html"

    def refuse_if_foreign(self) -> None:
        """Raise ForeignLabError if another user, usually root, ran a lab in this checkout."""
        mine = os.geteuid()
        if mine == 0 or not self.root.exists():
            return
        for place in self._places():
            if (owner := _owner_of(place)) != mine:
                raise ForeignLabError(
                    f"{place} belongs to {_name_of(owner)}, as sudo make demo leaves it; hand it over with: "
                    f"sudo make down && sudo chown -R {_name_of(mine)} {self.root}; or remove it with: sudo rm -r {self.root}"
                )

    def _places(self) -> Iterator[Path]:
        """The directory and its entries: root may own the entries even if this user owns the directory."""
        yield self.root
        yield from sorted(self.root.iterdir())

    def make(self) -> None:
        self.refuse_if_foreign()
        for directory in (self.logs, self.run, self.regions, self.state, self.bin):
            directory.mkdir(parents=True, exist_ok=True)


def _owner_of(place: Path) -> int:
    return place.lstat().st_uid


def _name_of(user: int) -> str:
    try:
        return pwd.getpwuid(user).pw_name
    except KeyError:  # inside a container, a user may have an id but no name
        return str(user)
