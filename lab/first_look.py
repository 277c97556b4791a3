"""A failover within minutes on a machine without tools: the rehearsal runs while the lab's tools are being built."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from lab import packages, rehearsal
from lab.console import say
from lab.tools import go, toolbox
from lab.tools.groups import LAB
from lab.world import Lab, LabError

BUILD = ("nice", "-n", "5", sys.executable, "-m", "lab.tools", "--lab")  # prints its progress; the rehearsal comes first
WORTHWHILE = 120  # seconds of building that are left; beside less, the rehearsal would only delay the demo


def show(lab: Lab) -> None:
    """If the lab's tools are still to be built: build them, and run the rehearsal beside that as soon as it can run.

    Returns when everything is built. Raises LabError if a build or the rehearsal fails. An interruption also ends the build; the
    next one goes on from there.

    Raises ToolError or PackagesError, before anything starts, if this machine cannot build them.
    """
    missing = toolbox.missing(LAB)
    if sum(group.cold_seconds for group in missing if group.name != "pulumi") < WORTHWHILE:
        return
    began = time.monotonic()
    packages.ensure()
    go.check(", ".join(group.name for group in missing))
    lab.down()
    say("The tools for two real regions are still to be built. Meanwhile, a rehearsal shows the failover without clusters.")
    with _build_of_the_lab() as build:
        _wait_for_pulumi(build)
        if rehearsal.run(lab.paths, began=began):
            raise LabError("the rehearsal failed, so the lab would fail too; its report says where")
        left = sum(group.cold_seconds for group in toolbox.missing(LAB))
        say(
            f"\nThat was the rehearsal. The demo with two real regions follows when the tools are built: about {go.spoken(left)}."
        )
        if build.wait():
            raise LabError("the lab's tools could not be built; the reason is above")
    lab.setup_seconds += time.monotonic() - began


@contextmanager
def _build_of_the_lab() -> Iterator[subprocess.Popen[bytes]]:
    """The build, in a process group of its own: Ctrl-C does not reach it, and it ends by our signal."""
    build = subprocess.Popen(BUILD, stdin=subprocess.DEVNULL, process_group=0)
    try:
        yield build
    finally:
        build.terminate()
        build.wait()


def _wait_for_pulumi(build: subprocess.Popen[bytes]) -> None:
    while toolbox.look(["pulumi"]).find("pulumi") is None:
        try:
            build.wait(timeout=0.5)
        except subprocess.TimeoutExpired:
            continue
        if toolbox.look(["pulumi"]).find("pulumi") is None:
            raise LabError("the Pulumi CLI could not be built; the reason is above")
