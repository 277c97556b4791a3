"""The lab's programs: found on PATH, found in the cache, or built into it once for every checkout of this user."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from lab import console
from lab.paths import cache_directory
from lab.tools import go, installed
from lab.tools.go import ToolError
from lab.tools.groups import GROUPS, Group
from lab.tools.workshop import workshop


@dataclass(frozen=True, kw_only=True)
class Toolbox:
    """Where each tool is: `built` and `on_path` map its name to its absolute path. A tool may be in both.

    `files`: what was kept of modules beside the tools, by the names that groups.py gives it.
    """

    built: Mapping[str, Path]
    on_path: Mapping[str, Path]
    files: Mapping[str, Path] = field(default_factory=dict)

    def path(self, tool: str) -> Path:
        """The absolute path of `tool`; KeyError with the names it holds if that is none of them."""
        found = self.on_path.get(tool) or self.built.get(tool)
        if found is None:
            known = ", ".join(sorted({*self.built, *self.on_path}))
            raise KeyError(f"no tool {tool!r} in this toolbox; it holds {known}")
        return found

    @property
    def search_path(self) -> str:
        """A PATH in which each tool is found by its name, in the right version: beside a tool of the machine's own may lie an old
        namesake of another, so built ones come first."""
        paths = [*self.built.values(), *self.on_path.values()]
        return os.pathsep.join(dict.fromkeys(str(path.parent) for path in paths))


def ensure(
    groups: Sequence[str] = tuple(GROUPS), *, table: Mapping[str, Group] = GROUPS, say: Callable[[str], None] = console.say
) -> Toolbox:
    """All tools of `groups`, building those groups of which one is neither on PATH nor in the cache.

    Raises ToolError if Go is missing or too old, or a build fails. Interrupted, it leaves nothing half-made.
    """
    if unknown := [name for name in groups if name not in table]:
        raise ToolError(f"no such group of tools: {', '.join(unknown)}; there are {', '.join(table)}")
    wanted = [group for name, group in table.items() if name in groups]
    on_path = {tool: path for group in wanted for tool in group.tools if (path := installed.find(tool))}
    needed = [group for group in wanted if group.files or not on_path.keys() >= set(group.tools)]
    if not all(directory(group).is_dir() for group in needed):
        _build(needed, say)
    built = {tool: directory(group) / tool for group in needed for tool in group.tools}
    files = {file.name: directory(group).parent / "share" / file.name for group in needed for file in group.files}
    return Toolbox(built=built, on_path=on_path, files=files)


def directory(group: Group) -> Path:
    """Where the group's programs are once they are built. It appears complete or not at all."""
    return _root() / f"{group.name}-{group.key}" / "bin"


def _root() -> Path:
    return cache_directory() / "tools"


def _build(groups: Sequence[Group], say: Callable[[str], None]) -> None:
    go.check()
    with workshop(_root(), "the tools", say) as scratch:  # Go's caches included: 13 GB
        missing = [group for group in groups if not directory(group).is_dir()]  # another checkout may have built them meanwhile
        env = go.environment(scratch)
        total = sum(group.cold_seconds for group in missing)
        if missing:
            names = ", ".join(group.name for group in missing)
            say(f"  … building {names}, once for this user: about {go.spoken(total)} on 2 cores")
        for number, group in enumerate(missing):
            after = sum(later.cold_seconds for later in missing[number + 1 :])
            _build_group(group, scratch, env, after, say)


def _build_group(group: Group, scratch: Path, env: Mapping[str, str], after: float, say: Callable[[str], None]) -> None:
    log = _root() / f"{group.name}.log"
    log.unlink(missing_ok=True)
    started = time.monotonic()
    say(f"  … {group.name}: {', '.join(group.tools)}")
    go.GroupBuild(group, scratch / group.name, env=env, log=log, after=after, say=say).run()
    (scratch / group.name).rename(directory(group).parent)
    say(f"  ✓ {group.name} ({time.monotonic() - started:.0f} s)")
