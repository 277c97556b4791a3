"""Which volumes are saved how, and what Velero's node agent is told, as a person writes it and as Velero reads it."""

from __future__ import annotations

from typing import Any

import pytest

from settings.volumes import DataMovers, Toleration, VolumeRule


def rule(**written: Any) -> dict[str, Any]:
    return VolumeRule.model_validate(written).as_velero_reads_it()


def test_a_rule_is_written_in_velero_s_own_words() -> None:
    assert rule(driver="efs.csi.aws.com", action="skip") == {
        "conditions": {"csi": {"driver": "efs.csi.aws.com"}},
        "action": {"type": "skip"},
    }
    assert rule(classes=["scratch"], labels={"tier": "cache"}, action="fs-backup")["conditions"] == {
        "storageClass": ["scratch"],
        "pvcLabels": {"tier": "cache"},
    }


@pytest.mark.parametrize(
    ("bounds", "capacity"),
    [
        ({"smallest": "500Gi"}, "500Gi,"),
        ({"largest": "1Gi"}, ",1Gi"),
        ({"smallest": "1Gi", "largest": "1Ti"}, "1Gi,1Ti"),
    ],
)
def test_a_size_is_a_range_that_may_be_open(bounds: dict[str, str], capacity: str) -> None:
    assert rule(**bounds, action="skip")["conditions"] == {"capacity": capacity}


@pytest.mark.parametrize(
    ("written", "told"),
    [
        ({"action": "skip"}, "says of no volume that it is meant"),
        ({"smallest": "2Gi", "largest": "1024Mi", "action": "skip"}, "smallest above its largest"),
    ],
)
def test_a_rule_that_means_no_volume_is_refused(written: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        VolumeRule.model_validate(written)


@pytest.mark.parametrize(
    ("written", "told"),
    [
        ({"key": "dedicated", "operator": "Exists", "value": "app"}, "Exists does not compare"),
        ({"value": "app"}, "has no key"),
    ],
)
def test_a_toleration_that_kubernetes_refuses_is_refused_before(written: dict[str, str], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        Toleration.model_validate(written)


def test_a_claim_is_restored_though_no_pod_mounts_it() -> None:
    assert DataMovers().as_node_agent_reads_it()["restorePVC"] == {"ignoreDelayBinding": True}
    assert DataMovers(wait_for_pods=True).as_node_agent_reads_it()["restorePVC"] == {"ignoreDelayBinding": False}


def test_a_data_mover_has_requests_and_no_limit_unless_somebody_writes_one() -> None:
    told = DataMovers().as_node_agent_reads_it()["podResources"]
    assert told == {"cpuRequest": "100m", "memoryRequest": "256Mi", "cpuLimit": "0", "memoryLimit": "0"}
    assert DataMovers(memory_limit="4Gi").as_node_agent_reads_it()["podResources"]["memoryLimit"] == "4Gi"


def test_nodes_and_cache_are_told_only_where_they_are_written() -> None:
    assert not {"loadAffinity", "cachePVC"} & DataMovers().as_node_agent_reads_it().keys()
    told = DataMovers(nodes={"pool": "backup"}, cache_class="gp3", cache_from="2Gi").as_node_agent_reads_it()
    assert told["loadAffinity"] == [{"nodeSelector": {"matchLabels": {"pool": "backup"}}}]
    assert told["cachePVC"] == {"storageClass": "gp3", "residentThresholdInMB": 2048}
