"""This cluster and no other, under the real engine: the wrong cluster behind a context, none, and one that was rebuilt."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from lab.pulumi import touched
from tests.engine import clusters
from tests.engine.clusters import Cluster
from tests.engine.conftest import Pair, configured, each_command, told_plainly

BREAK_GLASS = ("--target", "**dr:failover:Failover$**", "--target", "**dr:failover:Failover::**")


def uid_of(cluster: Cluster) -> str:
    (namespace,) = (each for each in cluster.objects("Namespace") if each["metadata"]["name"] == "kube-system")
    return str(namespace["metadata"]["uid"])


def point_secondary_to(pair: Pair, cluster: Cluster | None) -> None:
    """Change what the secondary's context leads to; None takes the context away."""
    contexts = {"lab-primary": pair.clusters["primary"], **({"lab-secondary": cluster} if cluster else {})}
    clusters.write_kubeconfig(pair.files.kubeconfig, contexts)


def kubernetes_calls(pair: Pair, since: int) -> list[dict[str, Any]]:
    """What the engine asked of a cluster's objects."""
    found = pair.calls(since)
    return [each for each in found if "::kubernetes:" in each["urn"] or "$kubernetes:" in each["urn"]]


def refused(pair: Pair, *command: str) -> str:
    """Run a command that must touch nothing, and return what it says."""
    before, since = pair.pulumi.resources("secondary"), len(pair.calls())
    ran = pair.pulumi.run(*command, "-s", "secondary", check=False)
    assert told_plainly(ran, "nothing was touched"), ran.output
    assert touched(before, pair.pulumi.resources("secondary")) == []
    assert not [
        each
        for each in kubernetes_calls(pair, since)
        if each["method"] in ("Create", "Update", "Delete") and not each.get("preview")
    ]
    return ran.output


@pytest.fixture
def astray(pair: Pair) -> Pair:
    """The secondary's context leads to the primary's cluster."""
    point_secondary_to(pair, pair.clusters["primary"])
    return pair


@each_command
def test_a_context_that_leads_to_the_primarys_cluster_is_refused(astray: Pair, command: tuple[str, ...]) -> None:
    assert "lab-secondary leads to the cluster of the primary region" in refused(astray, *command)


def test_a_failover_into_the_primarys_cluster_is_refused_also_where_it_is_the_only_target(astray: Pair) -> None:
    astray.pulumi.configure("secondary", "active", "secondary")
    assert "leads to the cluster of the primary region" in refused(astray, "up", "--yes", "--skip-preview", *BREAK_GLASS)
    assert astray.flag() == "primary"


def test_a_written_uid_stops_a_refresh_that_runs_the_program_before_it_has_read_anything(pair: Pair) -> None:
    uid = uid_of(pair.secondary)
    point_secondary_to(pair, pair.clusters["primary"])
    with configured(pair, "cluster.uid", uid):
        since = len(pair.calls())
        told = refused(pair, "refresh", "--yes", "--run-program")
        assert f"k8s-dr:cluster.uid: {uid} is not the cluster" in told
        assert not [each for each in kubernetes_calls(pair, since) if each["method"] == "Read"]


@pytest.mark.long
def test_a_plain_refresh_reads_the_wrong_cluster_and_the_next_preview_finds_it_out(astray: Pair) -> None:
    good = astray.pulumi.run("stack", "export", "-s", "secondary").output
    astray.pulumi.run("refresh", "--yes", "-s", "secondary")
    point_secondary_to(astray, astray.secondary)
    told = refused(astray, "preview")
    assert "the state of stack secondary was read from another cluster" in told
    kept = astray.root / "last-good-state.json"
    kept.write_text(good)
    astray.pulumi.run("stack", "import", "-s", "secondary", "--file", str(kept))
    astray.pulumi.up("secondary", "--expect-no-changes")


@pytest.mark.long
def test_a_preview_that_reaches_no_cluster_keeps_the_remembered_one_and_says_so_and_an_up_is_refused(pair: Pair) -> None:
    point_secondary_to(pair, None)
    preview = pair.pulumi.run("preview", "--expect-no-changes", "-s", "secondary").output
    assert "whether this is the cluster that the stack was deployed into was not checked" in preview
    assert "lab-secondary cannot be used" in refused(pair, "up", "--yes", "--skip-preview")
    point_secondary_to(pair, pair.secondary)
    pair.pulumi.up("secondary", "--expect-no-changes")


@pytest.mark.long
def test_a_cluster_that_was_rebuilt_goes_the_way_of_the_runbook(pair: Pair, tmp_path: Path) -> None:
    recorded = isinstance(pair.secondary, clusters.Recorded)
    rebuilt: Cluster = clusters.Recorded(operators_installed=True) if recorded else clusters.Served(tmp_path / "rebuilt")
    rebuilt.start()
    try:
        point_secondary_to(pair, rebuilt)
        assert "leads to another cluster than the one that this stack was deployed into" in refused(pair, "preview")
        with configured(pair, "cluster.uid", uid_of(rebuilt)):
            # Without the refresh the state would call everything unchanged, in a cluster that has nothing of it.
            assert "run: pulumi refresh -s secondary" in refused(pair, "up", "--yes")
            pair.pulumi.run("refresh", "--yes", "-s", "secondary")
            pair.pulumi.up("secondary")
            assert {each["metadata"]["name"] for each in rebuilt.objects("BackupStorageLocation")} == {"own", "peer"}
            pair.pulumi.up("secondary", "--expect-no-changes")
    finally:
        rebuilt.close()
