"""What the gate asks of the peer's backups: whether they are there, how old they are, and whether this cluster can take them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta

import pulumi

from components.failover import gate
from components.kube.cluster_api import ClusterApi
from components.kube.objection import Objection, judged
from components.velero import age, lacking, modifiers
from components.velero.arrival import Arrivals
from components.velero.files import BackupFiles
from components.velero.lacking import Standby
from components.velero.movers import Movers
from components.velero.selection import chosen
from settings.model import Settings
from settings.names import Names
from settings.roles import peer_of


def standby_of(settings: Settings, names: Names, named_backups: Mapping[str, str] | None = None) -> Standby:
    """What this region restores of its peer's backups when it takes over. `named_backups` are those of the handover token."""
    wanted, velero = chosen(settings.backups, settings.named_namespaces), settings.velero
    tolerated = [*settings.pods.tolerations, *velero.tolerations]
    return Standby(
        expected=age.expected_backups(names, wanted, named_backups),
        chosen=wanted,
        peer=peer_of(names.role),
        peer_region=names.peer_region,
        storage_classes=modifiers.storage_classes(velero, names.role),
        modified=bool(modifiers.own_rules(velero, names.role)),
        password=settings.repository_password,
        owners=settings.owner_passwords,
        movers=Movers(nodes=velero.data_movers.nodes, tolerations=tolerated) if velero.managed else None,
    )


class PeerBackups:
    """The peer's backups, as the gate of one `up` sees them."""

    def __init__(
        self,
        settings: Settings,
        names: Names,
        cluster: ClusterApi,
        files: BackupFiles,
        named_backups: Mapping[str, str] | None = None,
    ) -> None:
        """`named_backups` are those of the handover token, by entry, in a planned takeover."""
        self._standby = standby_of(settings, names, named_backups)
        self._cluster, self._files = cluster, files
        self._rpo = timedelta(seconds=settings.objectives.rpo_seconds)
        self._unknown: Sequence[str] = ()

    @property
    def arrivals(self) -> Arrivals:
        """The last backups that the token names, which are taken up as soon as S3 has brought them."""
        return Arrivals(cluster=self._cluster, files=self._files, choices=[each.choice for each in self._standby.expected])

    def objections(self, lived: Callable[[], datetime | None]) -> Iterator[Objection]:
        """Why they must not be restored now; nothing if nothing is against it. `lived` says when the primary last answered."""
        problems = gate.objections(self._cluster, [each.choice for each in self._standby.expected])
        yield from problems
        if not problems:
            yield from judged(lambda: age.objections(self._cluster, self._standby.expected, self._rpo, lived()), passing=True)

    def lacking(self) -> Iterator[Objection]:
        """What of them this cluster cannot take. No waiting changes it."""

        def ask() -> Sequence[str]:
            found = lacking.findings(self._cluster, self._files, self._standby)
            self._unknown = found.unknown
            return found.problems

        return judged(ask, passing=False)

    def tell(self) -> None:
        """Say, once the gate is open, how old they are, which newer one is passed over, and what could not be judged."""
        for text, passed_over in age.told(self._cluster, self._standby.expected):
            (pulumi.log.warn if passed_over else pulumi.log.info)(text)
        for text in self._unknown:
            pulumi.log.warn(text)
