"""What names region A among what region B would restore: it is found where A runs, and told by day where B stands by."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from components.kube.cluster_api import ClusterRefusedError
from components.velero.inventory import Inventory, inventory_of, take_inventory
from components.velero.lacking import Standby, findings, warnings_by_day
from components.velero.regional import MEANT, Search
from components.velero.unsaved import keep_inventory
from tests.unit.components.velero.test_lacking import region, standby
from tests.unit.fakes import FakeCluster, FakeFiles

REGION = "us-east-1"
SECRET = {"valueFrom": {"secretKeyRef": {"name": "keys", "key": "region"}}}


def item(name: str, namespace: str = "shop", **parts: Any) -> dict[str, Any]:
    metadata = {"name": name, "namespace": namespace, **parts.pop("metadata", {})}
    return {"metadata": metadata, **parts}


def workload(name: str, *values: str, **container: Any) -> dict[str, Any]:
    env = [{"name": f"V{place}", "value": value} for place, value in enumerate(values)]
    return item(
        name, spec={"template": {"spec": {"containers": [{"image": "x", "env": [*env, {"name": "S", **SECRET}], **container}]}}}
    )


def found(**lists: list[dict[str, Any]]) -> dict[str, list[str]]:
    search = Search(region=REGION)
    take_inventory(FakeCluster(paths=paths(**lists)), [], search=search)
    return search.found


def paths(**lists: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    at = {
        "deployments": "/apis/apps/v1/deployments",
        "statefulsets": "/apis/apps/v1/statefulsets",
        "cronjobs": "/apis/batch/v1/cronjobs",
        "configmaps": "/api/v1/configmaps",
        "services": "/api/v1/services",
    }
    return {at[kind]: {"items": each} for kind, each in lists.items()}


def test_what_names_the_region_is_found_in_each_kind() -> None:
    job = workload("night", REGION)
    assert found(
        deployments=[workload("web", "https://sqs.us-east-1.amazonaws.com/1/q"), workload("other", "us-west-2")],
        statefulsets=[workload("queue", args=["--region=us-east-1"])],
        cronjobs=[item("night", spec={"jobTemplate": {"spec": job["spec"]}})],
        configmaps=[item("settings", data={"app.yaml": "zone: us-east-1a\n"}), item("plain", data={"a": "b"}), item("empty")],
        services=[
            item("mail", spec={"type": "ExternalName", "externalName": f"smtp.{REGION}.example.com"}),
            item("web", spec={}),
        ],
    ) == {"shop": ["deployment/web", "statefulset/queue", "cronjob/night", "configmap/settings", "service/mail"]}


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("us-east-1", True),
        ("us-east-1b", True),
        ("lb-us-east-1.example.com", True),
        ("us-east-10", False),
        ("aus-east-1", False),
        ("us-east-1beta", False),
        ("us-west-2", False),
    ],
)
def test_the_region_counts_as_a_word_or_as_one_of_its_zones(text: str, named: bool) -> None:
    assert bool(found(deployments=[workload("web", text)])) is named


def pods(**spec: Any) -> dict[str, Any]:
    return item("web", spec={"template": {"spec": {"containers": [{"image": "x"}], **spec}}})


def asking(rule: str, **term: Any) -> dict[str, Any]:
    """Affinity to nodes with this label, as a rule of this kind has it."""
    expression = {"key": "topology.kubernetes.io/zone", "operator": "In", "values": ["eu-west-1a", f"{REGION}a"], **term}
    if rule == "preferredDuringSchedulingIgnoredDuringExecution":
        return {"nodeAffinity": {rule: [{"weight": 1, "preference": {"matchExpressions": [expression]}}]}}
    return {"nodeAffinity": {rule: {"nodeSelectorTerms": [{"matchExpressions": [expression]}]}}}


REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"


@pytest.mark.parametrize(
    ("spec", "named"),
    [
        ({"nodeSelector": {"topology.kubernetes.io/region": REGION}}, True),
        ({"nodeSelector": {"topology.kubernetes.io/region": "us-west-2"}}, False),
        ({"affinity": asking(REQUIRED)}, True),
        ({"affinity": asking(REQUIRED, operator="NotIn")}, False),
        ({"affinity": asking(REQUIRED, operator="Exists", values=None)}, False),
        ({"affinity": asking("preferredDuringSchedulingIgnoredDuringExecution")}, False),
        ({"affinity": {"nodeAffinity": {REQUIRED: {"nodeSelectorTerms": [{"matchFields": [{"values": [REGION]}]}]}}}}, True),
        (
            {"volumes": [{"name": "a", "emptyDir": {}}, {"name": "b", "nfs": {"server": f"fs-1.efs.{REGION}.amazonaws.com"}}]},
            True,
        ),
        ({"volumes": [{"name": "a", "csi": {"driver": "s3", "volumeAttributes": {"region": REGION}}}]}, True),
        ({"volumes": [{"name": "a", "csi": {"driver": "s3"}}, {"name": "b", "nfs": {"server": "10.0.0.1"}}]}, False),
    ],
)
def test_nodes_that_its_pods_ask_for_and_volumes_that_they_name_may_name_the_region(spec: dict[str, Any], named: bool) -> None:
    assert bool(found(deployments=[pods(**spec)])) is named


def test_an_object_that_means_it_or_that_a_controller_makes_anew_is_passed_over() -> None:
    meant = workload("meant", REGION)
    meant["metadata"]["annotations"] = {MEANT: "true"}
    owned = workload("owned", REGION)
    owned["metadata"]["ownerReferences"] = [{"kind": "App", "name": "shop", "controller": True}]
    assert found(deployments=[meant, owned]) == {}


def test_what_no_restore_brings_is_not_looked_at() -> None:
    assert found(configmaps=[item("settings", namespace="kube-system", data={"region": REGION})]) == {}


def test_no_secret_is_read() -> None:
    cluster = FakeCluster()
    take_inventory(cluster, [], search=Search(region=REGION))
    assert "path /api/v1/configmaps?limit=500" in cluster.asked
    assert not [asked for asked in cluster.asked if "secrets" in asked]


def test_without_a_search_nothing_more_is_listed_than_before() -> None:
    cluster = FakeCluster()
    assert take_inventory(cluster, []).regional is None
    assert not [asked for asked in cluster.asked if "configmaps" in asked or "services" in asked]


class NoConfigMaps(FakeCluster):
    def read(self, path: str) -> dict[str, Any] | None:
        if "configmaps" in path:
            raise ClusterRefusedError("refused: 403 configmaps is forbidden")
        return super().read(path)


def test_a_right_that_is_missing_costs_the_inventory_nothing_else() -> None:
    files = FakeFiles(needs=None)
    cluster = NoConfigMaps(paths=paths(deployments=[workload("web", REGION)]))
    assert keep_inventory(cluster, files, [], [], None, {}, REGION) == [
        "whether ConfigMaps and Services name us-east-1 is not known: refused: 403 configmaps is forbidden"
    ]
    assert files.needs
    assert files.needs.namespaces["shop"].images == {"x"}
    assert files.needs.regional == {"region": REGION, "namespaces": {"shop": {"count": 1, "first": ["deployment/web"]}}}


def taken(*names: str, **lists: list[dict[str, Any]]) -> Inventory:
    """An inventory as the other region reads it: from its text."""
    search = Search(region=REGION)
    deployments = [workload(name, REGION) for name in names]
    inventory = take_inventory(FakeCluster(paths=paths(deployments=deployments, **lists)), [], search=search)
    return inventory_of(json.loads(json.dumps(inventory.document())))


def said(inventory: Inventory, of: Standby | None = None) -> list[str]:
    lines = warnings_by_day(region(), FakeFiles(needs=inventory), of or standby())
    return [line for line in lines if "would be restored here" in line]


def test_the_standby_says_how_many_and_which_and_what_to_do() -> None:
    assert said(taken("web", "api")) == [
        "2 objects that would be restored here name us-east-1 in environment, arguments, node labels, volumes or data (shop "
        "deployment/web, shop deployment/api): in this region they would call one that may be dead, or find no node; take the "
        "name out, change it by velero.modifiers, or, where it is meant, annotate the object: "
        'k8s-dr/region-is-meant: "true"'
    ]
    (many,) = said(taken(*(f"web-{number}" for number in range(12))))
    assert many.startswith("12 objects that would be restored here name us-east-1 ")
    assert "shop deployment/web-4 and 7 more)" in many
    (changed,) = said(taken("web"), replace(standby(), modified=True))
    assert changed.startswith("1 object that would be restored here names us-east-1 ")
    assert "unless your rules in velero.modifiers change that" in changed


def test_a_namespace_that_is_not_restored_is_not_told() -> None:
    assert said(taken(configmaps=[item("settings", namespace="elsewhere", data={"region": REGION})])) == []


def test_it_stops_no_failover() -> None:
    judged = findings(region(), FakeFiles(needs=taken("web")), standby())
    assert judged.later
    assert not [line for line in (*judged.problems, *judged.unknown) if REGION in line]


def test_an_inventory_of_an_earlier_version_has_nothing_of_it_and_is_read() -> None:
    document = taken("web").document()
    del document["regional"]
    assert said(inventory_of(document)) == []


def test_what_is_no_such_list_is_no_inventory() -> None:
    with pytest.raises((ValueError, KeyError, TypeError, AttributeError)):
        inventory_of({**taken("web").document(), "regional": {"namespaces": ["shop"]}})
