"""Configurations of the kind that platform engineers write: none that is accepted does harm, and no refusal is a riddle."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from pulumi.runtime import config

from settings import ConfigurationError, Settings, load, read_configuration, refuse_dropped_parts, warnings
from settings.load import SECRETS
from settings.peer_file import refuse_one_cluster_for_both
from tests.examples import PASSWORD, example
from tests.unit.recorder import run_program
from tests.unit.settings import (
    tried_databases,
    tried_doubts,
    tried_harmful,
    tried_limits,
    tried_newer,
    tried_parameters,
    tried_platform,
    tried_regions,
    tried_velero,
    tried_words,
)
from tests.unit.settings.test_mistakes import COMMITTED, complaint
from tests.unit.settings.tried_others import UNCLEAR, VALID
from tests.unit.settings.tried_parts import (
    backup,
    cluster,
    connected,
    database,
    delivery,
    dns,
    modifier,
    patch,
    topology,
    workload,
)

LATER = (tried_limits, tried_newer, tried_parameters, tried_platform, tried_regions, tried_velero, tried_words)
REFUSED = [*tried_harmful.HARMFUL, *tried_databases.HARMFUL, *UNCLEAR, *(row for tried in LATER for row in tried.HARMFUL)]
ACCEPTED = [*VALID, *(row for tried in LATER for row in tried.VALID)]
REMOVAL = {"operation": "remove", "path": "/spec/paused"}


def accepted(changes: dict[str, Any]) -> Settings:
    return load("secondary", example("secondary", changes), SECRETS)


def warned(changes: dict[str, Any], directory: Path) -> list[str]:
    return [line.removeprefix("k8s-dr:") for line in warnings(accepted(changes), SECRETS, directory)]


@pytest.mark.parametrize(("changes", "line"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED])
def test_it_is_refused_in_one_line_with_key_value_and_fix(changes: dict[str, Any], line: str) -> None:
    told = complaint("secondary", example("secondary", changes)).splitlines()
    assert told[0].removeprefix("k8s-dr:") == line


@pytest.mark.parametrize("changes", [row[1] for row in ACCEPTED], ids=[row[0] for row in ACCEPTED])
def test_it_is_accepted(changes: dict[str, Any]) -> None:
    assert complaint("secondary", example("secondary", changes)) == ""


WARNED: list[tuple[str, dict[str, Any], str]] = [
    (
        "a workload whose namespace no backup has",
        {"backups": [COMMITTED["backups"][1]], **workload(namespace="shop")},
        "workloads[0].namespace: shop is in no backup that a failover restores",
    ),
    (
        "a region that does not exist",
        topology(regions={"primary": "us-east-7", "secondary": "us-west-2"}),
        "topology.regions.primary: us-east-7 is no region that botocore knows",
    ),
    (
        "an image that only the other region has",
        {"images": {"python": "123456789012.dkr.ecr.us-east-1.amazonaws.com/python:3.13"}},
        "images.python: 123456789012.dkr.ecr.us-east-1.amazonaws.com/python:3.13 is kept in us-east-1",
    ),
    (
        "more replicas that stand by than that serve",
        workload(standbyReplicas=5),
        "workloads[0].standbyReplicas: 5 is more than replicas, 3",
    ),
    (
        "workloads of controllers that each region has",
        workload(namespace="istio-system"),
        "workloads[0].namespace: istio-system holds controllers, which each region runs for itself, and a region that stands by "
        "would scale them to 0; take it out, unless these workloads are yours",
    ),
    (
        "more backups than Velero lists in time",
        backup(cron="*/5 * * * *"),
        "backups[0].keep: 720h keeps 8640 backups at a time, and Velero is slow above 2500; write less, or a rarer cron",
    ),
    (
        "a database that its drill has no time for",
        database(storage="2Ti"),
        "drills.database.timeout: 2h is less than the recovery of app-database may take with 2Ti of storage, 5h49m32s at "
        "100 MiB/s; write more, or name smaller ones in drills.database.databases, or enabled: false",
    ),
    (
        "an internal load balancer",
        {"endpoint": "internal-lb-1.us-west-2.elb.amazonaws.com"},
        "endpoint: internal-lb-1.us-west-2.elb.amazonaws.com is internal, so only users who are connected to its VPC reach it; "
        "write the one for the internet for others",
    ),
    (
        "a plugin and a sidecar of two versions",
        {"images": {"barmanCloudSidecar": "ghcr.io/cloudnative-pg/plugin-barman-cloud-sidecar:v0.15.0"}},
        "images.barmanCloudSidecar: ghcr.io/cloudnative-pg/plugin-barman-cloud-sidecar:v0.15.0 is of another version than "
        "barmanCloudPlugin, ghcr.io/cloudnative-pg/plugin-barman-cloud:v0.14.0; write the same in both",
    ),
    (
        "what a Velero that others installed does not read",
        {"velero": {"managed": False, "tolerations": [{"operator": "Exists"}]}},
        "velero.tolerations: is read by nobody, because velero.managed is false; set it where Velero is installed",
    ),
    (
        "etcd's backup on EKS",
        {"etcd": {"cron": "0 */2 * * *"}},
        "etcd.cron: is read by nobody here, because this cluster is EKS, where AWS backs up etcd; take it out, unless the other "
        "stack reads it",
    ),
    (
        "days of access logs that nobody writes",
        {"storage": {"accessLogDays": 30}},
        "storage.accessLogDays: is read by nobody, because storage.accessLogs is false; write accessLogs: true, or take it out",
    ),
    (
        "an agent that no Pod uses",
        {"identity": "irsa", **cluster(podIdentityAgent=True, oidcIssuer="oidc.eks.us-west-2.amazonaws.com/id/EXAMPLE")},
        "cluster.podIdentityAgent: is read by nobody, because identity is irsa; take it out, or write identity: pod-identity",
    ),
    ("a volume that WAL fills", database(walStorage="1Gi"), "databases[0].walStorage: 1Gi is no more than the WAL"),
    ("force, and no failover", {"force": True}, "force: is true while no failover runs"),
    (
        "a managed class that no database asks for",
        {"storageClass": {"managed": True, "name": "fast"}, **database(storageClass="other")},
        "storageClass.managed: makes fast, and every one of databases asks for another",
    ),
    ("the pipelines' bucket is another than the stack's", delivery(stateBucket="acme-state"), "delivery.stateBucket: acme-state"),
    (
        "one bucket for the state of both stacks",
        topology(backends={"primary": "s3://acme", "secondary": "s3://acme"}),
        "topology.backends: has s3://acme for both stacks",
    ),
    *tried_doubts.WARNED,
]


@pytest.mark.parametrize(("changes", "line"), [row[1:] for row in WARNED], ids=[row[0] for row in WARNED])
def test_what_a_person_may_mean_is_accepted_with_a_warning(changes: dict[str, Any], line: str, tmp_path: Path) -> None:
    assert [told for told in warned(changes, tmp_path) if told.startswith(line)]


def test_the_committed_configuration_is_accepted_without_a_warning(tmp_path: Path) -> None:
    assert warned({}, tmp_path) == []


@pytest.mark.parametrize(
    "changes",
    [
        {"targets": {"rto": "5m"}},
        {"guard": {"enabled": False, "schedule": "0 * * * *"}},
        {"storage": {"objectLock": {"mode": "COMPLIANCE", "days": 30}}},
        database(parameters={"statement_timeout": "0", "idle_session_timeout": "1h", "synchronous_commit": "local"}),
        database(backupCron="0 0 3 * * 0"),
        {"images": {"cloudnativePg": "ghcr.io/cloudnative-pg/cloudnative-pg:1.25.0"}},
        dns(names=["*.example.com"]),
        patch(value="3"),
        modifier(mergePatches=[{"patchData": "spec: {paused: null}"}]),
        modifier(patches=[REMOVAL], matches=[{"path": "/spec/paused", "value": "true"}]),
        modifier(patches=[{"operation": "test", "path": "/spec/paused", "value": "true"}, REMOVAL]),
        modifier(patches=[{"operation": "add", "path": "/spec/paused", "value": "true"}, REMOVAL]),
        {"monitoring": {"enabled": True, "regionLabel": "region"}},
        {"monitoring": {"enabled": True, "replayWithin": "30m"}},
        {"monitoring": {"enabled": True, "alerts": False}},
        {"monitoring": {"enabled": True}, "tier": "backup-restore"},
        {"monitoring": {"enabled": True}, **database(**connected())},
    ],
)
def test_what_is_usual_is_accepted_without_a_warning(changes: dict[str, Any], tmp_path: Path) -> None:
    assert warned(changes, tmp_path) == []


def test_a_warning_shows_nothing_of_what_is_stored_as_a_secret(tmp_path: Path) -> None:
    told = warnings(accepted(workload(namespace="hunter2") | {"backups": [COMMITTED["backups"][1]]}), ["workloads"], tmp_path)
    assert told
    assert not [line for line in told if "hunter2" in line]


def test_a_zone_in_a_key_of_both_regions_is_refused_in_the_region_that_has_no_such_zone() -> None:
    shared = {"velero": {"dataMovers": {"nodes": {"topology.kubernetes.io/zone": "us-west-2a"}}}}
    assert complaint("secondary", example("secondary", shared)) == ""
    assert "us-west-2a, which no node in us-east-1 has" in complaint("primary", example("primary", shared))


def test_a_check_on_port_443_is_asked_by_tls() -> None:
    check = accepted(workload(check={"service": "web", "port": 443})).workloads[0].check
    assert check is not None
    assert check.scheme == "https"


def test_a_database_asks_for_the_class_that_the_program_makes() -> None:
    settings = accepted({"storageClass": {"managed": True, "name": "fast-encrypted"}})
    assert settings.databases[0].storage_class == "fast-encrypted"


def test_the_connection_stays_private_whatever_annotations_a_person_adds() -> None:
    annotations = {"external-dns.alpha.kubernetes.io/hostname": "pg.example.com"}
    seen = run_program("secondary", {**database(**connected(serviceAnnotations=annotations)), "peerReady": True})
    (cluster,) = seen.of("Cluster")
    (service,) = cluster.spec["managed"]["services"]["additional"]
    found = service["serviceTemplate"]["metadata"]["annotations"]
    assert found["service.beta.kubernetes.io/aws-load-balancer-scheme"] == "internal"
    assert found["service.beta.kubernetes.io/aws-load-balancer-internal"] == "true"
    assert annotations.items() <= found.items()


def test_databases_that_read_alike_beside_their_namespaces_have_associations_of_their_own() -> None:
    two = [{"name": "orders", "namespace": "shop-eu"}, {"name": "eu-orders", "namespace": "shop"}]
    passwords = {"orders": PASSWORD, "eu-orders": PASSWORD}
    seen = run_program("secondary", {"databases": two, "databasePasswords": passwords, "peerReady": True})
    names = [each.name for each in seen.of("PodIdentityAssociation")]
    assert len({*names}) == len(names)
    assert {"identity-database-shop-eu-orders", "identity-database-shop.eu-orders"} & {*names}


def test_a_long_name_has_a_set_identifier_that_route_53_takes() -> None:
    name = f"{'a' * 60}.{'b' * 60}.example.com"
    seen = run_program("secondary", dns(names=[name]))
    assert [len(record.inputs["setIdentifier"]) <= 128 for record in seen.of("Record")] == [True]


def test_a_second_backup_of_the_same_namespaces_restores_nothing_and_not_everything() -> None:
    again = {"name": "weekly", "cron": "0 2 * * 0", "keep": "1440h", "include": ["production", "databases"]}
    seen = run_program("secondary", {"backups": [*COMMITTED["backups"], again], "active": "secondary", "peerReady": True})
    restores = [restore.spec.get("includedNamespaces") for restore in seen.of("Restore")]
    assert restores
    assert [] not in restores


def write(directory: Path, shared: dict[str, Any], **stacks: dict[str, Any]) -> None:
    entries = {key: {"value": value} for key, value in shared.items()}
    (directory / "Pulumi.yaml").write_text(yaml.safe_dump({"config": entries}))
    for stack, own in stacks.items():
        config = {f"k8s-dr:{key}": value for key, value in own.items()}
        (directory / f"Pulumi.{stack}.yaml").write_text(yaml.safe_dump({"config": config}))


LOCK = {"objectLock": {"mode": "GOVERNANCE", "days": 30}}


def test_a_stack_file_that_drops_what_pulumi_yaml_says_is_refused(tmp_path: Path) -> None:
    write(
        tmp_path, {"storage": LOCK, "backups": COMMITTED["backups"]}, secondary={"storage": {"accessLogs": True}, "backups": []}
    )
    with pytest.raises(ConfigurationError) as refused:
        refuse_dropped_parts("secondary", tmp_path)
    assert str(refused.value).splitlines() == [
        "k8s-dr:backups: Pulumi.secondary.yaml replaces all that Pulumi.yaml says of backups, and drops backups[0], backups[1]; "
        "write that there too (null for none), or run: pulumi config rm backups -s secondary",
        "k8s-dr:storage: Pulumi.secondary.yaml replaces all that Pulumi.yaml says of storage, and drops storage.objectLock; "
        "write that there too (null for none), or run: pulumi config rm storage -s secondary",
    ]


def test_a_stack_file_that_says_all_of_a_key_itself_is_warned_about(tmp_path: Path) -> None:
    write(tmp_path, {"storage": LOCK}, secondary={"storage": {"objectLock": None, "accessLogs": True}})
    refuse_dropped_parts("secondary", tmp_path)
    assert warned({}, tmp_path) == [
        "storage: Pulumi.secondary.yaml replaces what Pulumi.yaml says of storage for both stacks; where that is not meant, run: "
        "pulumi config rm storage -s secondary"
    ]


def test_one_load_balancer_for_both_regions_is_refused(tmp_path: Path) -> None:
    name = "lb.example.com"
    write(tmp_path, {}, primary={"endpoint": name}, secondary={"endpoint": name})
    with pytest.raises(ConfigurationError) as refused:
        refuse_one_cluster_for_both(accepted({"endpoint": name}), tmp_path)
    assert str(refused.value) == (
        "k8s-dr:endpoint: lb.example.com is stack primary's too, as Pulumi.primary.yaml says; after a failover "
        "users would be sent "
        "to the other region; write this region's own load balancer"
    )


def test_a_key_under_a_misspelt_project_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    stored = {f"k8s-dr:{key}": text for key, text in example("secondary").items()}
    config.set_all_config(
        {**stored, "k8sdr:active": "secondary", "aws:region": "us-west-2"}, [f"k8s-dr:{key}" for key in SECRETS]
    )
    monkeypatch.setattr(config, "get_config_env", dict)
    assert complaint("secondary", *read_configuration()) == (
        "k8sdr:active: is a key of k8sdr, which nobody reads, and not of k8s-dr; run: pulumi config rm "
        "k8sdr:active -s secondary && "
        "pulumi config set active … -s secondary"
    )
