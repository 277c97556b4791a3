"""Mistakes in what a person writes about databases, their passwords, tiers and etcd: one line each, with nothing of a secret."""

from __future__ import annotations

from typing import Any

import pytest

from tests.examples import PASSWORD, REMOVED, example
from tests.unit.settings.test_mistakes import COMMITTED, complaint, part

STREAMING = {
    "hosts": {"primary": "a.example.com", "secondary": "b.example.com"},
    "certificates": {"server": "a", "serverCa": "b", "clientCa": "c", "replication": "d"},
}
AWS = "service.beta.kubernetes.io/aws-load-balancer"
NEARLY = "is not a size as Kubernetes writes it; write"
SIZE = "is not a size; write one as in 100Gi"
SWITCH = "is neither true nor false; write one of them, without quotes"
NO_TAG = "is not an image with a tag that begins with PostgreSQL's version; write one as in postgresql:18.4"
SECONDS = "and CloudNativePG reads the first as seconds: it would run at other times"
FIX = "pulumi config set --secret --path 'databasePasswords[\"{}\"]' -s secondary"
OWN, ANY = FIX.format("app-database"), FIX.format("NAME")
TIERS = "'backup-restore', 'pilot-light', 'warm-standby', 'active-active'"
EKS = (
    "cluster: has distribution eks while etcd.enabled is true: on EKS nobody but AWS reaches etcd, which AWS backs up and "
    "restores by itself; Velero's backups protect what is in it. Take etcd.enabled out, or set it to false"
)


def database(**changes: Any) -> dict[str, Any]:
    return part("databases", **changes)


MISTAKES: list[tuple[dict[str, Any], str]] = [
    ({"databases": COMMITTED["databases"] * 2}, "databases: names the database app-database twice; keep one"),
    (
        database(name="a" * 41),
        f"databases[0].name: {'a' * 41} is longer than 40 characters, and the names of its parts are made from it; choose a "
        "shorter one",
    ),
    ({"databases": ["app"]}, "databases[0]: app is not an object; write {name: …, namespace: …}"),
    ({"databases": [{"name": "app-database"}]}, "databases[0].namespace: is missing; add it: namespace of the Cluster"),
    (database(owner="App"), "databases[0].owner: App is not a PostgreSQL name in lower case; write app"),
    (database(instances=0), "databases[0].instances: 0 is less than 1; write 1 or more"),
    (
        database(source="peer"),
        "databases[0].source: peer is not one of 'replica-bucket', 'primary-bucket'; write one of them",
    ),
    (database(generations={"primary": 0}), "databases[0].generations.primary: 0 is less than 1; write 1 or more"),
    # Base backups.
    (database(backupCron="0 3 * * *"), f'databases[0].backupCron: 0 3 * * * has 5 fields, {SECONDS}; write "0 0 3 * * *"'),
    (
        database(backupCron="daily"),
        'databases[0].backupCron: daily has 1 fields, a base backup has six (second minute hour …); as in "0 0 3 * * *"',
    ),
    (
        database(backupCron="60 0 3 * * *"),
        'databases[0].backupCron: 60 0 3 * * * begins with the second 60 and not one from 0 to 59; write 0 as in "0 0 3 * * *"',
    ),
    (
        database(backupCron="*/5 0 3 * * *"),
        'databases[0].backupCron: */5 0 3 * * * begins with the second */5 and not one from 0 to 59; write 0 as in "0 0 3 * * *"',
    ),
    (
        database(backupCron="0 99 3 * * *"),
        'databases[0].backupCron: 0 99 3 * * * is not a cron line (Bad minute); write one as in "0 0 2 * * *"',
    ),
    (
        database(backupCron="0 0 3 * * 7"),
        "databases[0].backupCron: 0 0 3 * * 7 uses L, W, # or 7 for Sunday, which CloudNativePG does not know; write one as in "
        '"0 0 2 * * 0"',
    ),
    (
        database(retention="30"),
        "databases[0].retention: 30 is not a recovery window in days, weeks or months; write 30d",
    ),
    # Images and sizes.
    (database(image="postgresql"), f"databases[0].image: postgresql {NO_TAG}"),
    (database(image="registry:5000/postgresql"), f"databases[0].image: registry:5000/postgresql {NO_TAG}"),
    (database(image="postgresql:latest"), f"databases[0].image: postgresql:latest {NO_TAG}"),
    (database(storage="100GB"), f"databases[0].storage: 100GB {NEARLY} 100Gi"),
    (database(storage="1.5 TiB"), f"databases[0].storage: 1.5 TiB {NEARLY} 1.5Ti"),
    (database(storage="100"), "databases[0].storage: 100 has no unit; write 100Gi or 100Mi"),
    (database(storage="large"), f"databases[0].storage: large {SIZE}"),
    (database(storage=100), "databases[0].storage: 100 is a number without a unit; write 100Gi or 100Mi"),
    (database(walStorage="0Gi"), f"databases[0].walStorage: 0Gi {SIZE}"),
    (database(resources={"memory": "8192m"}), f"databases[0].resources.memory: 8192m {NEARLY} 8192Mi"),
    (
        database(resources={"cpu": "two"}),
        'databases[0].resources.cpu: two is not a number of CPUs in quotes; write one as in "2" or "500m"',
    ),
    # PostgreSQL's own settings.
    (
        database(parameters={"archive_timeout": "5min"}),
        "databases[0].parameters: sets archive_timeout, which has a key of its own: archiveTimeout; take it out",
    ),
    (
        database(parameters={"archive_mode": "on"}),
        "databases[0].parameters: sets archive_mode, which CloudNativePG sets by itself; take it out",
    ),
    (
        database(parameters={"max_connections": 200}),
        'databases[0].parameters.max_connections: 200 is a number; write it in quotes: "200"',
    ),
    (database(parameters=[]), "databases[0].parameters: [] is not an object; write {name: text}"),
    (
        database(checkpointTimeout="29s"),
        "databases[0].checkpointTimeout: 29s is not between 30s and 24h, and PostgreSQL takes nothing else; write one as in 2m",
    ),
    (
        database(checkpointTimeout="24h1s"),
        "databases[0].checkpointTimeout: 24h1s is not between 30s and 24h, and PostgreSQL takes nothing else; write one as in 2m",
    ),
    # The connection.
    (
        database(replication="streaming"),
        "databases[0]: has replication: streaming and no connection; add streaming: {hosts: …, certificates: …}",
    ),
    (
        database(streaming=STREAMING),
        "databases[0].streaming: is set while replication is archive; set replication: streaming, or take it out",
    ),
    (
        database(replication="streaming", streaming={**STREAMING, "serviceAnnotations": {f"{AWS}-scheme": "internet-facing"}}),
        f"databases[0].streaming.serviceAnnotations: has {AWS}-scheme: internet-facing, and PostgreSQL must not be reached from "
        "the internet; write internal, or take it out",
    ),
    (
        database(replication="streaming", streaming={**STREAMING, "serviceAnnotations": {f"{AWS}-internal": "false"}}),
        f"databases[0].streaming.serviceAnnotations: has {AWS}-internal: false, and PostgreSQL must not be reached from the "
        "internet; write true, or take it out",
    ),
    (
        database(
            replication="streaming", streaming={**STREAMING, "serviceAnnotations": {f"{AWS}-eip-allocations": "eipalloc-1"}}
        ),
        f"databases[0].streaming.serviceAnnotations: sets {AWS}-eip-allocations, which gives the load balancer public addresses; "
        "take it out",
    ),
    (
        database(replication="streaming", streaming={"hosts": STREAMING["hosts"]}),
        "databases[0].streaming.certificates: is missing; add it: TLS certificates of both ends, signed by one authority",
    ),
    # Passwords.
    (
        {"databasePasswords": REMOVED},
        f"databasePasswords: has no password for the owner of app-database; run, with the same password in both stacks: {OWN}",
    ),
    (
        {"databasePasswords": {"app-database": ""}},
        f"databasePasswords: has an empty password for the owner of app-database; run: {OWN}",
    ),
    (
        {"databasePasswords": {"app-database": PASSWORD, "hunter2": PASSWORD}},
        "databasePasswords: has a password for a database that is not in databases (see: pulumi config -s secondary); "
        "take it out: pulumi config rm --path 'databasePasswords[\"NAME\"]' -s secondary",
    ),
    (
        {"databasePasswords": "hunter2"},
        f"databasePasswords: the secret cannot be read; run: pulumi config rm databasePasswords -s secondary && {ANY}",
    ),
    ({"databasePasswords": ["hunter2"]}, f"databasePasswords: the secret is not an object; for each of its parts run: {ANY}"),
    ({"databasePasswords": {"hunter2": None}}, f"databasePasswords: is empty; run: {ANY}"),
    (
        {'databasePasswords["app-database"]=hunter2': ""},
        'databasePasswords["app-database"]=…: \'pulumi config set databasePasswords["app-database"]=…\' stored a key of that '
        f"name and changed nothing; run: pulumi config rm 'databasePasswords[\"app-database\"]=…' -s secondary && {OWN}",
    ),
    (
        {'databasePasswords["app-database"]': "hunter2"},
        'databasePasswords["app-database"]: was stored without --path and changed nothing; run: pulumi config rm '
        "'databasePasswords[\"app-database\"]' -s secondary && pulumi config set --secret --path "
        "'databasePasswords[\"app-database\"]' -s secondary",
    ),
    # What a failover promises, and what it is held against.
    ({"tier": "gold"}, f"tier: gold is not one of {TIERS}; write one of them"),
    ({"targets": {"rpo": "5 minutes"}}, "targets.rpo: 5 minutes is not a duration; write 5m"),
    ({"force": "yes"}, "force: yes is neither true nor false; write one of them"),
    ({"force": '"true"'}, f"force: true {SWITCH}"),
    (
        {"failover": {"probe": "app.example.com"}},
        "failover.probe: app.example.com is not a URL; write https://app.example.com/",
    ),
    # etcd and operators.
    ({"etcd": {"enabled": True}}, EKS),
    (
        {"etcd": {"cron": "0 0 */6 * * *"}},
        'etcd.cron: 0 0 */6 * * * has 6 fields, a schedule has five (minute hour day month weekday); as in "0 2 * * *"',
    ),
    ({"operators": {"cnpg": True}}, "operators.cnpg: unknown key (known: barmanCloud, certManager, cloudnativePg)"),
    ({"storageClass": {"managed": "true"}}, f"storageClass.managed: true {SWITCH}"),
]


@pytest.mark.parametrize(("changes", "message"), MISTAKES, ids=[message.split(":")[0] for _, message in MISTAKES])
def test_a_mistake_is_one_line_with_key_value_and_fix(changes: dict[str, Any], message: str) -> None:
    assert complaint("secondary", example("secondary", changes)) == f"k8s-dr:{message}"
    assert "\n" not in message


@pytest.mark.parametrize(
    "key", ["tier", "force", "databases", "etcd", "operators", "storageClass", "targets", "databasePasswords"]
)
def test_a_key_that_is_left_out_has_a_default_that_holds(key: str) -> None:
    without = {key: REMOVED, "databases": REMOVED, "databasePasswords": REMOVED}
    assert complaint("secondary", example("secondary", without)) == ""


def test_a_mistake_of_a_database_is_not_also_one_of_its_password() -> None:
    told = complaint("secondary", example("secondary", database(name="App")))
    assert len(told.splitlines()) == 1


def test_a_self_managed_cluster_may_back_its_etcd_up_and_eks_may_say_that_it_does_not() -> None:
    own = {**part("cluster", distribution="self-managed", nodeRole="nodes"), "identity": "instance-profile"}
    assert complaint("secondary", example("secondary", {**own, "etcd": {"enabled": True}})) == ""
    assert complaint("secondary", example("secondary", {"etcd": {"enabled": False}})) == ""
