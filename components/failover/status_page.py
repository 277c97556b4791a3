"""Tells a status page that users were moved: by the `up` that moved them, after it has, and once.

That is the takeover itself. On the planned way back the flag is the secondary's, and users move when that one gets the primary's
receipt: so the secondary tells it, and not the primary, which serves before anybody comes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime

import pulumi

from components.kube.runner.receiver import SECONDS, tell
from settings.model import Settings
from settings.names import Names
from settings.roles import Duties, Role

MUST_NOT_FAIL = pulumi.ResourceHookOptions(ignore_errors=True)
"""For a hook that only tells: whatever happens in it, the failover goes on."""


class StatusPage:
    """The webhook of one region (`receivers.statusPage`). The URL is in no input of a resource, and so in no state or plan."""

    def __init__(self, settings: Settings, names: Names, duties: Duties) -> None:
        self._settings, self._names = settings, names
        url = settings.receivers.status_page
        self._url = url.get_secret_value() if url else None
        by_token = settings.handover_now == "token"
        # A region that takes back what it has given moves nobody.
        self._takes_users = duties.takes_over and duties.restores and (settings.role == "secondary" or not by_token)
        self._sends_users = settings.role == "secondary" and settings.handover_now == "receipt"

    def after_the_record(self, name: str) -> Sequence[pulumi.ResourceHook]:
        """Of the record that a region which takes over makes once users may come."""

        async def serves(hook: pulumi.ResourceHookArgs) -> None:
            event = "switchover" if self._settings.handover_now == "token" else "failover"
            await self._tell(self._settings.role, (hook.new_outputs or {})["metadata"]["creationTimestamp"], event)

        return [pulumi.ResourceHook(f"{name}-status-page", serves, MUST_NOT_FAIL)] if self._url and self._takes_users else []

    def after_the_flag(self, name: str) -> Sequence[pulumi.ResourceHook]:
        """Of the flag, by which a secondary that has handed over sends users to the primary."""

        async def sent(_: pulumi.ResourceHookArgs) -> None:
            await self._tell("primary", datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"), "switchover")

        return [pulumi.ResourceHook(f"{name}-status-page", sent, MUST_NOT_FAIL)] if self._url and self._sends_users else []

    async def _tell(self, role: Role, since: str, event: str) -> None:
        """Within seconds. Users are where they shall be: what goes wrong is a warning."""
        region, hosts = self._names.topology.region(role), self._settings.dns.names
        document = {
            "event": event,
            "role": role,
            "region": region,
            "since": since,
            "organization": self._names.topology.organization,
            "names": hosts,
            "text": f"{', '.join(hosts)}: served from {region} since {since} ({event})",
        }
        wrong = await asyncio.to_thread(tell, {"page": self._url or ""}, document, seconds=SECONDS)
        if wrong:
            pulumi.log.warn(f"the status page was not told that {region} serves: {wrong['page']}; tell it by hand")
