"""Warnings on single values: they work, and rarely as they were meant."""

from __future__ import annotations

from datetime import timedelta

from settings import postgresql
from settings.durations import format_duration, longest_gap, parse_duration, shortest_gap
from settings.images import moves, tag_of, version_in
from settings.mistake import Mistake
from settings.model import Settings
from settings.rule import Mistakes, Rule
from settings.sizes import bytes_in

_CUTS_OFF = (
    "statement_timeout",
    "transaction_timeout",
    "idle_session_timeout",
    "idle_in_transaction_session_timeout",
)
_LEAST = 60
"""Seconds. Of the server, these hold for migrations, backups by pg_dump and poolers too (PostgreSQL: "Setting statement_timeout
in postgresql.conf is not recommended because it would affect all sessions")."""


def a_step_takes_no_longer_than_the_rto(settings: Settings) -> Mistakes:
    """A step that is given more time than the whole outage may take fails too late to be of use. Defaults are left alone."""
    rto = settings.objectives.rto_seconds
    for key in ("promote", "scale", "verify", "recover"):
        written = getattr(settings.failover, key)
        if key not in settings.failover.model_fields_set or parse_duration(written).total_seconds() <= rto:
            continue
        goal = f"targets.rto, {settings.targets.rto}" if settings.targets.rto else f"the RTO of tier {settings.tier}"
        text = "{} is more than {}: this step alone may take longer than the whole outage; write less, or a longer targets.rto"
        yield Mistake(text, written, goal, at=(key,))


def the_guard_comes_within_minutes(settings: Settings) -> Mistakes:
    gap = longest_gap(settings.guard.schedule)
    if settings.guard.enabled and gap > timedelta(minutes=5):
        text = "{} leaves up to {} in which a region that comes back serves beside the other one; write * * * * *"
        yield Mistake(text, settings.guard.schedule, format_duration(gap))


def a_backup_that_fails_leaves_one_to_restore(settings: Settings) -> Mistakes:
    """Velero, `ttl`: counted from a backup's begin. Where the next one fails or takes its time, nothing is left by then."""
    for place, backup in enumerate(settings.backups):
        gap = longest_gap(backup.cron)
        if backup.restore is not False and gap <= parse_duration(backup.keep) < 2 * gap:
            text = "{} is over before a second backup of cron {} ends, so one that fails or is late leaves none; write {} or more"
            yield Mistake(text, backup.keep, backup.cron, format_duration(2 * gap), at=(place, "keep"))


def timeouts_of_sessions_are_set_on_roles(settings: Settings) -> Mistakes:
    for place, database in enumerate(settings.databases):
        for name, value in database.parameters.items():
            seconds = postgresql.seconds_of(name, value)
            if name.lower() in _CUTS_OFF and seconds is not None and 0 < seconds < _LEAST:
                text = "sets {} to {} for every session, migrations and dumps among them; set it on the role: ALTER ROLE {} "
                text += "SET {} = {}"
                yield Mistake(text, name, value, database.owner, name, f"'{value}'", at=(place, "parameters"))
            if name.lower() == "synchronous_commit" and postgresql.as_postgresql_reads(value) == "off":
                # PostgreSQL, asynchronous commit: "some recent transactions may be lost" in a crash of the instance alone.
                text = "sets {} to {}, and a crash of one instance then loses committed rows; set it on a role that may lose some"
                yield Mistake(text, name, value, at=(place, "parameters"))


def buffers_leave_memory(settings: Settings) -> Mistakes:
    """PostgreSQL takes them as it fills them: a small database bears it, and the instance of one that has grown is killed."""
    for place, database in enumerate(settings.databases):
        memory = database.resources.memory
        for name in ("shared_buffers", "temp_buffers", "logical_decoding_work_mem"):
            if postgresql.bytes_of(database.parameters, name, "0") >= bytes_in(memory):
                written = next(value for key, value in database.parameters.items() if key.lower() == name)
                text = f"sets {name} to {{}}, and resources.memory is {{}}: once they are full the kernel kills the instance; "
                text += "write far less, or more memory"
                yield Mistake(text, written, memory, at=(place, "parameters"))


def base_backups_come_daily_or_so(settings: Settings) -> Mistakes:
    """Each copies the whole database to S3, and a recovery replays all WAL since the last one."""
    for place, database in enumerate(settings.databases):
        cron = database.backup_cron
        if shortest_gap(cron) < timedelta(hours=1):
            text = "{} copies the whole database to S3 more often than hourly; write one as in {}"
            yield Mistake(text, cron, '"0 0 3 * * *"', at=(place, "backupCron"))
        elif longest_gap(cron) > timedelta(days=7):
            text = "{} leaves up to {} of WAL that a recovery replays; write one that comes weekly or more often, as in {}"
            yield Mistake(text, cron, format_duration(longest_gap(cron)), '"0 0 3 * * *"', at=(place, "backupCron"))


_VERSIONS = {
    "velero": (1, 18),
    "velero_plugin_for_aws": (1, 14),
    "cloudnative_pg": (1, 30),
}
"""The oldest that has been tried (docs/compatibility.md)."""


def images_are_of_versions_that_were_tried(settings: Settings) -> Mistakes:
    used = {"velero": settings.velero.managed, "velero_plugin_for_aws": settings.velero.managed}
    used["cloudnative_pg"] = settings.operators.cloudnative_pg
    for name, oldest in _VERSIONS.items():
        image, alias = str(getattr(settings.images, name)), str(type(settings.images).model_fields[name].alias)
        version = version_in(image)
        if used[name] and version and version < oldest:
            text = f"{{}} is older than {'.'.join(map(str, oldest))}, the oldest that was tried; see docs/compatibility.md"
            yield Mistake(text, image, at=(alias,))
    image = settings.images.cloudnative_pg
    if used["cloudnative_pg"] and "/cloudnative-pg:v" in image:
        # The operator's images are tagged 1.30.0, its releases on GitHub v1.30.0.
        right = image.replace(f":{tag_of(image)}", f":{tag_of(image)[1:]}")
        yield Mistake(
            "{} has a v in its tag, and CloudNativePG's own images have none; write {}", image, right, at=("cloudnativePg",)
        )


def images_say_their_version(settings: Settings) -> Mistakes:
    for name, field in type(settings.images).model_fields.items():
        image = str(getattr(settings.images, name))
        if moves(image):
            text = "{} names no version, and where that tag moves nodes keep different ones; write one, as in velero:v1.18.3"
            yield Mistake(text, image, at=(str(field.alias),))


def an_endpoint_is_not_under_a_wildcard_of_ones_own(settings: Settings) -> Mistakes:
    """RFC 4592: a wildcard answers for every name below it that has no record of its own."""
    for name in settings.dns.names:
        if name.startswith("*.") and settings.endpoint_host.endswith(name[1:]):
            text = (
                "{} is below {} of dns.names: without a record of its own it would lead to itself; write the load balancer's own"
            )
            yield Mistake(text, settings.endpoint_host, name, at=() if isinstance(settings.endpoint, str) else ("name",))


def a_lock_that_nobody_lifts_is_no_longer_than_what_it_protects(settings: Settings) -> Mistakes:
    """S3 Object Lock: in compliance mode "a protected object version can't be overwritten or deleted by any user"."""
    lock = settings.storage.object_lock
    kept = [parse_duration(backup.keep) for backup in settings.backups]
    kept += [timedelta(days=int(each.retention[:-1]) * _DAYS[each.retention[-1]]) for each in settings.databases]
    longest = max(kept) // timedelta(days=1)
    if lock and lock.mode == "COMPLIANCE" and lock.days > longest:
        text = "{} is more than the {} days for which anything is kept, and nobody can stop paying before; write {} or less"
        yield Mistake(text, str(lock.days), str(longest), str(longest))


_DAYS = {"d": 1, "w": 7, "m": 31}

ADVICE: tuple[Rule, ...] = (
    Rule(key="failover", mistakes=a_step_takes_no_longer_than_the_rto),
    Rule(key="guard.schedule", mistakes=the_guard_comes_within_minutes),
    Rule(key="backups", mistakes=a_backup_that_fails_leaves_one_to_restore),
    Rule(key="databases", mistakes=timeouts_of_sessions_are_set_on_roles),
    Rule(key="databases", mistakes=buffers_leave_memory),
    Rule(key="databases", mistakes=base_backups_come_daily_or_so),
    Rule(key="images", mistakes=images_are_of_versions_that_were_tried),
    Rule(key="images", mistakes=images_say_their_version),
    Rule(key="endpoint", mistakes=an_endpoint_is_not_under_a_wildcard_of_ones_own),
    Rule(key="storage.objectLock.days", mistakes=a_lock_that_nobody_lifts_is_no_longer_than_what_it_protects),
)
