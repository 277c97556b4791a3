"""The real engine runs the policy pack over this program, whichever region serves, and over a program that breaks every rule."""

from __future__ import annotations

import json
import re
import shutil
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest
import yaml

from checks.catalog import POLICIES
from lab import stacks
from lab.paths import CHECKOUT
from lab.project import PROGRAM
from lab.pulumi import Pulumi
from tests.engine.conftest import Pair, chosen_engine, told_plainly

PACK = CHECKOUT / "policy"
pytestmark = pytest.mark.usefixtures("policy_environment")
BAD_PROGRAM = Path(__file__).parent / "bad_program"
STS = pytest.mark.only_with_standin("aws", reason="the real provider asks STS whose keys it has: here is no AWS")
CHART = pytest.mark.only_with_standin("kubernetes", reason="the real provider fetches the chart that the pack refuses")
_VIOLATION = re.compile(r"\[(mandatory|advisory)\]\s+(\S+)\s+\(\S+: (\S+)\)")

BROKEN = {
    "bucket-safety": {"unsafe-bucket"},
    "backup-hardening": {"unsafe-bucket"},
    "deletion-protection": {"unprotected-key"},
    "region-residency": {"provider-abroad", "policy-abroad"},
    "static-credentials": {"static-keys"},
    "explicit-providers": {"any-cluster", "alias-of-default-provider"},
    "velero-backups": {"paused-schedule", "lonely-database"},
    "database-redundancy": {"lonely-database"},
    "dns-failover": {"record-that-never-moves"},
    "workload-hygiene": {"floating-image"},
    "ownership-tags": {"nobodys-check"},
    "vendored-charts": {"remote-chart"},
}
"""By policy, the resources of the bad program that break it."""


def violations(output: str) -> dict[tuple[str, str], set[str]]:
    """By level and policy, the names of the resources that the CLI reports."""
    found: dict[tuple[str, str], set[str]] = defaultdict(set)
    for level, policy, resource in _VIOLATION.findall(output):
        found[level, policy].add(resource)
    return dict(found)


def mandatory(output: str) -> set[str]:
    return {policy for level, policy in violations(output) if level == "mandatory"}


def _write(file: Path, document: dict[str, Any]) -> None:
    file.write_text(yaml.safe_dump(document, sort_keys=False))


def _cli(root: Path, pulumi_binary: Path) -> Pulumi:
    pulumi = stacks.cli(chosen_engine(root, pulumi_binary), root, provider_log=root / "providers.jsonl")
    # Calls to S3 are refused at once, and nothing leaves this machine.
    pulumi = Pulumi(directory=pulumi.directory, environment={**pulumi.environment, "AWS_ENDPOINT_URL_S3": "http://127.0.0.1:9"})
    pulumi.directory.mkdir(parents=True)
    return pulumi


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory, pulumi_binary: Path) -> Pulumi:
    """This program as it is committed. It is set up and never deployed, and it can reach neither a cluster nor AWS."""
    root = tmp_path_factory.mktemp("program")
    pulumi = _cli(root, pulumi_binary)
    for name in PROGRAM:
        source = CHECKOUT / name
        (pulumi.directory / name).parent.mkdir(exist_ok=True)
        (shutil.copytree if source.is_dir() else shutil.copy2)(source, pulumi.directory / name)
    project = yaml.safe_load((CHECKOUT / "Pulumi.yaml").read_text())
    project["runtime"]["options"]["virtualenv"] = sys.prefix
    _write(pulumi.directory / "Pulumi.yaml", project)
    for role in stacks.ROLES:
        stack = yaml.safe_load((CHECKOUT / f"Pulumi.{role}.yaml").read_text())
        stack["config"]["k8s-dr:cluster"] |= {"kubeconfig": str(root / "none"), "oidcIssuer": f"oidc.example.com/id/{role}"}
        stack["config"] |= {"k8s-dr:identity": "irsa", "k8s-dr:peerReady": True}
        _write(pulumi.directory / f"Pulumi.{role}.yaml", stack)
        pulumi.run("stack", "init", role)
        pulumi.secret(role, "backupEncryptionPassword", stacks.PASSWORD)
        for database in project["config"]["databases"]["value"]:
            stacks.give_password(pulumi, role, database["name"])
    return pulumi


@STS
@pytest.mark.parametrize("active", stacks.ROLES)
@pytest.mark.parametrize("stack", stacks.ROLES)
def test_this_program_violates_nothing_that_is_mandatory(program: Pulumi, stack: str, active: str) -> None:
    program.configure(stack, "active", active)
    ran = program.run("preview", "-s", stack, "--policy-pack", str(PACK), check=False)
    assert ran.exit_code == 0, ran.output
    assert "k8s-dr@v1.0.0" in ran.output
    assert {policy for _, policy in violations(ran.output)} <= {"backup-hardening", "workload-hygiene"}, ran.output
    assert not mandatory(ran.output)


@STS
def test_a_setting_that_breaks_a_rule_is_refused_by_name(program: Pulumi) -> None:
    file = program.directory / "Pulumi.yaml"
    good = file.read_text()
    try:
        project = yaml.safe_load(good)
        project["config"]["dns"]["value"]["ttl"] = 300
        project["config"]["storage"] = {"value": {"noncurrentDays": 7}}
        _write(file, project)
        ran = program.run("preview", "-s", "primary", "--policy-pack", str(PACK), check=False)
    finally:
        file.write_text(good)
    assert told_plainly(ran, "mandatory", "dns-failover"), ran.output
    assert mandatory(ran.output) == {"dns-failover", "bucket-safety"}


@pytest.fixture(scope="module")
def bad_program(tmp_path_factory: pytest.TempPathFactory, pulumi_binary: Path) -> Pulumi:
    pulumi = _cli(tmp_path_factory.mktemp("bad"), pulumi_binary)
    shutil.copy2(BAD_PROGRAM / "__main__.py", pulumi.directory)
    project = yaml.safe_load((BAD_PROGRAM / "Pulumi.yaml").read_text())
    project["runtime"]["options"]["virtualenv"] = sys.prefix
    _write(pulumi.directory / "Pulumi.yaml", project)
    pulumi.run("stack", "init", "primary")
    return pulumi


@CHART
@STS
def test_a_program_that_breaks_every_rule_is_refused_by_each(bad_program: Pulumi) -> None:
    ran = bad_program.run("preview", "-s", "primary", "--policy-pack", str(PACK), check=False)
    assert ran.exit_code
    assert violations(ran.output) == {(policy.level, policy.name): BROKEN[policy.name] for policy in POLICIES}, ran.output
    assert "hunter2" not in ran.output


@pytest.mark.long
@CHART
@STS
def test_it_is_the_mandatory_policies_that_refuse_and_a_configuration_can_say_otherwise(
    bad_program: Pulumi, tmp_path: Path
) -> None:
    config = tmp_path / "config.json"
    levels: dict[str, Any] = {policy.name: "advisory" for policy in POLICIES}
    config.write_text(json.dumps({**levels, "dns-failover": {"enforcementLevel": "advisory", "maximumTtl": 30}}))
    ran = bad_program.run(
        "preview", "-s", "primary", "--policy-pack", str(PACK), "--policy-pack-config", str(config), check=False
    )
    assert ran.exit_code == 0, ran.output
    assert {level for level, _ in violations(ran.output)} == {"advisory"}
    assert "set a TTL of 30 s or less" in ran.output


@pytest.mark.long
def test_deployed_regions_with_static_credentials_pass_with_the_configuration_for_them(pair: Pair) -> None:
    refused = pair.pulumi.run("preview", "-s", "secondary", "--policy-pack", str(PACK), check=False)
    assert told_plainly(refused, "mandatory", "static-credentials"), refused.output
    assert mandatory(refused.output) == {"static-credentials"}, refused.output
    config = ("--policy-pack-config", str(PACK / "static-identity.json"))
    for stack in stacks.ROLES:
        passed = pair.pulumi.run("preview", "-s", stack, "--policy-pack", str(PACK), *config, check=False)
        assert passed.exit_code == 0, passed.output
        assert ("advisory", "static-credentials") in violations(passed.output)


def test_what_was_deployed_says_whose_it_is_and_the_flag_is_put_without_tags(pair: Pair) -> None:
    s3 = pair.s3()
    tags = s3.get_bucket_tagging(Bucket="acme-velero-us-west-2-123456789012")["TagSet"]
    assert {tag["Key"]: tag["Value"] for tag in tags} == {"stack": "k8s-dr-secondary", "role": "secondary", "owner": "acme"}
    flag = s3.get_object_tagging(Bucket="acme-dr-flag-us-west-2-123456789012", Key="dr/active.json")
    assert flag["TagSet"] == []
