"""Whether this region's side of a database can be made now. Each of its parts asks before it is created."""

from __future__ import annotations

from components.database.archive import Archive, ArchiveUnreadableError, LiveArchive
from components.database.objections import objection_to_creation
from components.kube.cluster_api import ClusterApi, ClusterUnreachableError
from settings.aws import Aws
from settings.database import DatabaseSettings
from settings.names import Names
from settings.roles import DatabaseRole


class CreationRefusedError(Exception):
    """The database must not be made now; the message says why, and what to run."""


def refuse_creation(
    settings: DatabaseSettings, database_role: DatabaseRole, names: Names, cluster: ClusterApi, archive: Archive, aws: Aws
) -> None:
    """Raise CreationRefusedError if the side cannot be made now. `archive` is the one in this region's bucket.

    A secondary's side is made from the primary's archive: from its replica in this region's bucket or, where the settings say so,
    from the primary's own bucket. While the side is absent nothing is made from an archive.
    """
    source = archive if database_role != "absent" else None
    if names.role == "secondary" and settings.source == "primary-bucket":
        source = LiveArchive(names.peer_bucket("database"), names.peer_region, aws)
    try:
        reason = objection_to_creation(cluster, archive, source, settings, names.role)
    except (ArchiveUnreadableError, ClusterUnreachableError) as error:
        reason = f"database {settings.name} cannot be made: {error}"
    if reason:
        raise CreationRefusedError(reason)
