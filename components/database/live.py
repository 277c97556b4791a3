"""The databases as they live in this region's cluster, and what that makes of the settings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor

import pulumi

from components.database.side_role import (
    Live,
    another_generation,
    as_it_runs,
    is_given_up,
    refuse_another_generation,
    server_of,
)
from components.database.specs import DatabaseSide
from components.kube.cluster_api import ClusterApi, ClusterUnreachableError
from components.kube.runner.fencing import follows
from settings.database import DatabaseSettings
from settings.model import Settings
from settings.roles import Duties

LiveDatabases = Mapping[str, Live | None]
"""The Cluster of each database by the database's name; None where there is none."""

_AT_A_TIME = 16


def live_databases(cluster: ClusterApi, settings: Settings) -> LiveDatabases:
    """The databases' Clusters. Raises pulumi.RunError if the cluster does not answer; a preview, which changes nothing, goes
    on as if there were none."""

    def read(database: DatabaseSettings) -> Live | None:
        return cluster.read_database(database.namespace, database.name)

    try:
        with ThreadPoolExecutor(_AT_A_TIME) as threads:
            return dict(zip((each.name for each in settings.databases), threads.map(read, settings.databases), strict=True))
    except ClusterUnreachableError as error:
        if not pulumi.runtime.is_dry_run():
            raise pulumi.RunError(f"{error}; nothing was touched") from None
        return {}


def settings_as_they_run(settings: Settings, live: LiveDatabases, does: Duties) -> Settings:
    """The settings with the generations under which the databases run. Raises AnotherGenerationError. Where a region stands by, a
    generation by which nothing is made anew is a warning.

    In a region that serves nothing is given up: what is made anew there would begin empty.
    """
    given_up = frozenset[str]() if does.serves else settings.given_up
    runs = [as_it_runs(each, settings.role, live.get(each.name), given_up) for each in settings.databases]
    for wanted, each in zip(settings.databases, runs, strict=True):
        refuse_another_generation(wanted, each, settings.role, does)
        if told := another_generation(wanted, each, settings.role, given_up):
            pulumi.log.warn(told)
    return settings.model_copy(update={"databases": runs})


def is_there(side: DatabaseSide, live: LiveDatabases) -> bool:
    """Whether the side's Cluster is there, under its generation."""
    found = live.get(side.settings.name)
    return found is not None and server_of(found) == side.settings.server(side.names.role)


def followers(settings: Settings, live: LiveDatabases) -> Iterator[str]:
    """The databases that follow the other region."""
    for name, found in live.items():
        if found is not None and server_of(found) and not is_given_up(found, settings.given_up) and follows(dict(found)):
            yield name
