"""The identities of pods on EKS. A preview of the committed configuration shows them, without a cluster and without AWS."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from lab import project, stacks
from lab.pulumi import Pulumi
from lab.standins.recorded_cluster import write_kubeconfig
from settings.roles import ROLES, Role
from tests.engine.conftest import chosen_engine
from tests.examples import ROOT

pytestmark = pytest.mark.only_with_standin(
    "aws", reason="the real provider asks STS whose keys it has, and here is no AWS to ask"
)
ACCOUNT = "123456789012"
REGION = {"primary": "us-east-1", "secondary": "us-west-2"}
ISSUER = {role: f"oidc.eks.{REGION[role]}.amazonaws.com/id/EXAMPLED539D4633E53DE1B71EXAMPLE" for role in ROLES}


@pytest.fixture(scope="module")
def committed(tmp_path_factory: pytest.TempPathFactory, pulumi_binary: Path) -> Pulumi:
    """The program with the committed stack files. Its clusters do not answer."""
    root = tmp_path_factory.mktemp("committed")
    kubeconfig = root / "kubeconfig"
    write_kubeconfig(kubeconfig, dict.fromkeys(("prod-use1", "prod-usw2"), "http://127.0.0.1:9"))
    pulumi = stacks.cli(chosen_engine(root, pulumi_binary), root, provider_log=root / "providers.jsonl")
    pulumi = Pulumi(directory=pulumi.directory, environment={**pulumi.environment, "KUBECONFIG": str(kubeconfig)})
    project.create(pulumi.directory, project.ProjectFiles(endpoint="", zone_id="", kubeconfig=kubeconfig))
    shared = yaml.safe_load((ROOT / "Pulumi.yaml").read_text())
    shared["runtime"]["options"]["virtualenv"] = sys.prefix
    (pulumi.directory / "Pulumi.yaml").write_text(yaml.safe_dump(shared, sort_keys=False))
    for role in ROLES:
        (pulumi.directory / f"Pulumi.{role}.yaml").write_text((ROOT / f"Pulumi.{role}.yaml").read_text())
        pulumi.run("stack", "init", role)
        pulumi.secret(role, "backupEncryptionPassword", stacks.PASSWORD)
        stacks.give_password(pulumi, role, "app-database")
    return pulumi


def plan(pulumi: Pulumi, role: Role) -> dict[str, tuple[str, dict[str, Any]]]:
    """Everything that a first `pulumi up` would create: by name, the type and the inputs."""
    output = pulumi.run("preview", "-s", role, "--json").output
    steps = json.loads(output[output.index("{") :])["steps"]
    return {
        step["urn"].rpartition("::")[2]: (step["newState"]["type"], step["newState"].get("inputs", {}))
        for step in steps
        if step["op"] == "create"
    }


def written(pulumi: Pulumi, role: Role, key: str, value: str, *, path: bool = False) -> None:
    pulumi.run("config", "set", *(["--path"] if path else []), key, value, "-s", role)


@pytest.mark.parametrize("role", ROLES)
def test_the_committed_stacks_give_each_service_account_a_role_by_pod_identity(committed: Pulumi, role: Role) -> None:
    planned = plan(committed, role)
    for part, namespace, account in (("velero", "velero", "velero"), ("database", "databases", "app-database")):
        name = f"acme-{part}-{REGION[role]}"
        kind, association = planned[f"identity-{part}-{namespace}-{account}"]
        assert kind == "aws:eks/podIdentityAssociation:PodIdentityAssociation"
        assert association["roleArn"] == f"arn:aws:iam::{ACCOUNT}:role/{name}"
        trust = json.loads(planned[f"identity-{part}-role"][1]["assumeRolePolicy"])["Statement"][0]
        assert trust["Principal"] == {"Service": "pods.eks.amazonaws.com"}
        assert planned[f"identity-{part}-policy"][1]["name"] == name
    assert "annotations" not in planned["velero-account"][1]["metadata"]


@pytest.mark.parametrize("role", ROLES)
def test_with_irsa_the_role_is_in_the_annotation_before_it_is_made(committed: Pulumi, role: Role) -> None:
    stack_file = committed.directory / f"Pulumi.{role}.yaml"
    before = stack_file.read_text()
    try:
        written(committed, role, "identity", "irsa")
        written(committed, role, "cluster.oidcIssuer", ISSUER[role], path=True)
        planned = plan(committed, role)
    finally:
        stack_file.write_text(before)
    assert not [kind for kind, _ in planned.values() if kind.startswith("aws:eks")]
    arn = f"arn:aws:iam::{ACCOUNT}:role/acme-velero-{REGION[role]}"
    assert planned["velero-account"][1]["metadata"]["annotations"]["eks.amazonaws.com/role-arn"] == arn
    trust = json.loads(planned["identity-database-role"][1]["assumeRolePolicy"])["Statement"][0]
    assert trust["Condition"]["StringEquals"][f"{ISSUER[role]}:sub"] == ["system:serviceaccount:databases:app-database"]
