"""A database is added to two deployed stacks that have none: what it needs first, and how each of its sides is made."""

from __future__ import annotations

from functools import partial

import pytest
import yaml

from lab import stacks
from lab.project import lab_database
from lab.pulumi import touched
from lab.standins.archive import put_base_backup
from lab.standins.recorded_cluster.kinds import OPERATORS
from lab.waiting import until
from tests.engine.conftest import Pair, create_user, told_plainly

CLUSTER, HEALTHY = "Cluster.postgresql.cnpg.io", "Cluster in healthy state"


def names(pair: Pair, role: str) -> set[str]:
    """The databases of which the region has a Cluster."""
    return {found["metadata"]["name"] for found in pair.clusters[role].objects(CLUSTER)}


def phase(pair: Pair, name: str) -> str:
    """The phase that the primary's operator reports for a database."""
    [found] = [each for each in pair.clusters["primary"].objects(CLUSTER) if each["metadata"]["name"] == name]
    return str(found["status"]["phase"])


def add(pair: Pair, name: str) -> None:
    file = pair.pulumi.directory / "Pulumi.yaml"
    content = yaml.safe_load(file.read_text())
    content["config"]["databases"]["value"].append(lab_database(name=name))
    file.write_text(yaml.safe_dump(content, sort_keys=False))
    for role in stacks.ROLES:
        stacks.give_password(pair.pulumi, role, name)
        for part in ("database", "freshness"):
            stacks.give_key(pair.pulumi, role, part, partial(create_user, pair.endpoint))


def refused_up(pair: Pair, role: str, name: str, *words: str) -> None:
    """Run `up`, and expect a refusal: it says `words` in one line, and it makes nothing of the database."""
    before = pair.pulumi.resources(role)
    refused = pair.pulumi.up(role, check=False)
    assert told_plainly(refused, *words), refused.output
    made = touched(before, pair.pulumi.resources(role))
    assert not [entry for entry in made if name in entry["name"] and not entry["type"].startswith("dr:")]
    assert name not in names(pair, role)


def test_without_the_operators_no_database_is_made(pair: Pair) -> None:
    pair.clusters["primary"].uninstall(OPERATORS)
    add(pair, "early-database")
    missing = "database early-database: the operator CloudNativePG (k8s-dr:operators.cloudnativePg)"
    refused_up(pair, "primary", "early-database", missing, "then pulumi up -s primary")


def test_a_server_name_that_was_used_before_is_refused_with_the_generation_to_raise(pair: Pair) -> None:
    put_base_backup(pair.s3(), "acme-database-us-east-1-123456789012", "second-database-primary-g1")
    add(pair, "second-database")
    used = "there is an archive of second-database-primary-g1 already"
    refused_up(pair, "primary", "second-database", used, "k8s-dr:databases[].generations.primary: 2, in Pulumi.yaml")


def test_a_standby_waits_for_the_primarys_first_backup(pair: Pair) -> None:
    add(pair, "orders-database")
    pair.pulumi.up("primary")
    [first] = [
        backup
        for backup in pair.clusters["primary"].objects("Backup.postgresql.cnpg.io")
        if backup["spec"]["cluster"]["name"] == "orders-database"
    ]
    assert first["status"]["phase"] == "completed"
    missing = "there is no base backup of orders-database-primary-g1 in s3://acme-database-us-west-2-123456789012/"
    refused_up(pair, "secondary", "orders-database", missing, "pulumi up -s primary")
    pair.bring_first_backup("orders-database")
    pair.pulumi.up("secondary")
    assert "orders-database" in names(pair, "secondary")
    for role in stacks.ROLES:
        pair.pulumi.up(role, "--expect-no-changes")


@pytest.mark.long
def test_a_standby_that_is_lost_fails_the_up_at_once_and_is_made_anew_as_the_message_says(pair: Pair) -> None:
    add(pair, "lost-database")
    pair.pulumi.up("primary")
    pair.bring_first_backup("lost-database")
    reason = "Instance creation failed for the following jobs: lost-database-1-full-recovery"
    phase = "Cluster is unrecoverable and needs manual intervention"
    pair.secondary.outcomes.order({"kind": "Cluster", "name": "lost-database", "phase": phase, "phaseReason": reason})
    failed = pair.pulumi.up("secondary", check=False)
    delete = "kubectl delete cluster.postgresql.cnpg.io lost-database -n databases first"
    way_on = f"pulumi up --refresh --run-program -s secondary; if the standby was never made: {delete}"
    assert told_plainly(failed, f"database lost-database: {phase}: {reason}", way_on), failed.output
    assert failed.seconds < 300, "the Cluster's own timeout is an hour"

    pair.secondary.outcomes.ordered.clear()
    pair.secondary.remove(CLUSTER, "databases", "lost-database")
    pair.pulumi.up("secondary", "--refresh", "--run-program")
    assert "lost-database" in names(pair, "secondary")
    assert pair.pulumi.details("secondary")["databases"]["lost-database"] == "replica"


@pytest.mark.long
def test_a_database_that_is_written_to_is_never_said_to_be_deleted_and_is_taken_again_once_it_is_healthy(pair: Pair) -> None:
    add(pair, "ill-database")
    reason = "no such image"
    order = {"kind": "Cluster", "name": "ill-database", "phase": "Cluster has incomplete or invalid image catalog"}
    pair.clusters["primary"].outcomes.order({**order, "phaseReason": reason})
    failed = pair.pulumi.up("primary", check=False)
    way_on = "pulumi up --refresh --run-program -s primary; do not delete the Cluster, its volumes would go with it"
    assert told_plainly(failed, f"database ill-database: {order['phase']}: {reason}", way_on), failed.output
    assert "kubectl delete" not in failed.output

    pair.clusters["primary"].outcomes.ordered.clear()
    pair.clusters["primary"].amend(CLUSTER, "databases", "ill-database", {"metadata": {"labels": {"seen": "again"}}})
    until("the operator to have looked again", lambda: phase(pair, "ill-database") == HEALTHY, timeout=30)
    pair.pulumi.up("primary", "--refresh", "--run-program")
    assert pair.pulumi.details("primary")["databases"]["ill-database"] == "primary"


@pytest.mark.long
@pytest.mark.parametrize("phase", ["failed", "invalid backup definition"])
def test_a_first_backup_that_fails_fails_the_up_with_its_reason(pair: Pair, phase: str) -> None:
    add(pair, "backup-database")
    order = {"kind": "Backup", "name": "backup-database", "phase": phase, "error": "AccessDenied on PutObject"}
    pair.clusters["primary"].outcomes.order(order)
    failed = pair.pulumi.up("primary", check=False)
    ended = f"database backup-database: its first backup ended {phase}: AccessDenied on PutObject"
    assert told_plainly(failed, ended), failed.output
    pair.clusters["primary"].outcomes.ordered.clear()
    pair.clusters["primary"].remove("ScheduledBackup.postgresql.cnpg.io", "databases", "backup-database-first-g1")
    pair.pulumi.up("primary", "--refresh", "--run-program")
