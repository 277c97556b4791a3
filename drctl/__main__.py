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
from drctl.signals import end_as_by_ctrl_c

EXIT_CODES = """\b
Exit codes:
  0  done, or there was nothing to do
  1  it failed, or a region did not answer that had to
  2  the command line is wrong, or nobody could be asked
  3  the gate refused
  4  it answers, with something to look at
  5  not agreed to, or a person must do something first

docs/drctl.md has them in full, and docs/runbook.md what to type without drctl.
"""


class _InTheirOrder(click.Group):
    """Lists the commands as a person needs them on the night, and not by the alphabet."""

    def list_commands(self, _: click.Context) -> list[str]:
        return [*self.commands]


@click.group(cls=_InTheirOrder, context_settings={"help_option_names": ["-h", "--help"]}, epilog=EXIT_CODES)
def main() -> None:
    """Carries what two stacks must tell each other. Each command prints the pulumi commands that it stands for."""


for command in (check, status, failover, rejoin, switchover, hold, release, drill, calendar, report, drift):
    main.add_command(command)


def run() -> None:
    """The command of that name, where the checkout is installed."""
    end_as_by_ctrl_c()
    main()


if __name__ == "__main__":
    end_as_by_ctrl_c()
    main(prog_name="python -m drctl")
