"""`python -m tests.engine.states.save VERSION`: deploy a pair, fail it over, and save what a release leaves in people's states.

Run once for a release, before its tag. A version that is there already is never saved again: it is what people have.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

from lab import stacks
from lab.tools import toolbox
from tests.engine.conftest import Pair
from tests.engine.states.saved import configured_pair, scrubbed
from tests.releases import LEDGER, STATES, state_file
from tests.unit.configurations import ledger_of_today


def save(pair: Pair, version: str, serving: str) -> None:
    for stack in stacks.ROLES:
        exported = json.loads(pair.pulumi.run("stack", "export", "--show-secrets", "-s", stack).output)
        state_file(version, stack, serving).write_text(scrubbed(pair, exported["deployment"]))


def main(version: str) -> None:
    folder = STATES / version
    if folder.exists():
        raise SystemExit(f"{folder} is there already, and what people have in their states does not change")
    pulumi = toolbox.ensure(["pulumi"]).path("pulumi")
    with tempfile.TemporaryDirectory() as root, configured_pair(Path(root), pulumi) as pair:
        stacks.deploy(pair.pulumi, bring_first_backups=pair.bring_first_backups)
        pair.have_backups()
        folder.mkdir()
        save(pair, version, "primary")
        pair.flip()
        pair.pulumi.run("config", "set", "active", "secondary", "-s", "primary")
        pair.pulumi.up("primary")
        save(pair, version, "secondary")
    (folder / LEDGER).write_text("".join(f"{line}\n" for line in sorted(ledger_of_today(aliases=False))))


if __name__ == "__main__":
    main(*sys.argv[1:])
