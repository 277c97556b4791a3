"""Opens the issues of what people practise: one for each drill and date, with its checklist and the last figures.

    python -m scripts.drill_issues due              prints, as JSON, what is due and has no issue yet
    python -m scripts.drill_issues figures FILE     prints what an issue takes of a stack's outputs: no secret, and little
    python -m scripts.drill_issues open FOLDER      opens the issues that are due. FOLDER has the figures of each stack, as
                                                    primary.json and secondary.json; what is not there is told as not known

For the workflow `drills`, which sets DRILL where a person wants one today whatever the calendar says. It needs the variables that
GitHub sets, and GH_TOKEN. An issue is never rewritten: people tick its boxes.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, get_args

from scripts import github
from scripts.drill_calendar import NAMES
from scripts.drill_checklists import checklist, names_here
from scripts.stack_files import settings_of
from settings.durations import spoken
from settings.load import ConfigurationError
from settings.model import Settings
from settings.people import PeoplesKind, dates
from settings.roles import ROLES, Role

LATE = timedelta(days=6)
"""For how long after its date an issue is still opened: GitHub drops runs of a schedule, and workflows fail."""

UNKNOWN = "not known"
BY_CALENDAR = ("", "by the calendar")
_SHOWN = 200


@dataclass(frozen=True, kw_only=True)
class Due:
    kind: PeoplesKind
    day: date

    @property
    def marker(self) -> str:
        """The first line of the issue, by which it is known again though people change its title."""
        return github.marker(f"drill {self.kind} {self.day}")


def due(settings: Settings, today: date, chosen: str) -> list[Due]:
    """What is due by the calendar or, today, because a person has chosen it."""
    if chosen not in BY_CALENDAR:
        kinds: tuple[PeoplesKind, ...] = get_args(PeoplesKind)
        if chosen not in kinds:
            raise github.RefusedError(f"DRILL: {chosen} is none of {', '.join(kinds)}; write one of them, or nothing")
        return [Due(kind=next(kind for kind in kinds if kind == chosen), day=today)]
    return [Due(kind=kind, day=day) for kind, cron in settings.practised.items() for day in dates(cron, today - LATE, today)]


def without_issue(wanted: list[Due], today: date) -> list[Due]:
    """Those that have no issue, open or closed. Of an issue that somebody else has opened no marker counts."""
    if not wanted:
        return []
    since = today - LATE - timedelta(days=1)
    found = github.listed(
        f"repos/{os.environ['GITHUB_REPOSITORY']}/issues?state=all&since={since}T00:00:00Z&sort=created&per_page=100"
    )
    return [each for each in wanted if not any(github.is_ours(issue, each.marker) for issue in found)]


def figures(outputs: Mapping[str, Any]) -> dict[str, Any]:
    """What an issue takes of a stack's outputs (`pulumi stack output --json --show-secrets`)."""
    details = outputs.get("details") or {}
    taken = {key: details.get(key) for key in ("drills", "failover", "targets")}
    return {**taken, "serving": outputs.get("serving")}


def body(each: Due, stacks: Mapping[Role, Settings], found: Mapping[Role, Mapping[str, Any] | None]) -> str:
    """The issue's text."""
    parts = [
        each.marker,
        f"{NAMES[each.kind]}, {each.day} (`drills.people`). Nothing rewrites this issue: tick, and write below.",
        "## Names here\n",
        *names_here(stacks),
        "\n## The last figures\n",
        *_last_figures(stacks, found),
        "",
        checklist(each.kind, stacks),
        "\n## Then\n",
        "- [ ] File what was found, and close this issue:\n",
        f"      {_filing(each)}",
    ]
    text = "\n".join(parts)
    return text if len(text) <= github.LIMIT else f"{text[: github.LIMIT - 100]}\n… docs/practice.md has the rest"


def _filing(each: Due) -> str:
    file = f'.venv/bin/python -m scripts.file_drill {each.kind} --by "WHO" --passed'
    if each.kind == "full":
        return f"{file} --report .failover/secondary.json --report .failover/primary.json --rpo LOST --rto WAITED"
    return f"{file} --began {each.day}T09:00:00Z"


def _last_figures(stacks: Mapping[Role, Settings], found: Mapping[Role, Mapping[str, Any] | None]) -> Iterator[str]:
    yield "| | " + " | ".join(stacks[role].topology.region(role) for role in ROLES) + " |"
    yield "|---|---|---|"
    told = {role: dict(_of_stack(found[role])) for role in ROLES}
    for name in dict.fromkeys(name for each in told.values() for name in each):
        yield f"| {name} | " + " | ".join(told[role].get(name, UNKNOWN) for role in ROLES) + " |"


def _of_stack(found: Mapping[str, Any] | None) -> Iterator[tuple[str, str]]:
    """What came from somewhere else is text, whatever it holds; and what is not as it should be is not known."""
    known = found or {}
    yield "users are served by", code(known["serving"]) if isinstance(known.get("serving"), str) else UNKNOWN
    targets = known.get("targets")
    yield "RPO and RTO of the tier", _targets(targets) if isinstance(targets, Mapping) else UNKNOWN
    timeline = known.get("failover")
    yield "its last takeover", _takeover(timeline) if isinstance(timeline, Mapping) else UNKNOWN
    last = known.get("drills")
    for kind in ("integrity", "namespace", "database"):
        entry = last.get(kind, UNKNOWN) if isinstance(last, Mapping) else UNKNOWN
        yield f"last drill `{kind}`", _drill(entry)


def _targets(targets: Mapping[str, Any]) -> str:
    rpo, rto = (_seconds(targets.get(key)) for key in ("rpoSeconds", "rtoSeconds"))
    return f"{rpo}, {rto} ({code(targets.get('tier'))})"


def _takeover(timeline: Mapping[str, Any]) -> str:
    steps = timeline.get("steps")
    if not steps or not isinstance(steps, list):
        return "none"
    first = steps[0].get("start") if isinstance(steps[0], Mapping) else None
    return f"{_seconds(timeline.get('seconds'))} in {len(steps)} step{'' if len(steps) == 1 else 's'}, {code(first)}"


def _drill(entry: Any) -> str:
    if entry is None:
        return "none yet"
    if not isinstance(entry, Mapping) or "unknown" in entry or "ended" not in entry:
        return UNKNOWN
    passed = entry.get("passed")
    word = "passed" if passed is True else "**failed**" if passed is False else "skipped"
    times = [f"{name} {_seconds(entry.get(key))}" for name, key in (("RPO", "rpo"), ("RTO", "rto")) if entry.get(key) is not None]
    reasons = entry.get("reasons")
    why = [code(reasons[0])] if isinstance(reasons, list) and reasons else []
    return ", ".join([word, code(entry["ended"]), *times, *why])


def _seconds(value: Any) -> str:
    number = isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 10**9
    return spoken(timedelta(seconds=value)) if number else UNKNOWN


def code(text: Any) -> str:
    """A text of somebody else as Markdown shows it as it is: no link, no mention, no cell of its own."""
    line = " ".join("".join(each if each.isprintable() else " " for each in str(text)[: _SHOWN * 2]).split())
    return f"`{line.replace('`', chr(39)).replace('|', '/')[:_SHOWN] or UNKNOWN}`"


def read(folder: Path) -> dict[Role, Mapping[str, Any] | None]:
    """The figures of each stack; None where they are not there, or no JSON."""
    found: dict[Role, Mapping[str, Any] | None] = {}
    for role in ROLES:
        try:
            told = json.loads((folder / f"{role}.json").read_text())
        except (OSError, ValueError, RecursionError):
            told = None
        found[role] = told if isinstance(told, Mapping) else None
    return found


def main(action: str, argument: str = "") -> None:
    if action == "figures":
        print(json.dumps(figures(json.loads(Path(argument).read_text()))))
        return
    if action not in {"due", "open"}:
        sys.exit(f"{action}: is not one of due, figures, open")
    stacks: dict[Role, Settings] = {role: settings_of(role) for role in ROLES}
    day = datetime.now(UTC).date()
    wanted = without_issue(due(stacks["secondary"], day, os.environ.get("DRILL", "")), day)
    if action == "due":
        print(json.dumps([f"{each.kind} {each.day}" for each in wanted]))
        return
    found = read(Path(argument))
    for each in wanted:
        title = f"{NAMES[each.kind]} of {stacks['secondary'].topology.organization}, {each.day}"
        opened = {"title": title, "body": body(each, stacks, found)}
        github.post(f"repos/{os.environ['GITHUB_REPOSITORY']}/issues", opened)
        print(f"Opened: {title}")


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except (github.RefusedError, ConfigurationError) as error:
        sys.exit(str(error))
