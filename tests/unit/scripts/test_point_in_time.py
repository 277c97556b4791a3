"""A database as of a time: which Cluster is printed for it, and what is refused before anybody applies one."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import yaml

from components.database.specs import cluster_spec, object_store
from scripts.point_in_time import KINDS, NoWayBackError, main
from settings.roles import ROLES, Role
from tests.unit.components.database.sides import STREAMING, side

NOW = datetime(2026, 3, 2, 15, 0, tzinfo=UTC)
TO = "2026-03-02T14:00:00Z"
FIRST = "2026-02-01T03:00:12Z"

Object = dict[str, Any]


def items(stack: Role = "primary", active: Role = "primary", *, first: str | None = FIRST, **changes: Any) -> list[Object]:
    """What kubectl reads in a region's namespace: the program's own objects, with the status that the plugin writes."""
    made = side(stack, active, **changes)
    settings = made.settings
    window = {settings.server(stack): {"firstRecoverabilityPoint": first}} if first else {}
    return [
        {
            "apiVersion": "postgresql.cnpg.io/v1",
            "kind": "Cluster",
            "metadata": {"name": settings.name, "namespace": settings.namespace, "annotations": {}},
            "spec": cluster_spec(made),
        },
        *(
            {
                "apiVersion": "barmancloud.cnpg.io/v1",
                "kind": "ObjectStore",
                "metadata": {"name": settings.member(role), "namespace": settings.namespace},
                "spec": object_store(made, role),
                "status": {"serverRecoveryWindow": window if role == stack else {}},
            }
            for role in ROLES
        ),
    ]


def run(found: list[Object] | str, *more: str, to: str = TO, database: str = "app-database") -> tuple[Object, str]:
    text = found if isinstance(found, str) else json.dumps({"kind": "List", "items": found})
    printed, told = main(["--context", "prod-use1", "--database", database, "--to", to, *more], text, NOW)
    return yaml.safe_load(printed), told


def refused(found: list[Object] | str, *more: str, **given: str) -> str:
    with pytest.raises(NoWayBackError) as error:
        run(found, *more, **given)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_the_cluster_is_recovered_from_the_regions_own_archive_and_stands_beside_the_live_one() -> None:
    made, _ = run(items())
    assert made["metadata"]["name"] == "app-database-pitr"
    assert made["metadata"]["namespace"] == "databases"
    assert made["spec"]["bootstrap"] == {
        "recovery": {
            "source": "app-database-primary",
            "recoveryTarget": {"targetTime": TO},
            "database": "app",
            "owner": "app",
            "secret": {"name": "app-database-owner"},
        }
    }
    (source,) = made["spec"]["externalClusters"]
    assert source["name"] == "app-database-primary"
    assert source["plugin"]["parameters"] == {"barmanObjectName": "app-database-primary", "serverName": "app-database-primary-g1"}


def test_it_archives_nothing_follows_nobody_and_is_in_no_backup() -> None:
    made, _ = run(items(**STREAMING))
    for key in ("plugins", "replica", "backup", "certificates", "managed"):
        assert key not in made["spec"]
    assert made["metadata"]["labels"] == {"velero.io/exclude-from-backup": "true"}
    assert made["spec"]["inheritedMetadata"]["labels"] == {"velero.io/exclude-from-backup": "true"}


def test_it_runs_under_the_one_service_account_that_aws_trusts_and_has_no_template_of_another() -> None:
    made, _ = run(items())
    assert made["spec"]["serviceAccountName"] == "app-database"
    assert "serviceAccountTemplate" not in made["spec"], "the operator refuses both together"


@pytest.mark.parametrize("wal_storage", ["20Gi", None])
def test_it_has_one_instance_of_the_live_ones_size(wal_storage: str | None) -> None:
    found = items(walStorage=wal_storage)
    live, spec = found[0]["spec"], run(found)[0]["spec"]
    assert spec["instances"] == 1
    for key in ("imageName", "resources", "storage", "walStorage"):
        assert spec.get(key) == live.get(key)
    assert spec["postgresql"] == {"parameters": live["postgresql"]["parameters"]}, "synchronous would wait for another instance"


def test_the_manifest_has_no_anchors_for_a_person_reads_it() -> None:
    printed, _ = main(
        ["--context", "c", "--database", "app-database", "--to", TO], json.dumps({"items": items(walStorage="20Gi")}), NOW
    )
    assert "&id" not in printed


def test_after_a_failover_it_comes_from_the_archive_of_the_region_that_serves_now() -> None:
    made, _ = run(items("secondary", "secondary"))
    assert made["spec"]["externalClusters"][0]["plugin"]["parameters"] == {
        "barmanObjectName": "app-database-secondary",
        "serverName": "app-database-secondary-g1",
    }


def test_an_older_archive_of_either_region_can_be_named() -> None:
    made, told = run(items("secondary", "secondary"), "--server", "app-database-primary-g1")
    assert made["spec"]["externalClusters"][0]["plugin"]["parameters"] == {
        "barmanObjectName": "app-database-primary",
        "serverName": "app-database-primary-g1",
    }
    assert "a time that nobody has written down" in told
    said = refused(items(), "--server", "orders-primary-g1")
    assert "there is: app-database-primary, app-database-secondary" in said


def test_times_of_every_zone_are_written_in_utc() -> None:
    made, _ = run(items(), to="2026-03-02T15:00:00.5+01:00")
    assert made["spec"]["bootstrap"]["recovery"]["recoveryTarget"] == {"targetTime": "2026-03-02T14:00:00.500000Z"}


def test_the_next_commands_name_the_context_and_the_cluster() -> None:
    _, told = run(items())
    commands = [line.strip() for line in told.splitlines() if line.startswith("  ")]
    assert all(command.startswith("kubectl --context prod-use1 ") for command in commands)
    assert "wait cluster.postgresql.cnpg.io/app-database-pitr -n databases" in commands[0]
    assert "delete cluster.postgresql.cnpg.io app-database-pitr -n databases" in commands[-1]
    assert f"its archive goes back to {FIRST}" in told


@pytest.mark.parametrize(
    ("to", "words"),
    [
        ("yesterday", "--to: 'yesterday' is no time; write one as in 2026-03-02T14:00:00Z"),
        ("2026-03-02T14:00:00", "--to: '2026-03-02T14:00:00' has no time zone"),
        ("2026-03-02", "has no time zone"),
        ("2026-03-02T16:00:00Z", "is still to come, for it is 2026-03-02T15:00:00Z"),
        ("2026-02-01T03:00:00Z", "is before the end of the first base backup of app-database-primary-g1, 2026-02-01T03:00:12Z"),
    ],
)
def test_a_time_that_cannot_be_reached_is_refused(to: str, words: str) -> None:
    assert words in refused(items(), to=to)


def test_where_nobody_knows_how_far_the_archive_goes_back_it_is_said_and_not_refused() -> None:
    _, told = run(items(first=None), to="2020-01-01T00:00:00Z")
    assert "without a base backup before it the recovery fails" in told


def test_an_unknown_database_is_refused_with_those_that_are_there() -> None:
    said = refused(items(), database="orders")
    assert said == "--database: there is no Cluster orders in what was piped in; of databases there is: app-database"


def test_a_database_that_stands_by_is_refused() -> None:
    assert "app-database stands by here and follows app-database-primary" in refused(items("secondary"))


@pytest.mark.parametrize("annotation", [{"cnpg.io/hibernation": "on"}, {"cnpg.io/fencedInstances": '["*"]'}])
def test_a_database_that_was_stopped_is_refused(annotation: dict[str, str]) -> None:
    found = items("primary", "primary")
    found[0]["metadata"]["annotations"] = annotation
    assert "app-database was stopped here" in refused(found)


def test_a_database_that_archives_elsewhere_is_refused() -> None:
    found = items()
    found[0]["spec"]["plugins"] = []
    del found[0]["spec"]["replica"]
    assert "archives nothing by barman-cloud.cloudnative-pg.io" in refused(found)


def test_an_archive_whose_objectstore_was_not_piped_in_is_refused() -> None:
    said = refused(items()[:1])
    assert "app-database-primary, which was not piped in; there is: none" in said
    assert KINDS in said


def test_a_second_one_is_refused_while_the_first_is_there_for_it_would_stay_as_it_is() -> None:
    found = items()
    first, _ = run(found)
    said = refused([*found, first], to="2026-03-02T14:30:00Z")
    assert f"app-database-pitr is there already, as of {TO}" in said
    assert said.endswith("kubectl --context prod-use1 delete cluster.postgresql.cnpg.io app-database-pitr -n databases")


@pytest.mark.parametrize("text", ["", "no resources found", "[]", "{}"])
def test_what_is_no_list_of_objects_is_refused_with_the_command_that_prints_one(text: str) -> None:
    assert f"kubectl --context prod-use1 get {KINDS} -n NAMESPACE -o json" in refused(text)


def test_the_present_second_is_not_the_future() -> None:
    to = (NOW - timedelta(seconds=1)).isoformat()
    assert run(items(), to=to)[0]["spec"]["bootstrap"]["recovery"]["recoveryTarget"]["targetTime"] == "2026-03-02T14:59:59Z"
