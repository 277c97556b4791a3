"""Runs a Pulumi program under a live engine, like `pulumi-language-python-exec` of Pulumi 3.259.0 (see sdk/python/cmd there).

It takes the same arguments, and ends with the same exit codes and messages. It handles interrupts like any Python process: the
engine sends them to every process of a plugin that it ends. The program's own interpreter runs this file, which therefore must
not import the lab.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import runpy
import sys
import threading
import time
import traceback
from concurrent.futures import ThreadPoolExecutor

if __name__ == "__main__":
    sys.path.pop(0)  # the program must not import modules of this directory by accident

import pulumi
from pulumi import runtime

EXPLAINED = 32
"""Exit code of a program that has explained its failure itself. The host reports every other exit code except 0."""


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    for name in ("monitor", "engine", "project", "root_directory", "stack", "pwd", "dry_run", "organization"):
        parser.add_argument(f"--{name}")
    parser.add_argument("--parallel", type=int)
    parser.add_argument("program")
    return parser.parse_args()


def configure(options: argparse.Namespace) -> None:
    runtime.set_all_config(runtime.get_config_env(), runtime.get_config_secret_keys_env())
    runtime.configure(
        runtime.Settings(
            project=options.project,
            stack=options.stack,
            monitor=options.monitor,
            engine=options.engine,
            parallel=options.parallel,
            dry_run=options.dry_run == "true",
            organization=options.organization,
            root_directory=options.root_directory,
        )
    )


def run(program: str, parallel: int) -> int:
    """Run the program and return its exit code.

    A RunError prints its message and gives code 1. Any other exception prints a traceback, to which the host adds nothing.
    """
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    executor = ThreadPoolExecutor(max_workers=max(parallel, 1) * 4)
    loop.set_default_executor(executor)
    # A failed program leaves unfinished tasks behind. asyncio would log a warning for each.
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)
    try:
        loop.run_until_complete(runtime.run_in_stack(lambda: _execute(program)))
    except pulumi.RunError as error:
        pulumi.log.error(str(error))
        return 1
    except Exception as error:  # noqa: BLE001 - whatever the program raises
        pulumi.log.error(f"Program failed with an unhandled exception:\n{_from_program_on(error, program)}")
        return EXPLAINED
    finally:
        executor.shutdown(wait=True)
        loop.close()
        sys.stdout.flush()
        sys.stderr.flush()
    return 0


def _execute(program: str) -> None:
    runpy.run_path(program, run_name="__main__")


def _from_program_on(error: Exception, program: str) -> str:
    """The traceback from the program's first frame on, or the whole traceback if the program is not in it."""
    entry = os.path.join(os.path.abspath(program), "__main__.py")
    frames = traceback.extract_tb(error.__traceback__)
    above = next((place for place, frame in enumerate(frames) if os.path.abspath(frame.filename) == entry), 0)
    return "".join(traceback.format_exception(error, limit=above - len(frames)))


def _end_with(parent: int) -> None:
    """End this process when its parent, the language host, is gone."""
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(1)


def main() -> None:
    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
    options = arguments()
    configure(options)
    sys.argv = [options.program]
    if options.pwd:
        os.chdir(options.pwd)
    sys.exit(run(options.program, options.parallel))


if __name__ == "__main__":
    main()
