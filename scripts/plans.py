"""Reads plans, as `pulumi preview --json` prints them, for the workflows.

    python3 scripts/plans.py digest PLAN          prints a digest of what the plan would do; `none` if it would do nothing
    python3 scripts/plans.py same PLAN DIGEST     fails unless the plan has this digest
    python3 scripts/plans.py failover DIRECTORY   prints what a failover would do otherwise than on the base branch

For the last one, DIRECTORY holds four plans: `here.json` and `base.json` of the stack as it stands, by the pull request's code
and by the base branch's, and `here-failed-over.json` and `base-failed-over.json` of the same with the other region active.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

NOTHING = "none"
LONGEST = 120
"""Most characters of a value that are shown."""


class PlanError(Exception):
    """There is no plan to read, or not the one that was meant. The message is one line."""


@dataclass(frozen=True, kw_only=True)
class Step:
    """What a plan does to one resource. `inputs` are the wanted ones, with secrets masked; empty for a deletion."""

    op: str
    inputs: Mapping[str, Any] = field(default_factory=dict)


Plan = Mapping[str, Step]
"""What changes, by URN."""


def read(text: str) -> dict[str, Step]:
    """The changes of a plan. Raises PlanError if the preview failed, with its first error."""
    try:
        plan = json.loads(text)
    except json.JSONDecodeError as error:
        raise PlanError(f"the preview printed no plan: {text.strip()[-LONGEST:] or 'nothing at all'}") from error
    errors = [found["message"].strip() for found in plan.get("diagnostics") or () if found.get("severity") == "error"]
    if errors:
        raise PlanError(errors[0].splitlines()[0])
    return {
        step["urn"]: Step(op=step["op"], inputs=(step.get("newState") or {}).get("inputs") or {})
        for step in plan.get("steps") or ()
        if step["op"] != "same"
    }


def digest(plan: Plan) -> str:
    """The same text for plans that do the same, in whatever order."""
    if not plan:
        return NOTHING
    steps = sorted((urn, step.op, step.inputs) for urn, step in plan.items())
    return hashlib.sha256(json.dumps(steps, sort_keys=True).encode()).hexdigest()


def effect(stands: Plan, failed_over: Plan) -> dict[str, Step]:
    """What the failover adds to an ordinary `up`: each change that is not the same without it."""
    urns = sorted({*stands, *failed_over})
    return {urn: failed_over.get(urn, Step(op="left as it is")) for urn in urns if stands.get(urn) != failed_over.get(urn)}


def differences(here: Plan, base: Plan) -> Iterator[str]:
    """One line for each thing that a failover would do by `here` and not by `base`, or otherwise, or no longer."""
    for urn in sorted({*here, *base}):
        ours, theirs = here.get(urn), base.get(urn)
        if ours == theirs:
            continue
        if theirs is None and ours:
            yield f"+ {ours.op}: {spoken(urn)}"
        elif ours is None and theirs:
            yield f"- {theirs.op}: {spoken(urn)}"
        elif ours and theirs:
            yield f"! {ours.op}: {spoken(urn)}" + (f", on the base branch: {theirs.op}" if ours.op != theirs.op else "")
            yield from (f"!     {line}" for line in changed(theirs.inputs, ours.inputs))


def spoken(urn: str) -> str:
    """Type and name of a URN, which has the types of all its parents too."""
    *_, types, name = urn.split("::")
    return f"{types.rsplit('$', 1)[-1]} {name}"


def changed(before: Any, after: Any, path: str = "") -> Iterator[str]:
    """Each value that differs, as `path: before → after`."""
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        for key in sorted({*before, *after}):
            yield from changed(before.get(key), after.get(key), f"{path}.{key}" if path else key)
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        for index, (old, new) in enumerate(zip(before, after, strict=True)):
            yield from changed(old, new, f"{path}[{index}]")
    elif before != after:
        yield f"{path}: {_value(before)} → {_value(after)}"


def _value(value: Any) -> str:
    text = "nothing" if value is None else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"


def compare(directory: Path) -> str:
    """What a pull request changes about a failover, as text. Raises PlanError if its own code has no plan."""

    def of(branch: str) -> dict[str, Step]:
        stands, failed_over = (read((directory / f"{branch}{suffix}.json").read_text()) for suffix in ("", "-failed-over"))
        return effect(stands, failed_over)

    here = of("here")
    try:
        base = of("base")
    except PlanError as error:
        return f"The base branch itself cannot be previewed, so nothing is compared: {error}\n"
    lines = [*differences(here, base)]
    steps = f"{len(here)} resource{'' if len(here) == 1 else 's'}"
    if not lines:
        return f"Nothing: a failover would change {steps}, in the same way as on the base branch.\n"
    legend = "+ is new, - is gone, ! is done otherwise"
    return "\n".join([f"A failover would change {steps}; on the base branch {len(base)}. {legend}:", *lines]) + "\n"


def main(action: str, *arguments: str) -> None:
    match action, arguments:
        case "digest", [plan]:
            print(digest(read(Path(plan).read_text())))
        case "same", [plan, shown]:
            found = read(Path(plan).read_text())
            if digest(found) != shown:
                for urn, step in sorted(found.items()):
                    print(f"{step.op}: {spoken(urn)}")
                raise PlanError(
                    "this is no longer the plan that was shown, so nothing was touched: run the workflow deploy anew, and read it"
                )
        case "failover", [directory]:
            print(compare(Path(directory)), end="")
        case _:
            raise PlanError(f"{action} {' '.join(arguments)}: is not one of: digest PLAN, same PLAN DIGEST, failover DIRECTORY")


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except PlanError as error:
        sys.exit(str(error))
