"""The section of docs/performance.md that `make bench` writes from its record."""

from __future__ import annotations

from collections.abc import Sequence

from tests.bench import measures
from tests.bench.figures import Spread
from tests.bench.measures import IN_A_SECOND, PHASES
from tests.bench.rows import Row

BEGIN, END = "<!-- measured: make bench -->", "<!-- end of make bench -->"
BEFORE = "## What a newcomer sees when"
"""Before which text of the page the section comes for the first time."""


def with_section(page: str, section: str) -> str:
    """The page with the section in the place of the last one. Raises ValueError for a page that has no place for it."""
    if BEGIN in page:
        start, end = page.index(BEGIN), page.index(END) + len(END)
        return page[:start] + section + page[end:]
    place = page.index(BEFORE)
    return f"{page[:place]}{section}\n\n{page[place:]}"


def section(rows: Sequence[Row]) -> str:
    parts: dict[str, list[Row]] = {"ready": [], "preview": [], "velero": []}
    for row in rows:
        parts.get(row.part, []).append(row)
    lines = [*failovers(parts["ready"]), *previews(parts["preview"]), *restores(parts["velero"])]
    return "\n".join([BEGIN, "", "## Benchmarks", "", *INTRODUCTION, "", *lines, *_runs(rows), END])


INTRODUCTION = (
    "`make bench` writes this section, `docs/bench.json` and `.lab/bench.json`, a row after each repetition. A figure is the "
    "median, with the least and the most in brackets. Seconds are of one machine; ratios compare runs that followed each other "
    "on it.",
)


def table(head: Sequence[str], lines: Sequence[Sequence[str]]) -> list[str]:
    align = ["---", *("---:" for _ in head[1:])]
    return [f"| {' | '.join(cells)} |" for cells in (head, align, *lines)]


def said(found: Spread | None) -> str:
    return str(found) if found else "never run"


def never(part: str) -> list[str]:
    return [f'Never run: `make bench ARGS="{part}"`.', ""]


def pictured(name: str, words: str) -> list[str]:
    """The part's picture, in the reader's colours."""
    return [
        "<picture>",
        f'  <source media="(prefers-color-scheme: dark)" srcset="bench/{name}-dark.svg">',
        f'  <img alt="{words}" src="bench/{name}-light.svg">',
        "</picture>",
        "",
    ]


def failovers(rows: Sequence[Row]) -> list[str]:
    """How soon a region is ready, where the program's own seconds go, and how soon users are there."""
    lines = ["### A failover, by the guide's commands and by the program", ""]
    if not rows:
        return [*lines, *never("ready")]
    ready = [
        (
            _sized(row),
            *_said(row, "guide ready", "program ready"),
            said(row.ratio("program ready", "guide ready")),
            *_said(row, "program floor", "program restore", "program promotion", "program preview"),
        )
        for row in rows
    ]
    phases = [(row.size, *_said(row, "program overhead", *(f"program overhead: {phase}" for phase in PHASES))) for row in rows]
    users = [
        (row.size, *_said(row, "program switch", "program switch floor", "guide switch"), said(measures.head_start(row)))
        for row in rows
    ]
    return [
        *lines,
        *pictured("ready", "How soon a region is ready, by the guide's commands and by the program"),
        "Ready is: the database takes a write and its archive takes that, every Deployment is available, and the application's "
        "check is answered, all at once. One probe outside asks, whoever fails over. The clock starts with the first command, in "
        "a lab whose primary is dead. The guide is a page of commands that a person types on the night; they come from a script "
        "here (tests/bench/guide.py), in its order, with the traffic flag in "
        "the place of Route 53's control plane; the program is `pulumi config set active secondary` and `pulumi up "
        "--skip-preview`. Either has labs of its own. Seconds:",
        "",
        *table(
            (
                "",
                "guide",
                "program",
                "program by guide",
                "the world alone",
                "its restore",
                "its promotion",
                "a preview, beside it",
            ),
            ready,
        ),
        "",
        "The world alone is the longer of two ways: the restore and then the Pods, or the promotion until the archive takes a "
        "write, by the objects of the program's lab. What the program takes beyond it, by phase. The "
        "[gate](architecture.md#the-gate) and registration pass "
        "before the first act in the world, `waits` between it and the flag, `end` after the flag:",
        "",
        *table(("", "in all", *PHASES), phases),
        "",
        "From the flag to a client that is served there, and the least that Route 53's rules allow: the health check's interval "
        "by its threshold, and what was left of the record's TTL. The guide writes the flag before anything is ready:",
        "",
        *table(("", "program", "its least", "guide", "the guide's head start with the flag"), users),
        "",
    ]


def _sized(row: Row) -> str:
    more = [f"{row.facts[what]:,} {words}" for what, words in _LARGER.items() if row.facts.get(what)]
    return f"{row.size}: {', '.join(more)}" if more else row.size


_LARGER = {"objects": "more objects", "namespaces": "namespaces", "segments": "segments of WAL to replay"}


def _said(row: Row, *names: str) -> list[str]:
    return [said(row.spread(name)) for name in names]


def restores(rows: Sequence[Row]) -> list[str]:
    """Velero's restores."""
    lines = ["### Velero's restores", ""]
    if not rows:
        return [*lines, *never("velero")]
    body = [(row.size, f"{row.facts.get('items', '?'):,}", *_said(row, "seconds", IN_A_SECOND)) for row in rows]
    return [
        *lines,
        *pictured("velero", "Objects that Velero restores in a second"),
        "One namespace into a region that has none of it, by `velero restore create --wait`. Velero restores one object after "
        "the other, and one Restore after the other: its controller has one worker.",
        "",
        *table(("", "objects", "seconds", "in a second"), body),
        "",
    ]


def previews(rows: Sequence[Row]) -> list[str]:
    """How long previews take, by the size of the settings."""
    lines = ["### Previews, and an `up` that changes nothing", ""]
    if not rows:
        return [*lines, *never("preview")]
    head = (
        "",
        "resources",
        "preview, s",
        "by the empty program's",
        "the flip's, by it",
        "`up`, s",
        "by the empty program's",
        "program, MiB",
        "engine, MiB",
    )
    body = [
        (
            row.size,
            f"{row.facts.get('resources', '?')}",
            said(row.spread("preview")),
            said(row.ratio("preview", "empty preview")),
            said(row.ratio("preview of the flip", "empty preview")),
            said(row.spread("up")),
            said(row.ratio("up", "empty up")),
            said(row.spread("preview: program MiB")),
            said(row.spread("preview: engine MiB")),
        )
        for row in rows
    ]
    sizes = {row.size: row for row in rows}
    return [
        *lines,
        *pictured("preview", "Previews by the empty program's"),
        "Of the secondary's stack, deployed by the real CLI into recorded clusters. The empty program has the same imports and "
        "no resource. Memory is the highest resident size of the process in a preview.",
        "",
        *table(head, body),
        "",
        "What a preview costs above the empty program's for each resource, with 100 databases by the same with one: "
        f"{said(measures.growth_per_resource(sizes))}. What each further database costs from 10 to 100, by the same from 1 to "
        f"10: {said(measures.growth_per_database(sizes))}.",
        "",
    ]


def _runs(rows: Sequence[Row]) -> list[str]:
    """When and where each row was measured."""
    runs = dict.fromkeys((row.day, row.commit, row.machine, row.repetitions, row.part) for row in rows)
    return [
        *(
            f"- {part}, {repetitions} {'repetition' if repetitions == 1 else 'repetitions'}: {day}, commit {commit}; "
            f"{machine.cpu}, {machine.cores} cores, {machine.memory_gib:g} GiB, {machine.system}, cgroup {machine.cgroup}"
            for day, commit, machine, repetitions, part in runs
        ),
        *([""] if runs else []),
    ]
