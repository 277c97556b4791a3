"""`drctl failover`: region B takes over. Nothing of region A is asked."""

from __future__ import annotations

import click

from drctl import steps
from drctl.commands.options import changes
from drctl.run import Operator


@click.command(short_help="The primary is dead: the secondary takes over.")
@changes
def failover(operator: Operator) -> int:
    """The secondary takes over, because the primary is dead. Only the secondary's stack is asked."""
    code, end = operator.carry_out(["secondary"], steps.failover)
    return operator.finish(code, end.says)
