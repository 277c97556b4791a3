"""Whether the other region follows this one, which serves: asked by day, in each `up` of the region that serves.

If this region dies, the other one has what it has followed by then. Nothing else here looks at it: the gate, and what a standby
asks by day, look the other way.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

from components.database.archive import Archive, ArchiveUnreadableError
from components.database.lost import QUIET
from components.failover.handover import against_the_peer, speaks
from settings.database import DatabaseSettings
from settings.names import PROGRAM_NAMESPACE
from settings.roles import Role, peer_of

SETTLES = timedelta(minutes=15)
"""How long after a takeover nothing is said. Who gave up in good order has replayed the new timeline by then, S3 has copied the
marks, and of a region that is dead the output `next` says in the meantime that there is one copy."""

_AT_A_TIME = 8
_NAMED = 3


@dataclass(frozen=True, kw_only=True)
class Following:
    """What the marks and the WAL in this region's bucket say of the other region's databases."""

    role: Role
    """The region that serves, and asks."""

    asked: Sequence[str]
    """The databases that have a side there."""

    against: dict[str, str]
    """Why one of them does not follow, or why nobody knows, by the database's name."""

    @property
    def all_follow(self) -> bool | None:
        """Whether all of them follow; None where there are none, and nobody can see."""
        return not self.against if self.asked else None

    def warnings(self, since: str | None, now: datetime) -> list[str]:
        """One line, however many do not follow; none where all do. `since` is when this region began to serve, in RFC 3339."""
        if not self.against or (since and now - datetime.fromisoformat(since) < SETTLES):
            return []
        (_, reason), *rest = self.against.items()
        names = [name for name, _ in rest]
        shown = ", ".join([*names[:_NAMED], *(["…"] if names[_NAMED:] else [])])
        more = f"; nor is it known that {len(names)} more follow: {shown}" if names else ""
        return [
            f"{reason}{more}; until the {peer_of(self.role)} follows, what is written here may have no other copy "
            "(docs/recovery.md, While there is one copy)"
        ]


def following(archive: Archive, databases: Sequence[DatabaseSettings], role: Role, rpo: timedelta) -> Following:
    """Asks it of each database that has a standby, for region `role`, whose archive this is. It never raises for an archive that
    cannot be read: then nobody knows."""
    asked = [database for database in databases if database.standby]
    ask = partial(_reason, archive, role, max(rpo, QUIET))
    with ThreadPoolExecutor(_AT_A_TIME) as threads:
        reasons = list(threads.map(ask, asked))
    against = {database.name: reason for database, reason in zip(asked, reasons, strict=True) if reason}
    return Following(role=role, asked=[database.name for database in asked], against=against)


def _reason(archive: Archive, role: Role, late: timedelta, database: DatabaseSettings) -> str | None:
    """Why the other side of one database does not follow, or why nobody knows. A switchover that finds nothing to compare goes on
    to ask the databases themselves; here nothing else is asked."""
    for each in against_the_peer(archive, database, role, late=late):
        return each.reason
    peer, server = peer_of(role), database.server(peer_of(role))
    try:
        theirs, own = archive.mark(server), archive.mark(database.server(role))
        nothing = own is not None and own.segment and not (theirs and theirs.segment) and not archive.newest_segment(server)
    except ArchiveUnreadableError as error:
        return str(error)
    if not speaks(own):
        return (
            f"database {database.name}: this region has not marked for ten minutes what it has archived, so nobody knows whether "
            f"the {peer}'s side follows; see: kubectl logs -n {PROGRAM_NAMESPACE} -l app.kubernetes.io/name=freshness"
        )
    if nothing:
        return (
            f"database {database.name}: the {peer}'s side has archived nothing yet, so nobody knows that it follows; look at it: "
            f"kubectl get cluster.postgresql.cnpg.io {database.name} -n {database.namespace}, in the {peer} region"
        )
    return None
