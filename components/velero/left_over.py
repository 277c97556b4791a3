"""What a person wrote to an entry of `backups` for one failover, and left there: it works in the next one too.

`from` restores a Backup that grows older each day, and `existing` leaves the files of an earlier time where the other region's
shall come.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence

from components.kube.cluster_api import ClusterApi, ClusterUnreachableError
from components.kube.objection import Objection
from components.velero.age import Expected, newest_completed, of_the_named
from components.velero.claims import claims_in_the_way
from components.velero.selection import Chosen
from settings.backup import Backup
from settings.roles import Role


def warnings_by_day(cluster: ClusterApi, backups: Sequence[Backup], expected: Sequence[Expected]) -> list[str]:
    """The entries that still have `from` or `existing`, a line each, with how old what it means is."""
    try:
        return list(_left_over(cluster, backups, {each.entry: each for each in expected}))
    except ClusterUnreachableError as error:
        return [f"how old the peer's backups are is not known: {error}"]


def _left_over(cluster: ClusterApi, backups: Sequence[Backup], expected: dict[str, Expected]) -> Iterator[str]:
    for place, backup in enumerate(backups):
        of = expected.get(backup.name)
        if backup.from_ and of:
            still = _still(place, backup, "from")
            yield f"{still}, which the next failover restores: {of_the_named(cluster, of)}; {_take_out('from')}"
        if backup.existing and of:
            yield (
                f"{_still(place, backup, 'existing')}, by which the next failover or switchover leaves claims that are here with "
                f"the files that they have, and brings none of the other region's: the {newest_completed(cluster, of)}; "
                f"{_take_out('existing')}"
            )


def _still(place: int, backup: Backup, key: str) -> str:
    value = backup.from_ if key == "from" else backup.existing
    return f"k8s-dr:backups[{place}].{key}: {backup.name} still has {value}"


def _take_out(key: str) -> str:
    return f"take {key} out, if it was for a failover that is over"


def objections(
    cluster: ClusterApi,
    backups: Sequence[Backup],
    wanted: Sequence[Chosen],
    role: Role,
    without_data: Callable[[Chosen], Collection[tuple[str, str]]] = lambda _: (),
) -> Iterator[Objection]:
    """Why a takeover by a token would lose files in region `role`: an entry has `existing`, and claims are here that would
    otherwise be set aside. `without_data` says which claims the backup has no data of."""
    places = {backup.name: place for place, backup in enumerate(backups)}
    for each in wanted:
        if not each.backup.existing:
            continue
        found = claims_in_the_way(cluster, each, without_data=without_data(each), in_spite_of_existing=True)
        claims = [f"{namespace}/{name}" for namespace, name in found]
        if claims:
            yield Objection(
                reason=f"k8s-dr:backups[{places[each.backup.name]}].existing: {each.backup.existing} leaves the claims that are "
                f"here ({', '.join(claims[:3])}{', …' if len(claims) > 3 else ''}) with files of an earlier time, and those of "
                f"the last backup, which the token names, would not come; {_take_out('existing')}",
                judgement=True,
                stack=role,
            )
