"""The checklists of docs/practice.md as an issue takes them: with the names of this deployment, and links that lead somewhere."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from settings.model import Settings
from settings.names import Names
from settings.people import PeoplesKind
from settings.roles import Role

PAGE = Path(__file__).resolve().parent.parent / "docs" / "practice.md"

PARTS: Mapping[PeoplesKind, tuple[str, ...]] = {
    "tabletop": ("Around a table",),
    "partial": ("A part of it", "What you depend on"),
    "full": ("The week before", "The day", "What to look at", "How to abort", "What you depend on"),
    "runbook-review": ("Reading the runbook",),
}
"""Sections of the page, by what is practised."""

_LINK = re.compile(r"\]\((?!https?:)([^)\s]+)\)")
_BACKUP = re.compile(r"`velero --kubecontext prod-use1 backup create --from-schedule hourly-critical-us-east-1 --wait`")


def checklist(kind: PeoplesKind, stacks: Mapping[Role, Settings], page: str | None = None) -> str:
    """The sections of a drill, in Markdown."""
    text = PAGE.read_text() if page is None else page
    return "\n".join(_filled(_section(text, name), stacks) for name in PARTS[kind])


def _section(page: str, name: str) -> str:
    """A section up to the next heading, of whatever depth, as one of the second."""
    found = re.search(rf"^##+ {re.escape(name)}\n(.*?)(?=^##+ |\Z)", page, re.MULTILINE | re.DOTALL)
    if not found:
        raise ValueError(f"docs/practice.md has no section {name}")
    return f"## {name}\n{found[1].rstrip()}\n"


def _filled(section: str, stacks: Mapping[Role, Settings]) -> str:
    primary, secondary = stacks["primary"], stacks["secondary"]
    each = [f"`{_velero(primary, schedule)}`" for schedule in _schedules(primary)]
    section = _BACKUP.sub(lambda _: ", ".join(each) or "there is no schedule here", section)
    names = {"prod-use1": primary.cluster.context, "prod-usw2": secondary.cluster.context}
    section = re.sub("|".join(names), lambda found: names[found[0]], section)
    return _LINK.sub(lambda found: f"]({_address(found[1])})", section)


def _velero(settings: Settings, schedule: str) -> str:
    return f"velero --kubecontext {settings.cluster.context} backup create --from-schedule {schedule} --wait"


def _schedules(settings: Settings) -> list[str]:
    names = Names(topology=settings.topology, role=settings.role)
    return [names.schedule(backup.name, settings.role) for backup in settings.backups]


def _address(target: str) -> str:
    """A link of the page, as it is seen from an issue: the commit's own page, so that it stays as it was on that day."""
    server, repository = os.environ.get("GITHUB_SERVER_URL", "https://github.com"), os.environ["GITHUB_REPOSITORY"]
    file, anchor, name = target.partition("#")
    return f"{server}/{repository}/blob/{os.environ['GITHUB_SHA']}/docs/{file or PAGE.name}{anchor}{name}"


def names_here(stacks: Mapping[Role, Settings]) -> Iterator[str]:
    """A table of what is called how in this deployment."""
    primary, secondary = stacks["primary"], stacks["secondary"]
    regions = primary.topology.regions
    databases = [f"`{each.namespace}/{each.name}`" for each in secondary.databases]
    yield "| | A, the stack `primary` | B, the stack `secondary` |"
    yield "|---|---|---|"
    yield f"| region | `{regions.primary}` | `{regions.secondary}` |"
    yield f"| context | `{primary.cluster.context}` | `{secondary.cluster.context}` |"
    yield "| schedules | " + " | ".join(", ".join(f"`{each}`" for each in _schedules(of)) for of in (primary, secondary)) + " |"
    yield ""
    yield f"Users call {', '.join(f'`{name}`' for name in secondary.dns.names)}. Databases: {', '.join(databases) or 'none'}."
