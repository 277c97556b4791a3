"""What the region has to do now: by its settings, and by what it has given, taken and promoted already.

A switchover and the takeover of a lost region have steps that leave nothing to see once they are done, so the cluster remembers
them (`components/velero/memory.py`). What cannot be read is never taken for nothing: an `up` stops there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import TypeVar

import pulumi

from components.database.archive import Archive, ArchiveUnreadableError
from components.database.live import LiveDatabases, followers
from components.kube.cluster_api import ClusterApi, ClusterUnreachableError
from components.kube.records import HANDOVER_RECORD, SERVING_RECORD
from components.velero.choice import started_of
from components.velero.memory import SUCCEEDED, TAKEN_BACK, way_of
from components.velero.specs import PEER
from settings.handover import HandoverInvalidError, Token, parse
from settings.model import Settings
from settings.roles import Duties, duties, peer_of

Answer = TypeVar("Answer")


def duties_now(settings: Settings, cluster: ClusterApi, archive: Archive, live: LiveDatabases) -> Duties:
    """What the region has to do. With `force` a region that gave up takes back what the other has not taken over, and a primary
    whose databases follow the secondary takes over without a token; either stays so as long as it serves. Users who are here
    already are not held elsewhere. Raises pulumi.RunError where it cannot be known."""
    role, serves = settings.role, settings.serving_role == settings.role
    succeeds = takes_back = False
    if serves and settings.active is not None and not settings.token:
        way = _asked(lambda: way_of(cluster), "")
        succeeds, takes_back = way == SUCCEEDED, way == TAKEN_BACK
        if settings.force and not way:
            takes_back = _asked(lambda: _gave_in_vain(settings, cluster, archive, live), False)
            succeeds = role == "primary" and any(followers(settings, live)) and not takes_back
    return duties(
        role,
        settings.active,
        handover=settings.handover_now,
        hold=settings.hold and not _asked(lambda: cluster.read_record(SERVING_RECORD) is not None, False),
        succeeds=succeeds,
        takes_back=takes_back,
    )


def _asked(ask: Callable[[], Answer], unknown: Answer) -> Answer:
    """What `ask` answers. Raises pulumi.RunError if nobody answers; a preview, which changes nothing, goes on with `unknown`."""
    try:
        return ask()
    except (ClusterUnreachableError, ArchiveUnreadableError) as error:
        if not pulumi.runtime.is_dry_run():
            raise pulumi.RunError(f"{error}; nothing was touched") from None
        return unknown


def refuse_second_writer(settings: Settings, cluster: ClusterApi, does: Duties, live: LiveDatabases) -> None:
    """Raises pulumi.RunError in a region that would serve although it has given its token away, and in a primary that would write
    although its databases follow the secondary."""
    if not does.serves or settings.token or settings.force:
        return
    if _asked(lambda: given(cluster), None) is not None:
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


def given(cluster: ClusterApi) -> Token | None:
    """The token that this region has given, as long as nobody has moved the users since."""
    return token_in(cluster.read_record(HANDOVER_RECORD) or {})


def token_in(record: Mapping[str, str]) -> Token | None:
    """The token that the record of a handover holds; None where it holds none that can be read."""
    try:
        token = parse(record.get("token", ""))
    except HandoverInvalidError:
        return None
    return token if isinstance(token, Token) else None


def _gave_in_vain(settings: Settings, cluster: ClusterApi, archive: Archive, live: LiveDatabases) -> bool:
    """Whether this region has begun to give up, or has given a token, and the other has taken nothing over by it: it has promoted
    no database, and backed nothing up since."""
    token = given(cluster)
    if token is None:
        # It has demoted, and died or failed before it had a token to give.
        return cluster.read_record(SERVING_RECORD) is not None and any(followers(settings, live))
    for database in settings.databases:
        newest = archive.newest_segment(database.server(peer_of(settings.role)))
        if newest and database.name in token.databases and int(newest[:8], 16) > token.demotion(database.name).timeline:
            return False
    backups = cluster.list_velero("backups") or []
    last = max((started_of(each) for each in backups if each["metadata"]["name"] in token.backups.values()), default="")
    theirs = [started_of(each) for each in backups if (each.get("spec") or {}).get("storageLocation") == PEER]
    return not last or not any(_time(each) > _time(last) for each in theirs if each)


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text.replace("Z", "+00:00"))
