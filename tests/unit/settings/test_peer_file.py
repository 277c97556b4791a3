"""Two regions are two clusters: one UID in both stack files is refused, before anything is registered."""

from __future__ import annotations

from pathlib import Path

import pytest

from settings import ConfigurationError, Settings, load, warnings
from settings.load import SECRETS
from settings.peer_file import lines_of_what_should_be_the_same, refuse_one_cluster_for_both
from settings.roles import Role, peer_of
from tests.examples import example

UID = "3f0c7a52-6f0e-4f6e-9c2b-0d6a3a1f7c11"
OTHER = "5b1e9c00-0000-4000-8000-0d6a3a1f7c11"


def refuse(directory: Path, content: str | None, uid: str | None = UID, stack: Role = "secondary") -> None:
    """Compare a stack whose `cluster.uid` is `uid` with the other one's file."""
    if content is not None:
        (directory / f"Pulumi.{peer_of(stack)}.yaml").write_text(content)
    cluster = {"context": "prod", "name": "prod", "distribution": "eks", **({"uid": uid} if uid else {})}
    settings = load(stack, example(stack, {"cluster": cluster}), SECRETS)
    refuse_one_cluster_for_both(settings, directory)


@pytest.mark.parametrize("stack", ["primary", "secondary"])
def test_one_uid_in_both_stack_files_is_refused(tmp_path: Path, stack: Role) -> None:
    peer = peer_of(stack)
    with pytest.raises(ConfigurationError) as refused:
        refuse(tmp_path, f"config:\n  k8s-dr:cluster: {{context: prod, uid: {UID}}}\n", stack=stack)
    assert str(refused.value).startswith(
        f"k8s-dr:cluster.uid: {UID} is the cluster of stack {peer} too, as Pulumi.{peer}.yaml says; two regions are two clusters"
    )
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "content",
    [
        None,
        "",
        "config: {}",
        "config:\n  k8s-dr:cluster: {context: prod}\n",
        f"config:\n  k8s-dr:cluster: {{context: prod, uid: {OTHER}}}\n",
        "config: [",
        "config:\n  k8s-dr:cluster: prod\n",
    ],
)
def test_any_other_file_is_none_of_this_stacks_business(tmp_path: Path, content: str | None) -> None:
    refuse(tmp_path, content)


def test_a_stack_without_a_uid_is_not_compared(tmp_path: Path) -> None:
    refuse(tmp_path, "config:\n  k8s-dr:cluster: {context: prod}\n", uid=None)


def test_a_uid_has_the_form_of_one() -> None:
    with pytest.raises(ConfigurationError, match=r"cluster\.uid: prod-usw2 is not the UID of a cluster's namespace kube-system"):
        refuse(Path(), None, uid="prod-usw2")


@pytest.mark.parametrize(
    ("own", "theirs", "without"),
    [(True, "{name: a, zoneId: Z1}", "primary"), (False, "{name: a, zoneId: Z1, ipv6: true}", "secondary")],
)
def test_addresses_that_one_region_alone_has_are_told(tmp_path: Path, own: bool, theirs: str, without: str) -> None:
    (tmp_path / "Pulumi.primary.yaml").write_text(f"config:\n  k8s-dr:endpoint: {theirs}\n")
    (line,) = lines_of_what_should_be_the_same(with_alias(ipv6=own), tmp_path)
    assert line.startswith(f"k8s-dr:endpoint.ipv6: is true in one stack alone, and not in {without}: ")
    assert line in warnings(with_alias(ipv6=own), SECRETS, tmp_path)


@pytest.mark.parametrize("theirs", [None, "lb.example.com", "{name: a, zoneId: Z1, ipv6: true}"])
def test_addresses_that_both_regions_have_are_no_word_worth(tmp_path: Path, theirs: str | None) -> None:
    if theirs:
        (tmp_path / "Pulumi.primary.yaml").write_text(f"config:\n  k8s-dr:endpoint: {theirs}\n")
    assert lines_of_what_should_be_the_same(with_alias(ipv6=True), tmp_path) == []
    assert lines_of_what_should_be_the_same(load("secondary", example("secondary"), SECRETS), tmp_path) == []


def with_alias(*, ipv6: bool) -> Settings:
    changes = {"endpoint": {"name": "lb.example.com", "zoneId": "Z35SXDOTRQ7X7K", "ipv6": ipv6}}
    return load("secondary", example("secondary", changes), SECRETS)
