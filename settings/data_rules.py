"""Rules on backups and databases: what a failover restores is there, is new enough, and fits."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from settings import postgresql
from settings.durations import format_duration, longest_gap, parse_duration
from settings.mistake import Mistake
from settings.model import Settings
from settings.rule import Mistakes, Rule
from settings.sizes import bytes_in

_GP3 = ("1Gi", "64Ti")
"""The least and the most of an EBS volume of type gp3 (Amazon EBS User Guide, General Purpose SSD volumes)."""

_DELAYS = ("max_standby_archive_delay", "max_standby_streaming_delay")


def age_of_the_newest(settings: Settings, namespace: str) -> timedelta | None:
    """How old the newest backup of a namespace may be at a failover. None if no backup brings it."""
    ages = [longest_gap(backup.cron) for backup in settings.backups if backup.brings(namespace)]
    return min(ages, default=None)


def volumes_that_are_too_old(settings: Settings) -> Iterator[Mistake]:
    """With tier backup-restore what a failover loses is the age of the newest backup, for nothing else stands by."""
    rpo = timedelta(seconds=settings.objectives.rpo_seconds)
    for place, workload in enumerate(settings.workloads if settings.tier == "backup-restore" else ()):
        age = age_of_the_newest(settings, workload.namespace)
        if age and age > rpo:
            text = (
                f"{{}} has an RPO of {{}}, and the newest backup of workloads[{place}], namespace {{}}, may be "
                f"{{}} old; write a cron "
                "that comes every {} or more often, or a targets.rpo of {} or more"
            )
            shown = format_duration(rpo), format_duration(age)
            yield Mistake(text, settings.tier, shown[0], workload.namespace, shown[1], *shown)


def backups_are_as_new_as_backup_and_restore_promises(settings: Settings) -> Mistakes:
    """Beside databases, `targets.rpo` may be meant for these alone: `settings/advice.py` says it then."""
    if not settings.databases:
        yield from volumes_that_are_too_old(settings)


def a_standby_asks_for_wal_within_the_rpo(settings: Settings) -> Mistakes:
    """PostgreSQL, wal_retrieve_retry_interval: "how long the standby server should wait when WAL data is not available". The gate
    refuses a standby that has not replayed what is younger."""
    rpo = settings.objectives.rpo_seconds
    for place, database in enumerate(settings.databases):
        waits = parse_duration(database.wal_retrieve_retry_interval).total_seconds()
        archives_later = parse_duration(database.archive_timeout).total_seconds() > rpo  # which a rule of the tier tells
        if database.standby and database.replication == "archive" and waits > rpo and not archives_later:
            goal = (
                f"targets.rpo {settings.targets.rpo}"
                if settings.targets.rpo
                else f"an RPO of {format_duration(timedelta(seconds=rpo))}"
            )
            text = "{} is more than {} allows: the standby would be that far behind, and the gate shut; write {} or less"
            limit = format_duration(timedelta(seconds=rpo))
            yield Mistake(text, database.wal_retrieve_retry_interval, goal, limit, at=(place, "walRetrieveRetryInterval"))


def a_standby_waits_for_its_readers_no_longer_than_the_rpo(settings: Settings) -> Mistakes:
    """PostgreSQL, max_standby_archive_delay and max_standby_streaming_delay: how long replay waits for queries in its way; "-1
    allows the standby to wait forever". The gate refuses a standby that is further behind than the RPO."""
    rpo = settings.objectives.rpo_seconds
    for place, database in enumerate(settings.databases):
        for name, value in database.parameters.items():
            seconds = postgresql.seconds_of(name, value)
            if name.lower() not in _DELAYS or seconds is None or 0 <= seconds <= rpo or not database.standby:
                continue
            how = "for ever" if seconds < 0 else "longer than the RPO"
            text = f"sets {{}} to {{}}: a query may hold the standby back {how}, and the gate would be shut; write {{}} or less"
            yield Mistake(text, name, value, f"{rpo:.0f}s", at=(place, "parameters"))


def volumes_of_the_managed_class_are_of_a_size_that_ebs_has(settings: Settings) -> Mistakes:
    least, most = _GP3
    for place, database in enumerate(settings.databases):
        if not settings.storage_class.managed or database.storage_class != settings.storage_class.name:
            continue
        for key, size in (("storage", database.storage), ("walStorage", database.wal_storage)):
            if size and not bytes_in(least) <= bytes_in(size) <= bytes_in(most):
                text = f"{{}} is no size of a gp3 volume, of which storageClass.managed makes it; write {least} to {most}"
                yield Mistake(text, size, at=(place, key))


def an_etcd_snapshot_is_there_until_the_next(settings: Settings) -> Mistakes:
    """S3 deletes by age, the newest too if none follows (Expiration.Days)."""
    days, gap = settings.storage.etcd_snapshot_days, longest_gap(settings.etcd.cron)
    if settings.backs_up_etcd and days is not None and timedelta(days=days) < gap:
        least = -(-gap // timedelta(days=1))
        text = (
            "{} days are shorter than the {} that etcd.cron {} may leave between two snapshots; write {} or more, or take it out"
        )
        yield Mistake(text, str(days), format_duration(gap), settings.etcd.cron, str(least))


def there_is_something_to_fail_over(settings: Settings) -> Mistakes:
    if not settings.workloads and not settings.databases:
        yield Mistake("is empty, and so is databases: nothing would be failed over; write the workloads that serve users")


RULES: tuple[Rule, ...] = (
    Rule(key="workloads", mistakes=there_is_something_to_fail_over),
    Rule(key="tier", mistakes=backups_are_as_new_as_backup_and_restore_promises),
    Rule(key="databases", mistakes=a_standby_asks_for_wal_within_the_rpo),
    Rule(key="databases", mistakes=a_standby_waits_for_its_readers_no_longer_than_the_rpo),
    Rule(key="databases", mistakes=volumes_of_the_managed_class_are_of_a_size_that_ebs_has),
    Rule(key="storage.etcdSnapshotDays", mistakes=an_etcd_snapshot_is_there_until_the_next),
)
