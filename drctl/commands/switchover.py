"""`drctl switchover`, `hold` and `release`: users go to the other region in good order."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import click

from drctl import steps
from drctl.commands.options import changes
from drctl.run import Operator
from drctl.show import OK
from drctl.steps import Next, StepName, Told
from settings.roles import ROLES, Role


@click.command(short_help="Both are well: users go to the other region, and no row is lost.")
@click.option("--to", type=click.Choice(ROLES), required=True, help="The region that is to serve.")
@click.option("--hold", is_flag=True, help="All but the traffic, for a last look; to the secondary alone. Then: drctl release")
@changes
def switchover(operator: Operator, to: Role, hold: bool) -> int:
    """Both regions are well, and users go to the other one. No row is lost; nobody can write meanwhile.

    Type it again after it was killed or refused: it goes on from what both stacks say.
    """
    if hold and to == "primary":
        raise click.UsageError(
            "--hold: users can be held on the way to the secondary alone, for the traffic flag is the secondary's"
        )

    def decide(stacks: Mapping[Role, Told], done: Collection[StepName]) -> Next:
        return steps.switchover(to, stacks, done, hold=hold)

    code, end = operator.carry_out(ROLES, decide)
    return operator.finish(code, end.says)


@click.command(short_help="The next takeover by a token moves no users.")
@changes
def hold(operator: Operator) -> int:
    """Hold users where they are in the switchover to the secondary that follows. It changes the stack file and nothing else."""
    if operator.project.configured("secondary").hold:
        return operator.finish(OK, "hold is set already; the next takeover by a token moves no users")
    topology = operator.project.settings("secondary").topology
    operator.screen.commands([*steps.backend(topology, "secondary"), "pulumi config set hold true -s secondary"])
    operator.screen.confirm("Write this into Pulumi.secondary.yaml?")
    operator.stacks.configure("secondary", "hold", "true")
    return operator.finish(OK, "hold is set; the next takeover by a token moves no users until: drctl release")


@click.command(short_help="Let in the users who are held.")
@changes
def release(operator: Operator) -> int:
    """Let users into a secondary that has taken over all but the traffic. Its checks and its endpoint are asked once more."""
    code, end = operator.carry_out(["secondary"], steps.release)
    return operator.finish(code, end.says)
