"""The runbook with a deployment's own names, in each cluster and each region's bucket."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from components.runbook.rendered import MOST, page, rendered
from settings import load
from settings.load import SECRETS
from settings.peer_file import PeerCluster, cluster_of_the_peer
from settings.roles import Role
from tests.examples import PASSWORD, example
from tests.unit.components.conftest import Program
from tests.unit.recorder import run_program

OWN: dict[str, Any] = {
    "topology": {
        "organization": "globex",
        "accountId": "999988887777",
        "regions": {"primary": "eu-west-1", "secondary": "eu-central-1"},
        "backends": {"primary": "s3://globex-state-1?region=eu-west-1", "secondary": "s3://globex-state-2?region=eu-central-1"},
    },
    "dns": {"zoneId": "Z0123456789ABCDEFGHIJ", "names": ["shop.globex.example"]},
    "cluster": {"context": "globex-b", "name": "globex-eks-b", "distribution": "eks"},
    "endpoint": "lb.globex.example",
    "databases": [{"name": "ledger", "namespace": "money"}],
    "databasePasswords": {"ledger": PASSWORD},
}
OF_THE_EXAMPLE = re.compile(
    r"acme-|prod-us[ew]\w*|us-east-1|us-west-2|123456789012|app\.example\.com|app-database|-n databases|namespace databases"
)


PEER = PeerCluster(context="globex-a", name="globex-eks-a")


def shown(changes: dict[str, Any], *, peer: PeerCluster = PEER, role: Role = "secondary") -> str:
    settings = load(role, example(role, changes), SECRETS)
    return rendered(page(), settings, peer)


def test_nothing_of_the_example_is_left_where_all_has_a_name_of_its_own() -> None:
    assert OF_THE_EXAMPLE.findall(shown(OWN)) == []


def test_a_command_of_the_page_is_one_of_this_deployment() -> None:
    text = shown(OWN)
    assert "export PULUMI_BACKEND_URL='s3://globex-state-2?region=eu-central-1'" in text
    assert "kubectl --context globex-a get pvc -n money" in text
    assert "aws eks update-kubeconfig --region eu-central-1 --name globex-eks-b --alias globex-b" in text
    assert "s3://globex-dr-flag-eu-central-1-999988887777/dr/active.json" in text
    assert "pulumi config set rejoin ledger-primary-g1 -s primary" in text


def test_each_stack_names_the_cluster_of_region_b_as_its_own_file_does() -> None:
    """All that is to be typed is on one line, in which the names are found."""
    commands = [line for line in page().splitlines() if "eks update-kubeconfig" in line]
    assert all("--name prod-usw2 --alias prod-usw2`" in line for line in commands)
    own = {**OWN, "cluster": {**OWN["cluster"], "context": "globex-a", "name": "globex-eks-a"}}
    there = PeerCluster(context="globex-b", name="globex-eks-b")
    for text in (shown(OWN), shown(own, peer=there, role="primary")):
        assert text.count("--region eu-central-1 --name globex-eks-b --alias globex-b`") == len(commands) == 2


def test_a_name_that_has_taken_the_place_of_one_is_not_taken_for_another() -> None:
    swapped = {**OWN["topology"], "organization": "acme-shop", "regions": {"primary": "us-west-2", "secondary": "us-east-1"}}
    text = shown({**OWN, "topology": swapped})
    assert "s3://acme-shop-dr-flag-us-east-1-999988887777/dr/active.json" in text
    assert "acme-shop-shop" not in text


def test_what_stands_for_several_is_said() -> None:
    databases = [{"name": name, "namespace": "money"} for name in ("ledger", "stock")]
    text = shown(
        {**OWN, "databases": databases, "databasePasswords": dict.fromkeys(("ledger", "stock"), PASSWORD)}, peer=PeerCluster()
    )
    assert "`app-database` in `databases` stands for each of: `ledger` in `money`, `stock` in `money`." in text
    assert "the other's name is the example's" in text


@pytest.mark.parametrize("stack", ["primary", "secondary"])
def test_it_is_in_the_cluster_and_in_the_bucket_and_no_flip_touches_it(program: Program, stack: Role) -> None:
    pairs = []
    for active in ("primary", "secondary"):
        region = program(stack, active)
        config_map, kept = region["runbook-config-map"].inputs, region["runbook-object"].inputs
        assert config_map["metadata"]["name"] == "runbook"
        assert config_map["metadata"]["labels"] == {"velero.io/exclude-from-backup": "true"}
        assert config_map["data"]["runbook.md"] == kept["content"]
        assert (kept["key"], kept["bucket"].startswith("acme-velero-")) == ("runbook/runbook.md", True)
        pairs.append((config_map, kept))
    assert pairs[0] == pairs[1]


def test_the_other_clusters_context_is_that_of_the_stack_file_beside(tmp_path: Path) -> None:
    (tmp_path / "Pulumi.primary.yaml").write_text("config: {k8s-dr:cluster: {context: there}}")
    text = run_program("secondary", directory=tmp_path)["runbook-config-map"].inputs["data"]["runbook.md"]
    assert "that of the primary `there`" in text
    assert "kubectl --context there " in text


def test_the_other_clusters_name_is_read_beside_its_context(tmp_path: Path) -> None:
    settings = load("primary", example("primary"), SECRETS)
    assert cluster_of_the_peer(settings, tmp_path) == PeerCluster()
    (tmp_path / "Pulumi.secondary.yaml").write_text("config: {k8s-dr:cluster: {context: there, name: eks-there}}")
    assert cluster_of_the_peer(settings, tmp_path) == PeerCluster(context="there", name="eks-there")
    (tmp_path / "Pulumi.secondary.yaml").write_text("config: {k8s-dr:cluster: {context: [7], name: 7}}")
    assert cluster_of_the_peer(settings, tmp_path) == PeerCluster()


def test_it_fits_into_a_config_map_with_room_to_spare() -> None:
    assert len(page().encode()) < MOST / 4
