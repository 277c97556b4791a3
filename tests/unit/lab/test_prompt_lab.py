"""The tests' lab does not wait for the minute in which Velero looks for backups, and starts Velero only where that helps."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from lab.paths import LabPaths
from tests.lab.prompt import PromptLab


@dataclass(kw_only=True)
class Told(PromptLab):
    """It notes what is asked of the secondary, and sees the backups once Velero was started again."""

    synced: bool
    done: list[str] = field(default_factory=list)

    def kubectl(self, region: str, *args: str, stdin: str | None = None, check: bool = True) -> str:
        self.done.append(f"{args[0]} {region}")
        self.synced = self.synced or args[0] == "rollout"
        return ""

    def wait_replicated(self, *, timeout: float = 120) -> None:
        self.done.append("replicated")

    def _synced(self) -> bool:
        return self.synced


def test_velero_looks_anew_once_all_is_replicated(tmp_path: Path) -> None:
    lab = Told(paths=LabPaths(root=tmp_path), synced=False)
    lab.wait_backed_up()
    assert lab.done == ["replicated", "patch secondary", "delete secondary", "rollout secondary"]


def test_velero_is_left_alone_where_it_has_seen_the_backups(tmp_path: Path) -> None:
    lab = Told(paths=LabPaths(root=tmp_path), synced=True)
    lab.wait_backed_up()
    assert lab.done == []
