"""The program, with a note of when each of its parts ended. `make bench` puts this in the place of `__main__.py` into the lab's
copy of the project, and the program beside it. BENCH_MARKS names the file that gets a line of JSON for each note.
"""

import functools
import json
import os
import runpy
import time
from pathlib import Path

_FILE = os.environ["BENCH_MARKS"]


def mark(name):
    with open(_FILE, "a") as file:
        file.write(json.dumps({"at": time.time(), "name": name}) + "\n")


mark("started")

import components.failover.failover  # noqa: E402
import components.region  # noqa: E402
import settings  # noqa: E402, F401

mark("imported")


def noted(function, before, after):
    @functools.wraps(function)
    def call(*arguments, **keywords):
        mark(before)
        try:
            return function(*arguments, **keywords)
        finally:
            mark(after)

    return call


components.region.Region.__init__ = noted(components.region.Region.__init__, "settings read", "registered")
components.failover.failover.Failover._ask_gate = noted(
    components.failover.failover.Failover._ask_gate, "gate asked", "gate answered"
)
runpy.run_path(str(Path(__file__).with_name("program.py")), run_name="__main__")
