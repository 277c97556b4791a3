"""The databases as they live in this region's cluster, and what that makes of the settings and of the region's duties."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor

import pulumi

from components.database.archive import Archive
from components.database.side_role import Live, as_it_runs, is_given_up, refuse_another_generation, server_of
from components.database.specs import DatabaseSide
from components.kube.cluster_api import ClusterApi, ClusterUnreachableError
from components.kube.records import HANDOVER_RECORD, SERVING_RECORD
from components.kube.runner.fencing import follows
from settings.database import DatabaseSettings
from settings.handover import HandoverInvalidError, Token, parse
from settings.model import Settings
from settings.roles import Duties, duties, peer_of

LiveDatabases = Mapping[str, Live | None]
"""The Cluster of each database by the database's name; None where there is none."""

_AT_A_TIME = 16


def live_databases(cluster: ClusterApi, settings: Settings) -> LiveDatabases:
    """The databases' Clusters. Empty where the cluster does not answer: an `up` asks it before all else, and a preview changes
    nothing."""

    def read(database: DatabaseSettings) -> Live | None:
        return cluster.read_database(database.namespace, database.name)

    try:
        with ThreadPoolExecutor(_AT_A_TIME) as threads:
            return dict(zip((each.name for each in settings.databases), threads.map(read, settings.databases), strict=True))
    except ClusterUnreachableError:
        return {}


def settings_as_they_run(settings: Settings, live: LiveDatabases, does: Duties) -> Settings:
    """The settings with the generations under which the databases run. Raises AnotherGenerationError.

    In a region that serves nothing is given up: what is made anew there would begin empty.
    """
    given_up = frozenset[str]() if does.serves else settings.given_up
    runs = [as_it_runs(each, settings.role, live.get(each.name), given_up) for each in settings.databases]
    for wanted, each in zip(settings.databases, runs, strict=True):
        refuse_another_generation(wanted, each, settings.role, does)
    return settings.model_copy(update={"databases": runs})


def is_there(side: DatabaseSide, live: LiveDatabases) -> bool:
    """Whether the side's Cluster is there, under its generation."""
    found = live.get(side.settings.name)
    return found is not None and server_of(found) == side.settings.server(side.names.role)


def duties_now(settings: Settings, cluster: ClusterApi, archive: Archive, live: LiveDatabases) -> Duties:
    """What the region has to do. With `force` a region that gave up takes back what the other has not taken over, and a primary
    whose databases follow the secondary takes over without a token. Users who are here already are not held elsewhere."""
    role, forced = settings.role, settings.serving_role == settings.role and settings.force and not settings.token
    takes_back = forced and _gave_in_vain(settings, cluster, archive)
    succeeds = forced and role == "primary" and any(followers(settings, live)) and not takes_back
    return duties(
        role,
        settings.active,
        handover=settings.handover_now,
        hold=settings.hold and not _serves(cluster),
        succeeds=succeeds,
        takes_back=takes_back,
    )


def refuse_second_writer(settings: Settings, cluster: ClusterApi, does: Duties, live: LiveDatabases) -> None:
    """Raises pulumi.RunError in a region that would serve although it has given its token away, and in a primary that would write
    although its databases follow the secondary."""
    if not does.serves or settings.token or settings.force:
        return
    if _given(cluster) is not None:
        role, peer = settings.role, peer_of(settings.role)
        moved = {
            "primary": "pulumi config set active secondary -s primary",
            "secondary": "pulumi config set active primary -s secondary, and handover to what the primary prints",
        }
        raise pulumi.RunError(
            f"k8s-dr:active: {role}: this region has given up, and the {peer} may have taken over by its token (see: pulumi "
            f"stack output databases -s {peer}). If it has: {moved[role]}. If it never has, or is lost: pulumi config set force "
            f"true -s {role} && pulumi up -s {role}, and let nobody use that token any more"
        )
    if settings.role != "primary" or does.takes_over:
        return
    if name := next(followers(settings, live), None):
        raise pulumi.RunError(
            f"k8s-dr:active: primary: database {name} follows the secondary, which may serve. To move here in good order let "
            "that one give up: pulumi config set active primary -s secondary && pulumi config set handover planned -s secondary "
            "&& pulumi up -s secondary, and take what it prints: pulumi stack output handover -s secondary, to: pulumi config "
            "set handover … -s primary. If the secondary is lost, or has never taken over what this region gave: pulumi config "
            "set force true -s primary && pulumi up -s primary; what it has written and has not come here is lost then"
        )


def followers(settings: Settings, live: LiveDatabases) -> Iterator[str]:
    """The databases that follow the other region."""
    for name, found in live.items():
        if found is not None and server_of(found) and not is_given_up(found, settings.given_up) and follows(dict(found)):
            yield name


def _serves(cluster: ClusterApi) -> bool:
    try:
        return cluster.read_record(SERVING_RECORD) is not None
    except ClusterUnreachableError:
        return False


def _given(cluster: ClusterApi) -> Token | None:
    """The token that this region has given, as long as nobody has moved the users since."""
    try:
        token = parse((cluster.read_record(HANDOVER_RECORD) or {}).get("token", ""))
    except (HandoverInvalidError, ClusterUnreachableError):
        return None
    return token if isinstance(token, Token) else None


def _gave_in_vain(settings: Settings, cluster: ClusterApi, archive: Archive) -> bool:
    """Whether this region gave a token by which the other has promoted nothing, as its archive says."""
    token = _given(cluster)
    if token is None:
        return False
    for database in settings.databases:
        newest = archive.newest_segment(database.server(peer_of(settings.role)))
        if newest and database.name in token.databases and int(newest[:8], 16) > token.demotion(database.name).timeline:
            return False
    return True
