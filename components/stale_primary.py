"""The check for a stale primary. It stops the program before anything is registered."""

from __future__ import annotations

from collections.abc import Callable

import pulumi

from components.kube.runner.flag import Flag
from components.traffic.flag_object import FlagUnreadableError
from settings.model import Settings
from settings.roles import refusal


def refuse_stale_primary(settings: Settings, read_flag: Callable[[], Flag | None]) -> None:
    """Stop a primary that comes back after an outage while its standby has taken over. Raises pulumi.RunError.

    Every run asks, because nothing in this stack's configuration has changed. A preview that cannot read the flag only warns:
    it may run with a role that has no right to.
    """
    if settings.role != "primary" or settings.serving_role != "primary":
        return
    try:
        flag = read_flag()
    except FlagUnreadableError as error:
        if not pulumi.runtime.is_dry_run():
            raise pulumi.RunError(f"k8s-dr:active: {error}") from None
        pulumi.log.warn(f"{error}: whether the other region has taken over was not checked")
        return
    if reason := refusal(settings.role, settings.active, flag.active if flag else None):
        raise pulumi.RunError(f"k8s-dr:active: primary: {reason}")
