"""The versions that the lab names are those that its modules pin, and those that tools on the machine are asked for."""

from __future__ import annotations

import pytest

from lab.tools import versions
from lab.tools.groups import GROUPS
from lab.tools.installed import PROBES


@pytest.mark.parametrize(
    ("tool", "answer", "right"),
    [
        ("pulumi", "v3.260.0\n", True),
        ("pulumi", "v3.276.1\n", True),
        ("pulumi", "v3.258.9\n", False),
        ("pulumi", "v4.0.0\n", False),
        ("pulumi", "v3.260.0-alpha.1\n", False),
        ("pulumi", "v13.260.0\n", False),
        ("kubectl", '    "gitVersion": "v1.36.9",\n', True),
        ("kubectl", '    "gitVersion": "v1.37.2",\n', False),
        ("etcd", "etcd Version: 3.7.3\nGit SHA: Not provided\n", True),
        ("etcd", "etcd Version: 3.7.30\n", False),
        ("etcdctl", "etcdctl version: 3.7.3\nAPI version: 3.7\n", True),
        ("kubelet", "Kubernetes v1.36.3\n", True),
        ("kubelet", "Kubernetes v1.36.3-eks-1\n", False),
        ("helm", "v3.21.4+g1234567\n", True),
        ("helm", "v4.3.1+g1234567\n", False),
        ("promtool", "promtool, version 3.13.5 (branch: , revision: unknown)\n", True),
        ("promtool", "promtool, version 3.20.0 (branch: HEAD, revision: 1234567)\n", True),
        ("promtool", "promtool, version 2.55.1 (branch: HEAD, revision: 1234567)\n", False),
        ("coredns", "CoreDNS-1.15.0\nlinux/amd64, go1.26.8, \n", True),
    ],
)
def test_versions_are_read_as_the_tools_print_them(tool: str, answer: str, right: bool) -> None:
    assert PROBES[tool].accepts(answer) is right


@pytest.mark.parametrize(
    ("group", "module", "version"),
    [
        ("pulumi", "github.com/pulumi/pulumi/pkg/v3", versions.PULUMI),
        ("region", "k8s.io/kubernetes", versions.KUBERNETES),
        ("region", "go.etcd.io/etcd/server/v3", versions.ETCD),
        ("region", "go.etcd.io/etcd/etcdctl/v3", versions.ETCD),
        ("region", "go.etcd.io/etcd/etcdutl/v3", versions.ETCD),
        ("region", "github.com/coredns/coredns", versions.COREDNS),
        ("storage", "github.com/kubernetes-csi/external-snapshotter/v8", versions.EXTERNAL_SNAPSHOTTER),
        ("storage", "github.com/kubernetes-csi/external-provisioner/v5", versions.EXTERNAL_PROVISIONER),
        ("velero", "github.com/vmware-tanzu/velero", versions.VELERO),
        ("velero-previous", "github.com/vmware-tanzu/velero", versions.VELERO_PREVIOUS),
        ("velero", "github.com/vmware-tanzu/velero-plugin-for-aws", versions.VELERO_PLUGIN_FOR_AWS),
        ("cnpg", "github.com/cloudnative-pg/cloudnative-pg", versions.CLOUDNATIVE_PG),
        ("cnpg", "github.com/cloudnative-pg/plugin-barman-cloud", versions.PLUGIN_BARMAN_CLOUD),
        ("helm", "helm.sh/helm/v3", versions.HELM),
        ("prometheus", "github.com/prometheus/prometheus", versions.PROMETHEUS),
        ("actionlint", "github.com/rhysd/actionlint", versions.ACTIONLINT),
    ],
)
def test_the_modules_pin_the_versions_that_the_lab_names(group: str, module: str, version: str) -> None:
    lines = [line.strip().removeprefix("require ") for line in (GROUPS[group].module / "go.mod").read_text().splitlines()]
    assert f"{module} {version}" in lines


def test_every_file_kept_of_a_module_is_of_one_that_its_group_requires_and_has_one_name() -> None:
    files = [(group, file) for group in GROUPS.values() for file in group.files]
    assert all(f"{file.module} v" in (group.module / "go.mod").read_text() for group, file in files)
    assert len({file.name for _, file in files}) == len(files) == 6


def test_every_tool_has_one_group() -> None:
    tools = [tool for group in GROUPS.values() for tool in group.tools]
    assert len(tools) == len(set(tools))
    assert set(PROBES) <= set(tools)
