"""`drctl calendar`: the calendar of drills, as the script of that name prints it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import click

from drctl.commands.options import DIRECTORY

PROGRAM = Path(__file__).resolve().parents[2]


@click.command()
@click.option("--days", type=int, default=366, show_default=True, help="How far it goes, from today on.")
@click.option("--people", is_flag=True, help="Only what people practise, and not what CronJobs try.")
@DIRECTORY
@click.pass_context
def calendar(context: click.Context, directory: Path, days: int, people: bool) -> None:
    """Print the calendar of drills as an .ics file. It asks nobody."""
    given = ["--days", str(days), *(["--people"] if people else []), "--directory", str(directory.resolve())]
    click.echo(f"  $ python -m scripts.drill_calendar {' '.join(given)}", err=True)
    # A process of its own, whose bytes go out as they are: the lines of an .ics end alike on every machine.
    ran = subprocess.run([sys.executable, "-m", "scripts.drill_calendar", *given], cwd=PROGRAM, capture_output=True, check=False)
    click.echo(ran.stdout, nl=False)
    click.echo(ran.stderr, nl=False, err=True)
    context.exit(ran.returncode)
