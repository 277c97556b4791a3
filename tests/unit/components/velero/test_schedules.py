"""What is backed up when, and that only the region that serves does it."""

from __future__ import annotations

import json

from settings.roles import Role
from tests.unit.components.conftest import Program
from tests.unit.recorder import Recorder, run_program

REGION = {"primary": "us-east-1", "secondary": "us-west-2"}
OF_DRILLS = ["k8s-dr-drills", "k8s-dr-drills-scratch"]
NAMES = ("daily-full", "hourly-critical")


def test_a_schedules_name_carries_its_region_since_backups_of_one_name_hide_each_other(program: Program) -> None:
    for stack, region in REGION.items():
        for name in NAMES:
            assert program(stack, "primary")[f"schedules-{name}"].metadata["name"] == f"{name}-{region}"


def test_a_schedule_runs_exactly_where_users_are_served(combination: tuple[Role, Role], recorder: Recorder) -> None:
    stack, active = combination
    for name in NAMES:
        assert recorder[f"schedules-{name}"].spec["paused"] is (stack != active)


def test_resuming_never_backs_up_at_once_and_wins_the_field_that_velero_takes_back(recorder: Recorder) -> None:
    for name in NAMES:
        assert recorder[f"schedules-{name}"].spec["skipImmediately"] is True
        assert recorder[f"schedules-{name}"].metadata["annotations"] == {"pulumi.com/patchForce": "true"}


def test_the_guides_schedules_are_what_velero_is_given(standby: Recorder) -> None:
    daily, hourly = (standby[f"schedules-{name}"].spec for name in NAMES)
    assert (daily["schedule"], daily["template"]["ttl"]) == ("0 2 * * *", "720h")
    assert daily["template"]["excludedNamespaces"] == ["kube-system", "velero", *OF_DRILLS]
    assert "includedNamespaces" not in daily["template"]
    assert (hourly["schedule"], hourly["template"]["ttl"]) == ("0 * * * *", "168h")
    assert hourly["template"]["includedNamespaces"] == ["production", "databases"]
    assert "excludedNamespaces" not in hourly["template"]
    assert daily["template"]["metadata"] == {"labels": {"backup-type": "daily-full"}}


def test_volumes_are_moved_to_the_own_location_since_a_snapshot_cannot_leave_its_region(standby: Recorder) -> None:
    for name in NAMES:
        template = standby[f"schedules-{name}"].spec["template"]
        assert template["snapshotVolumes"] is template["snapshotMoveData"] is True
        assert template["storageLocation"] == "own"


def test_databases_are_left_to_their_own_operator(standby: Recorder) -> None:
    for name in NAMES:
        template = standby[f"schedules-{name}"].spec["template"]
        excluded = template["excludedResources"]
        assert {"clusters.postgresql.cnpg.io", "backups.postgresql.cnpg.io", "objectstores.barmancloud.cnpg.io"} <= set(excluded)
        assert not [kind for kind in excluded if "." not in kind], "backups alone would be Velero's own"
        assert template["labelSelector"]["matchExpressions"][:2] == [
            {"key": "cnpg.io/cluster", "operator": "DoesNotExist"},
            {"key": "app.kubernetes.io/managed-by", "operator": "NotIn", "values": ["cloudnative-pg", "keda-operator"]},
        ]


def test_what_controllers_made_is_not_backed_up_unless_somebody_says_so() -> None:
    kinds = ["leases.coordination.k8s.io", "widgets.example.com"]
    entry = {"name": "all", "cron": "0 3 * * *", "keep": "24h", "includeResources": kinds[:1], "excludeResources": kinds[1:]}
    template = run_program("secondary", {"backups": [entry]})["schedules-all"].spec["template"]
    assert {"targetgroupbindings.elbv2.k8s.aws", "orders.acme.cert-manager.io", kinds[1]} <= set(template["excludedResources"])
    assert kinds[0] not in template["excludedResources"]
    assert "jobs.batch" not in template["excludedResources"], "somebody may want one: only the restore leaves Jobs out"


def test_addresses_of_pods_that_die_with_their_region_are_not_brought_to_the_other(takeover: Recorder) -> None:
    label = "endpointslice.kubernetes.io/managed-by"
    restores = [seen.spec["labelSelector"] for seen in takeover.of("Restore")]
    schedules = [takeover[f"schedules-{name}"].spec["template"]["labelSelector"] for name in NAMES]
    for selector in (*restores, *schedules):
        (made_anew,) = [each for each in selector["matchExpressions"] if each["key"] == label]
        assert made_anew["operator"] == "NotIn", "slices that a person made are kept"
        assert "endpointslice-controller.k8s.io" in made_anew["values"]


def test_a_volume_of_a_database_is_skipped_should_it_ever_be_chosen(recorder: Recorder) -> None:
    policy = recorder["schedules-volume-policy"]
    assert json.loads(policy.inputs["data"]["policy.yaml"]) == {
        "version": "v1",
        "volumePolicies": [
            {
                "conditions": {"pvcLabels": {"app.kubernetes.io/managed-by": "cloudnative-pg"}},
                "action": {"type": "skip"},
            }
        ],
    }
    for name in NAMES:
        template = recorder[f"schedules-{name}"].spec["template"]
        assert template["resourcePolicy"] == {"kind": "configmap", "name": policy.metadata["name"]}
        assert policy.name in recorder[f"schedules-{name}"].depends_on
    assert policy.metadata["namespace"] == "velero"


def test_a_schedule_of_everything_leaves_out_what_a_killed_drill_may_have_left_and_nothing_else() -> None:
    region = run_program("secondary", {"backups": [{"name": "all", "cron": "0 3 * * *", "keep": "24h"}]})
    template = region["schedules-all"].spec["template"]
    assert template["excludedNamespaces"] == OF_DRILLS
    assert "includedNamespaces" not in template


def test_schedules_resume_last_after_the_flag_has_moved(takeover: Recorder) -> None:
    (schedules,) = takeover.of("Schedules")
    assert {"failover-serving", "failover-flag", "failover-workloads-scale-production"} <= schedules.depends_on


def test_rules_of_ones_own_follow_the_one_of_databases() -> None:
    skipped = {"driver": "efs.csi.aws.com", "action": "skip"}
    policy = run_program("secondary", {"velero": {"volumes": [skipped]}})["schedules-volume-policy"]
    databases, own = json.loads(policy.inputs["data"]["policy.yaml"])["volumePolicies"]
    assert databases["conditions"] == {"pvcLabels": {"app.kubernetes.io/managed-by": "cloudnative-pg"}}
    assert own == {"conditions": {"csi": {"driver": "efs.csi.aws.com"}}, "action": {"type": "skip"}}
