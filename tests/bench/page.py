"""The section of docs/performance.md that `make bench` writes from its record."""

from __future__ import annotations

from collections.abc import Sequence

from tests.bench import measures
from tests.bench.figures import Spread
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
    lines = [BEGIN, "", "## Benchmarks", "", *INTRODUCTION, "", *previews([row for row in rows if row.part == "preview"])]
    return "\n".join([*lines, *_runs(rows), END])


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


def previews(rows: Sequence[Row]) -> list[str]:
    """How long previews take, by the size of the settings."""
    lines = ["### Previews, and an `up` that changes nothing", ""]
    if not rows:
        return [*lines, 'Never run: `make bench ARGS="preview"`.', ""]
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
