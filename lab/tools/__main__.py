"""`python -m lab.tools`: list the installed and missing tools, and build or install the missing ones."""

from __future__ import annotations

import argparse
import signal
import sys
import time
from collections.abc import Sequence

from lab import packages
from lab.console import say, warn
from lab.packages import PackagesError
from lab.regions import preflight
from lab.tools import images, toolbox
from lab.tools.go import ToolError
from lab.tools.groups import GROUPS, LAB, LONG

_TESTED = tuple(name for name in GROUPS if name not in LONG)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m lab.tools", description=__doc__)
    parser.add_argument(
        "groups",
        nargs="*",
        metavar="GROUP",
        help=f"one of {', '.join(GROUPS)} (default: what make test needs, with images and packages)",
    )
    parser.add_argument("--lab", action="store_true", help="only what the lab needs: its programs, images and system packages")
    parser.add_argument("--check", action="store_true", help="only list the installed and missing tools")
    options = parser.parse_args(arguments)
    if unknown := [name for name in options.groups if name not in GROUPS]:
        parser.error(f"no such group of tools: {', '.join(unknown)}; there are {', '.join(GROUPS)}")
    if options.groups and options.lab:
        parser.error("either --lab or groups, not both")
    if not options.lab:
        _say_what_is_here(options.groups or _TESTED)
    if options.check:
        return 0
    started = time.monotonic()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # SIGTERM, like Ctrl-C, removes unfinished builds
    try:
        _get_lab() if options.lab else _get(options.groups)
    except (ToolError, PackagesError, OSError) as error:
        warn(str(error))
        return 1
    except KeyboardInterrupt:
        warn("interrupted: finished groups are kept, and the next run goes on from here")
        return 130
    say(f"everything is installed ({time.monotonic() - started:.0f} s)")
    return 0


def _get(groups: Sequence[str]) -> None:
    if groups:
        toolbox.ensure(groups)
        return
    if obstacles := preflight.obstacles():
        say(f"The lab cannot run here ({'; '.join(obstacles)}). Building only the tools for tests without the lab.")
        toolbox.ensure(("pulumi", "region", "velero", "cnpg", "helm", "prometheus", "actionlint", "application"))
        return
    packages.ensure()
    for image in images.ensure(toolbox.ensure(_TESTED), (*images.BASIC, *images.DATABASES, *images.ETCD)).values():
        say(f"  {image.reference}  {image.archive}")


def _get_lab() -> None:
    packages.ensure()
    images.ensure(toolbox.ensure(LAB), (*images.BASIC, *images.DATABASES))


def _say_what_is_here(names: Sequence[str]) -> None:
    for name in names:
        say(f"{name}: {toolbox.place(GROUPS[name])}")
    if sys.platform == "linux":
        say(f"system packages: {', '.join(packages.missing()) or 'none'} missing")


if __name__ == "__main__":
    sys.exit(main())
