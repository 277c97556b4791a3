"""Rules on what watches the regions."""

from __future__ import annotations

from settings.drills import KINDS
from settings.durations import parse_duration
from settings.mistake import Mistake
from settings.model import Settings
from settings.roles import ROLES
from settings.rule import Mistakes, Rule


def alarms_tell_topics_of_their_own_region(settings: Settings) -> Mistakes:
    """CloudWatch, PutMetricAlarm: an action is a topic in the region of the alarm."""
    topics = settings.monitoring.alarms
    for role in ROLES if topics else ():
        assert topics is not None
        arn, region = topics.of(role), settings.topology.region(role)
        if arn.split(":")[3] != region:
            yield Mistake(
                "{} is not in {}, whose alarms tell no topic of another region; write one of {}", arn, region, region, at=(role,)
            )


def alarms_have_metrics(settings: Settings) -> Mistakes:
    storage = settings.storage
    if settings.monitoring.alarms and not (storage.replication_metrics or storage.replication_time_control):
        yield Mistake(
            "asks for alarms on copies between the regions, and S3 publishes no metrics of them; write storage: "
            "{{replicationMetrics: true}}, or take alarms out"
        )


def health_checks_are_there_to_watch(settings: Settings) -> Mistakes:
    if settings.monitoring.health_check_alarms and settings.dns.mode == "record":
        yield Mistake("asks for alarms on health checks, and dns.mode record has none; take it out, or choose another mode")


def each_heartbeat_is_of_a_job_that_runs(settings: Settings) -> Mistakes:
    """A receiver would take a job that does not run for a dead one. The message repeats no key that a person chose: it may be the
    secret itself."""
    heartbeats = settings.receivers.heartbeats
    runs = {
        "etcd": settings.backs_up_etcd,
        "guard": settings.guard.enabled,
        "marks": bool(settings.databases),
        **{f"drills.{kind}": kind in settings.drilled for kind in KINDS},
    }
    for job, _ in heartbeats.of_jobs():
        if not runs.get(job, True):
            yield Mistake(
                f"has a heartbeat of {job}, which this stack does not run; run: pulumi config rm --path "
                f"receivers.heartbeats.{job} -s {settings.role}"
            )
    known = {"schedules": [each.name for each in settings.backups], "databases": [each.name for each in settings.databases]}
    for kind, listed in known.items():
        if getattr(heartbeats, kind).keys() - {*listed}:
            key = "backups" if kind == "schedules" else kind
            yield Mistake(
                f"has a heartbeat below {kind} of a name that is not in {key} (see: pulumi config -s {settings.role}); take it "
                f"out: pulumi config rm --path 'receivers.heartbeats.{kind}[\"NAME\"]' -s {settings.role}"
            )


def alertmanager_has_alerts_to_tell(settings: Settings) -> Mistakes:
    receivers, monitoring = settings.receivers, settings.monitoring
    told = {"alerts": receivers.alerts, "heartbeats.watchdog": receivers.heartbeats.watchdog}
    for key in (key for key, url in told.items() if url is not None):
        if not (monitoring.enabled and monitoring.alerts):
            yield Mistake(
                f"has {key}, which Alertmanager would call, and this program makes no alerts; write monitoring: "
                f"{{{{enabled: true}}}}, or run: pulumi config rm --path receivers.{key} -s {settings.role}"
            )


def a_standby_may_replay_as_often_as_is_watched(settings: Settings) -> Mistakes:
    """WAL comes once in archiveTimeout where nobody writes much, and until then the alert fires though all is well. A database
    that fills its WAL sooner never waits as long."""
    within = settings.monitoring.replay_within
    for database in settings.databases if within and settings.monitoring.enabled else ():
        waits = database.archive_timeout
        if database.replication == "archive" and database.standby and parse_duration(str(within)) <= parse_duration(waits):
            text = "{} is no longer than archiveTimeout of {}, {}: where it writes little a commit waits as long, and the alert "
            text += "fires; write more than {}"
            yield Mistake(text, str(within), database.name, waits, waits)


def a_standby_that_gets_no_more_wal_is_told_of(settings: Settings) -> Mistakes:
    """One that follows an archive sees by itself when it last replayed a commit, and no more. So the region that stands by has no
    alert without either key, and an `up` or `drctl status` is what says it."""
    monitoring = settings.monitoring
    if not (monitoring.enabled and monitoring.alerts) or monitoring.region_label or monitoring.replay_within:
        return
    quiet = [each.name for each in settings.databases if each.replication == "archive" and each.standby]
    if quiet:
        more = f" and {len(quiet) - 1} more" if quiet[1:] else ""
        yield Mistake(
            f"watches {{}}{more}, and no alert of this region says that the other one's WAL has stopped coming; set "
            "monitoring.regionLabel where one Prometheus has the metrics of both regions, or monitoring.replayWithin where users "
            "always commit",
            quiet[0],
        )


RULES = (
    Rule(key="monitoring.healthCheckAlarms", mistakes=health_checks_are_there_to_watch),
    Rule(key="receivers", mistakes=each_heartbeat_is_of_a_job_that_runs),
    Rule(key="receivers", mistakes=alertmanager_has_alerts_to_tell),
    Rule(key="monitoring.alarms", mistakes=alarms_have_metrics),
    Rule(key="monitoring.alarms", mistakes=alarms_tell_topics_of_their_own_region),
)

ADVICE = (
    Rule(key="monitoring.replayWithin", mistakes=a_standby_may_replay_as_often_as_is_watched),
    Rule(key="monitoring", mistakes=a_standby_that_gets_no_more_wal_is_told_of),
)
