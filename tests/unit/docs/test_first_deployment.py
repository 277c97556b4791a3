"""The whole Pulumi.yaml of the page on the first deployment, previewed by the program as it stands there, in both stacks."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml

from components.operators import operators
from settings.roles import Role
from tests.examples import ROOT
from tests.unit.docs.test_copies import block
from tests.unit.recorder import COMBINATIONS, Recorder, deployed, run_program

PAGE = "first-deployment.md"
PROJECT: dict[str, Any] = yaml.safe_load(block(PAGE, "yaml", "# yaml-language-server: $schema=schemas/Pulumi.schema.json"))
COMMITTED: dict[str, Any] = yaml.safe_load((ROOT / "Pulumi.yaml").read_text())
SHARED = {key: entry["value"] for key, entry in PROJECT["config"].items() if "value" in entry}


@pytest.fixture(params=COMBINATIONS, ids=lambda pair: f"{pair[0]}-while-{pair[1]}-is-active")
def preview(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Recorder:
    """A preview of a stack by that file, with the charts fetched (`make charts`) and the clusters as the page makes them."""
    stack: Role
    stack, serving = request.param
    monkeypatch.setattr(operators, "fault", lambda chart, charts: None)
    return run_program(stack, {**SHARED, **deployed(serving), "peerReady": True}, preview=True)


def test_the_file_is_previewed_and_asks_the_clusters_for_nothing_that_they_lack(preview: Recorder) -> None:
    (cluster,) = [seen for seen in preview.custom() if seen.type == "kubernetes:postgresql.cnpg.io/v1:Cluster"]
    classes = [seen for seen in preview.custom() if seen.type == "kubernetes:storage.k8s.io/v1:StorageClass"]
    assert [seen.inputs["metadata"]["name"] for seen in classes] == [cluster.inputs["spec"]["storage"]["storageClass"]]
    charts = {seen.inputs["name"] for seen in preview.custom() if seen.type == "kubernetes:helm.sh/v3:Release"}
    assert charts == {"cert-manager", "cloudnative-pg", "plugin-barman-cloud"}
    kinds = {seen.type for seen in preview.custom()}
    assert not [kind for kind in kinds if "monitoring.coreos.com" in kind], "these clusters have no Prometheus operator"


def test_but_for_what_the_new_clusters_lack_the_file_is_the_committed_one() -> None:
    assert {key: value for key, value in PROJECT.items() if key != "config"} == {
        key: value for key, value in COMMITTED.items() if key != "config"
    }
    assert PROJECT["config"]["active"] == COMMITTED["config"]["active"]
    same = ("topology", "dns", "backups")
    assert {key: PROJECT["config"][key] for key in same} == {key: COMMITTED["config"][key] for key in same}


def test_what_the_page_makes_by_hand_has_the_names_of_the_file() -> None:
    text = (ROOT / "docs" / PAGE).read_text()
    (workload,) = SHARED["workloads"]
    made = [yaml.safe_load(part) for part in _manifests(text)]
    places = {(each["kind"], each["metadata"]["name"], each["metadata"].get("namespace")) for each in made}
    assert ("Namespace", workload["namespace"], None) in places
    assert ("Service", workload["check"]["service"], workload["namespace"]) in places
    assert ("Ingress", "web", workload["namespace"]) in places
    (database,) = SHARED["databases"]
    assert f"{database['name']}-rw.{database['namespace']}:5432/app" in text


def test_kubernetes_in_the_page_is_a_version_that_goes_with_the_rest() -> None:
    (version,) = re.findall(r'version: "(\d+\.\d+)"', (ROOT / "docs" / PAGE).read_text())
    row = next(line for line in (ROOT / "docs" / "compatibility.md").read_text().splitlines() if line.startswith("| Kubernetes"))
    lowest, highest = re.findall(r"(1\.\d+) to (1\.\d+)", row)[0]
    assert int(lowest.split(".")[1]) <= int(version.split(".")[1]) <= int(highest.split(".")[1])


def _manifests(text: str) -> list[str]:
    """The Kubernetes objects that the page applies by `kubectl apply -f -`."""
    applied = re.findall(r"kubectl [^\n]*apply -f - <<'?YAML'?\n(.*?)\nYAML", text, re.DOTALL)
    return [part for document in applied for part in document.split("\n---\n")]


def test_the_stack_file_of_the_page_on_self_managed_clusters_is_accepted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(operators, "fault", lambda chart, charts: None)
    own = yaml.safe_load(block("self-managed.md", "yaml", "config:"))["config"]
    keys = {key.removeprefix("k8s-dr:"): value for key, value in own.items() if key.startswith("k8s-dr:")}
    seen = run_program("primary", {**SHARED, **keys}, preview=True)
    assert "kubernetes:batch/v1:CronJob" in {each.type for each in seen.custom()}, "etcd is backed up"
