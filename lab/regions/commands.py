"""Runs commands of the operating system. Errors have the command and its message."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence

from lab import packages

# A root user's shell does not always have the administrator's directories on its PATH.
PATH = os.pathsep.join(("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"))


class RegionError(Exception):
    """Something about the regions does not work; the message says what, why, and what to do."""


def environment() -> dict[str, str]:
    """The caller's environment, with the system's directories added to PATH."""
    return {**os.environ, "PATH": os.pathsep.join((os.environ.get("PATH", ""), PATH)).strip(os.pathsep)}


def attempt(command: Sequence[str], *, text: str | None = None) -> subprocess.CompletedProcess[str]:
    """Run `command` with `text` as its input, and return its result, also after a failure.

    Raises RegionError if there is no such program.
    """
    try:
        return subprocess.run(command, input=text or "", capture_output=True, text=True, check=False, env=environment())
    except FileNotFoundError as error:
        containing = [package.name for package in packages.PACKAGES if command[0] in package.programs]
        advice = f"install {containing[0]} (make tools does, as root)" if containing else "install the package that contains it"
        raise RegionError(f"the program {command[0]} is not on this machine: {advice}") from error


def run(command: Sequence[str], *, text: str | None = None) -> str:
    """Run `command` and return its output. Raises RegionError with its error message if it fails."""
    done = attempt(command, text=text)
    if done.returncode != 0:
        raise RegionError(f"{' '.join(command)} failed: {last_words(done)}")
    return done.stdout


def last_words(done: subprocess.CompletedProcess[str]) -> str:
    """The error message of a command: its last line with "error" in it, else its last line."""
    said = (done.stderr.strip() or done.stdout.strip()).splitlines()
    errors = [line for line in said if "error" in line.lower()]
    return (errors or said or [f"exit status {done.returncode}, without a message"])[-1].strip()
