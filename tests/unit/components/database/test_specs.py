"""The objects of a database in every role: what both regions agree on, and what alone depends on who is active."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, get_args

import boto3
import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.database import specs
from components.database.specs import HEALTHY, LOST, cluster_annotations, cluster_spec, object_store
from settings.roles import ROLES, DatabaseRole, Role, peer_of
from settings.streaming import PRIVATE
from tests.unit.components.database.sides import STREAMING, side

BUCKET = {"primary": "acme-database-us-east-1-123456789012", "secondary": "acme-database-us-west-2-123456789012"}
PRIMARY, SECONDARY = "app-database-primary", "app-database-secondary"
roles = st.sampled_from(ROLES)
changes = st.fixed_dictionaries(
    {},
    optional={
        "name": st.from_regex(r"[a-z]([-a-z0-9]{0,38}[a-z0-9])?", fullmatch=True),
        "instances": st.integers(1, 5),
        "source": st.sampled_from(["replica-bucket", "primary-bucket"]),
        "walStorage": st.sampled_from([None, "1Gi"]),
        "antiAffinity": st.sampled_from(["required", "preferred"]),
        "generations": st.builds(
            lambda primary, secondary: {"primary": primary, "secondary": secondary}, *[st.integers(1, 9)] * 2
        ),
    },
)


def clear(spec: dict[str, Any], *keys: str) -> dict[str, Any]:
    return {key: value for key, value in spec.items() if key not in keys}


@given(stack=roles, change=changes, streaming=st.booleans())
def test_of_a_clusters_spec_only_whom_it_follows_depends_on_who_is_active(
    stack: Role, change: dict[str, Any], streaming: bool
) -> None:
    before, after = (
        cluster_spec(side(stack, active, **change, **(STREAMING if streaming else {}))) for active in ("primary", "secondary")
    )
    assert clear(before, "replica") == clear(after, "replica")
    assert clear(before["replica"], "primary") == clear(after["replica"], "primary")


@given(stack=roles, change=changes, role=roles)
def test_no_archive_depends_on_who_is_active(stack: Role, change: dict[str, Any], role: Role) -> None:
    before, after = (object_store(side(stack, active, **change), role) for active in ("primary", "secondary"))
    assert before == after


@given(change=changes, active=roles)
def test_both_regions_know_the_same_two_sides_and_each_writes_only_its_own(change: dict[str, Any], active: Role) -> None:
    here, there = (cluster_spec(side(stack, active, **change)) for stack in ROLES)
    assert here["externalClusters"] == there["externalClusters"]
    assert (here["replica"]["self"], here["replica"]["source"]) == (there["replica"]["source"], there["replica"]["self"])
    for spec, other in ((here, there), (there, here)):
        (archiver,) = spec["plugins"]
        mine = archiver["parameters"]
        named = {each["name"]: each["plugin"]["parameters"] for each in spec["externalClusters"]}
        assert named[spec["replica"]["self"]] == mine, "what the other region reads is what this one writes"
        assert mine["serverName"] != other["plugins"][0]["parameters"]["serverName"]


@given(change=changes)
def test_the_flip_of_the_secondary_promotes_it_and_the_flip_of_the_primary_changes_nothing_of_its_spec(
    change: dict[str, Any],
) -> None:
    name = change.get("name", "app-database")
    assert [cluster_spec(side("secondary", active, **change))["replica"]["primary"] for active in ROLES] == [
        f"{name}-primary",
        f"{name}-secondary",
    ]
    assert cluster_spec(side("primary", "secondary", **change)) == cluster_spec(side("primary", "primary", **change))


def annotated(role: DatabaseRole, stopped: str | None = None) -> dict[str, str]:
    return cluster_annotations(replace(side("secondary"), database_role=role, stopped=stopped))


def test_a_fenced_side_sleeps_on_its_data_and_suspends_its_backups() -> None:
    fenced = side("primary", "secondary")
    assert fenced.database_role == "fenced"
    assert cluster_annotations(fenced)["cnpg.io/hibernation"] == "on"
    assert "pulumi.com/waitFor" not in cluster_annotations(fenced), "one that is fenced already may never hibernate"
    assert cluster_spec(fenced)["replica"]["primary"] == PRIMARY
    assert specs.scheduled_backup_spec(fenced)["suspend"] is True


@pytest.mark.parametrize("role", ["primary", "replica"])
def test_a_half_that_is_not_in_a_hurry_is_awake_and_waited_for_until_it_is_healthy_or_lost(role: Any) -> None:
    annotations = annotated(role)
    assert "cnpg.io/hibernation" not in annotations
    assert not [phase for phase in (HEALTHY, *LOST) if f"@ == '{phase}'" not in annotations["pulumi.com/waitFor"]]


def test_a_promoted_half_is_awake_and_waited_for_by_its_job_alone() -> None:
    assert annotated("promoted") == {"pulumi.com/patchForce": "true"}


@pytest.mark.parametrize("role", ["primary", "promoted", "recovered"])
def test_a_half_that_serves_again_is_unfenced_once_for_each_time_that_the_guard_has_stopped_it(role: Any) -> None:
    assert "cnpg.io/fencedInstances" not in annotated(role), "the operator fences by it too"
    first, second = (annotated(role, f"2026-03-01T12:0{minute}:00Z") for minute in (1, 2))
    assert first["cnpg.io/fencedInstances"] == second["cnpg.io/fencedInstances"] == "[]"
    assert first != second, "or the engine would see no change"


def test_a_half_that_stays_stopped_keeps_the_fence() -> None:
    assert "cnpg.io/fencedInstances" not in annotated("fenced", "2026-03-01T12:00:00Z")


@given(change=changes)
def test_what_is_recovered_is_made_as_if_it_had_been_promoted_so_that_nothing_tells_them_apart_afterwards(
    change: dict[str, Any],
) -> None:
    change = {**change, "source": "replica-bucket"}
    promoted, recovered = (side("secondary", "secondary", standby=standby, **change) for standby in (True, False))
    assert (promoted.database_role, recovered.database_role) == ("promoted", "recovered")
    assert cluster_spec(recovered) == cluster_spec(promoted)
    for role in ROLES:
        assert object_store(recovered, role) == object_store(promoted, role)
    assert specs.scheduled_backup_spec(recovered) == specs.scheduled_backup_spec(promoted)


def test_what_is_recovered_comes_from_the_primarys_archive_in_its_own_regions_bucket_and_writes_to_its_own_name() -> None:
    recovered = side("secondary", "secondary", standby=False)
    spec = cluster_spec(recovered)
    source = spec["bootstrap"]["recovery"]["source"]
    (found,) = [each["plugin"]["parameters"] for each in spec["externalClusters"] if each["name"] == source]
    assert found == {"barmanObjectName": PRIMARY, "serverName": "app-database-primary-g1"}
    assert object_store(recovered, "primary")["configuration"]["destinationPath"] == f"s3://{BUCKET['secondary']}/cnpg"
    assert spec["plugins"][0]["parameters"]["serverName"] == "app-database-secondary-g1"
    assert spec["replica"]["primary"] == spec["replica"]["self"] == SECONDARY, "it follows nobody"


def test_a_recovery_is_waited_for_until_its_first_instance_starts_and_not_for_those_that_are_copied_from_it() -> None:
    waits = annotated("recovered")["pulumi.com/waitFor"]
    for phase in (HEALTHY, "Waiting for the instances to become active", "Creating a new replica", *LOST):
        assert f"@ == '{phase}'" in waits
    assert "Setting up primary" not in waits, "that is the recovery itself"


@pytest.mark.parametrize("stack", ROLES)
def test_only_what_a_failover_recovers_begins_in_the_secondary_without_a_primary(stack: Role) -> None:
    begins = {
        (active, standby): side(stack, active, standby=standby).begins_by_itself for active in ROLES for standby in (True, False)
    }
    expected = {("secondary", False)} if stack == "secondary" else set(begins)
    assert {key for key, value in begins.items() if value} == expected


def test_every_half_wins_the_field_that_promotes_it() -> None:
    for role in get_args(DatabaseRole):
        assert annotated(role)["pulumi.com/patchForce"] == "true"


def test_base_backups_are_made_of_both_sides_and_at_once_of_the_secondarys() -> None:
    for stack in ROLES:
        spec = specs.scheduled_backup_spec(side(stack))
        assert (spec["schedule"], spec["suspend"], spec["immediate"]) == ("0 0 3 * * *", False, stack == "secondary")
        assert (spec["method"], spec["pluginConfiguration"]) == ("plugin", {"name": "barman-cloud.cloudnative-pg.io"})
    assert specs.scheduled_backup_spec(side("secondary", "secondary"))["suspend"] is False


@pytest.mark.parametrize("stack", ROLES)
@pytest.mark.parametrize("role", ROLES)
def test_both_archives_are_read_from_the_regions_own_bucket(stack: Role, role: Role) -> None:
    configuration = object_store(side(stack, source="replica-bucket"), role)["configuration"]
    assert configuration["destinationPath"] == f"s3://{BUCKET[stack]}/cnpg"


@pytest.mark.parametrize("stack", ROLES)
@pytest.mark.parametrize("role", ROLES)
def test_or_each_from_the_bucket_of_whoever_writes_it(stack: Role, role: Role) -> None:
    configuration = object_store(side(stack, source="primary-bucket"), role)["configuration"]
    assert configuration["destinationPath"] == f"s3://{BUCKET[role]}/cnpg"


@pytest.mark.parametrize(("source", "attempts"), [("replica-bucket", "5"), ("primary-bucket", "2")])
@pytest.mark.parametrize("stack", ROLES)
def test_nobody_deletes_from_the_others_archive_and_a_source_that_may_be_dead_is_given_up_sooner(
    stack: Role, source: str, attempts: str
) -> None:
    own, peer = (object_store(side(stack, source=source), role) for role in (stack, peer_of(stack)))
    assert own["retentionPolicy"] == "30d"
    assert "retentionPolicy" not in peer
    for store in (own, peer):
        environment = {each["name"]: each["value"] for each in store["instanceSidecarConfiguration"]["env"]}
        assert environment["AWS_MAX_ATTEMPTS"] == attempts
        assert store["configuration"]["wal"]["restoreAdditionalCommandArgs"] == ["--read-timeout=3"]


def test_no_archive_asks_for_an_encryption_that_is_not_the_buckets() -> None:
    assert "encryption" not in str(object_store(side("primary"), "primary"))


def test_a_role_is_assumed_where_there_is_one_and_static_credentials_are_read_from_a_secret() -> None:
    assert object_store(side("primary"), "primary")["configuration"]["s3Credentials"] == {"inheritFromIAMRole": True}
    assert "serviceAccountTemplate" not in cluster_spec(side("primary"))
    arn = "arn:aws:iam::123456789012:role/database"
    template = cluster_spec(replace(side("primary"), role_arn=arn))["serviceAccountTemplate"]
    assert template == {"metadata": {"annotations": {"eks.amazonaws.com/role-arn": arn}}}
    credentials = object_store(replace(side("primary"), static_credentials=True), "secondary")["configuration"]["s3Credentials"]
    assert credentials == {
        key: {"name": "database-credentials", "key": key} for key in ("accessKeyId", "secretAccessKey", "region")
    }


def test_an_endpoint_in_place_of_aws_reaches_both_archives() -> None:
    for role in ROLES:
        configuration = object_store(side("primary", endpoint="http://s3.example.com:9000"), role)["configuration"]
        assert configuration["endpointURL"] == "http://s3.example.com:9000"
        assert "endpointURL" not in object_store(side("primary"), role)["configuration"]


def test_the_primary_begins_empty_and_the_secondary_from_the_primarys_backup() -> None:
    owner = {"database": "app", "owner": "app", "secret": {"name": "app-database-owner"}}
    initdb = cluster_spec(side("primary"))["bootstrap"]["initdb"]
    assert owner.items() <= initdb.items()
    assert initdb["postInitApplicationSQL"] == ['GRANT EXECUTE ON FUNCTION pg_catalog.pg_switch_wal() TO "app"']
    assert cluster_spec(side("secondary"))["bootstrap"] == {"recovery": {"source": PRIMARY, **owner}}


def test_an_owner_whose_name_is_a_word_of_sql_is_granted_too() -> None:
    initdb = cluster_spec(side("primary", owner="user"))["bootstrap"]["initdb"]
    assert initdb["owner"] == "user"
    assert initdb["postInitApplicationSQL"] == ['GRANT EXECUTE ON FUNCTION pg_catalog.pg_switch_wal() TO "user"']


def test_what_production_needs_is_in_the_cluster() -> None:
    spec = cluster_spec(side("primary"))
    assert (spec["instances"], spec["primaryUpdateStrategy"], spec["enableSuperuserAccess"]) == (3, "unsupervised", False)
    assert spec["storage"] == {"storageClass": "gp3-encrypted", "size": "100Gi"}
    assert spec["walStorage"] == {"storageClass": "gp3-encrypted", "size": "20Gi"}
    assert spec["postgresql"]["synchronous"] == {"method": "any", "number": 1, "dataDurability": "preferred"}
    assert spec["affinity"]["podAntiAffinityType"] == "required"
    assert spec["topologySpreadConstraints"][0]["whenUnsatisfiable"] == "DoNotSchedule"
    assert spec["resources"] == {"requests": {"cpu": "2", "memory": "8Gi"}, "limits": {"memory": "8Gi"}}
    assert spec["inheritedMetadata"] == {"labels": {"velero.io/exclude-from-backup": "true"}}
    assert "barmanObjectStore" not in str(spec), "the plugin alone; the operator's own support is going"


@pytest.mark.parametrize("active", ROLES)
@pytest.mark.parametrize("stack", ROLES)
def test_no_session_that_stays_holds_up_the_restart_of_a_promotion(stack: Role, active: Role) -> None:
    assert cluster_spec(side(stack, active))["smartShutdownTimeout"] == 0


def test_one_instance_waits_for_no_other_and_needs_no_second_node() -> None:
    spec = cluster_spec(side("primary", instances=1, walStorage=None))
    assert "synchronous" not in spec["postgresql"]
    assert (spec["affinity"], spec["enablePDB"]) == ({"enablePodAntiAffinity": False}, False)
    assert "topologySpreadConstraints" not in spec
    assert "walStorage" not in spec


def test_postgresql_is_told_a_persons_parameters_and_the_keys_that_have_names_of_their_own() -> None:
    spec = cluster_spec(side("primary", parameters={"max_connections": "200"}, archiveTimeout="1m30s"))
    parameters = spec["postgresql"]["parameters"]
    assert parameters == {
        "shared_buffers": "2048MB",
        "max_connections": "200",
        "archive_timeout": "90s",
        "checkpoint_timeout": "120s",
        "wal_retrieve_retry_interval": "30s",
    }
    tuned = cluster_spec(side("primary", parameters={"shared_buffers": "1GB"}))["postgresql"]["parameters"]
    assert tuned["shared_buffers"] == "1GB"


@pytest.mark.parametrize("stack", ROLES)
def test_streaming_adds_a_connection_with_certificates_of_one_authority_and_keeps_the_archive(stack: Role) -> None:
    spec = cluster_spec(side(stack, **STREAMING))
    for each, role in zip(spec["externalClusters"], ROLES, strict=True):
        assert each["connectionParameters"]["host"] == STREAMING["streaming"]["hosts"][role]
        assert each["connectionParameters"]["sslmode"] == "verify-full"
        assert each["plugin"]["parameters"]["barmanObjectName"] == each["name"], "the archive is its fallback"
        assert each["sslRootCert"] == {"name": "server-ca", "key": "ca.crt"}
        assert each["sslKey"]["name"] == each["sslCert"]["name"] == "replication-tls"
    assert spec["certificates"] == {
        "serverTLSSecret": "server-tls",
        "serverCASecret": "server-ca",
        "clientCASecret": "client-ca",
        "replicationTLSSecret": "replication-tls",
    }
    (service,) = spec["managed"]["services"]["additional"]
    assert service["selectorType"] == "rw"
    assert service["serviceTemplate"]["metadata"]["annotations"] == PRIVATE
    assert spec["postgresql"]["parameters"]["wal_receiver_timeout"] == "30s"


def test_a_way_in_for_the_other_region_is_private_under_either_controller_whatever_else_is_said_of_it() -> None:
    def annotations(**own: Any) -> dict[str, str]:
        connection = {key: STREAMING["streaming"][key] for key in ("hosts", "certificates")}
        spec = cluster_spec(side("primary", replication="streaming", streaming={**connection, **own}))
        (service,) = spec["managed"]["services"]["additional"]
        return dict(service["serviceTemplate"]["metadata"]["annotations"])

    private = {
        "service.beta.kubernetes.io/aws-load-balancer-scheme": "internal",
        "service.beta.kubernetes.io/aws-load-balancer-internal": "true",
    }
    assert annotations() == private
    own = {"external-dns.alpha.kubernetes.io/hostname": "pg.us-east-1.example.com"}
    assert annotations(serviceAnnotations=own) == {**own, **private}
    assert annotations(serviceAnnotations=private) == private


@pytest.mark.parametrize("changes", [{}, {"source": "primary-bucket"}])
@pytest.mark.parametrize("static", [True, False])
@pytest.mark.parametrize("stack", ROLES)
def test_barman_is_told_its_own_region_however_it_authenticates_and_whatever_it_reads(
    stack: Role, static: bool, changes: dict[str, Any]
) -> None:
    for role in ROLES:
        store = object_store(replace(side(stack, **changes), static_credentials=static), role)
        environment = {each["name"]: each["value"] for each in store["instanceSidecarConfiguration"]["env"]}
        region = "us-east-1" if stack == "primary" else "us-west-2"
        assert environment["AWS_REGION"] == environment["AWS_DEFAULT_REGION"] == region


def test_the_clients_that_barman_makes_with_that_environment_ask_their_own_region_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    for each in object_store(side("secondary"), "secondary")["instanceSidecarConfiguration"]["env"]:
        monkeypatch.setenv(each["name"], each["value"])
    session = boto3.Session(aws_access_key_id="testing", aws_secret_access_key="testing")
    assert session.client("s3").meta.endpoint_url == "https://s3.us-west-2.amazonaws.com"
    assert session.client("sts").meta.endpoint_url == "https://sts.us-west-2.amazonaws.com"


def test_without_streaming_there_is_no_connection_and_no_way_in() -> None:
    spec = cluster_spec(side("primary"))
    assert not {"certificates", "managed"} & spec.keys()
    assert not [each for each in spec["externalClusters"] if "connectionParameters" in each]


def test_what_confirms_a_promotion_logs_in_as_the_owner_and_gives_up_in_time() -> None:
    spec = specs.confirmation_job(replace(side("secondary", "secondary"), promote_seconds=120))
    (container,) = spec["template"]["spec"]["containers"]
    environment = {each["name"]: each.get("value") or each["valueFrom"]["secretKeyRef"] for each in container["env"]}
    assert environment["PGHOST"] == "app-database-rw"
    assert environment["PGPASSWORD"] == {"name": "app-database-owner", "key": "password"}
    assert environment["SECONDS_TO_TRY"] == "120"
    assert spec["activeDeadlineSeconds"] > 120
    labels = spec["template"]["metadata"]["labels"]
    assert labels["velero.io/exclude-from-backup"] == "true"
    assert labels["app.kubernetes.io/part-of"] == "k8s-dr", "the policy that lets it out selects by this"
    assert labels["sidecar.istio.io/inject"] == "false", "beside a sidecar the Job would not end"
    assert container["image"] == side("secondary").settings.image
