"""Rules that need more than one setting to see, as one ordered list: `RULES`.

`load` checks the list once every field is valid by itself, so no rule depends on the order of the fields. All broken rules are
told together, in the order of the list. A test sees that nothing but `load` makes `Settings`.

A check of the fields of one object alone, as of `storage.objectLock.days`, is a validator of that object instead.
"""

from __future__ import annotations

from settings import aws_rules, data_rules, drill_rules, handover_rules, monitoring_rules, traffic_rules
from settings.durations import parse_duration
from settings.fields import LABEL_LENGTH
from settings.mistake import Mistake
from settings.model import Settings
from settings.parts import PARTS, key_of
from settings.presets import PRESETS
from settings.roles import ROLES
from settings.rule import Mistakes, Rule


def broken_rules(settings: Settings) -> list[tuple[Rule, Mistake]]:
    """Every mistake of every rule, in the order of the list."""
    return [(rule, mistake) for rule in RULES for mistake in rule.mistakes(settings)]


def schedule_names_are_label_values(settings: Settings) -> Mistakes:
    for place, backup in enumerate(settings.backups):
        too_much = max(len(settings.topology.schedule(backup.name, role)) for role in ROLES) - LABEL_LENGTH
        if too_much > 0:
            yield Mistake(
                "{} is too long: with the region's it is the value of a Kubernetes label, which has "
                f"{LABEL_LENGTH} characters at most; shorten it by {too_much}",
                backup.name,
                at=(place, "name"),
            )


def a_restore_lasts_until_velero_says_why(settings: Settings) -> Mistakes:
    restore, prepare = settings.failover.restore, settings.velero.prepare_timeout
    if settings.velero.managed and parse_duration(restore) <= parse_duration(prepare):
        yield Mistake(
            "{} is no longer than velero.prepareTimeout, {}, so the failover would end before Velero says why a volume did not "
            "come; write more than {}, or a shorter velero.prepareTimeout",
            restore,
            prepare,
            prepare,
        )


def files_are_read_through_pods(settings: Settings) -> Mistakes:
    """A volume that a rule leaves to the file-system backup has no snapshot, and without its Pod no data at all."""
    without = [backup.name for backup in settings.backups if backup.pods != "all"]
    for place, rule in enumerate(settings.velero.volumes):
        if rule.action == "fs-backup" and without:
            yield Mistake(
                "fs-backup reads files through the Pods that mount them, and these entries of backups leave Pods out: {}; write "
                "pods: all to them, or action: skip or snapshot here",
                ", ".join(without),
                at=(place, "action"),
            )


def users_are_sent_where_the_tier_says(settings: Settings) -> Mistakes:
    preset, mode = PRESETS[settings.tier], settings.dns.mode
    if preset.both_regions and mode != "both-regions":
        yield Mistake(
            "{} sends users to both regions, and dns.mode is {}; take mode out, or set tier: warm-standby", settings.tier, mode
        )
    if mode == "both-regions" and not preset.both_regions:
        yield Mistake(
            "{} sends users to one region at a time, and dns.mode is {}: that is tier active-active; take mode out, or set "
            "tier: active-active",
            settings.tier,
            mode,
        )


def a_tier_without_a_standby_runs_no_workload_there(settings: Settings) -> Mistakes:
    for place, workload in enumerate(settings.workloads):
        if not PRESETS[settings.tier].standby and workload.standby_replicas:
            yield Mistake(
                f"{{}} runs nothing in the region that stands by, and workloads[{place}].standbyReplicas is {{}}: that is tier "
                "warm-standby; take standbyReplicas out, or set tier: warm-standby",
                settings.tier,
                str(workload.standby_replicas),
            )


def as_many_replicas_stand_by_as_the_tier_says(settings: Settings) -> Mistakes:
    preset = PRESETS[settings.tier]
    for place, workload in enumerate(settings.workloads):
        has, least = workload.standby_replicas, preset.standby_replicas(workload.replicas)
        if has < least:
            what = "all" if preset.workloads == "all" else "a part"
            lower = "warm-standby" if preset.workloads == "all" and has else "pilot-light"
            yield Mistake(
                f"{{}} runs {what} of every workload in the region that stands by, and workloads[{place}].standbyReplicas is "
                f"{{}}; write {{}} or more, or take it out, or set tier: {lower}",
                settings.tier,
                str(has),
                str(least),
            )


def databases_have_a_standby_where_the_tier_says(settings: Settings) -> Mistakes:
    preset = PRESETS[settings.tier]
    for place, database in enumerate(settings.databases):
        if database.standby and not preset.standby:
            yield Mistake(
                f"{{}} runs nothing in the region that stands by, and databases[{place}].standby is true: that is tier "
                "pilot-light; take standby out, or set tier: pilot-light",
                settings.tier,
            )
        if preset.standby and not database.standby:
            yield Mistake(
                f"{{}} keeps a replica of every database in the region that stands by, and databases[{place}].standby is false; "
                "take standby out, or set tier: backup-restore",
                settings.tier,
            )


def an_archive_loses_no_more_than_the_rpo(settings: Settings) -> Mistakes:
    """A database without streaming loses up to `archiveTimeout` of rows; streaming has sent them to the standby by then."""
    rpo = settings.objectives.rpo_seconds
    for place, database in enumerate(settings.databases):
        waits = database.archive_timeout
        if database.replication == "streaming" or parse_duration(waits).total_seconds() <= rpo:
            continue
        goal = f"targets.rpo {settings.targets.rpo}" if settings.targets.rpo else f"an RPO of {rpo:.0f} s"
        stream = "streaming: {{hosts: …, certificates: …}} (docs/recovery.md), or " if database.standby else ""
        # A WAL segment is 16 MB before it is compressed. Nobody should be advised to archive one every few seconds.
        sooner = f"an archiveTimeout of {rpo:.0f}s or less, or " if rpo >= 10 else ""
        yield Mistake(
            f"{{}} has {{}}, and databases[{place}] loses up to archiveTimeout, {{}}, of rows by its archive alone "
            f"(databases[].replication: archive); write {stream}{{}}",
            settings.tier,
            goal,
            waits,
            f"{sooner}a targets.rpo of {waits} or more",
        )


def eks_has_no_etcd_to_back_up(settings: Settings) -> Mistakes:
    if settings.etcd.enabled and settings.cluster.distribution == "eks":
        yield Mistake(
            "has distribution eks while etcd.enabled is true: on EKS nobody but AWS reaches etcd, which AWS backs up and "
            "restores by itself; Velero's backups protect what is in it. Take etcd.enabled out, or set it to false"
        )


def pod_identity_needs_eks(settings: Settings) -> Mistakes:
    if settings.identity_mode != "pod-identity" or settings.cluster.distribution != "self-managed":
        return
    if settings.identity is None:
        yield Mistake(
            "is missing, and cluster.distribution is self-managed; write irsa, instance-profile or static; only EKS has pod "
            "identities"
        )
    else:
        yield Mistake(
            "{} needs Amazon EKS, and cluster.distribution is self-managed; write irsa, instance-profile or static instead",
            settings.identity,
        )


def irsa_needs_an_issuer(settings: Settings) -> Mistakes:
    if settings.identity_mode == "irsa" and settings.cluster.oidc_issuer is None:
        yield Mistake(
            "{} needs cluster.oidcIssuer, the cluster's OIDC issuer without https:// (on EKS: aws eks describe-cluster "
            "--name NAME --query cluster.identity.oidc.issuer); add it",
            settings.identity_mode,
        )


def an_instance_profile_needs_a_node_role(settings: Settings) -> Mistakes:
    if settings.identity_mode == "instance-profile" and settings.cluster.node_role is None:
        yield Mistake("{} needs cluster.nodeRole, the name of the nodes' IAM role; add it", settings.identity_mode)


def only_pod_identity_and_irsa_take_a_role_for_each_part(settings: Settings) -> Mistakes:
    if settings.identity_mode in ("instance-profile", "static") and any(settings.cluster.role_arn(part) for part in PARTS):
        yield Mistake(
            "{} takes no role, but cluster has one of veleroRoleArn, databaseRoleArn, etcdRoleArn, freshnessRoleArn, "
            "guardRoleArn, drillsRoleArn, drillDatabaseRoleArn; take that out",
            settings.identity_mode,
        )


def only_identity_static_uses_keys(settings: Settings) -> Mistakes:
    if settings.identity is None and settings.cluster.distribution == "self-managed":
        return  # Nobody has chosen an identity yet, which a rule above tells.
    given = next((part for part in PARTS if settings.static_credentials.of(part)), None)
    if settings.identity_mode != "static" and given:
        yield Mistake(
            f"has a key for {given} while identity is {{}}, and nobody uses it; set identity: static, or run: "
            f"pulumi config rm staticCredentials -s {settings.role}",
            settings.identity_mode,
        )


def no_part_has_a_key_that_does_not_run(settings: Settings) -> Mistakes:
    if settings.identity_mode != "static":
        return
    for part in PARTS:
        if settings.static_credentials.of(part) and part not in settings.parts:
            yield Mistake(
                f"has a key for {part}, which this stack does not run; run: pulumi config rm --path "
                f"staticCredentials.{key_of(part)} -s {settings.role}"
            )


def every_part_that_runs_has_its_key(settings: Settings) -> Mistakes:
    if settings.identity_mode != "static":
        return
    for part in settings.parts:
        if not settings.static_credentials.of(part):
            yield Mistake(
                f"has no key for {part} while identity is static; run, and the same for secretAccessKey: pulumi config set "
                f"--secret --path staticCredentials.{key_of(part)}.accessKeyId -s {settings.role}"
            )


def every_database_has_a_password(settings: Settings) -> Mistakes:
    for name in (database.name for database in settings.databases):
        if name not in settings.database_passwords:
            yield Mistake(
                "has no password for the owner of {}; run, with the same password in both stacks: "
                f"pulumi config set --secret --path 'databasePasswords[\"{{}}\"]' -s {settings.role}",
                name,
                name,
            )


def no_password_is_empty(settings: Settings) -> Mistakes:
    for name in (database.name for database in settings.databases):
        password = settings.database_passwords.get(name)
        if password is not None and not password.get_secret_value().strip():
            yield Mistake(
                "has an empty password for the owner of {}; run: "
                f"pulumi config set --secret --path 'databasePasswords[\"{{}}\"]' -s {settings.role}",
                name,
                name,
            )


def no_password_ends_in_a_line_break(settings: Settings) -> Mistakes:
    """As one that was read from a file does: the application would log in without it."""
    for name in (database.name for database in settings.databases):
        password = settings.database_passwords.get(name)
        text = password.get_secret_value() if password else ""
        if text.strip() and text != text.rstrip("\r\n"):
            yield Mistake(
                "has a password for the owner of {} that ends in a line break, as a file does; store it without, the same in "
                f"both stacks: pulumi config set --secret --path 'databasePasswords[\"{{}}\"]' -s {settings.role}",
                name,
                name,
            )


def every_password_has_its_database(settings: Settings) -> Mistakes:
    """The message names no password's key: a person may have stored the password itself as the key."""
    if settings.database_passwords.keys() - {database.name for database in settings.databases}:
        yield Mistake(
            f"has a password for a database that is not in databases (see: pulumi config -s {settings.role}); "
            f"take it out: pulumi config rm --path 'databasePasswords[\"NAME\"]' -s {settings.role}"
        )


RULES: tuple[Rule, ...] = (
    Rule(key="backups", mistakes=schedule_names_are_label_values),
    *traffic_rules.RULES,
    *data_rules.RULES,
    Rule(key="failover.restore", mistakes=a_restore_lasts_until_velero_says_why),
    Rule(key="velero.volumes", mistakes=files_are_read_through_pods),
    Rule(key="tier", mistakes=users_are_sent_where_the_tier_says),
    Rule(key="tier", mistakes=a_tier_without_a_standby_runs_no_workload_there),
    Rule(key="tier", mistakes=as_many_replicas_stand_by_as_the_tier_says),
    Rule(key="tier", mistakes=databases_have_a_standby_where_the_tier_says),
    Rule(key="tier", mistakes=an_archive_loses_no_more_than_the_rpo),
    *drill_rules.RULES,
    Rule(key="cluster", mistakes=eks_has_no_etcd_to_back_up),
    Rule(key="identity", mistakes=pod_identity_needs_eks),
    Rule(key="identity", mistakes=irsa_needs_an_issuer),
    Rule(key="identity", mistakes=an_instance_profile_needs_a_node_role),
    Rule(key="identity", mistakes=only_pod_identity_and_irsa_take_a_role_for_each_part),
    *aws_rules.RULES,
    Rule(key="staticCredentials", mistakes=only_identity_static_uses_keys),
    Rule(key="staticCredentials", mistakes=no_part_has_a_key_that_does_not_run),
    Rule(key="staticCredentials", mistakes=every_part_that_runs_has_its_key),
    *handover_rules.RULES,
    Rule(key="databasePasswords", mistakes=every_database_has_a_password),
    Rule(key="databasePasswords", mistakes=no_password_is_empty),
    Rule(key="databasePasswords", mistakes=no_password_ends_in_a_line_break),
    Rule(key="databasePasswords", mistakes=every_password_has_its_database),
    *monitoring_rules.RULES,
)
"""Every rule, in the order in which broken ones are told. A mistake's own `at` is added to the key: `backups[1].name`."""
