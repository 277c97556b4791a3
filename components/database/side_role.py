"""Which role a region's side of a database has now, and under which generation it runs, by what lives in the region's cluster.

The settings say what the region has to do, and the Cluster says what there is to do it with: whose WAL it holds, and whether it
follows the other region. Neither alone is enough. A primary that stands by is fenced if it still has data of its own time, and
goes on following if it follows already.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import pulumi

from components.kube.runner.fencing import FENCED, fences_all, follows
from settings.database import DatabaseSettings
from settings.roles import DatabaseRole, Duties, Role

Live = Mapping[str, Any]

GIVEN_UP = "k8s-dr/given-up"
"""Annotation of a Cluster that a person gives up: its server name. The same change has taken off the engine's protection, without
which the engine would not let go of it."""


class AnotherGenerationError(pulumi.RunError):
    """A generation was raised for a database that is in use."""


def server_of(live: Live) -> str | None:
    """The server name under which a live Cluster archives."""
    for plugin in (live.get("spec") or {}).get("plugins") or ():
        if name := (plugin.get("parameters") or {}).get("serverName"):
            return str(name)
    return None


def is_given_up(live: Live, given_up: Collection[str]) -> bool:
    """Whether the live Cluster is one that a person gives up, and the engine has let go of it."""
    server = server_of(live)
    return server in given_up and _annotation(live, GIVEN_UP) == server


def _annotation(live: Live, name: str) -> str | None:
    found = ((live.get("metadata") or {}).get("annotations") or {}).get(name)
    return None if found is None else str(found)


def as_it_runs(settings: DatabaseSettings, role: Role, live: Live | None, given_up: Collection[str]) -> DatabaseSettings:
    """The settings with the generation under which region `role`'s side runs, until a person has given that side up."""
    server = server_of(live) if live else None
    if live is None or server is None or server == settings.server(role) or is_given_up(live, given_up):
        return settings
    member, _, generation = server.rpartition("-g")
    if member != settings.member(role) or not generation.isdecimal():
        return settings
    return settings.model_copy(update={"generations": settings.generations.model_copy(update={role: int(generation)})})


def refuse_another_generation(wanted: DatabaseSettings, runs: DatabaseSettings, role: Role, duties: Duties) -> None:
    """Raises AnotherGenerationError where the side takes writes: its WAL would go where no base backup is."""
    old, new = runs.server(role), wanted.server(role)
    if duties.serves and old != new:
        raise AnotherGenerationError(
            f"database {wanted.name}: {old} runs, and cannot go on as {new}: a generation is raised only for a "
            "database that is made anew, in a region that stands by; set k8s-dr:databases[].generations back, and if rejoin "
            f"names it: pulumi config rm rejoin -s {role}"
        )


def another_generation(wanted: DatabaseSettings, runs: DatabaseSettings, role: Role, given_up: Collection[str]) -> str | None:
    """What to tell whoever has written a generation under which no side is made, because the one that is here goes on and nobody
    gives it up. None where the side runs as it is written."""
    old, new, written = runs.server(role), wanted.generations.of(role), runs.generations.of(role)
    if new == written or old in given_up:
        return None
    anew = f"; to make it anew: pulumi config set rejoin {old} -s {role} && pulumi up -s {role}" if new > written else ""
    return (
        f"k8s-dr:databases[].generations.{role}: {new} of database {wanted.name} makes nothing anew: {old} is here, and nobody "
        f"has given it up; put the generation back: {written}{anew}"
    )


def role_now(settings: DatabaseSettings, role: Role, duties: Duties, live: Live | None) -> DatabaseRole:
    """The role of region `role`'s side. `live` is its Cluster; None where there is none, or where nobody can tell.

    `settings` are those under which it runs (`as_it_runs`).
    """
    ours = live is not None and server_of(live) == settings.server(role)
    followed = live is not None and ours and follows(dict(live))
    # One that follows although its tier keeps no standby has given up in a planned switchover, and is promoted like any other.
    meant = duties.database_role(standby=settings.standby or followed or (ours and _promoted_by_token(live)))
    if duties.serves:
        return meant
    if duties.hands_over and not (followed and not _token_of(live)):
        return "demoted" if ours else _made_anew(settings)
    if followed:
        return "replica"
    if role == "secondary":
        # The guard has fenced it, because the primary has taken over while this region was away.
        return "fenced" if live is not None and ours and fences_all(_annotation(live, FENCED)) else meant
    if (live is not None and not ours) or (live is None and settings.generations.of(role) > 1):
        return _made_anew(settings)
    return "fenced"


def _promoted_by_token(live: Live | None) -> bool:
    """Whether the Cluster is promoted by a token, or was: the operator needs it until the promotion is complete."""
    return bool((((live or {}).get("spec") or {}).get("replica") or {}).get("promotionToken"))


def _token_of(live: Live | None) -> str | None:
    """The demotion token of a Cluster that has given up. One that was made as a follower has none, and never will."""
    token = ((live or {}).get("status") or {}).get("demotionToken")
    return str(token) if token else None


def _made_anew(settings: DatabaseSettings) -> DatabaseRole:
    return "replica" if settings.standby else "absent"
