"""What a failover needs, tried by day: each `up` that is no failover asks, and says what would go wrong on the night.

Nothing here fails an `up`. What could not be asked is said too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from components.database import operator_version, promotion
from components.database.specs import DatabaseSide
from components.failover import questions
from components.kube.cluster_api import ClusterApi, ClusterUnreachableError
from settings.model import Settings
from settings.roles import Duties


def warnings(
    cluster: ClusterApi, settings: Settings, duties: Duties, sides: Sequence[DatabaseSide], arriving: Callable[[], bool]
) -> list[str]:
    """What a failover to this region, or the users of it, would meet now: one line each, and nothing where all is well.
    `arriving` tells whether users may still be on their way to the primary."""
    told: list[str] = []
    try:
        for line in _tried(cluster, settings, duties, sides, arriving):
            told.append(line)
    except ClusterUnreachableError as error:
        told.append(f"whether a failover would work was not tried to the end: {error}")
    return told


def _tried(
    cluster: ClusterApi, settings: Settings, duties: Duties, sides: Sequence[DatabaseSide], arriving: Callable[[], bool]
) -> Iterator[str]:
    if settings.role == "secondary" and not duties.serves and settings.databases:
        yield from questions.primary_by_day(cluster, settings, arriving)
        yield from promotion.warnings_by_day(cluster, sides)
    if duties.serves:
        yield from questions.checks_by_day(cluster, settings)
    if questions.runs_something(settings, serves=duties.serves):
        yield from questions.endpoint_by_day(cluster, settings)
    if settings.databases:
        yield from operator_version.old_operators(cluster)
