"""Refuses a deployment that would move users: the region that serves must be the one that the stack file names.

    python3 scripts/moves_nobody.py STACK

The pipeline runs it before it deploys merged code. After a failover, by the workflow or from a laptop, the stack file may not be
committed yet, and a deployment would undo the failover. Only a failover moves users.

The gate has the same rule for whoever types (components/failover/leaving.py): it asks the cluster and the traffic flag, and this
script the files and the state. A test holds that the gate refuses nothing that this script would let through.
"""

from __future__ import annotations

import json
import subprocess
import sys

FAILOVER = "dr:failover:Failover"
"""Type of the component whose input is the region that serves. The engine stores that as soon as the gate has opened, so this
script sees a failover that ended half-way, too."""


def deployed(state: str) -> str | None:
    """The region that serves, by a state as `pulumi stack export` prints it; None if nothing is deployed."""
    resources = json.loads(state)["deployment"].get("resources") or []
    found = [resource["inputs"]["active"] for resource in resources if resource["type"] == FAILOVER]
    return found[0] if found else None


def objection(stack: str, configured: str, serving: str | None) -> str | None:
    """Why the deployment must not run; None if it may. `configured` is `active` in the stack file, empty if it is not set."""
    to_serve = configured or "primary"
    if serving in (None, to_serve):
        return None
    told = configured or "nothing, so that the primary serves"
    return (
        f"k8s-dr:active: Pulumi.{stack}.yaml has {told}, and the stack was deployed with {serving}: a deployment moves no users. "
        f"If there was a failover, commit its Pulumi.{stack}.yaml (active: {serving}); to move users run the workflow failover"
    )


def main(stack: str) -> None:
    config = subprocess.run(["pulumi", "config", "--json", "-s", stack], stdout=subprocess.PIPE, text=True, check=True).stdout
    state = subprocess.run(["pulumi", "stack", "export", "-s", stack], stdout=subprocess.PIPE, text=True, check=True).stdout
    configured = json.loads(config).get("k8s-dr:active", {}).get("value", "")
    if reason := objection(stack, configured, deployed(state)):
        sys.exit(reason)


if __name__ == "__main__":
    main(sys.argv[1])
