"""Who the pods are to AWS, in each mode: what is made, for whom, and what waits for it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from settings.roles import ROLES, Role
from tests.examples import KEYS, STATIC
from tests.unit.components.conftest import Program
from tests.unit.fakes import FakeCluster
from tests.unit.recorder import Recorder, run_program

REGION = {"primary": "us-east-1", "secondary": "us-west-2"}
ISSUER = "oidc.example.com/id/EXAMPLED539D4633E53DE1B71EXAMPLE"
OWN = "arn:aws:iam::123456789012:role/teams/own"
PARTS = ("velero", "database", "etcd", "freshness", "guard", "drills", "drill-database")
ON_EKS = tuple(part for part in PARTS if part != "etcd")


def cluster(**changes: Any) -> dict[str, Any]:
    return {"cluster": {"context": "here", "name": "acme-here", "distribution": "eks", **changes}}


IRSA = {**cluster(oidcIssuer=ISSUER), "identity": "irsa"}
SELF_MANAGED = {**cluster(distribution="self-managed", nodeRole="nodes"), "identity": "instance-profile"}
MODES = {"pod-identity": {}, "irsa": IRSA, "instance-profile": SELF_MANAGED, "static": STATIC}


_runs: dict[str, Recorder] = {}


def run(stack: Role, changes: dict[str, Any]) -> Recorder:
    """What the stack registers, once for each configuration."""
    key = json.dumps([stack, changes])
    if key not in _runs:
        _runs[key] = run_program(stack, {**changes, "peerReady": True})
    return _runs[key]


def made(recorder: Recorder) -> set[tuple[str, str]]:
    """Kind and name of everything that is AWS's of the identity."""
    return {(seen.kind, seen.name) for seen in recorder.custom() if seen.name.startswith("identity-")}


@pytest.mark.parametrize("stack", ROLES)
def test_on_eks_each_part_has_a_role_and_each_service_account_an_association(stack: Role, program: Program) -> None:
    recorder = program(stack, "primary")
    assert made(recorder) == {
        *((kind, f"identity-{part}-{what}") for part in ON_EKS for kind, what in (
            ("Policy", "policy"), ("Role", "role"), ("RolePolicyAttachment", "attachment"))),
        ("PodIdentityAssociation", "identity-velero-velero-velero"),
        ("PodIdentityAssociation", "identity-database-databases-app-database"),
        ("PodIdentityAssociation", "identity-freshness-k8s-dr-freshness"),
        ("PodIdentityAssociation", "identity-guard-k8s-dr-guard"),
        ("PodIdentityAssociation", "identity-drills-k8s-dr-drill-integrity"),
        ("PodIdentityAssociation", "identity-drills-k8s-dr-drill-namespace"),
        ("PodIdentityAssociation", "identity-drills-k8s-dr-drill-database"),
        ("PodIdentityAssociation", "identity-drill-database-k8s-dr-drills-drill-database"),
    }  # fmt: skip
    association = recorder["identity-database-databases-app-database"]
    assert association.inputs == {
        "clusterName": "prod-use1" if stack == "primary" else "prod-usw2",
        "namespace": "databases",
        "serviceAccount": "app-database",
        "roleArn": f"arn:aws:iam::123456789012:role/acme-database-{REGION[stack]}",
    }
    assert {"identity-database-role", "identity-database-attachment"} <= association.depends_on


def test_the_agent_is_an_add_on_where_the_cluster_lacks_it() -> None:
    recorder = run("primary", cluster(podIdentityAgent=True))
    assert recorder["identity-agent"].inputs == {"addonName": "eks-pod-identity-agent", "clusterName": "acme-here"}
    assert "identity-agent" in recorder["velero-server"].depends_on
    assert not run("primary", {**IRSA, **cluster(oidcIssuer=ISSUER, podIdentityAgent=True)}).of("Addon")


@pytest.mark.parametrize("stack", ROLES)
def test_with_irsa_the_roles_arn_is_text_in_an_annotation_and_no_association_is_made(stack: Role) -> None:
    recorder = run(stack, IRSA)
    assert not recorder.of("PodIdentityAssociation")
    arn = f"arn:aws:iam::123456789012:role/acme-{{}}-{REGION[stack]}"
    assert recorder["velero-account"].metadata["annotations"] == {"eks.amazonaws.com/role-arn": arn.format("velero")}
    (database,) = recorder.of("Cluster")
    annotations = database.spec["serviceAccountTemplate"]["metadata"]["annotations"]
    assert annotations == {"eks.amazonaws.com/role-arn": arn.format("database")}
    trust = json.loads(recorder["identity-velero-role"].inputs["assumeRolePolicy"])["Statement"][0]
    assert trust["Condition"]["StringEquals"][f"{ISSUER}:sub"] == ["system:serviceaccount:velero:velero"]


def test_on_the_teams_own_control_plane_the_nodes_have_the_permissions_of_etcd_too() -> None:
    recorder = run("primary", SELF_MANAGED)
    assert made(recorder) == {
        (kind, f"identity-{part}-{what}")
        for part in PARTS
        for kind, what in (("Policy", "policy"), ("RolePolicyAttachment", "attachment"))
    }
    assert {recorder[f"identity-{part}-attachment"].inputs["role"] for part in PARTS} == {"nodes"}


@pytest.mark.parametrize("stack", ROLES)
def test_static_keys_belong_to_users_that_are_called_as_the_policies(stack: Role) -> None:
    recorder = run(stack, STATIC)
    assert {kind for kind, _ in made(recorder)} == {"Policy", "UserPolicyAttachment"}
    for part in ON_EKS:
        name = f"acme-{part}-{REGION[stack]}"
        assert recorder[f"identity-{part}-policy"].inputs["name"] == name
        assert recorder[f"identity-{part}-attachment"].inputs["user"] == name
    assert not recorder.of("AccessKey"), "its secret would be in the state"


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every warning of the program."""
    warnings: list[str] = []
    monkeypatch.setattr("pulumi.log.warn", lambda message, *_: warnings.append(message))
    return warnings


def test_static_keys_are_warned_about_in_one_line_that_shows_none(told: list[str]) -> None:
    run_program("primary", IRSA)
    assert told == []
    run_program("primary", STATIC)
    (line,) = told
    assert line.startswith(
        "k8s-dr:identity: static: the access keys of velero, database, freshness, guard, drills, drill-database"
    )
    assert "docs/identity.md" in line
    assert "\n" not in line
    assert not [key for key in KEYS.values() if key in line]


def test_the_preview_of_an_up_does_not_say_what_the_update_says(told: list[str]) -> None:
    run_program("primary", STATIC, preview=True)
    assert told == []


SERVING = {"serving": {"region": "us-west-2"}}
ORDINARY: list[tuple[Role, Role, dict[str, dict[str, str]]]] = [
    ("primary", "primary", {}),
    ("primary", "secondary", {}),
    ("secondary", "primary", {}),
    ("secondary", "secondary", SERVING),
]
"""Stack, the region that serves, and what the cluster remembers: every up but the one that takes over."""


@pytest.mark.parametrize(("stack", "active", "records"), ORDINARY)
def test_an_ordinary_up_warns_once_of_static_keys(
    stack: Role, active: Role, records: dict[str, dict[str, str]], told: list[str]
) -> None:
    run_program(stack, {**STATIC, "active": active}, cluster=FakeCluster(records=dict(records)))
    assert [line.partition(":")[0] for line in told] == ["k8s-dr"]


@pytest.mark.parametrize("records", [{}, {"restore-attempts": {"daily-full": "1"}}], ids=["first", "again"])
def test_an_up_that_takes_over_says_nothing_of_static_keys(records: dict[str, dict[str, str]], told: list[str]) -> None:
    run_program("secondary", {**STATIC, "active": "secondary"}, cluster=FakeCluster(records=records))
    assert not [line for line in told if "identity" in line]


def test_with_roles_only_the_gate_and_the_restores_ask_the_cluster_whether_it_serves() -> None:
    # Whether the primary is asked ahead, the gate, and the restores; a static key is one more question.
    for changes, times in ((IRSA, 3), (STATIC, 4)):
        asked = FakeCluster()
        run_program("secondary", {**changes, "active": "secondary"}, cluster=asked)
        assert asked.asked.count("record serving") == times


@pytest.mark.parametrize("mode", ["pod-identity", "irsa"])
def test_a_role_of_ones_own_takes_the_place_of_the_one_made_here(mode: str) -> None:
    base = IRSA["cluster"] if mode == "irsa" else cluster()["cluster"]
    recorder = run("primary", {"identity": mode, "cluster": {**base, "veleroRoleArn": OWN}})
    assert {name for _, name in made(recorder) if name.startswith("identity-velero")} == (
        {"identity-velero-velero-velero"} if mode == "pod-identity" else set()
    )
    assert "identity-database-role" in recorder.names()
    if mode == "pod-identity":
        assert recorder["identity-velero-velero-velero"].inputs["roleArn"] == OWN
    else:
        assert recorder["velero-account"].metadata["annotations"] == {"eks.amazonaws.com/role-arn": OWN}


@pytest.mark.parametrize("mode", MODES)
def test_a_key_is_mounted_with_static_alone_for_it_would_switch_roles_off(mode: str) -> None:
    recorder = run("primary", MODES[mode])
    secrets = {seen.metadata["name"] for seen in recorder.of("Secret")}
    assert ("cloud-credentials" in secrets) is ("database-credentials" in secrets) is (mode == "static")
    stores = [seen.spec["configuration"]["s3Credentials"] for seen in recorder.of("ObjectStore")]
    assert [store == {"inheritFromIAMRole": True} for store in stores] == [mode != "static"] * 3  # both sides, and the drill's


@pytest.mark.parametrize("mode", MODES)
def test_pods_start_after_what_they_are_to_aws(mode: str) -> None:
    recorder = run("primary", MODES[mode])
    for part, waiting in (("velero", "velero-server"), ("velero", "velero-node-agent"), ("velero", "velero-own")):
        mine = {name for _, name in made(recorder) if name.startswith(f"identity-{part}")}
        assert mine <= recorder[waiting].depends_on | indirectly(recorder, waiting)
    (database,) = recorder.of("Database")
    assert {name for _, name in made(recorder) if name.startswith("identity-database")} <= database.depends_on
    if mode == "instance-profile":
        assert "identity-etcd-attachment" in recorder["etcd-backup"].depends_on


INJECTED = {"pod-identity": "AWS_CONTAINER_CREDENTIALS_FULL_URI", "irsa": "AWS_WEB_IDENTITY_TOKEN_FILE"}


@pytest.mark.parametrize("mode", INJECTED)
def test_velero_starts_once_a_pod_of_its_account_was_admitted_with_credentials(mode: str) -> None:
    recorder = run("primary", MODES[mode])
    come = recorder["velero-credentials-come"]
    assert {"velero-account", *(name for _, name in made(recorder) if name.startswith("identity-velero"))} <= come.depends_on
    for waiting in ("velero-server", "velero-node-agent"):
        assert "velero-credentials-come" in recorder[waiting].depends_on
    (failover,) = recorder.of("Failover")
    assert "velero-server" in failover.depends_on, "what is below it, databases too, comes later"
    pod = come.spec["template"]["spec"]
    (container,) = pod["containers"]
    (task,) = (json.loads(each["value"]) for each in container["env"] if each["name"] == "TASK")
    assert (come.metadata["namespace"], pod["serviceAccountName"]) == ("velero", "velero")
    assert (task["variable"], task["account"]) == (INJECTED[mode], "velero/velero")
    # The modules are in the Pod's own namespace, and each Pod after the first is a new admission.
    assert recorder["velero-credentials-come-code"].metadata["namespace"] == "velero"
    assert come.spec["backoffLimit"] == 5
    assert come.spec["activeDeadlineSeconds"] > sum(10 * 2**retry for retry in range(5)), "it ends by its limit and says why"
    assert pod["restartPolicy"] == "Never"


@pytest.mark.parametrize("mode", ["instance-profile", "static"])
def test_where_admission_gives_no_credentials_nothing_waits_for_them(mode: str) -> None:
    assert "velero-credentials-come" not in run("primary", MODES[mode]).names()


def test_a_failover_makes_no_such_job_anew() -> None:
    before, after = (run("secondary", {"active": active})["velero-credentials-come"].inputs for active in ROLES)
    assert before == after


def indirectly(recorder: Recorder, name: str) -> set[str]:
    """What something waits for because what it waits for does."""
    direct = {each for each in recorder[name].depends_on if each in recorder.names()}
    return direct | {far for each in direct for far in indirectly(recorder, each)}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("stack", ROLES)
def test_nothing_of_it_depends_on_who_is_active(stack: Role, mode: str) -> None:
    before, after = (run(stack, {**MODES[mode], "active": active}) for active in ROLES)
    for _, name in made(before) | made(after):
        assert before[name].inputs == after[name].inputs
        assert before[name].depends_on == after[name].depends_on


@pytest.mark.parametrize("mode", MODES)
def test_a_failover_waits_for_no_iam(mode: str) -> None:
    recorder = run("secondary", {**MODES[mode], "active": "secondary"})
    for seen in recorder.seen:
        if not seen.name.startswith(("identity", "storage", "traffic")):
            assert not [name for name in seen.depends_on if name.startswith("identity")], seen.name


def test_what_a_stack_does_not_run_gets_no_permissions() -> None:
    nothing = {
        "databases": [],
        "databasePasswords": {},
        "velero": {"managed": False},
        "guard": {"enabled": False},
        "drills": {"enabled": False},
    }
    assert made(run("primary", nothing)) == set()


def test_the_peers_archive_is_opened_where_a_database_follows_it_there() -> None:
    pair = [{"name": "app-database", "namespace": "databases", "source": "primary-bucket"}]
    policy = json.loads(run("secondary", {"databases": pair})["identity-database-policy"].inputs["policy"])
    assert {"ListPeer", "ReadPeer", "KeyOfPeer"} <= {statement["Sid"] for statement in policy["Statement"]}


def test_every_databases_service_account_has_an_association() -> None:
    two = [{"name": name, "namespace": namespace} for name, namespace in (("app-database", "databases"), ("orders", "shop"))]
    passwords = {"app-database": "one of the two", "orders": "the other of the two"}
    recorder = run("primary", {"databases": two, "databasePasswords": passwords})
    assert {(seen.inputs["namespace"], seen.inputs["serviceAccount"]) for seen in recorder.of("PodIdentityAssociation")} == {
        ("velero", "velero"),
        ("databases", "app-database"),
        ("shop", "orders"),
        ("k8s-dr", "freshness"),
        ("k8s-dr", "guard"),
        ("k8s-dr", "drill-integrity"),
        ("k8s-dr", "drill-namespace"),
        ("k8s-dr", "drill-database"),
        ("k8s-dr-drills", "drill-database"),
    }
