"""`drctl calendar`: the calendar of drills, as the script of that name prints it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import click

from drctl.commands.options import reads
from drctl.run import Operator
from drctl.show import FAILED, OK, USAGE

PROGRAM = Path(__file__).resolve().parents[2]


@click.command(short_help="The calendar of drills, as an .ics file.")
@click.option("--days", type=int, default=366, show_default=True, help="How far it goes, from today on.")
@click.option("--people", is_flag=True, help="Only what people practise, and not what CronJobs try.")
@reads
def calendar(operator: Operator, days: int, people: bool) -> int:
    """Print the calendar of drills as an .ics file; with --json, its events. It asks nobody."""
    shown = ["--days", str(days), *(["--people"] if people else []), "--directory", str(operator.project.directory)]
    operator.screen.commands([f"python -m scripts.drill_calendar {' '.join(shown)}"])
    given = [*shown, *(["--json"] if operator.screen.as_json else [])]
    # A process of its own, whose bytes go out as they are: the lines of an .ics end alike on every machine.
    ran = subprocess.run([sys.executable, "-m", "scripts.drill_calendar", *given], cwd=PROGRAM, capture_output=True, check=False)
    said = ran.stderr.decode(errors="replace").strip()
    if ran.returncode == USAGE:
        raise click.UsageError(said)
    if ran.returncode:
        operator.screen.say(said, "red")
        return operator.finish(FAILED, said if operator.screen.as_json else "")
    if operator.screen.as_json:
        events = json.loads(ran.stdout)
        return operator.finish(OK, f"{len(events)} events", events=events)
    click.echo(ran.stdout, nl=False)
    return OK
