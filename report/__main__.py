"""Shows what a failover did, as text, and writes the same as a page: one file that needs nothing else.

    .venv/bin/python -m report .failover/secondary.json     the local report, which the `up` that ends a failover writes
    .venv/bin/python -m report --stack secondary            the stack's outputs, from any machine that may read its state
    .venv/bin/python -m report .lab/report.json             a report of the lab

The page is written beside the file, or to --html. The README's picture is made from a report of the lab:

    .venv/bin/python -m report docs/report/sample.json --picture docs/report
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from report import model, page, picture, takeover, terminal
from report.model import Report
from report.takeover import NoTakeoverError, Takeover

LOCAL = Path(".failover")
"""Where the program writes its local reports, and where a page of a stack's outputs goes."""


def read(file: Path) -> Report | Takeover:
    """The report in a file, whichever kind it is. Raises NoTakeoverError if it is none."""
    try:
        found = json.loads(file.read_text())
    except (OSError, ValueError) as error:
        raise NoTakeoverError(f"{file}: {getattr(error, 'strerror', None) or 'this is not JSON'}") from None
    if not isinstance(found, dict):
        raise NoTakeoverError(f"{file}: this is no report, but {type(found).__name__}")
    if "kind" not in found:
        return takeover.takeover(found, source=str(file))
    try:
        return model.read(file)
    except ValidationError as error:
        first = error.errors()[0]
        raise NoTakeoverError(f"{file}: {'.'.join(map(str, first['loc']))}: {first['msg'].lower()}") from None


def of_stack(stack: str, backend: str | None = None) -> Takeover:
    """The failover of a stack, in `backend` or in that of this shell. Raises NoTakeoverError, with Pulumi's own words if it
    refused."""
    environment = {**os.environ, **({"PULUMI_BACKEND_URL": backend} if backend else {})}

    def asked(*arguments: str) -> Any:
        command = ["pulumi", *arguments, "--json", "--stack", stack, "--non-interactive"]
        try:
            ran = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
        except FileNotFoundError:
            raise NoTakeoverError("pulumi: is not on PATH; or name the local report, .failover/<stack>.json") from None
        if ran.returncode:
            raise NoTakeoverError(f"{' '.join(command)}: {(ran.stderr or ran.stdout).strip()}")
        return json.loads(ran.stdout)

    return takeover.of_outputs(asked("stack", "output", "--show-secrets"), asked("config"), stack)


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m report", description="What a failover did, as text and as a page.")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("file", nargs="?", type=Path, help=".failover/<stack>.json, or a report of the lab")
    what.add_argument("--stack", help="read the outputs of this stack instead")
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--html", type=Path, help="where the page goes; by default beside the file")
    where.add_argument("--picture", type=Path, help="write light.svg and dark.svg into this folder instead of the page")
    given = parser.parse_args(arguments)
    try:
        found = of_stack(given.stack) if given.stack else read(given.file)
    except NoTakeoverError as error:
        sys.exit(str(error))
    print(terminal.render(found))
    if given.picture:
        _draw(found, given.picture)
        return
    target = given.html or (LOCAL / f"{given.stack}.html" if given.stack else given.file.with_suffix(".html"))
    try:
        page.write(found, target)
    except OSError as error:
        sys.exit(f"{target}: {error.strerror}; choose another file with --html")
    print(f"Page: {target}")


def _draw(found: Report | Takeover, folder: Path) -> None:
    if isinstance(found, Takeover):
        sys.exit("--picture: only a report of the lab has one; leave it out to get the page")
    try:
        files = picture.write(found, folder)
    except (OSError, ValueError) as error:
        sys.exit(f"{folder}: {getattr(error, 'strerror', None) or error}")
    print(f"Pictures: {', '.join(map(str, files))}")


if __name__ == "__main__":
    main(sys.argv[1:])
