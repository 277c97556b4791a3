"""The pipelines' roles: who may take them, and what they may do."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, get_args

import pytest
import yaml
from syrupy.assertion import SnapshotAssertion
from syrupy.extensions.single_file import SingleFileSnapshotExtension, WriteMode

from components.iam.delivery_policies import PIPELINES, Attached, Pipeline, Scope, attached, permissions, pipelines_of
from lab.cloud.policies import Question, answer
from settings.delivery import DeliverySettings
from settings.names import Names
from settings.roles import ROLES, Role
from settings.topology import Topology
from tests.examples import ROOT
from tests.unit.recorder import Recorder, run_program

REGIONS = {"primary": "us-east-1", "secondary": "us-west-2"}
READING = ("Get", "List", "Describe", "Decrypt")


def delivery(role: Role, **changes: Any) -> dict[str, Any]:
    return {
        "delivery": {
            "repository": "acme/k8s-dr",
            "stateBucket": f"acme-pulumi-{REGIONS[role]}",
            "stateKeyArn": f"arn:aws:kms:{REGIONS[role]}:123456789012:key/1234abcd",
            **changes,
        }
    }


@pytest.fixture(scope="module", params=ROLES)
def role(request: pytest.FixtureRequest) -> Role:
    return request.param


@pytest.fixture(scope="module")
def delivered(role: Role) -> Recorder:
    return run_program(role, delivery(role, clusterAccess=True))


@pytest.fixture(params=PIPELINES)
def pipeline(request: pytest.FixtureRequest, role: Role) -> Pipeline:
    if request.param not in pipelines_of(role):
        pytest.skip("this stack has no such pipeline")
    return request.param


def trusted(recorder: Recorder, pipeline: Pipeline) -> dict[str, Any]:
    (found,) = [seen for seen in recorder.of("Role") if seen.name == f"delivery-{pipeline}"]
    return json.loads(found.inputs["assumeRolePolicy"])


def permitted(recorder: Recorder, pipeline: Pipeline) -> list[dict[str, Any]]:
    """Every statement that the role has, of its own policy and of those that are attached to it."""
    found = [seen for seen in recorder.of("RolePolicy") if seen.name == f"delivery-{pipeline}"]
    found += [seen for seen in recorder.of("Policy") if seen.name.startswith(f"delivery-{pipeline}-")]
    return [statement for policy in found for statement in json.loads(policy.inputs["policy"])["Statement"]]


def actions(statements: list[dict[str, Any]]) -> Iterator[str]:
    for statement in statements:
        assert statement["Effect"] == "Allow"
        yield from statement["Action"]


class JsonFile(SingleFileSnapshotExtension):
    """One document as IAM gets it."""

    _write_mode = WriteMode.TEXT
    file_extension = "json"

    def serialize(self, data: Any, **_: Any) -> str:
        return json.dumps(data, indent=2) + "\n"


def test_the_documents_are_those_that_were_reviewed(delivered: Recorder, pipeline: Pipeline, snapshot: SnapshotAssertion) -> None:
    documents = {"trust": trusted(delivered, pipeline), "permissions": permitted(delivered, pipeline)}
    assert documents == snapshot(extension_class=JsonFile)


def test_a_role_trusts_githubs_provider_and_exact_workflows_of_one_repository(delivered: Recorder, pipeline: Pipeline) -> None:
    (statement,) = trusted(delivered, pipeline)["Statement"]
    provider = "arn:aws:iam::123456789012:oidc-provider/token.actions.githubusercontent.com"
    assert statement["Principal"] == {"Federated": provider}
    assert statement["Condition"].keys() == {"StringEquals"}, "a pattern would trust more than it says"
    claims = statement["Condition"]["StringEquals"]
    assert claims["token.actions.githubusercontent.com:aud"] == "sts.amazonaws.com"
    for subject in claims["token.actions.githubusercontent.com:sub"]:
        assert subject.startswith("repo:acme/k8s-dr:")
        assert "*" not in subject


@pytest.mark.parametrize(
    ("pipeline", "subjects"),
    [
        ("preview", ["repo:acme/k8s-dr:pull_request"]),
        ("drift", ["repo:acme/k8s-dr:ref:refs/heads/main"]),
        ("check", ["repo:acme/k8s-dr:environment:takeover-check"]),
        ("deploy", ["repo:acme/k8s-dr:environment:failover", "repo:acme/k8s-dr:environment:production"]),
    ],
)
def test_no_pipeline_can_take_the_role_of_another(
    delivered: Recorder, role: Role, pipeline: Pipeline, subjects: list[str]
) -> None:
    if pipeline not in pipelines_of(role):
        return
    (statement,) = trusted(delivered, pipeline)["Statement"]
    assert statement["Condition"]["StringEquals"]["token.actions.githubusercontent.com:sub"] == subjects


@pytest.mark.parametrize("pipeline", ["preview", "drift", "check"])
def test_what_runs_unreviewed_or_by_night_can_only_read(delivered: Recorder, role: Role, pipeline: Pipeline) -> None:
    if pipeline not in pipelines_of(role):
        return
    for action in actions(permitted(delivered, pipeline)):
        assert action.partition(":")[2].startswith(READING), action


def test_a_preview_reads_the_state_of_its_own_stack_and_the_traffic_flag_alone(delivered: Recorder, role: Role) -> None:
    state, flag = f"arn:aws:s3:::acme-pulumi-{REGIONS[role]}", "arn:aws:s3:::acme-dr-flag-us-west-2-123456789012"
    key = f"arn:aws:kms:{REGIONS[role]}:123456789012:key/1234abcd"
    resources = {resource for statement in permitted(delivered, "preview") for resource in statement["Resource"]}
    assert resources == {state, f"{state}/*", flag, f"{flag}/dr/active.json", key}


def test_nothing_is_everything(delivered: Recorder, pipeline: Pipeline) -> None:
    """`*` as a resource stands only where IAM knows no other for the action."""
    for statement in permitted(delivered, pipeline):
        assert all(not action.endswith(":*") for action in statement["Action"])
        if "*" in statement["Resource"]:
            assert set(statement["Action"]) <= {"kms:ListAliases", "route53:CreateHealthCheck"}


def test_no_pipeline_is_given_what_is_in_a_backup(delivered: Recorder, pipeline: Pipeline) -> None:
    """Of what is saved a deployment reads labels and marks, which say what a standby can be made of, what was copied, what a
    backup holds and lacks, and how drills ended. It writes the inventory of its own region and the runbook, and nothing else."""
    labels = (
        *(f"/drills/{role}/*" for role in ROLES),
        "/cnpg/*/backup.info",
        "/freshness/*",
        "/backups/*/velero-backup.json",
        "/backups/*/*-results.gz",
        "/backups/*/*-volumeinfo.json.gz",
        "/backups/*/*-resource-list.json.gz",
    )
    objects = {"s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:DeleteObjectVersion", "s3:GetObjectVersion"}
    for statement in permitted(delivered, pipeline):
        if objects & set(statement["Action"]):
            for resource in statement["Resource"]:
                assert (
                    resource.startswith("arn:aws:s3:::acme-pulumi-")
                    or resource.endswith(("/dr/active.json", "/runbook/runbook.md"))
                    or (set(statement["Action"]) == {"s3:GetObject"} and resource.endswith(labels))
                    or (objects & set(statement["Action"]) == {"s3:PutObject"} and "/freshness/inventory-" in resource)
                ), resource


def test_a_deployment_deletes_no_bucket_and_no_key_and_changes_no_pipelines_role(delivered: Recorder, role: Role) -> None:
    statements = permitted(delivered, "deploy")
    assert not set(actions(statements)) & {"s3:DeleteBucket", "kms:ScheduleKeyDeletion", "kms:DisableKey", "kms:CreateKey"}
    own = {f"arn:aws:iam::123456789012:role/acme-{pipeline}-{REGIONS[role]}" for pipeline in PIPELINES}
    for statement in statements:
        if own & set(statement["Resource"]):
            assert all(action.partition(":")[2].startswith(READING) for action in statement["Action"])
        assert not any(action.startswith("iam:") and "*" in "".join(statement["Resource"]) for action in statement["Action"])


def test_only_the_secondary_moves_the_traffic(delivered: Recorder, role: Role) -> None:
    flag = "arn:aws:s3:::acme-dr-flag-us-west-2-123456789012/dr/active.json"
    writers = [each for each in permitted(delivered, "deploy") if "s3:PutObject" in each["Action"] and flag in each["Resource"]]
    assert bool(writers) == (role == "secondary")


def test_only_where_there_are_alarms_may_a_pipeline_change_those_of_this_program(role: Role) -> None:
    topics = {each: f"arn:aws:sns:{REGIONS[each]}:123456789012:on-call" for each in ROLES}
    alarms = {"monitoring": {"alarms": topics}, "storage": {"replicationMetrics": True}}
    without, having = run_program(role, delivery(role)), run_program(role, {**delivery(role), **alarms})
    for pipeline in PIPELINES:
        assert not [action for action in actions(permitted(without, pipeline)) if action.startswith("cloudwatch:")]
    statements = permitted(having, "deploy")
    own = f"arn:aws:cloudwatch:{REGIONS[role]}:123456789012:alarm:acme-dr-etcd-replication-late"
    for alarm, expected in ((own, "allowed"), (own.replace("acme-dr-", "payroll-"), "denied")):
        asked = Question(action="cloudwatch:PutMetricAlarm", resource=alarm)
        assert (answer(asked, [{"Statement": statements}]) == "allowed") is (expected == "allowed")
    assert not [action for action in actions(permitted(having, "preview")) if action.startswith("cloudwatch:")]


def test_alarms_on_health_checks_are_changed_where_route_53_has_its_metrics(role: Role) -> None:
    topic = {"monitoring": {"healthCheckAlarms": "arn:aws:sns:us-east-1:123456789012:on-call"}}
    statements = permitted(run_program(role, {**delivery(role), **topic}), "deploy")
    for region, alarm, expected in (
        ("us-east-1", f"{role}-no-users", True),
        ("us-west-2", f"{role}-no-users", False),
        # The primary's own region: what the secondary's pipeline may not switch off.
        ("us-east-1", "etcd-replication-late", role == "primary"),
    ):
        asked = Question(
            action="cloudwatch:PutMetricAlarm", resource=f"arn:aws:cloudwatch:{region}:123456789012:alarm:acme-dr-{alarm}"
        )
        assert (answer(asked, [{"Statement": statements}]) == "allowed") is expected


LONGEST: dict[str, dict[str, Any]] = {
    "pod-identity": {"existing_roles": [f"arn:aws:iam::123456789012:role/{'r' * 64}"] * 3},
    "instance-profile": {"node_role": "n" * 64},
    "static": {"static_users": True},
}
"""What `DeliveryArgs.scope` says in each mode of identity alone: a stack has one mode."""


def test_what_a_role_may_beside_its_own_policy_is_attached_to_the_role_that_deploys(delivered: Recorder, role: Role) -> None:
    attachments = [seen for seen in delivered.of("RolePolicyAttachment") if seen.name.startswith("delivery-")]
    assert {seen.name for seen in attachments} == {"delivery-deploy-reads", "delivery-deploy-pods"}
    assert {seen.inputs["role"] for seen in attachments} == {f"acme-deploy-{REGIONS[role]}"}


@pytest.mark.parametrize("mode", LONGEST)
def test_the_longest_policies_are_not_too_long_for_iam(role: Role, pipeline: Pipeline, mode: str) -> None:
    """IAM counts 10,240 characters of a role's own policies, and 6,144 of one that is attached, without white space."""
    topology = {
        "organization": "a" * 20,
        "accountId": "123456789012",
        "regions": {"primary": "ap-southeast-1", "secondary": "ap-northeast-1"},
    }
    scope = Scope(
        names=Names(topology=Topology.model_validate(topology), role=role),
        delivery=DeliverySettings(
            repository="acme/k8s-dr", state_bucket="s" * 63, state_key_arn=f"arn:aws:kms:{'r' * 14}:{'1' * 12}:key/{'k' * 36}"
        ),
        zone_id="Z" * 21,
        hosts=[f"{'h' * 40}-{number}.example.com" for number in range(30)],
        cluster="c" * 100,
        alarm_regions=("ap-southeast-1", "us-east-1"),
        **LONGEST[mode],
    )
    assert length(permissions(pipeline, scope)) < (6_144 if pipeline == "drift" else 10_240)
    for what in get_args(Attached):
        assert length(attached(what, scope)) < 6_144


def length(document: dict[str, Any]) -> int:
    return len(json.dumps(document, separators=(",", ":")))


def test_the_primary_makes_the_provider_and_the_secondary_uses_it() -> None:
    (provider,) = run_program("primary", delivery("primary")).of("OpenIdConnectProvider")
    assert provider.inputs == {"clientIdLists": ["sts.amazonaws.com"], "url": "https://token.actions.githubusercontent.com"}
    assert provider.protect
    assert not run_program("secondary", delivery("secondary")).of("OpenIdConnectProvider")
    assert not run_program("primary", delivery("primary", createProvider=False)).of("OpenIdConnectProvider")


def test_the_role_that_deploys_administers_an_eks_cluster_if_that_is_wanted(delivered: Recorder, role: Role) -> None:
    (association,) = delivered.of("AccessPolicyAssociation")
    assert association.inputs["principalArn"] == "arn:aws:mock::delivery-deploy"
    assert association.inputs["policyArn"].endswith("/AmazonEKSClusterAdminPolicy")
    assert "delivery-cluster" in association.depends_on
    assert not run_program(role, delivery(role)).of("AccessEntry")


def test_what_is_about_eks_is_left_out_where_the_cluster_is_not() -> None:
    own = {"context": "prod", "name": "prod", "distribution": "self-managed", "nodeRole": "nodes-use1"}
    seen = run_program("primary", {**delivery("primary", clusterAccess=True), "cluster": own, "identity": "instance-profile"})
    statements = permitted(seen, "deploy")
    assert not any(action.startswith("eks:") for action in actions(statements))
    assert not seen.of("AccessEntry")
    (attach,) = [statement for statement in statements if "iam:AttachRolePolicy" in statement["Action"]]
    assert "arn:aws:iam::123456789012:role/nodes-use1" in attach["Resource"]
    assert attach["Condition"]["ArnEquals"]["iam:PolicyARN"], "any other policy could be attached to the nodes"


OWN = "arn:aws:iam::123456789012:role/teams/velero"


def may_with_a_role_of_its_own(action: str, role_arn: str, identity: str = "pod-identity", to: str = "") -> bool:
    """What the lab's IAM answers a deployment about a role, where Velero has a role of the team's own."""
    own = {"context": "prod", "name": "prod", "distribution": "eks", "veleroRoleArn": OWN}
    own |= {"oidcIssuer": "oidc.example.com/id/A"} if identity == "irsa" else {}
    seen = run_program("primary", {**delivery("primary"), "cluster": own, "identity": identity})
    question = Question(action=action, resource=role_arn, context={"iam:PassedToService": to} if to else {})
    return answer(question, [{"Statement": permitted(seen, "deploy")}]) == "allowed"


def test_a_deployment_reads_a_role_of_ones_own_and_gives_it_to_pods_for_eks_asks_for_both() -> None:
    assert may_with_a_role_of_its_own("iam:GetRole", OWN)
    assert may_with_a_role_of_its_own("iam:PassRole", OWN, to="pods.eks.amazonaws.com")
    assert not may_with_a_role_of_its_own("iam:PassRole", OWN, to="ec2.amazonaws.com")
    assert not may_with_a_role_of_its_own("iam:GetRole", OWN.replace("velero", "payroll"))
    assert not may_with_a_role_of_its_own("iam:PutRolePolicy", OWN)


def test_with_irsa_a_role_of_ones_own_is_text_that_needs_no_right() -> None:
    assert not may_with_a_role_of_its_own("iam:GetRole", OWN, "irsa")
    assert not may_with_a_role_of_its_own("iam:PassRole", OWN, "irsa", to="pods.eks.amazonaws.com")


def test_a_session_outlasts_the_longest_step_of_a_failover(delivered: Recorder) -> None:
    sessions = {seen.name: seen.inputs.get("maxSessionDuration") for seen in delivered.of("Role")}
    assert sessions["delivery-deploy"] == 6 * 3600
    assert sessions["delivery-preview"] is None


def test_a_failover_touches_no_role_of_a_pipeline() -> None:
    def roles(active: str) -> dict[tuple[str, str], dict[str, Any]]:
        seen = run_program("secondary", {**delivery("secondary"), "active": active})
        return {(each.type, each.name): each.inputs for each in seen.seen if each.name.startswith("delivery")}

    assert roles("primary") == roles("secondary")


def test_without_a_repository_there_are_no_roles() -> None:
    assert not [seen for seen in run_program("primary").seen if seen.name.startswith("delivery")]


@pytest.mark.parametrize("name", ["deploy", "failover"])
def test_the_environments_of_the_workflows_are_those_that_are_trusted_by_default(name: str) -> None:
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / f"{name}.yml").read_text())
    environments = {job["environment"] for job in workflow["jobs"].values() if "environment" in job}
    assert environments == {"production" if name == "deploy" else "failover"}
