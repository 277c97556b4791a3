"""Whatever is accepted can be built, in both stacks and whoever serves, and every name in it is within its owner's limits."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from settings import limits
from tests.examples import PASSWORD, STATIC
from tests.examples import example as committed
from tests.unit.recorder import COMBINATIONS, Recorder, Seen, deployed, is_secret, run_program
from tests.unit.settings import tried_limits, tried_parameters, tried_platform, tried_velero, tried_words
from tests.unit.settings.test_mistakes import complaint
from tests.unit.settings.tried_others import VALID
from tests.unit.settings.tried_parts import CONNECTION

LABEL = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?|")
SUBDOMAIN = re.compile(r"(?=.{1,253}$)[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
QUALIFIED = re.compile(r"([a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")
BUCKET = re.compile(r"(?!xn--|sthree-|amzn-s3-demo-)(?!.*\.\.)[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")

# Whose limit | the type of the resource | its input | the longest text.
TEXTS: list[tuple[str, str, str, int]] = [
    ("IAM", "aws:iam/role:Role", "name", limits.most("iam.roleNameType")),
    ("IAM", "aws:iam/policy:Policy", "name", limits.most("iam.policyNameType")),
    ("IAM, quotas: a managed policy has 6144 characters", "aws:iam/policy:Policy", "policy", 6144),
    ("IAM, quotas: a trust policy has 2048 characters", "aws:iam/role:Role", "assumeRolePolicy", 2048),
    ("KMS", "aws:kms/alias:Alias", "name", limits.most("kms.AliasNameType")),
    ("Route 53", "aws:route53/record:Record", "setIdentifier", limits.most("route53.ResourceRecordSetIdentifier")),
    ("Route 53", "aws:route53/healthCheck:HealthCheck", "fqdn", limits.most("route53.FullyQualifiedDomainName")),
    ("Route 53", "aws:route53/healthCheck:HealthCheck", "resourcePath", limits.most("route53.ResourcePath")),
    ("Route 53", "aws:route53/healthCheck:HealthCheck", "searchString", limits.most("route53.SearchString")),
    ("S3, quotas: a bucket policy has 20 KB", "aws:s3/bucketPolicy:BucketPolicy", "policy", 20480),
]

_end = st.from_regex(r"[a-z0-9]", fullmatch=True)
labels = (
    st.integers(1, 61)
    .flatmap(lambda length: st.tuples(_end, st.from_regex(rf"[a-z0-9-]{{{length}}}", fullmatch=True), _end))
    .map("".join)
)
short = st.from_regex(r"[a-z][a-z0-9-]{0,37}[a-z0-9]", fullmatch=True)
hosts = st.lists(labels, min_size=1, max_size=3).map(lambda parts: ".".join([*parts, "example.com"]))


@st.composite
def configurations(draw: st.DrawFn) -> dict[str, Any]:
    """Changes to the committed configuration, most of them at the limits of what is accepted."""
    name, namespace = draw(short), draw(labels)
    database: dict[str, Any] = {
        "name": name,
        "namespace": namespace,
        **draw(st.sampled_from([{}, {"replication": "streaming", "streaming": CONNECTION}])),
    }
    changes: dict[str, Any] = {
        "topology": {
            "organization": draw(st.from_regex(r"[a-z0-9][a-z0-9-]{0,19}", fullmatch=True)),
            "accountId": "123456789012",
            "regions": {"primary": "us-east-1", "secondary": "us-west-2"},
        },
        "dns": {"zoneId": "Z0123456789ABCDEFGHIJ", "names": draw(st.lists(hosts, min_size=1, max_size=3, unique=True))},
        "workloads": [{"namespace": draw(labels), "replicas": 3, "check": {"service": draw(labels), "path": "/healthz?full=1"}}],
        "backups": [
            {
                "name": draw(st.from_regex(r"[a-z0-9]{1,50}", fullmatch=True)),
                "cron": "0 2 * * *",
                "keep": "720h",
                "restore": draw(st.sampled_from([True, "everything"])),
            }
        ],
        "databases": [database],
        "databasePasswords": {name: PASSWORD},
        "peerReady": draw(st.booleans()),
    }
    return changes | draw(st.sampled_from([{}, STATIC, {"storageClass": {"managed": True}}, {"storage": {"accessLogs": True}}]))


EVERY_KIND = {
    "dns": {"zoneId": "Z0123456789ABCDEFGHIJ", "names": [f"*.{'a' * 63}.{'b' * 63}.{'c' * 63}.example.com", "APP.example.com."]},
    "workloads": [{"namespace": "n" * 63, "replicas": 3, "check": {"service": "s" * 63}}],
    "databases": [{"name": "d" * 40, "namespace": "m" * 63, "parameters": {"max_connections": "200"}}],
    "databasePasswords": {"d" * 40: PASSWORD},
    "peerReady": True,
}
"""The longest of everything, a wildcard, and a name with capitals and a last dot."""


TRIED = [
    row
    for each in (VALID, tried_limits.VALID, tried_parameters.VALID, tried_platform.VALID, tried_velero.VALID, tried_words.VALID)
    for row in each
]


def together(first: Any, second: Any) -> Any:
    """Both changes in one. Raises ValueError where they say different things."""
    if isinstance(first, dict) and isinstance(second, dict):
        both = {key: together(first[key], second[key]) for key in first.keys() & second.keys()}
        return {**first, **second, **both}
    if isinstance(first, list) and len(first) == 1 and isinstance(second, list) and len(second) == 1:
        if first[0].keys() & second[0].keys() & {"action", "conditions", "operator"}:
            return [*first, *second]  # rules, of which there may be many
        return [together(first[0], second[0])]
    if first != second:
        raise ValueError(first, second)
    return first


def in_few(rows: Sequence[tuple[str, dict[str, Any]]]) -> dict[str, dict[str, Any]]:
    """All changes in as few configurations as may be, each with the names of those that are in it."""
    found: list[tuple[list[str], dict[str, Any]]] = []
    for name, changes in rows:
        for place, (names, others) in enumerate(found):
            with suppress(ValueError, AttributeError):
                both = together(others, changes)
                if not complaint("secondary", committed("secondary", both)):
                    found[place] = ([*names, name], both)
                    break
        else:
            found.append(([name], changes))
    return {"; ".join(names): changes for names, changes in found}


FEW = in_few(TRIED)


def test_what_was_tried_is_in_few_configurations_and_none_is_left_out() -> None:
    assert sorted(name for names in FEW for name in names.split("; ")) == sorted(name for name, _ in TRIED)
    assert len(FEW) <= len(TRIED) / 4


@pytest.mark.parametrize("changes", [EVERY_KIND, *FEW.values()], ids=["the longest of everything", *FEW])
def test_what_was_tried_and_is_accepted_can_be_built(changes: dict[str, Any]) -> None:
    assert_it_can_be_built(changes)


@settings(max_examples=4, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(configurations())
def test_any_configuration_that_is_accepted_can_be_built(changes: dict[str, Any]) -> None:
    if not complaint("secondary", committed("secondary", changes)) and not complaint("primary", committed("primary", changes)):
        assert_it_can_be_built(changes)


def assert_it_can_be_built(changes: dict[str, Any]) -> None:
    for stack, serving in COMBINATIONS:
        own = {**changes, **({"endpoint": "lb.example.net"} if "us-west-2" in str(changes.get("endpoint", "")) else {})}
        built = run_program(stack, {**deployed(serving), **own})
        assert list(beyond_their_limits(built)) == []


def beyond_their_limits(built: Recorder) -> Iterator[str]:
    names: set[tuple[str, str]] = set()
    for seen in built.custom():
        if (seen.type, seen.name) in names:
            yield f"{seen.type} {seen.name}: registered twice"
        names.add((seen.type, seen.name))
        for owner, kind, key, longest in TEXTS:
            text = seen.inputs.get(key)
            if seen.type == kind and isinstance(text, str) and len(_compact(text)) > longest:
                yield f"{owner}: {seen.name}.{key} has {len(_compact(text))} characters, {longest} at most"
        if seen.type == "aws:s3/bucket:Bucket" and not BUCKET.fullmatch(seen.inputs["bucket"]):
            yield f"S3: {seen.inputs['bucket']} is no name of a bucket"
        if seen.type.startswith("kubernetes:"):
            yield from _beyond_kubernetes(seen)


def _compact(text: str) -> str:
    """IAM counts no white space of a policy."""
    return re.sub(r"\s", "", text) if text.startswith("{") else text


def _beyond_kubernetes(seen: Seen) -> Iterator[str]:
    """Names, labels and annotations, in whatever object or template they are (apimachinery, util/validation)."""
    for metadata in _metadata_in(seen.inputs):
        name, limit = metadata.get("name"), 63 if seen.kind in ("Job", "Service", "Namespace", "Cluster") else 253
        if (
            isinstance(name, str)
            and seen.kind not in ("ClusterRole", "ClusterRoleBinding")
            and (not SUBDOMAIN.fullmatch(name) or len(name) > limit)
        ):
            yield f"Kubernetes: {seen.kind} {name} is no name of {limit} characters or less"
        for key, value in (metadata.get("labels") or {}).items():
            if not QUALIFIED.fullmatch(key) or not (isinstance(value, str) and LABEL.fullmatch(value)):
                yield f"Kubernetes: {seen.kind} {name}: label {key}={value}"
        for key in metadata.get("annotations") or {}:
            if not QUALIFIED.fullmatch(key):
                yield f"Kubernetes: {seen.kind} {name}: annotation {key}"


def _metadata_in(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict) and not is_secret(value):
        if isinstance(value.get("metadata"), dict):
            yield value["metadata"]
        for inner in value.values():
            yield from _metadata_in(inner)
    if isinstance(value, list):
        for inner in value:
            yield from _metadata_in(inner)
