"""A disk of the operator's machine that can be filled: a small tmpfs with the project, the state and the temporary files."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from lab.pulumi import Pulumi
from tests.engine.conftest import Pair

_MIB = 1 << 20
_ROOM = 64 * _MIB


@dataclass(kw_only=True)
class SmallDisk:
    """The disk, and the CLI whose files are on it."""

    place: Path
    pulumi: Pulumi

    def fill(self) -> None:
        """Leave not a byte."""
        with (self.place / "full").open("ab", buffering=0) as file:
            for size in (_MIB, 4096, 1):
                try:
                    while file.write(b"\0" * size) == size:
                        pass
                except OSError:
                    continue

    def make_room(self) -> None:
        (self.place / "full").unlink()


@contextmanager
def small_disk(pair: Pair, place: Path) -> Iterator[SmallDisk]:
    """Move the project and the state of a pair to a disk of their own until the block ends. Only root may mount one."""
    place.mkdir()
    if os.geteuid() != 0:
        pytest.skip("only root may mount the small disk that is filled here")
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={_ROOM}", "tmpfs", str(place)], capture_output=True, text=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"no disk can be mounted here: {mounted.stderr.strip()}")
    try:
        for name in ("project", "state"):
            shutil.copytree(pair.root / name, place / name, symlinks=True)
        (place / "tmp").mkdir()
        own = {"PULUMI_BACKEND_URL": f"file://{place / 'state'}", "TMPDIR": str(place / "tmp")}
        pulumi = replace(pair.pulumi, directory=place / "project", environment={**pair.pulumi.environment, **own})
        yield SmallDisk(place=place, pulumi=pulumi)
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)
