"""What the gate asks of the peer's backups: whether they are there, how old they are, and whether this cluster can take them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

import pulumi

from components.database.objections import FORCE
from components.failover import gate
from components.kube.cluster_api import ClusterApi
from components.velero import age, lacking
from components.velero.files import BackupFiles
from components.velero.lacking import Standby
from components.velero.movers import Movers
from components.velero.selection import chosen
from settings.model import Settings
from settings.names import Names
from settings.roles import peer_of


def standby_of(settings: Settings, names: Names) -> Standby:
    """What this region restores of its peer's backups when it takes over."""
    wanted, peer, velero = chosen(settings.backups, settings.named_namespaces), peer_of(names.role), settings.velero
    return Standby(
        expected=age.expected_backups(names, wanted, peer),
        chosen=wanted,
        peer_region=names.peer_region,
        storage_classes=velero.storage_classes,
        modified=bool(velero.modifiers),
        password=settings.repository_password,
        movers=Movers(nodes=velero.data_movers.nodes, tolerations=velero.tolerations) if velero.managed else None,
    )


class PeerBackups:
    """The peer's backups, as the gate of one `up` sees them."""

    def __init__(self, settings: Settings, names: Names, cluster: ClusterApi, files: BackupFiles) -> None:
        self._standby = standby_of(settings, names)
        self._cluster, self._files = cluster, files
        self._force = settings.force
        self._rpo = timedelta(seconds=settings.objectives.rpo_seconds)
        self._unknown: Sequence[str] = ()

    def objections(self, lived: datetime | None) -> list[str]:
        """Why they must not be restored now; empty if nothing is against it. `lived` is when the primary last answered.

        `force` overrides what is a matter of judgement, but not what cannot work.
        """
        problems = gate.objections(self._cluster, [each.choice for each in self._standby.expected])
        if problems or self._force:
            return problems
        found = lacking.findings(self._cluster, self._files, self._standby)
        self._unknown = found.unknown
        judged = [*age.objections(self._cluster, self._standby.expected, self._rpo, lived), *found.problems]
        return [f"{problem}; {FORCE}" for problem in judged]

    def tell(self) -> None:
        """Say, once the gate is open, how old they are, which newer one is passed over, and what could not be judged."""
        for text, passed_over in age.told(self._cluster, self._standby.expected):
            (pulumi.log.warn if passed_over else pulumi.log.info)(text)
        for text in self._unknown:
            pulumi.log.warn(text)
