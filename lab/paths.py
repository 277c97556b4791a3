"""Where the lab keeps things: what one checkout's lab leaves behind, and what every checkout of this user shares."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent


def cache_directory() -> Path:
    """Built tools and images, keyed by version: shared by every checkout of this user, so a second clone builds nothing."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "k8s-dr"


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

    def make(self) -> None:
        for directory in (self.logs, self.run, self.regions, self.state, self.bin):
            directory.mkdir(parents=True, exist_ok=True)
