"""etcd is backed up by a CronJob in each region with a control plane of its own, whoever is active."""

from __future__ import annotations

import re
from typing import Any

import pytest
from pydantic import SecretStr

from components.etcd.backup import EtcdBackup, EtcdBackupArgs, cron_job, rules
from components.iam.access import Access
from settings.etcd import EtcdSettings
from settings.identity import AccessKey
from settings.images import Images
from settings.names import Names
from settings.roles import ROLES, Role
from settings.topology import Topology
from tests.unit.components.alone import registered
from tests.unit.recorder import Recorder, is_secret, revealed, run_program

TOPOLOGY = Topology.model_validate(
    {
        "organization": "acme",
        "accountId": "123456789012",
        "regions": {"primary": "us-east-1", "secondary": "us-west-2"},
    }
)


def arguments(role: Role = "primary", settings: EtcdSettings | None = None, **more: Any) -> EtcdBackupArgs:
    names = Names(topology=TOPOLOGY, role=role)
    fixed = {"cluster_name": "acme-east", "images": Images(), "bucket": names.bucket("etcd")}
    return EtcdBackupArgs(names=names, settings=settings or EtcdSettings(), **{**fixed, **more})


def component(args: EtcdBackupArgs) -> Recorder:
    return registered(lambda: EtcdBackup("etcd", args))


def pod(args: EtcdBackupArgs | None = None) -> dict[str, Any]:
    return dict(cron_job(args or arguments())["jobTemplate"]["spec"]["template"]["spec"])


def steps(args: EtcdBackupArgs | None = None) -> dict[str, dict[str, Any]]:
    spec = pod(args)
    return {step["name"]: step for step in (*spec["initContainers"], *spec["containers"])}


def environment(args: EtcdBackupArgs | None = None) -> dict[str, Any]:
    return {each["name"]: each.get("value", each.get("valueFrom")) for each in steps(args)["upload"]["env"]}


def mounts(step: str) -> dict[str, bool]:
    """Where a step's volumes are, and whether it may write there."""
    return {mount["mountPath"]: not mount.get("readOnly", False) for mount in steps()[step]["volumeMounts"]}


def test_it_is_reached_verified_and_only_then_uploaded() -> None:
    assert list(steps()) == ["reach", "clean", "save", "verify", "upload"]
    commands = {name: " ".join(step["command"]) for name, step in steps().items()}
    assert commands["reach"].endswith("endpoint health")
    assert commands["save"].endswith("snapshot save /var/backups/etcd/incoming.db")
    assert commands["verify"] == "etcdutl snapshot status /var/backups/etcd/incoming.db --write-out=json"
    assert commands["upload"] == "/bin/bash /scripts/etcd-upload.sh"


def test_old_copies_are_deleted_before_a_new_one_is_saved_for_a_full_disk_would_keep_them_for_ever() -> None:
    args = arguments(settings=EtcdSettings(directory="/srv/etcd", keep_local="24h"))
    clean = steps(args)["clean"]
    assert list(steps(args)).index("clean") < list(steps(args)).index("save")
    assert clean["command"] == ["/bin/bash", "/scripts/etcd-upload.sh", "clean"]
    assert clean["env"] == [{"name": "DIRECTORY", "value": "/srv/etcd"}, {"name": "KEEP_SECONDS", "value": "86400"}]


def test_etcd_is_asked_with_the_clients_certificate_that_may_do_least() -> None:
    for name in ("reach", "save"):
        command = steps()[name]["command"]
        assert "--endpoints=https://127.0.0.1:2379" in command
        assert "--cacert=/etc/kubernetes/pki/etcd/ca.crt" in command
        assert "--cert=/etc/kubernetes/pki/etcd/healthcheck-client.crt" in command
        assert "--key=/etc/kubernetes/pki/etcd/healthcheck-client.key" in command


def test_the_guides_schedule_and_place_are_the_defaults() -> None:
    spec = cron_job(arguments())
    assert (spec["schedule"], spec["timeZone"]) == ("0 */6 * * *", "Etc/UTC")
    assert pod()["hostNetwork"] is True
    assert pod()["nodeSelector"] == {"node-role.kubernetes.io/control-plane": ""}
    (toleration,) = pod()["tolerations"]
    assert (toleration["key"], toleration["effect"]) == ("node-role.kubernetes.io/control-plane", "NoSchedule")
    assert environment()["KEEP_SECONDS"] == str(7 * 24 * 3600)


def test_every_place_and_time_can_be_configured() -> None:
    settings = EtcdSettings(
        cron="0 3 * * *",
        keep_local="24h",
        directory="/srv/etcd",
        certificates="/srv/pki",
        ca="authority.pem",
        certificate="client.pem",
        key="client-key.pem",
        endpoint="https://10.0.0.4:2379",
        timeout="1h",
    )
    args = arguments(settings=settings)
    assert cron_job(args)["schedule"] == "0 3 * * *"
    assert cron_job(args)["jobTemplate"]["spec"]["activeDeadlineSeconds"] == 3600
    assert steps(args)["save"]["command"] == [
        "etcdctl",
        "--endpoints=https://10.0.0.4:2379",
        "--cacert=/srv/pki/authority.pem",
        "--cert=/srv/pki/client.pem",
        "--key=/srv/pki/client-key.pem",
        "--command-timeout=1800s",
        "snapshot",
        "save",
        "/srv/etcd/incoming.db",
    ]
    assert {volume["hostPath"]["path"] for volume in pod(args)["volumes"] if "hostPath" in volume} == {"/srv/etcd", "/srv/pki"}
    assert environment(args)["KEEP_SECONDS"] == "86400"
    assert environment(args)["DIRECTORY"] == "/srv/etcd"


def test_a_step_gives_up_before_the_job_does_whose_end_would_take_its_reason_with_it() -> None:
    spec = cron_job(arguments())["jobTemplate"]["spec"]
    for name in ("reach", "save"):
        (timeout,) = re.findall(r"--command-timeout=(\d+)s", " ".join(steps()[name]["command"]))
        assert int(timeout) < spec["activeDeadlineSeconds"]


def test_a_step_that_fails_fails_the_job_and_tells_its_error() -> None:
    assert pod()["restartPolicy"] == "Never"
    assert cron_job(arguments())["jobTemplate"]["spec"]["backoffLimit"] == 2
    assert {step["terminationMessagePolicy"] for step in steps().values()} == {"FallbackToLogsOnError"}
    assert cron_job(arguments())["failedJobsHistoryLimit"] > 0


def test_two_never_run_at_once_neither_by_the_schedule_nor_by_hand_nor_on_different_nodes() -> None:
    assert cron_job(arguments())["concurrencyPolicy"] == "Forbid"
    (term,) = pod()["affinity"]["podAntiAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    labels = cron_job(arguments())["jobTemplate"]["spec"]["template"]["metadata"]["labels"]
    assert term["labelSelector"]["matchLabels"].items() <= labels.items()
    assert term["topologyKey"] == "kubernetes.io/os", "a label that all nodes share"


def test_each_step_sees_what_it_needs_and_writes_where_it_must() -> None:
    certificates, backups = "/etc/kubernetes/pki/etcd", "/var/backups/etcd"
    assert mounts("reach") == {certificates: False}
    assert mounts("clean") == {backups: True, "/scripts": False}
    assert mounts("save") == {certificates: False, backups: True}
    assert mounts("verify") == {backups: False}
    assert mounts("upload") == {backups: True, "/scripts": False, "/var/run/secrets/api": False, "/tmp": True}


def test_no_step_has_a_privilege_and_only_the_upload_a_token() -> None:
    assert pod()["automountServiceAccountToken"] is False
    assert pod()["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    for step in steps().values():
        assert step["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
        }
        assert step["resources"]["requests"]


def test_the_jobs_account_may_read_logs_and_nothing_else() -> None:
    assert rules() == [{"apiGroups": [""], "resources": ["pods/log"], "verbs": ["get"]}]
    recorder = component(arguments())
    assert [seen.kind for seen in recorder.custom() if "Cluster" in seen.kind] == []
    assert recorder["etcd-binding"].inputs["roleRef"]["kind"] == "Role"


@pytest.mark.parametrize("role", ROLES)
def test_each_region_writes_below_a_prefix_of_its_own_in_its_own_bucket(role: Role) -> None:
    args = arguments(role)
    assert environment(args)["PREFIX"] == args.names.etcd_prefix == f"etcd/{role}"
    assert environment(args)["BUCKET"] == f"acme-etcd-{args.names.region}-123456789012"
    assert environment(args)["AWS_REGION"] == args.names.region


def test_a_clusters_name_becomes_a_part_of_a_files_name() -> None:
    arn = "arn:aws:eks:us-east-1:123456789012:cluster/one two"
    assert environment(arguments(cluster_name=arn))["CLUSTER"] == "arn-aws-eks-us-east-1-123456789012-cluster-one-two"


def test_an_upload_is_one_request_up_to_what_s3_allows() -> None:
    assert int(environment()["SINGLE_PUT"]) == 5 * 1024**3
    largest = 8 * 1024**3  # etcd's own limit
    assert largest / int(environment()["PART"]) < 10_000


def test_without_keys_the_aws_cli_finds_a_role_and_with_keys_they_are_in_a_secret() -> None:
    assert not [name for name in environment() if "KEY" in name and name.startswith("AWS")]
    assert component(arguments()).of("Secret") == []

    args = arguments(access=Access(key=AccessKey(access_key_id=SecretStr("AKIA"), secret_access_key=SecretStr("hush"))))
    recorder = component(args)
    data = recorder["etcd-credentials"].inputs["stringData"]
    assert is_secret(data) or all(is_secret(value) for value in data.values())
    assert {key: revealed(value) for key, value in revealed(data).items()} == {"accessKeyId": "AKIA", "secretAccessKey": "hush"}
    name = recorder["etcd-credentials"].metadata["name"]
    assert environment(args)["AWS_SECRET_ACCESS_KEY"] == {"secretKeyRef": {"name": name, "key": "secretAccessKey"}}
    assert "hush" not in str(recorder["etcd-backup"].inputs)


def test_an_endpoint_and_a_role_are_passed_on_where_they_are_configured() -> None:
    assert "AWS_ENDPOINT_URL" not in environment()
    assert environment(arguments(endpoint="http://minio:9000"))["AWS_ENDPOINT_URL"] == "http://minio:9000"
    role = "arn:aws:iam::123456789012:role/etcd"
    account = component(arguments(access=Access(role_arn=role)))["etcd-account"]
    assert account.metadata["annotations"] == {"eks.amazonaws.com/role-arn": role}


def test_all_of_it_is_beside_etcd_and_there_before_the_first_job() -> None:
    recorder = component(arguments())
    assert {seen.metadata["namespace"] for seen in recorder.custom()} == {"kube-system"}
    assert {"etcd-account", "etcd-role", "etcd-binding", "etcd-script"} <= recorder["etcd-backup"].depends_on
    assert recorder["etcd-script"].inputs["data"]["etcd-upload.sh"].startswith("#!/bin/bash")


def test_no_step_takes_more_of_a_control_plane_than_it_is_given() -> None:
    assert all(set(step["resources"]["limits"]) == {"cpu", "memory"} for step in steps(arguments()).values())


def test_images_are_the_configured_ones() -> None:
    images = Images(etcd="registry.example.com/etcd:1", aws_cli="registry.example.com/aws-cli:2")
    used = {name: step["image"] for name, step in steps(arguments(images=images)).items()}
    assert used == dict.fromkeys(("reach", "save", "verify"), images.etcd) | dict.fromkeys(("clean", "upload"), images.aws_cli)


def of_the_program(stack: Role, distribution: str, active: Role) -> dict[str, dict[str, Any]]:
    cluster = {"context": "here", "name": "acme-here", "distribution": distribution, "nodeRole": "nodes"}
    changes = {"cluster": cluster, "identity": "instance-profile"}
    recorder = run_program(stack, {**changes, "active": active, "peerReady": True})
    return {seen.name: seen.inputs for seen in recorder.custom() if seen.name.startswith("etcd-")}


@pytest.mark.parametrize("stack", ROLES)
def test_both_regions_back_up_their_own_etcd_whoever_is_active(stack: Role) -> None:
    while_primary, while_secondary = (of_the_program(stack, "self-managed", active) for active in ROLES)
    assert "etcd-backup" in while_primary
    assert while_primary == while_secondary


def test_on_eks_nobody_but_aws_reaches_etcd_and_nothing_is_made() -> None:
    assert of_the_program("primary", "eks", "primary") == {}
