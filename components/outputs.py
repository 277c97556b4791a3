"""What `pulumi up` prints at the end: who is active, where traffic goes, what is backed up where, and what to do next.

The CLI prints all of it below the reason of a refusal. So each output is one line, and the reason stays on the screen.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pulumi

from components.drills.records import NOT_ASKED, Last
from components.failover.failover import Failover
from components.velero.selection import chosen
from settings.backup import Backup
from settings.durations import format_duration
from settings.model import Settings
from settings.names import Names
from settings.roles import Duties, Role, peer_of


def outputs(
    settings: Settings,
    names: Names,
    duties: Duties,
    failover: Failover,
    drills: pulumi.Output[Last | None],
    follows: pulumi.Output[bool | None],
    *,
    flag: Role | None = None,
) -> dict[str, pulumi.Input[Any]]:
    """The stack's outputs, in the words of whoever reads them at 3 a.m.: each is a text of one line.

    `details` has the same as objects and lists, for programs. `drills` is what is known of the last drills, or None; `follows` is
    whether the other region follows this one, or None where nobody has seen. `flag` is whom the traffic flag names, in a primary
    that could read it.
    """
    endpoint = settings.endpoint if isinstance(settings.endpoint, str) else settings.endpoint.name
    serving = failover.since.apply(lambda since: _serving(settings, names, duties, since, endpoint))
    details = {
        "serving": serving,
        "protected": _protected(settings, names, duties),
        "databases": failover.databases,
        "archives": {database.name: database.server(settings.role) for database in settings.databases},
        "peerArchives": {database.name: database.server(peer_of(settings.role)) for database in settings.databases},
        "givenUp": _gives_up(settings),
        "targets": settings.objectives.model_dump(by_alias=True),
        "failover": failover.timeline,
        "drills": drills.apply(lambda last: last.details() if last else None),
    }
    databases = pulumi.Output.from_input(failover.databases)
    return {
        "active": settings.serving_role,
        "serving": serving.apply(_in_words),
        "protected": _protection(settings, names, duties),
        "databases": databases.apply(lambda sides: "; ".join(f"{name}: {side}" for name, side in sides.items()) or "none"),
        "targets": _targets(settings),
        "failover": failover.timeline.apply(_steps),
        "drills": drills.apply(lambda last: last.in_words() if last else NOT_ASKED),
        # Nothing in it is a secret: but of a secret the CLI prints one word, and of an object forty lines.
        "details": pulumi.Output.secret(details),
        "handover": failover.handover,
        "next": pulumi.Output.all(follows, failover.handover, failover.databases).apply(
            lambda known: _next(settings, names, duties, flag, known[0])
        ),
    }


def _gives_up(settings: Settings) -> bool:
    """Whether an old database runs here that a person has given up, and that is not made anew yet."""
    return any(database.server(settings.role) in settings.given_up for database in settings.databases)


def _protected(settings: Settings, names: Names, duties: Duties) -> list[dict[str, Any]]:
    restored = {each.backup.name: str(each) for each in chosen(settings.backups, settings.named_namespaces)}
    return [
        {
            "namespaces": ", ".join(backup.include) or f"all but {', '.join(backup.exclude)}".removesuffix(" but "),
            "schedule": names.schedule(backup.name, settings.role),
            "cron": backup.cron,
            "keep": backup.keep,
            "restores": restored.get(backup.name) or _restores_nothing(backup),
            "runs": not duties.schedules_paused,
            "copy": _copy(settings, names) or "none: set k8s-dr:peerReady to true",
        }
        for backup in settings.backups
    ]


def _restores_nothing(backup: Backup) -> str:
    """Why a failover restores nothing of this backup."""
    if not backup.restore:
        return "nothing: restore is false"
    if backup.include:
        return "nothing: other entries have its namespaces"
    return "nothing: set restore: everything to restore what no other entry does"


def _copy(settings: Settings, names: Names) -> str | None:
    """Where the copies of this region's backups are, in the other region; None while there are none."""
    return f"s3://{names.peer_bucket('velero')}/{names.velero_prefix(settings.role)}" if settings.peer_ready else None


def _protection(settings: Settings, names: Names, duties: Duties) -> str:
    schedules = ", ".join(names.schedule(backup.name, settings.role) for backup in settings.backups)
    copy = _copy(settings, names)
    where = f"copied to {copy}" if copy else "copied nowhere: set k8s-dr:peerReady to true"
    return f"{'paused: ' if duties.schedules_paused else ''}{schedules}; {where}"


def _targets(settings: Settings) -> str:
    goal = settings.objectives
    rpo, rto = (format_duration(timedelta(seconds=seconds)) for seconds in (goal.rpo_seconds, goal.rto_seconds))
    return f"RPO {rpo}, RTO {rto} (tier {goal.tier})"


def _serving(settings: Settings, names: Names, duties: Duties, since: str | None, endpoint: str) -> dict[str, Any]:
    """The region that serves users and, if it is this one, since when."""
    both_serve = settings.dns.both_serve and settings.serving_role == "primary"
    second_region = {"also": names.topology.regions.secondary} if both_serve else {}
    if duties.serves:
        return {"region": names.region, **second_region, "since": since, "names": settings.dns.names, "endpoint": endpoint}
    return {"region": names.peer_region, **second_region, "names": settings.dns.names}


def _in_words(serving: Mapping[str, Any]) -> str:
    regions = " and ".join([serving["region"], *([serving["also"]] if "also" in serving else [])])
    since = f" since {serving['since']}" if serving.get("since") else ""
    at = f" at {serving['endpoint']}" if serving.get("endpoint") else ""
    return f"{regions}{since}: {', '.join(serving['names'])}{at}"


def _steps(timeline: Mapping[str, Any]) -> str:
    """The steps of a takeover with their seconds; several run side by side, so the sum is not the whole."""
    steps = ", ".join(f"{step['name']} {step['seconds']:g} s" for step in timeline["steps"])
    return f"{timeline['seconds']:g} s: {steps}" if steps else "none"


def _next(settings: Settings, names: Names, duties: Duties, flag: Role | None, follows: bool | None) -> str:
    """What to do next, in one line. A command for the other stack comes with that stack's backend."""
    users_are_there = flag == settings.serving_role
    role = settings.role
    if settings.force:
        return f"force is set, and the gate asks less: pulumi config rm force -s {role}"
    if not settings.peer_ready:
        return "no backup leaves this region: once the other stack is up set k8s-dr:peerReady to true, then pulumi up"
    if _gives_up(settings):
        return f"the old database is given up, and nothing is deleted yet; to make it anew: pulumi up -s {role}"
    if duties.held:
        return "users are held where they are; to let them in: pulumi up -s secondary --config k8s-dr:hold=false"
    if not users_are_there and (moving := _next_of_a_switchover(settings, duties)):
        return moving
    fail_over = "pulumi config set active secondary -s secondary && pulumi up -s secondary"
    if settings.serving_role == "primary":
        command = fail_over if role == "secondary" else settings.topology.for_stack("secondary", fail_over)
        return f"if {names.topology.regions.primary} is lost: {command}"
    if role == "secondary":
        wait_seconds = 30 + settings.dns.ttl
        fence = "pulumi config set active secondary -s primary && pulumi up -s primary"
        arrive = f"users arrive within {wait_seconds} s (health checks 30 s, DNS {settings.dns.ttl} s)"
        if follows:
            return f"{arrive}; the primary follows, by the marks of its databases; to go back: docs/runbook.md, From B to A"
        if settings.token:
            # It gave up in good order, so it needs no more than time; in the `up` that takes over nobody has looked.
            return f"{arrive}; the primary {'follows' if follows is None else 'has not shown yet that it follows'}"
        return (
            f"{arrive}; when the primary comes back, before anything else: {settings.topology.for_stack('primary', fence)}; "
            "until it follows again, the data here have no other copy (docs/runbook.md, Rejoin)"
        )
    if users_are_there:
        return "this region stands by; the traffic flag sends users to the secondary"
    if flag == "primary":
        take_over = settings.topology.for_stack("secondary", fail_over)
        return f"this region stands by, and the traffic flag still sends users to it; let the secondary take over: {take_over}"
    look = settings.topology.for_stack("secondary", "pulumi stack output serving -s secondary")
    return f"this region stands by; whether the secondary serves is not known, for no traffic flag can be read here; see: {look}"


def _next_of_a_switchover(settings: Settings, duties: Duties) -> str | None:
    """The next step of a planned switchover that this stack is in; None if it is in none, or in its last step."""
    role, peer = settings.role, peer_of(settings.role)
    # Each stack may have a backend of its own, so the output is read before the shell goes over to the other one.
    read, carry = f"handover=$(pulumi stack output handover -s {role})", f'pulumi config set handover "$handover" -s {peer}'
    if duties.hands_over:
        take = f"{carry} && pulumi config set active {peer} -s {peer} && pulumi up -s {peer}"
        return f"all has stopped here, and nobody serves until: {read} && {settings.topology.for_stack(peer, take)}"
    if settings.token and role == "primary":
        move = settings.topology.for_stack(peer, f"{carry} && pulumi up -s {peer}")
        return f"users are sent here only after (once, and before anything else): {read} && {move}"
    return None
