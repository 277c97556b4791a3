"""Refuse a deployment that would move users: what is deployed must serve from the region that the stack file names.

python3 scripts/moves_nobody.py STACK, by the pipeline that deploys what was merged. The file of a failover, by the button or from
a laptop, may not be committed yet, and the deployment would undo it. Only a failover moves users.
"""

from __future__ import annotations

import json
import subprocess
import sys

FAILOVER = "dr:failover:Failover"
"""Its input is who serves, stored as soon as the gate has opened: a failover that ended half-way is seen too."""


def deployed(state: str) -> str | None:
    """Who serves by the state, as `pulumi stack export` prints it; None where nothing is deployed."""
    resources = json.loads(state)["deployment"].get("resources") or []
    found = [resource["inputs"]["active"] for resource in resources if resource["type"] == FAILOVER]
    return found[0] if found else None


def objection(stack: str, configured: str, serving: str | None) -> str | None:
    """Why the deployment must not run; `configured` is what the stack file says of `active`, empty where it says nothing."""
    asked = configured or "primary"
    if serving in (None, asked):
        return None
    said = configured or "nothing, so that the primary serves"
    return (
        f"k8s-dr:active: Pulumi.{stack}.yaml has {said}, and the stack was deployed with {serving}: a deployment moves no users. "
        f"If there was a failover, commit its Pulumi.{stack}.yaml (active: {serving}); to move users run the workflow failover"
    )


def main(stack: str) -> None:
    configured = subprocess.run(["pulumi", "config", "--json", "-s", stack], stdout=subprocess.PIPE, text=True, check=True).stdout
    state = subprocess.run(["pulumi", "stack", "export", "-s", stack], stdout=subprocess.PIPE, text=True, check=True).stdout
    active = json.loads(configured).get("k8s-dr:active", {}).get("value", "")
    if reason := objection(stack, active, deployed(state)):
        sys.exit(reason)


if __name__ == "__main__":
    main(sys.argv[1])
