"""`drctl rejoin`: the region that was replaced follows the other one again."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import click

from drctl import steps
from drctl.commands.options import changes
from drctl.run import Operator
from drctl.steps import Next, StepName, Told
from settings.roles import ROLES, Role


@click.command(short_help="A region that was replaced follows the other one again.")
@click.option(
    "--region", type=click.Choice(ROLES), default="primary", help="The region that was replaced; by default the primary."
)
@changes
def rejoin(operator: Operator, region: Role) -> int:
    """Stop the region that was replaced, keep what only it has, and make its databases anew as followers.

    The generation in Pulumi.yaml is a person's to raise; this says which, and ends with 5 until it is.
    """

    def decide(stacks: Mapping[Role, Told], _: Collection[StepName]) -> Next:
        return steps.rejoin(region, operator.project.archives(region), stacks)

    code, end = operator.carry_out(ROLES, decide)
    return operator.finish(code, end.says)
