"""The lab's programs: found on PATH or in the cache, or else built into the cache, which all checkouts of a user share."""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from lab import console
from lab.deletion import delete_tree
from lab.paths import cache_directory
from lab.tools import go, installed, room
from lab.tools.go import ToolError
from lab.tools.groups import GROUPS, Group
from lab.tools.workshop import workshop

CACHES = ".go"


@dataclass(frozen=True, kw_only=True)
class Toolbox:
    """The paths of the tools. `built` and `on_path` map a tool's name to its absolute path. A tool may be in both.

    `files` are the files that were copied from modules, by their names in groups.py.
    """

    built: Mapping[str, Path]
    on_path: Mapping[str, Path]
    files: Mapping[str, Path] = field(default_factory=dict)

    def path(self, tool: str) -> Path:
        """The absolute path of `tool`. Raises KeyError with the known tools if it is not in this toolbox."""
        found = self.find(tool)
        if found is None:
            known = ", ".join(sorted({*self.built, *self.on_path}))
            raise KeyError(f"no tool {tool!r} in this toolbox; it holds {known}")
        return found

    def find(self, tool: str) -> Path | None:
        """The absolute path of `tool`; None if it is not in this toolbox."""
        return self.on_path.get(tool) or self.built.get(tool)

    @property
    def search_path(self) -> str:
        """A PATH that finds each tool in the right version.

        Built tools come first: a directory with one right tool of the machine may have an old version of another tool.
        """
        paths = [*self.built.values(), *self.on_path.values()]
        return os.pathsep.join(dict.fromkeys(str(path.parent) for path in paths))


def ensure(
    groups: Sequence[str] = tuple(GROUPS), *, table: Mapping[str, Group] = GROUPS, say: Callable[[str], None] = console.say
) -> Toolbox:
    """All tools of `groups`. A group is built if one of its tools is neither on PATH nor in the cache.

    Raises ToolError if Go is missing or too old, the disk has no room, or a build fails. After that, or after an interruption, no
    half-built tool is left, and the next call goes on with what Go has compiled.
    """
    if to_build := missing(groups, table=table):
        _build(to_build, say)
    wanted = _chosen(groups, table)
    return _toolbox([group for group in wanted if directory(group).is_dir()], _on_path(wanted))


def look(groups: Sequence[str] = tuple(GROUPS), *, table: Mapping[str, Group] = GROUPS) -> Toolbox:
    """The tools of `groups` that exist already. This builds nothing, so it needs neither Go nor a network."""
    wanted = _chosen(groups, table)
    return _toolbox([group for group in wanted if directory(group).is_dir()], _on_path(wanted))


def _chosen(groups: Sequence[str], table: Mapping[str, Group]) -> list[Group]:
    if unknown := [name for name in groups if name not in table]:
        raise ToolError(f"no such group of tools: {', '.join(unknown)}; there are {', '.join(table)}")
    return [group for name, group in table.items() if name in groups]


def _on_path(groups: Sequence[Group]) -> dict[str, Path]:
    return {tool: path for group in groups for tool in group.tools if (path := installed.find(tool))}


def _toolbox(built: Sequence[Group], on_path: Mapping[str, Path]) -> Toolbox:
    files = {file.name: directory(group).parent / "share" / file.name for group in built for file in group.files}
    return Toolbox(built={tool: directory(group) / tool for group in built for tool in group.tools}, on_path=on_path, files=files)


def missing(groups: Sequence[str] = tuple(GROUPS), *, table: Mapping[str, Group] = GROUPS) -> list[Group]:
    """Those of `groups` that `ensure` would build."""
    wanted = _chosen(groups, table)
    on_path = _on_path(wanted)
    needed = [group for group in wanted if group.files or not on_path.keys() >= set(group.tools)]
    return [group for group in needed if not directory(group).is_dir()]


def directory(group: Group) -> Path:
    """The directory of the group's built programs. It only exists if the build was complete."""
    return _root() / f"{group.name}-{group.key}" / "bin"


def place(group: Group) -> str:
    """Where the group's programs are, or how to build them, as text for the user."""
    found = _on_path([group])
    if not group.files and len(found) == len(group.tools):
        return ", ".join(map(str, found.values()))
    if directory(group).is_dir():
        return str(directory(group))
    return f"to be built (make tools), about {group.cold_seconds} s from nothing on 2 cores"


def _root() -> Path:
    return cache_directory() / "tools"


def _build(groups: Sequence[Group], say: Callable[[str], None]) -> None:
    go.check(", ".join(group.name for group in groups))
    with workshop(_root(), "the tools", say) as scratch:
        left = [group for group in groups if not directory(group).is_dir()]  # another checkout may have built them meanwhile
        if not left:
            return
        total = sum(group.cold_seconds for group in left)
        names = ", ".join(group.name for group in left)
        say(f"  … building {names}, once for all checkouts of this user: about {go.spoken(total)} on 2 cores")
        with _caches(left, say) as caches:
            env = go.environment(scratch, caches)
            for number, group in enumerate(left):
                after = sum(later.cold_seconds for later in left[number + 1 :])
                _build_group(group, scratch, env, after, say)


@contextmanager
def _caches(left: Sequence[Group], say: Callable[[str], None]) -> Iterator[Path]:
    """Go's caches. They are deleted when all groups are built. After a failure or an interruption they stay for the next build.

    Raises ToolError if the disk has no room for them.
    """
    caches = _root() / CACHES
    room.check(caches, sum(group.build_gigabytes for group in left))
    caches.mkdir(exist_ok=True)
    try:
        yield caches
    except BaseException:
        say(f"  … what is compiled stays in {caches} ({room.gigabytes(caches):.1f} GB); the next run goes on from there")
        raise
    delete_tree(caches, ignore_errors=True)


def _build_group(group: Group, scratch: Path, env: Mapping[str, str], after: float, say: Callable[[str], None]) -> None:
    log = _root() / f"{group.name}.log"
    log.unlink(missing_ok=True)
    started, cpu = time.monotonic(), _cpu_seconds()
    say(f"  … {group.name}: {', '.join(group.tools)}")
    go.GroupBuild(group, scratch / group.name, env=env, log=log, after=after, say=say).run()
    (scratch / group.name).rename(directory(group).parent)
    say(f"  ✓ {group.name} ({time.monotonic() - started:.0f} s, CPU {_cpu_seconds() - cpu:.0f} s)")


def _cpu_seconds() -> float:
    """CPU seconds of all children that have ended. On a busy machine they say more than the clock."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
