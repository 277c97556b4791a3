"""A lab whose secondary sees the primary's backups as soon as they are there, for tests that measure no such wait."""

from __future__ import annotations

import json
from contextlib import suppress

from components.velero.specs import PEER, VELERO_NAMESPACE
from lab.waiting import TimedOutError
from lab.world import Lab

_FORGET = json.dumps({"status": {"lastSyncedTime": None}})
_IN = ("-n", VELERO_NAMESPACE)


class PromptLab(Lab):
    """Velero looks for the peer's backups at its start, and then once a minute: a constant of its own.

    Here it is started again instead of waited for. The demo's lab waits, because its users would.
    """

    def wait_backed_up(self) -> None:
        if not self._synced():
            with suppress(TimedOutError):  # a client that writes all the time may leave no moment without an object that waits
                self.wait_replicated(timeout=30)
            # Otherwise it looks, and finds that it has looked a moment ago. Whatever it sees from now on is everything.
            self.kubectl("secondary", "patch", "backupstoragelocations.velero.io", PEER, *_IN, "--type=merge", "-p", _FORGET)
            self.kubectl("secondary", "delete", "pod", *_IN, "-l", "deploy=velero", "--grace-period=1", "--timeout=60s")
            self.kubectl("secondary", "rollout", "status", "deployment/velero", *_IN, "--timeout=120s")
        super().wait_backed_up()
