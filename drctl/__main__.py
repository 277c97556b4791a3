"""`python -m drctl`: the operator's command. Exit codes: docs/drctl.md."""

from __future__ import annotations

import click

from drctl.commands.calendar import calendar
from drctl.commands.check import check
from drctl.commands.drift import drift
from drctl.commands.drill import drill
from drctl.commands.failover import failover
from drctl.commands.rejoin import rejoin
from drctl.commands.report import report
from drctl.commands.status import status
from drctl.commands.switchover import hold, release, switchover


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Carries what two stacks must tell each other. Each command prints the pulumi commands that it stands for."""


for command in (check, status, failover, rejoin, switchover, hold, release, drill, calendar, report, drift):
    main.add_command(command)

if __name__ == "__main__":
    main(prog_name="python -m drctl")
