"""Rules across settings: each can be broken by itself, all broken ones are told together, and the order of fields is free."""

from __future__ import annotations

import ast
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from settings import Settings, aws_rules, data_rules, drill_rules, handover_rules, load, monitoring_rules, rules, traffic_rules
from settings.fields import Mistake, Model
from settings.handover import Demotion, Token
from settings.load import SECRETS
from settings.rules import RULES, broken_rules
from tests.examples import KEYS, PASSWORD, ROOT, STATIC, example
from tests.unit.components.database.sides import STREAMING
from tests.unit.settings.test_mistakes import LONG, complaint, part, regions, topology

ROLE = "arn:aws:iam::123456789012:role/own"
PROBE = {"probe": "https://lb-primary.us-east-1.elb.amazonaws.com/"}
URL = "https://hooks.example.com/hush"
CONNECTION = {"streaming": STREAMING["streaming"]}

WEEKLY = [{"name": "weekly", "cron": "0 2 * * 0", "keep": "720h"}]
STREAMED = {"replication": "streaming"}
DELIVERY = {"repository": "acme/k8s-dr", "stateBucket": "acme-pulumi-us-west-2"}
SELF_MANAGED = {
    "cluster": {"context": "prod", "name": "prod", "distribution": "self-managed", "oidcIssuer": "oidc.example.com"},
    "identity": "irsa",
}


def hosts(primary: str, secondary: str) -> dict[str, Any]:
    return {"streaming": {**STREAMING["streaming"], "hosts": {"primary": primary, "secondary": secondary}}}


GIVEN = {"app-database": Demotion(segment="000000010000000000000003", timeline=1, system="1").token}

Check = Callable[[Settings], Iterator[Mistake]]


def topics(primary: str, secondary: str) -> dict[str, str]:
    """Topics of alarms that are in these regions."""
    return {
        role: f"arn:aws:sns:{region}:123456789012:on-call" for role, region in (("primary", primary), ("secondary", secondary))
    }


# Rule | changes to the committed configuration of the secondary that break it and no other | the beginning of what is told.
CASES: list[tuple[Check, dict[str, Any], str]] = [
    (
        aws_rules.a_boundary_is_of_the_stacks_account,
        {"aws": {"permissionsBoundary": "arn:aws:iam::210987654321:policy/boundary"}},
        "aws.permissionsBoundary: arn:aws:iam::210987654321:policy/boundary is of another account than topology.accountId",
    ),
    (
        aws_rules.the_aws_cli_knows_the_identity,
        {"images": {"awsCli": "public.ecr.aws/aws-cli/aws-cli:2.13.0"}},
        "images.awsCli: public.ecr.aws/aws-cli/aws-cli:2.13.0 does not know EKS Pod Identity",
    ),
    (
        aws_rules.a_context_is_of_this_stacks_cluster,
        part("cluster", context="arn:aws:eks:us-east-1:123456789012:cluster/prod-usw2"),
        "cluster.context: arn:aws:eks:us-east-1:123456789012:cluster/prod-usw2 is of a cluster in us-east-1",
    ),
    (rules.schedule_names_are_label_values, part("backups", name="a" * 54), f"backups[0].name: {'a' * 54} is too long"),
    (
        traffic_rules.the_probe_is_answered_by_the_primary_region_alone,
        {"tier": "active-active", **part("databases", **CONNECTION)},
        "failover.probe: must be a URL that only the primary region answers",
    ),
    (
        rules.a_restore_lasts_until_velero_says_why,
        {"failover": {"restore": "30m"}, "velero": {"prepareTimeout": "45m"}},
        "failover.restore: 30m is no longer than velero.prepareTimeout, 45m",
    ),
    (
        drill_rules.drilled_databases_are_known,
        {"drills": {"database": {"databases": ["app-database", "orders"]}}},
        "drills.database.databases[1]: orders is none of databases (there are app-database); write one of them, or take it out",
    ),
    (
        drill_rules.a_check_asks_a_database_that_is_drilled,
        {"drills": {"database": {"checks": [{"database": "orders", "sql": "SELECT 1", "expect": "1"}]}}},
        "drills.database.checks[0].database: orders is no database that the drill recovers (those are app-database)",
    ),
    (
        drill_rules.an_archive_reaches_back_to_the_point_that_is_drilled,
        {"drills": {"database": {"pointInTime": "720h"}}},
        "drills.database.pointInTime: 720h is further back than the archive of app-database is kept, 30d; write less than 720h",
    ),
    (
        drill_rules.a_drilled_namespace_is_in_a_backup,
        {
            "drills": {"namespace": {"namespace": "shop"}},
            "backups": [{"name": "all", "cron": "0 * * * *", "keep": "24h", "exclude": ["shop"]}],
        },
        "drills.namespace.namespace: shop is restored from no entry of backups, by its include, exclude or restore",
    ),
    (
        drill_rules.no_pod_of_a_workload_runs_where_pods_come_for_their_volumes,
        {"drills": {"namespace": {"replicas": 1}}, **part("backups", pods="all")},
        "drills.namespace.replicas: 1 runs workloads of ",
    ),
    (
        monitoring_rules.alarms_have_metrics,
        {"monitoring": {"alarms": topics("us-east-1", "us-west-2")}, "storage": {"replicationMetrics": False}},
        "monitoring.alarms: asks for alarms on copies between the regions, and S3 publishes no metrics of them",
    ),
    (
        monitoring_rules.alarms_tell_topics_of_their_own_region,
        {"monitoring": {"alarms": topics("us-west-2", "us-west-2")}, "storage": {"replicationMetrics": True}},
        "monitoring.alarms.primary: arn:aws:sns:us-west-2:123456789012:on-call is not in us-east-1",
    ),
    (
        rules.files_are_read_through_pods,
        {"velero": {"volumes": [{"classes": ["efs"], "action": "fs-backup"}]}},
        "velero.volumes[0].action: fs-backup reads files through the Pods that mount them",
    ),
    (
        rules.users_are_sent_where_the_tier_says,
        part("dns", mode="both-regions") | {"failover": PROBE},
        "tier: pilot-light sends users to one region at a time",
    ),
    (
        rules.users_are_sent_where_the_tier_says,
        {"tier": "active-active", **part("dns", mode="record"), **part("databases", **CONNECTION)},
        "tier: active-active sends users to both regions, and dns.mode is record",
    ),
    (
        rules.a_tier_without_a_standby_runs_no_workload_there,
        {"tier": "backup-restore", **part("workloads", standbyReplicas=1)},
        "tier: backup-restore runs nothing in the region that stands by, and workloads[0].standbyReplicas is 1",
    ),
    (
        rules.as_many_replicas_stand_by_as_the_tier_says,
        {"tier": "warm-standby", **part("workloads", standbyReplicas=0), **part("databases", **CONNECTION)},
        "tier: warm-standby runs a part of every workload",
    ),
    (
        rules.databases_have_a_standby_where_the_tier_says,
        {"tier": "backup-restore", **part("databases", standby=True)},
        "tier: backup-restore runs nothing in the region that stands by, and databases[0].standby is true",
    ),
    (
        rules.databases_have_a_standby_where_the_tier_says,
        part("databases", standby=False),
        "tier: pilot-light keeps a replica of every database",
    ),
    (
        rules.an_archive_loses_no_more_than_the_rpo,
        part("databases", archiveTimeout="10m"),
        "tier: pilot-light has an RPO of 300 s, and databases[0] loses up to archiveTimeout, 10m,",
    ),
    (rules.eks_has_no_etcd_to_back_up, {"etcd": {"enabled": True}}, "cluster: has distribution eks while etcd.enabled is true"),
    (rules.pod_identity_needs_eks, part("cluster", distribution="self-managed"), "identity: is missing"),
    (
        rules.pod_identity_needs_eks,
        {"identity": "pod-identity", **part("cluster", distribution="self-managed")},
        "identity: pod-identity needs Amazon EKS",
    ),
    (
        rules.pod_identity_needs_eks,
        part("cluster", distribution="self-managed") | {"staticCredentials": STATIC["staticCredentials"]},
        "identity: is missing",
    ),
    (rules.irsa_needs_an_issuer, {"identity": "irsa"}, "identity: irsa needs cluster.oidcIssuer"),
    (
        rules.an_instance_profile_needs_a_node_role,
        {"identity": "instance-profile"},
        "identity: instance-profile needs cluster.nodeRole",
    ),
    *(
        (
            rules.only_pod_identity_and_irsa_take_a_role_for_each_part,
            {**STATIC, **part("cluster", **{key: ROLE})},
            "identity: static takes no role",
        )
        for key in ("veleroRoleArn", "databaseRoleArn", "etcdRoleArn", "freshnessRoleArn")
    ),
    (
        rules.only_pod_identity_and_irsa_take_a_role_for_each_part,
        {"identity": "instance-profile", **part("cluster", nodeRole="nodes", veleroRoleArn=ROLE)},
        "identity: instance-profile takes no role",
    ),
    (
        rules.only_identity_static_uses_keys,
        {"staticCredentials": {"database": KEYS}},
        "staticCredentials: has a key for database while identity is pod-identity",
    ),
    (
        rules.no_part_has_a_key_that_does_not_run,
        {"identity": "static", "staticCredentials": {**STATIC["staticCredentials"], "etcd": KEYS}},
        "staticCredentials: has a key for etcd, which this stack does not run",
    ),
    (
        rules.every_part_that_runs_has_its_key,
        {
            "identity": "static",
            "staticCredentials": {"velero": KEYS, "freshness": KEYS, "guard": KEYS, "drills": KEYS, "drillDatabase": KEYS},
        },
        "staticCredentials: has no key for database while identity is static",
    ),
    (
        rules.every_database_has_a_password,
        {"databasePasswords": {}},
        "databasePasswords: has no password for the owner of app-database",
    ),
    (
        rules.no_password_is_empty,
        {"databasePasswords": {"app-database": ""}},
        "databasePasswords: has an empty password for the owner of app-database",
    ),
    (
        rules.every_password_has_its_database,
        {"databasePasswords": {"app-database": PASSWORD, "other": PASSWORD}},
        "databasePasswords: has a password for a database that is not in databases",
    ),
    # Names, load balancers and the probe.
    (
        traffic_rules.an_endpoint_is_in_the_region_of_its_stack,
        {"endpoint": "lb-primary.us-east-1.elb.amazonaws.com"},
        "endpoint: lb-primary.us-east-1.elb.amazonaws.com is in us-east-1, and this stack's region is us-west-2",
    ),
    (
        traffic_rules.an_endpoint_is_no_name_that_users_call,
        {"endpoint": "app.example.com"},
        "endpoint: app.example.com is one of dns.names",
    ),
    (
        traffic_rules.the_top_of_a_zone_is_an_alias,
        part("dns", names=["example.com"]),
        "endpoint: lb-secondary.us-west-2.elb.amazonaws.com is a name, and example.com of dns.names is the top of its zone",
    ),
    (
        traffic_rules.an_alias_has_the_zone_of_its_load_balancer,
        {"endpoint": {"name": "lb.us-west-2.elb.amazonaws.com", "zoneId": "Z0123456789ABCDEFGHIJ"}},
        "endpoint.zoneId: Z0123456789ABCDEFGHIJ is dns.zoneId too",
    ),
    (
        traffic_rules.an_alias_of_a_failover_is_no_distribution,
        {"endpoint": {"name": "d111111abcdef8.cloudfront.net", "zoneId": traffic_rules.CLOUDFRONT}},
        "endpoint.zoneId: Z2FDTNDATAQYW2 is CloudFront's, and with dns.mode standby-takes-over Route 53 has to count the health",
    ),
    (
        traffic_rules.all_names_are_in_one_zone,
        part("dns", names=["app.example.com", "app.example.org"]),
        "dns.names[1]: app.example.org and app.example.com are in no zone together",
    ),
    (traffic_rules.users_arrive_within_the_rto, {"targets": {"rto": "30s"}}, "dns.ttl: 60 s, and 30 s of health checks"),
    (
        traffic_rules.the_control_lives_when_the_primary_region_is_dead,
        {"failover": {"control": "https://lb-primary.us-east-1.elb.amazonaws.com/"}},
        "failover.control: asks lb-primary.us-east-1.elb.amazonaws.com, which is silent when the primary region, us-east-1, is",
    ),
    (
        traffic_rules.this_regions_endpoint_speaks_the_scheme_that_it_is_asked,
        {"failover": {"endpoint": {"port": 80}}},
        "failover.endpoint: asks https on port 80, which is the port of http",
    ),
    (
        rules.no_password_ends_in_a_line_break,
        {"databasePasswords": {"app-database": f"{PASSWORD}\n"}},
        "databasePasswords: has a password for the owner of app-database that ends in a line break",
    ),
    (
        traffic_rules.standbys_connect_to_the_primary_and_not_to_a_name_that_users_call,
        part("databases", **STREAMED, **hosts("app.example.com", "b.example.com")),
        "databases[0].streaming.hosts.primary: app.example.com is one of dns.names",
    ),
    # Backups and databases.
    (
        aws_rules.data_movers_run_in_this_region,
        {"velero": {"dataMovers": {"nodes": {"topology.kubernetes.io/zone": "us-east-1a"}}}},
        "velero.dataMovers.nodes: has topology.kubernetes.io/zone: us-east-1a, which no node in us-west-2 has",
    ),
    (
        aws_rules.pods_run_in_this_region,
        {"pods": {"nodeSelector": {"topology.kubernetes.io/zone": "us-east-1a"}}},
        "pods.nodeSelector: has topology.kubernetes.io/zone: us-east-1a, which no node in us-west-2 has",
    ),
    (
        aws_rules.databases_run_in_this_region,
        part("databases", nodeSelector={"topology.kubernetes.io/region": "us-east-1"}),
        "databases[0].nodeSelector: has topology.kubernetes.io/region: us-east-1, which no node in us-west-2 has",
    ),
    (
        aws_rules.counterparts_lead_into_the_other_region,
        {"velero": {"counterparts": {"a": "arn:aws:acm:us-east-1:123456789012:certificate/1"}}},
        "velero.counterparts: puts arn:aws:acm:us-east-1:123456789012:certificate/1 in place of a, and that is in us-east-1",
    ),
    (
        aws_rules.counterparts_back_lead_into_the_primary_region,
        {"velero": {"counterpartsBack": {"a": "arn:aws:acm:us-west-2:123456789012:certificate/1"}}},
        "velero.counterpartsBack: puts arn:aws:acm:us-west-2:123456789012:certificate/1 in place of a, and that is in us-west-2",
    ),
    (
        aws_rules.the_managed_class_is_not_one_that_eks_made,
        {"storageClass": {"managed": True, "name": "gp2"}},
        "storageClass.name: gp2 is the class that EKS itself makes",
    ),
    (
        traffic_rules.a_name_that_users_call_is_given_to_no_database,
        part(
            "databases",
            replication="streaming",
            streaming={
                **CONNECTION["streaming"],
                "serviceAnnotations": {"external-dns.alpha.kubernetes.io/hostname": "pg.example.com, APP.example.com."},
            },
        ),
        "databases[0].streaming.serviceAnnotations: gives APP.example.com. to the database by external-dns",
    ),
    (
        data_rules.a_standby_waits_for_its_readers_no_longer_than_the_rpo,
        part("databases", parameters={"max_standby_archive_delay": "-1"}),
        "databases[0].parameters: sets max_standby_archive_delay to -1: a query may hold the standby back for ever",
    ),
    (
        data_rules.there_is_something_to_fail_over,
        {"workloads": [], "databases": [], "databasePasswords": {}},
        "workloads: is empty, and so is databases",
    ),
    (
        data_rules.backups_are_as_new_as_backup_and_restore_promises,
        {"tier": "backup-restore", "databases": [], "databasePasswords": {}, "backups": WEEKLY},
        "tier: backup-restore has an RPO of 24h, and the newest backup of workloads[0], namespace production, may be 168h old",
    ),
    (
        data_rules.a_standby_asks_for_wal_within_the_rpo,
        part("databases", walRetrieveRetryInterval="1h"),
        "databases[0].walRetrieveRetryInterval: 1h is more than an RPO of 5m allows",
    ),
    (
        data_rules.volumes_of_the_managed_class_are_of_a_size_that_ebs_has,
        {"storageClass": {"managed": True}, **part("databases", storage="100Ti")},
        "databases[0].storage: 100Ti is no size of a gp3 volume",
    ),
    (
        data_rules.an_etcd_snapshot_is_there_until_the_next,
        {**SELF_MANAGED, "etcd": {"cron": "0 2 1 * *"}, "storage": {"etcdSnapshotDays": 7}},
        "storage.etcdSnapshotDays: 7 days are shorter than the 744h",
    ),
    # Accounts, regions and identities.
    (
        aws_rules.pod_identity_takes_roles_of_its_own_account,
        part("cluster", veleroRoleArn="arn:aws:iam::999999999999:role/velero"),
        "cluster.veleroRoleArn: arn:aws:iam::999999999999:role/velero is of another account",
    ),
    (
        aws_rules.an_issuer_of_eks_is_in_the_region_of_the_stack,
        {"identity": "irsa", **part("cluster", oidcIssuer="oidc.eks.us-east-1.amazonaws.com/id/A")},
        "cluster.oidcIssuer: oidc.eks.us-east-1.amazonaws.com/id/A is of a cluster in us-east-1",
    ),
    (
        aws_rules.what_another_identity_needs_is_not_set,
        part("cluster", nodeRole="nodes"),
        "cluster.nodeRole: nodes is used with identity instance-profile alone, and identity is pod-identity",
    ),
    (
        aws_rules.static_keys_last,
        {**STATIC, "staticCredentials": {**STATIC["staticCredentials"], "velero": {**KEYS, "accessKeyId": "ASIAEXAMPLE"}}},
        "staticCredentials.velero.accessKeyId: is of temporary credentials",
    ),
    (
        aws_rules.static_keys_are_stored_as_they_are,
        {**STATIC, "staticCredentials": {**STATIC["staticCredentials"], "velero": {**KEYS, "secretAccessKey": "a secret\n"}}},
        "staticCredentials.velero.secretAccessKey: has a space or a line break",
    ),
    (
        aws_rules.the_state_of_a_stack_is_in_its_region,
        {"delivery": {**DELIVERY, "stateKeyArn": "arn:aws:kms:us-east-1:123456789012:key/1234abcd"}},
        "delivery.stateKeyArn: arn:aws:kms:us-east-1:123456789012:key/1234abcd is in us-east-1",
    ),
    (
        handover_rules.a_token_is_for_the_region_that_takes_over,
        {"handover": Token(given_by="secondary", databases=GIVEN, backups={}).text},
        "handover: is this region's own token, which is for the other stack",
    ),
    (
        handover_rules.files_come_along,
        {
            "active": "primary",
            "handover": "planned",
            "backups": [{"name": "all", "cron": "0 * * * *", "keep": "24h", "pods": "all"}],
            "velero": {"volumes": [{"classes": ["nfs"], "action": "fs-backup"}]},
        },
        "handover: is planned, and velero.volumes[0].action is fs-backup, which reads files through running Pods",
    ),
    (
        handover_rules.only_old_archives_are_given_up,
        {"rejoin": "app-database-secondary-g1"},
        "rejoin: app-database-secondary-g1 is the archive that database app-database writes or would write; raise its generation",
    ),
    (
        monitoring_rules.health_checks_are_there_to_watch,
        {**part("dns", mode="record"), "monitoring": {"healthCheckAlarms": topics("us-east-1", "us-west-2")["primary"]}},
        "monitoring.healthCheckAlarms: asks for alarms on health checks, and dns.mode record has none",
    ),
    (
        monitoring_rules.each_heartbeat_is_of_a_job_that_runs,
        {"receivers": {"heartbeats": {"etcd": URL}}},
        "receivers: has a heartbeat of etcd, which this stack does not run; run: pulumi config rm --path "
        "receivers.heartbeats.etcd -s secondary",
    ),
    (
        monitoring_rules.each_heartbeat_is_of_a_job_that_runs,
        {"receivers": {"heartbeats": {"schedules": {"hourly-critical": URL, "hourly": URL}}}},
        "receivers: has a heartbeat below schedules of a name that is not in backups (see: pulumi config -s secondary); take it "
        "out: pulumi config rm --path 'receivers.heartbeats.schedules[\"NAME\"]' -s secondary",
    ),
    (
        monitoring_rules.each_heartbeat_is_of_a_job_that_runs,
        {"receivers": {"heartbeats": {"databases": {"orders": URL}}}},
        "receivers: has a heartbeat below databases of a name that is not in databases",
    ),
    (
        monitoring_rules.alertmanager_has_alerts_to_tell,
        {"receivers": {"alerts": URL}},
        "receivers: has alerts, which Alertmanager would call, and this program makes no alerts; write monitoring: {enabled: "
        "true}, or run: pulumi config rm --path receivers.alerts -s secondary",
    ),
    (
        monitoring_rules.alertmanager_has_alerts_to_tell,
        {"receivers": {"heartbeats": {"watchdog": URL}}, "monitoring": {"enabled": True, "alerts": False}},
        "receivers: has heartbeats.watchdog, which Alertmanager would call",
    ),
]
IDS = [f"{check.__name__}-{place}" for place, (check, _, _) in enumerate(CASES)]

# Changes that break what one object says of its own fields | the beginning of what is told.
OF_ONE_OBJECT: list[tuple[dict[str, Any], str]] = [
    (topology(regions=regions("us-east-1", "us-east-1")), "topology.regions.secondary: us-east-1 is the primary region too"),
    (topology(regions=regions("us-east-1", LONG)), "topology: gives the bucket name"),
    (part("dns", check={"path": "/healthz"}), "dns.check: is only asked with dns.mode both-regions"),
    (part("backups", include=["production"]), "backups[0]: has both include and exclude"),
    (part("databases", **CONNECTION, replication="archive"), "databases[0].streaming: is set while replication is archive"),
    (part("databases", replication="streaming"), "databases[0]: has replication: streaming and no connection"),
    (part("databases", standby=False, **STREAMING), "databases[0]: has replication: streaming and no standby"),
    (part("databases", standby=False, source="primary-bucket"), "databases[0]: has source: primary-bucket and no standby"),
    (
        {"storage": {"objectLock": {"mode": "GOVERNANCE", "days": 90}}},
        "storage: objectLock.days 90 is more than noncurrentDays 60",
    ),
]


def values(changes: dict[str, Any]) -> dict[str, Any]:
    """The committed configuration of the secondary with `changes`, as pydantic is given it."""
    written = example("secondary", changes)
    parsed = {key: json.loads(text) if text.startswith(("{", "[", "true", "false")) else text for key, text in written.items()}
    return {"role": "secondary", **{key: value for key, value in parsed.items() if value != ""}}


def lines(*changes: dict[str, Any], secrets: tuple[str, ...] = SECRETS) -> list[str]:
    merged = {key: value for each in changes for key, value in each.items()}
    return complaint("secondary", example("secondary", merged), secrets).splitlines()


def models(base: type[Model] = Model) -> list[type[Model]]:
    """Every model of the settings; Settings, which holds all others, is the last."""
    found = [model for sub in base.__subclasses__() for model in (sub, *models(sub)) if model.__module__.startswith("settings.")]
    return sorted(found, key=lambda model: model is Settings)


def reverse_the_fields_of_every_model() -> None:
    for model in models():
        model.__pydantic_fields__ = dict(reversed(model.__pydantic_fields__.items()))
        model.model_rebuild(force=True)


@pytest.fixture
def reversed_fields() -> Iterator[None]:
    before = list(Settings.model_fields)
    reverse_the_fields_of_every_model()
    assert list(Settings.model_fields) == before[::-1]
    yield
    reverse_the_fields_of_every_model()
    assert list(Settings.model_fields) == before


@pytest.mark.parametrize(("check", "changes", "line"), CASES, ids=IDS)
def test_a_rule_can_be_broken_by_itself_and_is_told_in_one_line(check: Check, changes: dict[str, Any], line: str) -> None:
    assert [rule.mistakes for rule, _ in broken_rules(Settings.model_validate(values(changes)))] == [check]
    (told,) = lines(changes)
    assert told.startswith(f"k8s-dr:{line}")


def test_every_rule_has_a_case_here() -> None:
    assert {rule.mistakes for rule in RULES} == {check for check, _, _ in CASES}
    assert len({rule.mistakes for rule in RULES}) == len(RULES)


def test_every_function_that_tells_mistakes_is_in_the_list() -> None:
    defined = {
        value
        for module in (rules, traffic_rules, data_rules, drill_rules, aws_rules, handover_rules, monitoring_rules)
        for value in vars(module).values()
        if callable(value) and getattr(value, "__annotations__", {}).get("return") == "Mistakes"
    }
    advice = (aws_rules, handover_rules, monitoring_rules, traffic_rules)
    assert defined == {rule.mistakes for rule in (*RULES, *(each for module in advice for each in module.ADVICE))}


@pytest.mark.usefixtures("reversed_fields")
def test_no_rule_depends_on_the_order_of_the_fields() -> None:
    for _, changes, line in CASES:
        (told,) = lines(changes)
        assert told.startswith(f"k8s-dr:{line}")


@pytest.mark.usefixtures("reversed_fields")
def test_no_check_of_one_objects_fields_depends_on_their_order() -> None:
    for changes, line in OF_ONE_OBJECT:
        (told,) = lines(changes)
        assert told.startswith(f"k8s-dr:{line}")


@pytest.mark.usefixtures("reversed_fields")
def test_the_tiers_values_and_every_default_are_there_whatever_the_order_of_the_fields() -> None:
    settings = load(
        "secondary", example("secondary", {"tier": "active-active", "databases": [], "databasePasswords": {}}), SECRETS
    )
    assert (settings.dns.mode, settings.workloads[0].replicas) == ("both-regions", settings.workloads[0].standby_replicas)
    assert settings.identity_mode == "pod-identity"
    assert settings.dns.endpoint_check.asked_port == 443


def test_no_validator_of_a_field_looks_at_another_field() -> None:
    # pydantic's ValidationInfo holds only the fields that stand further up: a field that moves would silence such a check.
    for path in (ROOT / "settings").glob("*.py"):
        tree = ast.parse(path.read_text())
        names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
        names |= {alias.name for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) for alias in node.names}
        assert "ValidationInfo" not in names, path
        for function in (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)):
            if any("field_validator" in ast.unparse(decorator) for decorator in function.decorator_list):
                assert len(function.args.args) == 2, f"{path}: {function.name} takes more than the class and the value"


def test_several_broken_rules_are_told_together_in_the_order_of_the_list() -> None:
    changes = {
        **part("backups", name="a" * 54),
        **part("databases", archiveTimeout="10m", standby=False),
        "identity": "irsa",
        "etcd": {"enabled": True},
        "databasePasswords": {"other": PASSWORD},
    }
    assert [line.split(": ")[0].removeprefix("k8s-dr:") for line in lines(changes)] == [
        "backups[0].name",
        "tier",
        "tier",
        "cluster",
        "identity",
        "databasePasswords",
        "databasePasswords",
    ]


def test_one_rule_tells_every_place_that_breaks_it() -> None:
    (database,) = part("databases")["databases"]
    other = {**database, "name": "other", "namespace": "elsewhere"}
    told = lines({**STATIC, "staticCredentials": {}, "databases": [database, other], "databasePasswords": {}})
    assert [line.split(";")[0].removeprefix("k8s-dr:") for line in told] == [
        "staticCredentials: has no key for velero while identity is static",
        "staticCredentials: has no key for database while identity is static",
        "staticCredentials: has no key for freshness while identity is static",
        "staticCredentials: has no key for guard while identity is static",
        "staticCredentials: has no key for drills while identity is static",
        "staticCredentials: has no key for drill-database while identity is static",
        "databasePasswords: has no password for the owner of app-database",
        "databasePasswords: has no password for the owner of other",
    ]
    backups = [{"name": letter * 54, "cron": "0 2 * * *", "keep": "720h"} for letter in "ab"]
    assert [line.split(":")[1] for line in lines({"backups": backups})] == ["backups[0].name", "backups[1].name"]


def test_rules_wait_until_every_field_is_valid_by_itself() -> None:
    rule, field = {"databasePasswords": {}}, part("dns", ttl=0)
    (told,) = lines(rule, field)
    assert told.startswith("k8s-dr:dns.ttl: 0 is less than 1")
    (told,) = lines(rule)
    assert told.startswith("k8s-dr:databasePasswords: has no password")
    # What one object says of its own fields is told beside the mistakes of other fields, and also before the rules.
    assert [
        line.split(": ")[0] for line in lines(rule, part("dns", ttl=0), part("databases", **CONNECTION, replication="archive"))
    ] == [
        "k8s-dr:dns.ttl",
        "k8s-dr:databases[0].streaming",
    ]


def test_nothing_but_load_makes_settings_so_none_break_a_rule() -> None:
    makers = {
        file.relative_to(ROOT).as_posix()
        for folder in ("settings", "components", "lab", "scripts", "charts")
        for file in (ROOT / folder).rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Call)
        and ast.unparse(node.func) in ("Settings", "Settings.model_validate", "Settings.model_construct")
    }
    assert makers == {"settings/load.py"}


@pytest.mark.parametrize("url", ["http://[", "https:///healthz", "https://[app]/"])
def test_a_probe_without_a_host_is_refused_by_itself(url: str) -> None:
    assert lines({"failover": {"probe": url}}) == [
        f"k8s-dr:failover.probe: {url} is not a URL; write one as in https://app.example.com/"
    ]


def test_a_probe_with_a_user_and_no_host_is_refused_without_the_user() -> None:
    assert lines({"failover": {"probe": "http://a@"}}) == [
        "k8s-dr:failover.probe: http://…@ is not a URL; write one as in https://app.example.com/"
    ]


@pytest.mark.parametrize(
    ("secret", "hidden", "changes"),
    [
        ("dns", "app.example.com", {"tier": "active-active", **part("databases", **CONNECTION)}),
        ("failover", "app.example.com", {"tier": "active-active", **part("databases", **CONNECTION)}),
        ("databases", "app-database", {"databasePasswords": {}}),
        ("databases", "10m", part("databases", archiveTimeout="10m")),
        ("targets", "17s", {"targets": {"rpo": "17s"}}),
        (
            "workloads",
            "is 0",
            {"tier": "warm-standby", **part("workloads", standbyReplicas=0), **part("databases", **CONNECTION)},
        ),
        ("identity", "irsa", {"identity": "irsa"}),
        ("tier", "backup-restore runs", {"tier": "backup-restore", **part("workloads", standbyReplicas=1)}),
    ],
)
def test_a_rule_shows_nothing_of_a_key_that_is_stored_as_a_secret_whichever_key_it_is_told_under(
    secret: str, hidden: str, changes: dict[str, Any]
) -> None:
    (told,) = lines(changes, secrets=(*SECRETS, secret))
    assert hidden not in told
    assert "the secret" in told
