"""What a planned switchover asks, in the region that gives up and in the one that takes over."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta

import pulumi

from components.database.archive import Archive, ArchiveUnreadableError
from components.database.creation import objection_to_creation
from components.database.side_role import server_of
from components.database.specs import HEALTHY, DatabaseSide
from components.failover.duties import token_in
from components.kube.cluster_api import ClusterApi, ClusterUnreachableError
from components.kube.objection import Objection
from components.kube.records import HANDOVER_RECORD, SERVING_RECORD
from components.kube.runner.fencing import follows
from components.kube.runner.mark import Mark, position_of
from components.velero.claims import claims_in_the_way
from components.velero.selection import chosen
from settings.database import DatabaseSettings
from settings.handover import Token
from settings.model import Settings
from settings.roles import Role, peer_of

_SILENT = timedelta(minutes=10)
"""The other region marks its archive every two minutes, and S3 copies the mark."""

_BEHIND = 8
"""Segments that the other region may not have archived again yet: some minutes of a busy database, of one that asks each 30 s."""


def objections_to_giving_up(
    cluster: ClusterApi, archive: Archive, databases: Sequence[DatabaseSettings], role: Role
) -> Iterator[Objection]:
    """Why region `role` must not give up now: it does not serve, or a side is unwell. A switchover needs both regions well; one
    that begins with a sick one ends in an outage. `archive` is this region's, which has the other's marks."""
    peer = peer_of(role)
    instead = f"if the {role} region cannot serve on, it is a failover: pulumi config set active {peer} -s {peer}"
    if cluster.read_record(SERVING_RECORD) is None and cluster.read_record(HANDOVER_RECORD) is None:
        yield Objection(
            reason=f"the {role} region does not serve, so it has nothing to hand over; run: pulumi config rm handover -s {role}"
        )
        return
    for database in databases:
        live = cluster.read_database(database.namespace, database.name)
        if live is None or server_of(live) != database.server(role):
            yield Objection(reason=f"database {database.name} is not here as {database.server(role)}; {instead}")
            continue
        if follows(live):
            continue  # an earlier `up` has demoted it
        status = live.get("status") or {}
        if status.get("phase") != HEALTHY:
            yield Objection(
                reason=f"database {database.name} is not healthy: {status.get('phase', 'without a phase')}; {instead}",
                passing=True,
            )
        if reason := _not_archived(status):
            yield Objection(
                reason=f"database {database.name} archives nothing ({reason}), and its last WAL would not reach the {peer}",
                passing=True,
            )
        if database.standby:
            yield from against_the_peer(archive, database, role)


def objections_to_running_pods(cluster: ClusterApi, settings: Settings) -> Iterator[Objection]:
    """Why files would be lost: Pods that stand by in the region that gives up may write after its last backup, and keep their
    claims from being set aside when it takes over again."""
    wanted = chosen(settings.backups, settings.named_namespaces)
    for place, workload in enumerate(settings.workloads):
        if not workload.standby_replicas:
            continue
        claims = [
            name for each in wanted for namespace, name in claims_in_the_way(cluster, each) if namespace == workload.namespace
        ]
        if claims:
            yield Objection(
                reason=f"k8s-dr:workloads[{place}].standbyReplicas: {workload.standby_replicas} of them keep running here, and "
                f"namespace {workload.namespace} has claims ({', '.join(claims[:3])}): what they write after the last backup is "
                "lost; stop those that write files first, or keep these in an entry of their own with standbyReplicas: 0",
                judgement=True,
                stack=settings.role,
            )


def _not_archived(status: dict[str, object]) -> str | None:
    conditions = status.get("conditions")
    for each in conditions if isinstance(conditions, list) else ():
        if each.get("type") == "ContinuousArchiving" and each.get("status") == "False":
            return " ".join(str(each.get("message") or "no reason is given").split())
    return None


def against_the_peer(
    archive: Archive, database: DatabaseSettings, role: Role, *, late: timedelta = timedelta(0)
) -> Iterator[Objection]:
    """Why the other region's side could not take over, by what it archives. Its marks are in this region's bucket, as everything
    that it archives.

    A side that lacks many segments is not behind if these were archived within `late`: a busy database fills them in a minute.
    """
    try:
        reason = _not_followed(archive, database, role, late)
    except ArchiveUnreadableError as error:
        reason = str(error)
    if reason:
        yield Objection(reason=reason, judgement=True, passing=True, stack=role)


def _not_followed(archive: Archive, database: DatabaseSettings, role: Role, late: timedelta) -> str | None:
    peer, server = peer_of(role), database.server(peer_of(role))
    look = f"look at it: kubectl get cluster.postgresql.cnpg.io {database.name} -n {database.namespace}, in the {peer} region"
    theirs, own = archive.mark(server), archive.mark(database.server(role))
    # A mark is up to two minutes old, and a switchover may be younger.
    newest = max(archive.newest_segment(server) or "", (theirs.segment if theirs else None) or "")
    if not speaks(theirs):
        when = f"last said at {theirs.written:%Y-%m-%dT%H:%M:%SZ}" if theirs else "has never said here"
        return (
            f"database {database.name}: the {peer}'s side {when} what it has archived, so nobody knows that it could "
            f"take over; {look}"
        )
    if not own or not own.segment or not newest:
        return None
    if newest[:8] < own.segment[:8]:
        return (
            f"database {database.name}: the {peer}'s side is on an older timeline ({newest}) than this one "
            f"({own.segment}), so it has not followed since this one was promoted, and may never; {look}"
        )
    if position_of(own.segment) - position_of(newest) <= _BEHIND:
        return None
    if late and archive.backlog(database.server(role), server) <= late:
        return None
    return f"database {database.name}: the {peer}'s side has replayed to {newest}, and this one is at {own.segment}; {look}"


def is_silent(archive: Archive, databases: Sequence[DatabaseSettings], role: Role) -> bool:
    """Whether the other region's side of every database that has one is silent, as in an outage of that region. Where there is no
    such database, or the archive cannot be read, nobody knows."""
    try:
        marks = [archive.mark(database.server(peer_of(role))) for database in databases if database.standby]
    except ArchiveUnreadableError:
        return False
    return bool(marks) and not any(map(speaks, marks))


def speaks(mark: Mark | None) -> bool:
    """Whether a mark is there and is new, so that the region that wrote it lives."""
    return mark is not None and datetime.now(UTC) - mark.written <= _SILENT


def objections_to_the_token(
    cluster: ClusterApi, archive: Archive, sides: Sequence[DatabaseSide], token: Token
) -> Iterator[Objection]:
    """Why databases must not be promoted by this token now: its last WAL has not come yet, or the token is not of their present
    end. A promotion by a wrong one would make the Cluster unrecoverable. One without a standby needs a base backup too."""
    peer = token.given_by
    for side in sides:
        settings = side.settings
        live = cluster.read_database(settings.namespace, settings.name)
        replica = ((live or {}).get("spec") or {}).get("replica") or {}
        if settings.name not in token.databases:
            if live is not None and follows(live):
                yield Objection(
                    reason=f"database {settings.name}: the token has nothing of it, and it follows the {peer}: let the {peer} "
                    f"give up again with it: pulumi up -s {peer}, and take its token anew"
                )
            continue
        if replica.get("promotionToken") == token.databases[settings.name]:
            continue  # an earlier `up` has promoted it by this one
        demotion, server = token.demotion(settings.name), settings.server(peer)
        system = str(((live or {}).get("status") or {}).get("systemID") or demotion.system)
        again = f"let the {peer} give up again: pulumi up -s {peer}, and take its token anew"
        if system != demotion.system:
            yield Objection(
                reason=f"database {settings.name}: the token is of a database with system identifier {demotion.system}, and this "
                f"one has {system}: it is foreign; {again}"
            )
            continue
        try:
            # It would be made in the middle of the takeover, with users waiting.
            recovered = side.database_role == "recovered"
            unmade = objection_to_creation(cluster, archive, archive, settings, side.names.role) if recovered else None
            newest = archive.newest_segment(server)
        except ArchiveUnreadableError as error:
            yield Objection(reason=str(error), passing=True)
            continue
        if unmade:
            yield unmade
        if newest is None or (int(newest[:8], 16), position_of(newest)) < (demotion.timeline, position_of(demotion.segment)):
            yield Objection(
                reason=f"database {settings.name}: its last WAL segment {demotion.segment} is not in this region's bucket yet "
                f"(the newest of {server} is {newest or 'none'})",
                passing=True,
            )
        elif int(newest[:8], 16) > demotion.timeline:
            # Whoever may write to the other region's bucket may have written the segment, but not what is replayed here.
            replayed = int(((live or {}).get("status") or {}).get("timelineID") or 0) > demotion.timeline
            yield Objection(
                judgement=not replayed,
                stack=side.names.role,
                reason=f"database {settings.name}: the {peer} has written on since it gave this token (its newest segment is "
                f"{newest}): the token is stale; {again}; or, if the {peer} is lost: pulumi config rm handover -s "
                f"{side.names.role} && pulumi up -s {side.names.role}",
            )


def refuse_false_receipt(settings: Settings, cluster: ClusterApi) -> None:
    """Raises pulumi.RunError in a secondary that has given up and would move users to the primary, if that one has not taken over
    by this region's own token: users would be sent where their data are not."""
    if (
        settings.role != "secondary"
        or settings.serving_role == "secondary"
        or settings.handover_now == "planned"
        or settings.force
    ):
        return
    try:
        record = cluster.read_record(HANDOVER_RECORD)
    except ClusterUnreachableError as error:
        if not pulumi.runtime.is_dry_run():
            raise pulumi.RunError(f"{error}; nothing was touched") from None
        return
    if record is None:
        return  # an earlier `up` has moved the users
    if settings.handover_now is None:
        raise pulumi.RunError(
            "k8s-dr:handover: is not set, and this region has handed over to the primary, which may not have taken over yet; "
            "users stay here. Let the primary take over by its token, and take what it prints: "
            'pulumi config set handover "$(pulumi stack output handover -s primary)" -s secondary && pulumi up -s secondary; or '
            "take back what was given: pulumi config set active secondary -s secondary && pulumi config set force true -s "
            "secondary && pulumi up -s secondary"
        )
    given = token_in(record)
    if given is None or given.receipt != settings.handover:
        raise pulumi.RunError(
            f"k8s-dr:handover: {settings.handover} is no receipt of the token that this region has given; users stay here. Let "
            "the primary take over by it, and take what it prints: "
            'pulumi config set handover "$(pulumi stack output handover -s primary)" -s secondary && pulumi up -s secondary'
        )
