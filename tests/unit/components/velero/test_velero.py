"""Velero in a cluster: installed by plain resources, reading both regions' backups from the region's own bucket."""

from __future__ import annotations

import json
from typing import Any

import pytest

from components.velero.specs import crd_job_name
from settings.names import fitting
from settings.roles import Role
from tests.examples import KEYS, PASSWORD, STATIC
from tests.unit.components.conftest import Program
from tests.unit.recorder import Recorder, Seen, is_secret, revealed, run_program

BUCKET = {"primary": "acme-velero-us-east-1-123456789012", "secondary": "acme-velero-us-west-2-123456789012"}
REGION = {"primary": "us-east-1", "secondary": "us-west-2"}
OWNERS = "the password of the database's owner"


def pod(seen: Seen) -> dict[str, Any]:
    return dict(seen.spec["template"]["spec"])


def containers(recorder: Recorder) -> list[tuple[str, dict[str, Any]]]:
    """Each container that the stack runs, with the name of what runs it."""
    return [
        (seen.name, container)
        for seen in recorder.custom()
        if seen.kind in ("Deployment", "DaemonSet", "Job")
        for container in (*pod(seen).get("initContainers", ()), *pod(seen)["containers"])
    ]


def test_both_locations_are_on_the_regions_own_bucket_below_the_writers_prefix(
    combination: tuple[Role, Role], recorder: Recorder
) -> None:
    stack, _ = combination
    peer = "secondary" if stack == "primary" else "primary"
    own, other = recorder["velero-own"], recorder["velero-peer"]
    assert own.metadata["name"] == "own"
    assert other.metadata["name"] == "peer"
    assert own.spec["objectStorage"] == {"bucket": BUCKET[stack], "prefix": f"velero/{stack}"}
    assert other.spec["objectStorage"] == {"bucket": BUCKET[stack], "prefix": f"velero/{peer}"}
    assert own.spec["config"] == other.spec["config"] == {"region": REGION[stack]}


def test_the_own_location_is_written_by_default_and_the_peers_only_read(recorder: Recorder) -> None:
    assert (recorder["velero-own"].spec["accessMode"], recorder["velero-own"].spec["default"]) == ("ReadWrite", True)
    assert (recorder["velero-peer"].spec["accessMode"], recorder["velero-peer"].spec["default"]) == ("ReadOnly", False)


def test_each_region_reads_below_the_prefix_that_the_other_replicates(program: Program) -> None:
    for stack, peer in (("primary", "secondary"), ("secondary", "primary")):
        (rule, _drills) = program(peer, "primary")["storage-velero-replication"].inputs["rules"]
        read = program(stack, "primary")["velero-peer"].spec["objectStorage"]
        assert rule["filter"]["prefix"] == f"{read['prefix']}/"
        assert rule["destination"]["bucket"] == f"arn:aws:s3:::{read['bucket']}"


def test_the_peers_location_is_read_each_minute_and_not_each_second_one(recorder: Recorder) -> None:
    assert recorder["velero-peer"].spec["backupSyncPeriod"] == "30s", "or Velero's look after a minute comes too early"
    assert "backupSyncPeriod" not in recorder["velero-own"].spec


def test_a_location_counts_as_made_when_velero_has_found_it_available(recorder: Recorder) -> None:
    for name in ("velero-own", "velero-peer"):
        assert recorder[name].metadata["annotations"] == {"pulumi.com/waitFor": "jsonpath={.status.phase}=Available"}
        assert {"velero-server", "storage-velero"} <= recorder[name].depends_on


def test_the_repository_password_is_the_same_in_both_regions_and_a_secret(program: Program) -> None:
    seen = [
        program(stack, active)["velero-repository-password"].inputs["stringData"]
        for stack in ("primary", "secondary")
        for active in ("primary", "secondary")
    ]
    assert all(map(is_secret, seen))
    assert [revealed(data) for data in seen] == [{"repository-password": PASSWORD}] * 4


def test_the_password_and_the_crds_are_there_before_the_server_starts(recorder: Recorder) -> None:
    needed = {"velero-repository-password", "velero-crds", "velero-account", "velero-admin"}
    assert needed <= recorder["velero-server"].depends_on
    assert needed <= recorder["velero-node-agent"].depends_on
    assert {"velero-account", "velero-admin"} <= recorder["velero-crds"].depends_on


def test_the_servers_default_location_is_the_own_one(recorder: Recorder) -> None:
    (server,) = pod(recorder["velero-server"])["containers"]
    assert "--default-backup-storage-location=own" in server["args"]


def test_the_crds_come_from_the_pinned_image_itself(recorder: Recorder) -> None:
    (installer,) = pod(recorder["velero-crds"])["containers"]
    (server,) = pod(recorder["velero-server"])["containers"]
    assert installer["image"] == server["image"]
    assert installer["command"] + installer["args"] == ["/velero", "install", "--crds-only", "--apply"]
    assert recorder["velero-crds"].metadata["name"] == "velero-crds-v1-18-3"


@pytest.mark.parametrize(
    ("image", "name"),
    [
        ("docker.io/velero/velero:v1.18.3", "velero-crds-v1-18-3"),
        ("registry.example.com:5000/velero:v1.18.3_acme.1", "velero-crds-v1-18-3-acme-1"),
        ("docker.io/velero/velero:v1.19.0@sha256:0123456789abcdef", "velero-crds-v1-19-0"),
        (f"docker.io/velero/velero:{'v1' * 40}", fitting(f"velero-crds-{'v1' * 40}")),
    ],
)
def test_the_crd_installers_name_carries_the_version_and_no_dots(image: str, name: str) -> None:
    assert crd_job_name(image) == name


def test_a_new_version_runs_the_crd_installer_again() -> None:
    upgraded = run_program("secondary", {"images": {"velero": "docker.io/velero/velero:v1.19.0"}})
    assert upgraded["velero-crds"].metadata["name"] == "velero-crds-v1-19-0"


def test_images_from_a_registry_of_ones_own_reach_every_container() -> None:
    images = {
        "velero": "registry.example.com/velero:v1.18.3",
        "veleroPluginForAws": "registry.example.com/plugin:v1.14.3",
        "python": "registry.example.com/python:3.13.12-slim",
        "awsCli": "registry.example.com/aws-cli:2.31.0",
    }
    workloads = [{"namespace": "production", "replicas": 3, "names": ["deployment/a", "deployment/b"], "check": {"service": "a"}}]
    takeover = run_program("secondary", {"active": "secondary", "images": images, "workloads": workloads})
    used = containers(takeover)
    assert len(used) == 21
    assert {container["image"] for _, container in used} == set(images.values())


def test_nothing_runs_a_shell_but_what_confirms_a_promotion_with_psql_and_what_fetches_the_flag(recorder: Recorder) -> None:
    with_shell = {
        name for name, container in containers(recorder) if [word for word in container.get("command", []) if word.endswith("sh")]
    }
    assert with_shell <= {"failover-databases-app-database-promoted", "guard-at-start"}


def test_without_static_credentials_no_credentials_file_switches_the_role_off(recorder: Recorder) -> None:
    assert "velero-credentials" not in recorder.names()
    for name in ("velero-server", "velero-node-agent"):
        (container,) = pod(recorder[name])["containers"]
        assert "AWS_SHARED_CREDENTIALS_FILE" not in [variable["name"] for variable in container["env"]]


def test_static_credentials_are_a_secret_that_server_and_node_agent_mount() -> None:
    region = run_program("secondary", STATIC)
    data = region["velero-credentials"].inputs["stringData"]
    assert is_secret(data)
    assert revealed(data)["cloud"] == (
        f"[default]\naws_access_key_id={KEYS['accessKeyId']}\naws_secret_access_key={KEYS['secretAccessKey']}\n"
    )
    for name in ("velero-server", "velero-node-agent"):
        (container,) = pod(region[name])["containers"]
        assert {"name": "AWS_SHARED_CREDENTIALS_FILE", "value": "/credentials/cloud"} in container["env"]
        assert {"name": "cloud-credentials", "mountPath": "/credentials"} in container["volumeMounts"]
        assert "velero-credentials" in region[name].depends_on


def test_a_secret_setting_appears_in_no_input_in_clear_text() -> None:
    region = run_program(
        "secondary", {"active": "secondary", "peerReady": True, "databasePasswords": {"app-database": OWNERS}, **STATIC}
    )

    def clear(value: Any) -> str:
        if is_secret(value):
            return ""
        if isinstance(value, dict):
            return " ".join(map(clear, value.values()))
        return " ".join(map(clear, value)) if isinstance(value, list) else str(value)

    shown = " ".join(clear(seen.inputs) for seen in region.seen) + str(region.outputs)
    assert not [secret for secret in (PASSWORD, OWNERS, *KEYS.values()) if secret in shown]


def test_the_role_of_a_service_account_is_an_annotation() -> None:
    arn = "arn:aws:iam::123456789012:role/velero"
    cluster = {"context": "prod-usw2", "name": "prod-usw2", "distribution": "eks", "oidcIssuer": "oidc.example.com"}
    region = run_program("secondary", {"identity": "irsa", "cluster": {**cluster, "veleroRoleArn": arn}})
    assert region["velero-account"].metadata["annotations"] == {"eks.amazonaws.com/role-arn": arn}


def test_a_cluster_with_a_velero_of_its_own_gets_the_locations_and_schedules_alone() -> None:
    region = run_program("secondary", {"velero": {"managed": False}})
    assert {name for name in region.names() if name.startswith(("velero", "schedules"))} == {
        "velero-own",
        "velero-peer",
        "schedules-volume-policy",
        "schedules-daily-full",
        "schedules-hourly-critical",
    }
    assert region["velero-own"].depends_on == {"storage-velero"}


def test_the_kubelets_directory_is_a_setting() -> None:
    region = run_program("secondary", {"velero": {"kubeletRoot": "/var/data/kubelet"}})
    paths = {volume["name"]: volume.get("hostPath") for volume in pod(region["velero-node-agent"])["volumes"]}
    assert paths["host-pods"] == {"path": "/var/data/kubelet/pods"}
    assert paths["host-plugins"] == {"path": "/var/data/kubelet/plugins"}


def test_an_endpoint_in_place_of_aws_reaches_the_provider_and_both_locations() -> None:
    endpoint = "http://aws.example.com:5000"
    region = run_program("secondary", {"aws": {"endpoint": endpoint}})
    provider = region["aws"].inputs
    assert f'"s3":"{endpoint}"' in provider["endpoints"].replace(" ", "")
    assert provider["s3UsePathStyle"] == provider["skipCredentialsValidation"] == "true"
    for name in ("velero-own", "velero-peer"):
        assert region[name].spec["config"] == {
            "region": "us-west-2",
            "s3Url": endpoint,
            "s3ForcePathStyle": "true",
            "checksumAlgorithm": "",
        }


def test_a_store_that_locks_gets_the_checksums_without_which_it_takes_nothing() -> None:
    lock = {"objectLock": {"mode": "GOVERNANCE", "days": 30}}
    region = run_program("secondary", {"aws": {"endpoint": "http://aws.example.com:5000"}, "storage": lock})
    assert "checksumAlgorithm" not in region["velero-own"].spec["config"]


def test_a_profile_of_the_shared_configuration_reaches_the_provider() -> None:
    assert run_program("secondary", {"aws": {"profile": "dr"}})["aws"].inputs["profile"] == "dr"


def test_the_server_has_the_resources_that_are_written_and_room_for_many_objects_by_default(recorder: Recorder) -> None:
    (server,) = pod(recorder["velero-server"])["containers"]
    assert server["resources"] == {
        "requests": {"cpu": "500m", "memory": "128Mi"},
        "limits": {"cpu": "1", "memory": "1Gi"},
    }
    more = run_program("secondary", {"velero": {"resources": {"memory": "512Mi", "memoryLimit": "4Gi"}}})
    (server,) = pod(more["velero-server"])["containers"]
    assert (server["resources"]["requests"]["memory"], server["resources"]["limits"]["memory"]) == ("512Mi", "4Gi")


def test_taints_are_tolerated_by_all_that_the_program_starts_of_velero() -> None:
    taint = {"key": "dedicated", "operator": "Equal", "value": "app", "effect": "NoSchedule"}
    tainted = run_program("secondary", {"velero": {"tolerations": [taint]}})
    for name in ("velero-server", "velero-node-agent", "velero-crds"):
        assert pod(tainted[name])["tolerations"] == [taint]
        assert "tolerations" not in pod(run_program("secondary")[name]), "an empty list would be a difference for ever"


def test_the_node_agent_reads_its_configuration_and_starts_anew_when_it_changes(recorder: Recorder) -> None:
    config, agent = recorder["velero-node-agent-config"], recorder["velero-node-agent"]
    (container,) = pod(agent)["containers"]
    assert f"--node-agent-configmap={config.metadata['name']}" in container["args"]
    assert "--data-mover-prepare-timeout=30m" in container["args"]
    assert "velero-node-agent-config" in agent.depends_on
    (text,) = config.inputs["data"].values()
    assert json.loads(text)["restorePVC"] == {"ignoreDelayBinding": True}
    changed = run_program("secondary", {"velero": {"dataMovers": {"concurrency": 4}}})["velero-node-agent"]
    template, other = (each.spec["template"]["metadata"]["annotations"] for each in (agent, changed))
    assert template != other


def test_where_data_movers_run_is_in_the_node_agents_configuration() -> None:
    nodes = {"topology.kubernetes.io/zone": "us-west-2a"}
    chosen = run_program("secondary", {"velero": {"dataMovers": {"nodes": nodes}}})["velero-node-agent-config"]
    (text,) = chosen.inputs["data"].values()
    assert json.loads(text)["loadAffinity"] == [{"nodeSelector": {"matchLabels": nodes}}]


def test_volumes_may_take_as_long_to_move_as_is_written() -> None:
    (server,) = pod(run_program("secondary", {"velero": {"moveTimeout": "12h"}})["velero-server"])["containers"]
    assert "--default-item-operation-timeout=12h" in server["args"]


def test_how_fast_a_restore_may_ask_the_api_server_is_a_setting_and_more_than_velero_s_own_default(recorder: Recorder) -> None:
    (server,) = pod(recorder["velero-server"])["containers"]
    assert {"--client-qps=500", "--client-burst=500"} <= {*server["args"]}
    (server,) = pod(run_program("secondary", {"velero": {"clientQps": 1000}})["velero-server"])["containers"]
    assert {"--client-qps=1000", "--client-burst=1000"} <= {*server["args"]}


def test_the_snapshot_class_has_velero_s_label_where_the_program_makes_it(recorder: Recorder) -> None:
    assert "velero-snapshot-class" not in recorder.names(), "a cluster without the CRDs of snapshots would refuse it"
    made = run_program("secondary", {"velero": {"snapshotClass": {"managed": True}}})["velero-snapshot-class"]
    assert made.metadata["labels"]["velero.io/csi-volumesnapshot-class"] == "true"
    assert (made.inputs["driver"], made.inputs["deletionPolicy"]) == ("ebs.csi.aws.com", "Delete")
