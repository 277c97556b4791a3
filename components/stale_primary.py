"""The check for a stale primary. It stops the program before anything is registered."""

from __future__ import annotations

from collections.abc import Callable

import pulumi

from components.database.live import LiveDatabases, followers
from components.database.side_role import server_of
from components.failover.stopped import Stopped
from components.kube.runner.flag import Flag
from components.traffic.flag_object import FlagUnreadableError
from settings.model import Settings
from settings.roles import refusal


def refuse_stale_primary(
    settings: Settings, live: LiveDatabases, read_flag: Callable[[], Flag | None], stopped: Callable[[], Stopped | None]
) -> str | None:
    """Stop a primary that comes back after an outage while its standby has taken over. Raises pulumi.RunError. Returns the time
    of the flag that this run overrules, because a person has set `force`: the guard must not stop the region by it again.

    Every run asks, because nothing in this stack's configuration has changed. A preview that cannot read the flag only warns:
    it may run with a role that has no right to. A flag that does not answer blocks no primary, but one that its guard has
    stopped: that the other region is silent now does not undo what it has written. A token changes that only while the
    databases still follow: one by which they were promoted once says nothing of what has come since. A flag that was overruled
    before, and was not written anew since, is as if there were none.
    """
    if settings.role != "primary" or settings.serving_role != "primary":
        return None
    try:
        flag = read_flag()
    except FlagUnreadableError as error:
        if not pulumi.runtime.is_dry_run():
            raise pulumi.RunError(f"k8s-dr:active: {error}") from None
        pulumi.log.warn(f"{error}: whether the other region has taken over was not checked")
        return None
    takes_over = settings.token is not None and next(followers(settings, live), None) is not None
    if flag is None and not takes_over and (found := stopped()) and found.newest:
        if settings.force:
            return found.flag
        raise pulumi.RunError(
            "k8s-dr:active: primary: the guard has stopped this region, because the secondary region had taken over (by the "
            f"traffic flag of {found.flag}), and that flag cannot be read now; what the secondary has written since is not here. "
            "If it is lost for good, and this region shall serve with its old data (the guard then stops it by that flag no "
            "more): "
            "pulumi config set force true -s primary && pulumi up -s primary (docs/runbook.md, When region A comes back)"
        )
    reason = refusal(
        settings.role,
        settings.active,
        flag.active if flag else None,
        hands_over=bool(flag and flag.handover == "primary"),
        handover=settings.handover_now,
    )
    if reason:
        if flag and (found := stopped()) and found.overrules(flag.written):
            pulumi.log.warn(
                f"the traffic flag of {found.overruled} or before names the secondary region, and somebody has made this one "
                "serve since, with force; users go by the flag: write it anew (docs/traffic.md)"
            )
            return None
        raise pulumi.RunError(f"k8s-dr:active: primary: {reason}")
    return None


def refuse_to_give_up_alone(settings: Settings, live: LiveDatabases, read_flag: Callable[[], Flag | None]) -> None:
    """Raises pulumi.RunError in a primary whose database a person gives up while the traffic flag still names this region: nobody
    else has all that it has."""
    old = [server for each in live.values() if each and (server := server_of(each)) in settings.given_up]
    if settings.role != "primary" or not old:
        return
    try:
        flag = read_flag()
    except FlagUnreadableError as error:
        if not pulumi.runtime.is_dry_run():
            raise pulumi.RunError(f"k8s-dr:rejoin: {error}") from None
        pulumi.log.warn(f"{error}: whether the other region has taken over was not checked")
        return
    if flag is None or flag.active == "primary":
        says = "primary" if flag else "nothing that can be read now"
        raise pulumi.RunError(
            f"k8s-dr:rejoin: {old[0]} is not given up, because the secondary region is not known to have taken over (the traffic "
            f"flag says {says}), and may not have all that it has; run: pulumi config rm rejoin -s primary, and set "
            "k8s-dr:databases[].generations back; or let the secondary take over first"
        )
