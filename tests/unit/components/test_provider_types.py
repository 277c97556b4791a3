"""Every input of every resource is what the provider's own SDK takes, nested ones too."""

from __future__ import annotations

import ast
import copy
import importlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pulumi
import pytest

from tests.examples import ROOT
from tests.unit.configurations import every_program
from tests.unit.provider_types import faults, is_custom
from tests.unit.recorder import Recorder, Seen

SDKS = ("pulumi_aws", "pulumi_kubernetes")


@pytest.fixture(scope="module")
def programs() -> dict[str, Recorder]:
    return every_program()


@pytest.fixture(scope="module")
def resources(programs: dict[str, Recorder]) -> list[Seen]:
    """Everything that a provider is given by any program, and the providers themselves."""
    return [seen for recorder in programs.values() for seen in recorder.seen if seen.custom]


def test_every_input_of_every_resource_is_what_its_sdk_takes(programs: dict[str, Recorder]) -> None:
    found: dict[str, str] = {}
    for program, recorder in programs.items():
        for seen in recorder.seen:
            for fault in faults(seen) if seen.custom else ():
                found.setdefault(fault, program)
    assert not found, "\n".join(f"{fault} [{program}]" for fault, program in found.items())


@dataclass(frozen=True, kw_only=True)
class Maker:
    """An expression that makes a resource of an SDK."""

    resource: str
    file: str
    first: int
    last: int

    def made(self, seen: Seen) -> bool:
        file, line = seen.source
        return file.endswith(f"/{self.file}") and self.first <= line <= self.last

    def __str__(self) -> str:
        return f"{self.file}:{self.first}: {self.resource}"


def makers(directory: Path) -> Iterator[Maker]:
    for path in sorted(directory.rglob("*.py")):
        tree, file = ast.parse(path.read_text()), path.relative_to(directory.parent).as_posix()
        names = dict(imported(tree))
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and (resource := dotted(node.func, names)) and is_resource(resource):
                yield Maker(resource=resource, file=file, first=node.lineno, last=node.end_lineno or node.lineno)


def imported(tree: ast.Module) -> Iterator[tuple[str, str]]:
    """Names that a module imports, each with the full path of what it is."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((each.asname, each.name) if each.asname else (each.name, each.name) for each in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from ((each.asname or each.name, f"{node.module}.{each.name}") for each in node.names)


def dotted(node: ast.expr, names: dict[str, str]) -> str | None:
    """The full path of a dotted name that begins in an SDK; None of anything else."""
    if isinstance(node, ast.Attribute):
        outer = dotted(node.value, names)
        return f"{outer}.{node.attr}" if outer else None
    path = names.get(node.id, "") if isinstance(node, ast.Name) else ""
    return path if path.startswith(SDKS) else None


def is_resource(path: str) -> bool:
    module, _, name = path.rpartition(".")
    found = getattr(importlib.import_module(module), name, None)
    return isinstance(found, type) and issubclass(found, pulumi.Resource)


def test_whatever_the_components_make_of_an_sdk_is_among_what_was_checked(resources: list[Seen]) -> None:
    never = [str(maker) for maker in makers(ROOT / "components") if not any(map(maker.made, resources))]
    assert not never, "no configuration in tests/unit/configurations.py comes to:\n" + "\n".join(never)


def test_what_makes_a_resource_is_found_however_it_is_imported(tmp_path: Path) -> None:
    source = """
import pulumi_aws, pulumi_aws as aws
from pulumi_kubernetes.core import v1

def make(bucket: aws.s3.Bucket) -> None:
    aws.sqs.Queue("queue")
    pulumi_aws.sns.Topic("topic")
    v1.Pod("pod")
    aws.s3.BucketCorsRuleArgs(allowed_methods=["GET"], allowed_origins=["*"])
"""
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "module.py").write_text(source)
    assert {(maker.resource, maker.first) for maker in makers(tmp_path)} == {
        ("pulumi_aws.sqs.Queue", 6),
        ("pulumi_aws.sns.Topic", 7),
        ("pulumi_kubernetes.core.v1.Pod", 8),
    }


def test_no_kind_is_without_a_type_but_those_of_the_operators(resources: list[Seen]) -> None:
    """Another one is added here with a test in tests/contract that holds its spec against its definition."""
    assert {seen.type.removeprefix("kubernetes:") for seen in resources if is_custom(seen.type)} == {
        "barmancloud.cnpg.io/v1:ObjectStore",
        "monitoring.coreos.com/v1:PodMonitor",
        "monitoring.coreos.com/v1:PrometheusRule",
        "monitoring.coreos.com/v1alpha1:AlertmanagerConfig",
        "postgresql.cnpg.io/v1:Cluster",
        "postgresql.cnpg.io/v1:ScheduledBackup",
        "velero.io/v1:Backup",
        "velero.io/v1:BackupStorageLocation",
        "velero.io/v1:Restore",
        "velero.io/v1:Schedule",
    }


def test_no_object_has_a_list_without_entries(programs: dict[str, Recorder]) -> None:
    """An API server drops it, so every later preview would show an update, and `drctl check` a stack that is not deployed."""
    found: dict[str, str] = {}
    for program, recorder in programs.items():
        for seen in recorder.custom():
            if seen.type.startswith("kubernetes:") and not is_custom(seen.type):
                found |= {f"{seen.name}: {path}": program for path in _empty_lists(seen.inputs)}
    assert not found, "\n".join(f"{where} [{program}]" for where, program in found.items())


def _empty_lists(value: Any, path: str = "") -> Iterator[str]:
    if value == []:
        yield path
    entries = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in entries:
        yield from _empty_lists(inner, f"{path}.{key}")


Told = Callable[[str, str, Callable[[Any, str | int], None]], list[str]]


@pytest.fixture(scope="module")
def told(resources: list[Seen]) -> Told:
    """What is told of the first resource of a type whose inputs have a path, once something is done at that path."""

    def tell(token: str, path: str, what: Callable[[Any, str | int], None]) -> list[str]:
        *outer, last = [int(step) if step.isdecimal() else step for step in path.split("/")]
        for seen in resources:
            if seen.type != token:
                continue
            inputs = copy.deepcopy(seen.inputs)
            holder: Any = inputs
            try:
                for step in outer:
                    holder = holder[step]
                holder[last]
            except (KeyError, IndexError, TypeError):
                continue
            what(holder, last)
            before = faults(seen)
            return [fault for fault in faults(replace(seen, inputs=inputs)) if fault not in before]
        raise AssertionError(f"no {token} has {path}")

    return tell


def rename(name: str) -> Callable[[Any, str | int], None]:
    def what(holder: Any, last: str | int) -> None:
        holder[name] = holder.pop(last)

    return what


def put(value: Any) -> Callable[[Any, str | int], None]:
    def what(holder: Any, last: str | int) -> None:
        holder[last] = value

    return what


def remove(holder: Any, last: str | int) -> None:
    del holder[last]


KEY, RECORD, CHECK = "aws:kms/key:Key", "aws:route53/record:Record", "aws:route53/healthCheck:HealthCheck"
LIFECYCLE = "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration"
REPLICATION = "aws:s3/bucketReplicationConfig:BucketReplicationConfig"
POLICY = "aws:s3/bucketPolicy:BucketPolicy"
JOB, CRON_JOB, DEPLOYMENT = "kubernetes:batch/v1:Job", "kubernetes:batch/v1:CronJob", "kubernetes:apps/v1:Deployment"
CLASS, SECRET = "kubernetes:storage.k8s.io/v1:StorageClass", "kubernetes:core/v1:Secret"
SCHEDULE = "kubernetes:velero.io/v1:Schedule"
AWS, KUBERNETES = "pulumi:providers:aws", "pulumi:providers:kubernetes"


@pytest.mark.parametrize(
    ("token", "path", "name", "fault"),
    [
        (KEY, "enableKeyRotation", "enableKeyRotaton", "enableKeyRotaton: KeyArgs has no property"),
        (CLASS, "reclaimPolicy", "reclaimPolcy", "reclaimPolcy: StorageClassInitArgs has no property"),
        (
            LIFECYCLE,
            "rules/0/abortIncompleteMultipartUpload/daysAfterInitiation",
            "days_after_initation",
            "rules[0].abortIncompleteMultipartUpload.days_after_initation: "
            "BucketLifecycleConfigurationRuleAbortIncompleteMultipartUploadArgs has no property",
        ),
        (
            REPLICATION,
            "rules/0/destination/metrics/eventThreshold",
            "eventTreshold",
            "rules[0].destination.metrics.eventTreshold: BucketReplicationConfigRuleDestinationMetricsArgs has no property",
        ),
        (
            DEPLOYMENT,
            "spec/template/spec/containers/0/imagePullPolicy",
            "imagePulPolicy",
            "spec.template.spec.containers[0].imagePulPolicy: ContainerArgs has no property",
        ),
        (
            CRON_JOB,
            "spec/jobTemplate/spec/template/spec/volumes/0/hostPath/type",
            "typ",
            "spec.jobTemplate.spec.template.spec.volumes[0].hostPath.typ: HostPathVolumeSourceArgs has no property",
        ),
        (SCHEDULE, "metadata/annotations", "anotations", "metadata.anotations: ObjectMetaArgs has no property"),
        (SCHEDULE, "spec", "spek", "spek: CustomResourceArgs has no property"),
        (AWS, "skipMetadataApiCheck", "skipMetadataCheck", "skipMetadataCheck: ProviderArgs has no property"),
    ],
)
def test_a_misspelt_property_is_told_with_where_it_is_and_what_may_be_meant(
    told: Told, token: str, path: str, name: str, fault: str
) -> None:
    (line,) = told(token, path, rename(name))
    assert f" ({token}): {fault} {name}; did you mean {path.rpartition('/')[2]}" in line


def test_a_misspelt_property_like_no_other_is_told_without_a_guess(told: Told) -> None:
    assert told(KEY, "description", rename("xyz")) == [f"storage-key ({KEY}): xyz: KeyArgs has no property xyz"]


@pytest.mark.parametrize(
    ("token", "path", "value", "fault"),
    [
        (CHECK, "port", "443", "port: must be a whole number, not text"),
        (CHECK, "port", 1.5, "port: must be a whole number, not a number"),
        (KEY, "enableKeyRotation", "true", "enableKeyRotation: must be a boolean, not text"),
        (KEY, "enableKeyRotation", 1, "enableKeyRotation: must be a boolean, not a whole number"),
        (LIFECYCLE, "rules", {"status": "Enabled"}, "rules: must be a list, not an object"),
        (REPLICATION, "rules/0/destination", [], "rules[0].destination: must be an object, not a list"),
        (JOB, "spec/template", [], "spec.template: must be an object, not a list"),
        (JOB, "spec/backoffLimit", True, "spec.backoffLimit: must be a whole number, not a boolean"),
        (
            DEPLOYMENT,
            "spec/template/spec/containers/0/args",
            "server",
            "spec.template.spec.containers[0].args: must be a list, not text",
        ),
        (
            DEPLOYMENT,
            "spec/template/spec/containers/0/args/1",
            None,
            "spec.template.spec.containers[0].args[1]: must be text, not nothing",
        ),
        (
            DEPLOYMENT,
            "spec/template/spec/containers/0/env/0/value",
            1,
            "spec.template.spec.containers[0].env[0].value: must be text, not a whole number",
        ),
        (CLASS, "parameters/encrypted", True, 'parameters["encrypted"]: must be text, not a boolean'),
        (SECRET, "stringData/value/accessKeyId", 5, 'stringData["accessKeyId"]: must be text, not a whole number'),
        (RECORD, "type", "CNAM", "type: 'CNAM' is none of 'A', 'AAAA', 'CNAME'"),
        (DEPLOYMENT, "apiVersion", "apps/v2", "apiVersion: 'apps/v2' is none of 'apps/v1'"),
        (SCHEDULE, "apiVersion", "velero.io/v2", "apiVersion: 'velero.io/v2' is not 'velero.io/v1'"),
        (SCHEDULE, "kind", "Schedules", "kind: 'Schedules' is not 'Schedule'"),
        (SCHEDULE, "metadata/annotations", [], "metadata.annotations: must be an object, not a list"),
        (
            POLICY,
            "policy",
            {"Version": "2012-10-17", "Statement": [{"Effect": "Deny", "Princpal": "*"}]},
            "policy.Statement[0].Princpal: PolicyStatementArgs has no property Princpal",
        ),
    ],
)
def test_a_value_of_another_shape_is_told(told: Told, token: str, path: str, value: object, fault: str) -> None:
    (line,) = told(token, path, put(value))
    assert f" ({token}): {fault}" in line


@pytest.mark.parametrize(
    ("token", "path", "value", "fault"),
    [
        (AWS, "defaultTags", '{"tag": {"owner": "acme"}}', "defaultTags.tag: ProviderDefaultTagsArgs has no property tag"),
        (
            AWS,
            "endpoints",
            '[{"rout53": "http://localhost"}]',
            "endpoints[0].rout53: ProviderEndpointArgs has no property rout53",
        ),
        (AWS, "allowedAccountIds", "123456789012", "allowedAccountIds: must be a list, not a whole number"),
        (AWS, "defaultTags", "owner=acme", "defaultTags: is not JSON"),
        (KUBERNETES, "enableServerSideApply", '"yes"', "enableServerSideApply: must be a boolean, not text"),
        (KUBERNETES, "enableServerSideApply", True, "enableServerSideApply: is not JSON"),
        (KUBERNETES, "context", 1, "context: must be text, not a whole number"),
    ],
)
def test_the_json_of_a_provider_is_read_as_well(told: Told, token: str, path: str, value: object, fault: str) -> None:
    (line,) = told(token, path, put(value))
    assert f" ({token}): {fault}" in line


@pytest.mark.parametrize(
    ("token", "path", "fault"),
    [
        (REPLICATION, "role", "role: BucketReplicationConfigArgs needs role, which is missing"),
        (LIFECYCLE, "rules/0/status", "rules[0].status: BucketLifecycleConfigurationRuleArgs needs status, which is missing"),
        (DEPLOYMENT, "spec", "spec: DeploymentInitArgs needs spec, which is missing"),
        (
            DEPLOYMENT,
            "spec/template/spec/containers/0/name",
            "spec.template.spec.containers[0].name: ContainerArgs needs name, which is missing",
        ),
        (SCHEDULE, "apiVersion", "apiVersion: CustomResourceArgs needs apiVersion, which is missing"),
    ],
)
def test_a_required_property_that_is_missing_is_told(told: Told, token: str, path: str, fault: str) -> None:
    for missing in (remove, put(None)):
        (line,) = told(token, path, missing)
        assert line.endswith(f" ({token}): {fault}")


@pytest.fixture
def any_resource(resources: list[Seen]) -> Seen:
    return resources[0]


@pytest.mark.parametrize("token", ["aws:s3/bucketPolcy:BucketPolcy", "aws:s4/bucket:Bucket", "kubernetes:example.com/v1:Widget"])
def test_a_resource_that_its_sdk_does_not_have_is_told(any_resource: Seen, token: str) -> None:
    told = faults(replace(any_resource, name="it", type=token, inputs={}))
    assert told == [f"it ({token}): the SDK has no resource {token}"]


def test_a_whole_number_is_a_number(any_resource: Seen) -> None:
    """None of the program's resources has one yet that could be a fraction."""
    alarm = {"comparisonOperator": "GreaterThanThreshold", "evaluationPeriods": 1, "threshold": 1}
    resource = replace(any_resource, name="it", type="aws:cloudwatch/metricAlarm:MetricAlarm", inputs=alarm)
    assert not faults(resource)
    assert not faults(replace(resource, inputs={**alarm, "threshold": 0.5}))
    (line,) = faults(replace(resource, inputs={**alarm, "threshold": "1"}))
    assert line.endswith("threshold: must be a number, not text")


def test_a_type_that_the_checker_does_not_know_is_an_error(any_resource: Seen) -> None:
    """Nothing is passed over: what it cannot judge it says."""
    release = {"chart": "velero", "valueYamlFiles": ["values.yaml"]}
    with pytest.raises(TypeError, match="does not know"):
        faults(replace(any_resource, type="kubernetes:helm.sh/v3:Release", inputs=release))
