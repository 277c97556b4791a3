"""Where the lab keeps things: what one checkout's lab leaves behind, and what every checkout of this user shares."""

from __future__ import annotations

import os
import pwd
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent


def cache_directory() -> Path:
    """Built tools and images, keyed by version: shared by every checkout of this user, so a second clone builds nothing."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "k8s-dr"


class ForeignLabError(PermissionError):
    """The lab's directory is somebody else's; the message names it, its owner, and the command that hands it over."""


@dataclass(frozen=True, kw_only=True)
class LabPaths:
    """Everything one lab writes, below one directory that git ignores."""

    root: Path = CHECKOUT / ".lab"

    @property
    def logs(self) -> Path:
        return self.root / "logs"

    @property
    def run(self) -> Path:
        """One file a background process: its pid."""
        return self.root / "run"

    @property
    def regions(self) -> Path:
        return self.root / "regions"

    @property
    def project(self) -> Path:
        """The copy of the Pulumi program that the lab runs, with stack files of its own."""
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
        """Wrappers that run pulumi, kubectl and dig inside the lab's operations namespace."""
        return self.root / "bin"

    @property
    def report_json(self) -> Path:
        return self.root / "report.json"

    @property
    def report_html(self) -> Path:
        return self.root / "report.html"

    def refuse_if_foreign(self) -> None:
        """Raises ForeignLabError where another user, as a rule root, has run a lab in this checkout."""
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
        """The directory, and what lies in it: a lab of root's in a directory of ours has made those."""
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
    except KeyError:  # a user of a container that no file knows
        return str(user)
