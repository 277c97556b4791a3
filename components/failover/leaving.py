"""Whether a region may leave service without a handover. One rule for both roles; the pipeline's part of it is
`scripts/moves_nobody.py`.

A stack file of yesterday sends users of the secondary to a region that may be dead, and leaves behind what they wrote here
since. And `active: secondary` that is meant for the other stack has the primary stop while nobody takes its place.
"""

from __future__ import annotations

from collections.abc import Callable

from components.failover.stopped import last_stop
from components.kube.cluster_api import ClusterApi
from components.kube.objection import Objection
from components.kube.records import HANDOVER_RECORD, SERVING_RECORD
from components.kube.runner.flag import Flag
from components.traffic.flag_object import FlagUnreadableError
from settings.model import Settings
from settings.roles import Role, peer_of


def objection_to_leaving(cluster: ClusterApi, settings: Settings, read_flag: Callable[[], Flag | None]) -> Objection | None:
    """Why this region must not begin to stand by; None if it may. Raises ClusterUnreachableError.

    It may where it does not serve: a first deployment, a failover that ended before users came, or one that has given up. It may
    where the other region serves, by the traffic flag; and where nobody can read the flag, as after the death of the secondary
    region, if this region's own guard has read it last and has stopped this one. Whoever knows better has `force`.
    """
    role, peer = settings.role, peer_of(settings.role)
    serves = cluster.read_record(SERVING_RECORD) is not None
    if settings.handover_now == "receipt" and cluster.read_record(HANDOVER_RECORD) is not None:
        return None  # whose receipt it is, is asked before anything else (`refuse_false_receipt`)
    if role == "primary" and not serves:
        return None
    unread = "it is not there, or its region does not answer"
    try:
        flag = read_flag()
    except FlagUnreadableError as error:
        flag, unread = None, str(error)
    if flag is None:
        if not serves or ((stopped := last_stop(cluster)) and stopped.newest):
            return None
        return Objection(reason=_unknown(role, unread), judgement=True, stack=role)
    if flag.active == peer and (flag.handover != role or not serves):
        return None
    # The flag names the secondary only once users were sent to it, so it counts without the record too: an `up` that was killed
    # between the two has left none.
    says = f"the traffic flag says {flag.active}" + (f", and that the {role} takes its place" if flag.handover == role else "")
    return Objection(reason=_serves(role, says), judgement=True, stack=role)


def _serves(role: Role, says: str) -> str:
    peer = peer_of(role)
    planned = f"pulumi config set handover planned -s {role} && pulumi up -s {role} (docs/runbook.md, Switchover)"
    serves = f"k8s-dr:active: {peer}: this region serves ({says}), and has not handed over"
    if role == "secondary":
        return (
            f"{serves}: users would be sent to the {peer} region, alive or dead, and what was written here would stay behind. "
            f"Keep it serving: pulumi config set active {role} -s {role}; to move users in good order: {planned}"
        )
    return (
        f"{serves}: it would stop, and nobody would serve. Put active back as it was: pulumi config rm active -s {role}; if the "
        f"{role} region is lost, the other stack fails over: pulumi config set active {peer} -s {peer} && pulumi up -s {peer}; "
        f"to move users in good order: {planned}"
    )


def _unknown(role: Role, unread: str) -> str:
    peer = peer_of(role)
    back = f"set active {role}" if role == "secondary" else "rm active"
    return (
        f"k8s-dr:active: {peer}: this region serves by its own record, and whether the {peer} has taken over is not known, for "
        f"the traffic flag cannot be read ({unread}): if it has not, nobody would serve. Make sure that the {peer} serves; if it "
        f"does not: pulumi config {back} -s {role}"
    )
