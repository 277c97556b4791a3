"""What holds for every resource, whatever it is and whoever is active."""

from __future__ import annotations

from collections import Counter

from settings.roles import Role
from tests.unit.components.conftest import Program
from tests.unit.fakes import FakeCluster
from tests.unit.recorder import COMBINATIONS, Recorder, deployed, run_program

REGION = {"primary": "us-east-1", "secondary": "us-west-2"}
CONTEXT = {"primary": "prod-use1", "secondary": "prod-usw2"}


def test_every_resource_has_an_explicit_provider_and_never_a_default_one(recorder: Recorder) -> None:
    for seen in recorder.custom():
        assert seen.provider == seen.type.partition(":")[0], f"{seen.name} would use an ambient {seen.type} provider"


def test_both_providers_are_of_the_stacks_own_region(combination: tuple[Role, Role], recorder: Recorder) -> None:
    stack, _ = combination
    assert recorder["aws"].inputs["region"] == REGION[stack]
    assert recorder["aws"].inputs["allowedAccountIds"] == '["123456789012"]'
    assert recorder["kubernetes"].inputs["context"] == CONTEXT[stack]
    assert recorder["kubernetes"].inputs["clusterIdentifier"] == CONTEXT[stack]
    assert recorder["kubernetes"].inputs["enableServerSideApply"] == "true"


def test_every_resource_is_below_the_region(recorder: Recorder) -> None:
    by_urn = {seen.urn: seen for seen in recorder.seen}
    for seen in recorder.seen:
        if seen.type in ("pulumi:pulumi:Stack", "dr:region:Region"):
            continue
        above = seen
        while above.type != "dr:region:Region":
            above = by_urn[above.parent]


def test_every_type_and_name_is_registered_once(recorder: Recorder) -> None:
    assert Counter((seen.type, seen.name) for seen in recorder.seen).most_common(1)[0][1] == 1


def test_components_have_tokens_of_the_programs_own(recorder: Recorder) -> None:
    for seen in recorder.seen:
        if not seen.custom and seen.type != "pulumi:pulumi:Stack":
            assert seen.type.startswith("dr:")
            assert len(seen.type.split(":")) == 3


OF_DRILLS = ("drills-namespace", "drills-scratch", "drills-archive")
"""What drills alone use: nothing in it must outlive one, and it goes with the key that switches them off."""


def test_what_must_outlive_everything_is_protected_and_nothing_else(recorder: Recorder) -> None:
    for seen in recorder.custom():
        outlives = seen.kind in ("Bucket", "Key", "Namespace", "Cluster") and seen.name not in OF_DRILLS
        assert seen.protect is outlives, seen.name


def test_what_is_of_use_without_the_stack_stays_in_the_cluster_when_it_leaves_the_stack(recorder: Recorder) -> None:
    kinds = ("Namespace", "Restore", "Cluster", "ObjectStore")
    secrets = ("velero-repository-password", "failover-databases-app-database-owner")
    for seen in recorder.custom():
        retained = (seen.kind in kinds and seen.name not in OF_DRILLS) or seen.name in secrets
        assert seen.retain_on_delete is retained, seen.name


def test_no_name_and_no_region_depends_on_active(program: Program) -> None:
    for stack in ("primary", "secondary"):
        while_primary, while_secondary = (program(stack, active) for active in ("primary", "secondary"))
        shared = while_primary.identities() & while_secondary.identities()
        gone = while_primary.identities() - shared
        assert gone <= {
            ("kubernetes:core/v1:ConfigMap", "failover-serving"),
            ("kubernetes:postgresql.cnpg.io/v1:ScheduledBackup", "failover-databases-app-database-first-backup"),
        }
        for kind, name in shared:
            before, after = (
                next(seen for seen in run.seen if (seen.type, seen.name) == (kind, name))
                for run in (while_primary, while_secondary)
            )
            assert before.urn == after.urn
            assert before.inputs.get("bucket") == after.inputs.get("bucket")
            assert (before.inputs.get("metadata") or {}).get("name") == (after.inputs.get("metadata") or {}).get("name")


def test_the_two_stacks_name_nothing_alike_where_names_are_global(program: Program) -> None:
    def named(stack: Role) -> set[str]:
        run = program(stack, "primary")
        buckets = [seen.inputs["bucket"] for seen in run.of("Bucket")]
        roles = [seen.inputs["name"] for seen in run.of("Role") if seen.type.startswith("aws:iam")]
        records = [seen.inputs["setIdentifier"] for seen in run.of("Record")]
        return {*buckets, *roles, *records}

    assert named("primary").isdisjoint(named("secondary"))


def test_nothing_is_looked_up_and_what_the_cluster_is_asked_before_all_else_is_what_it_remembers() -> None:
    for stack, serving in COMBINATIONS:
        cluster = FakeCluster()
        run_program(stack, deployed(serving), cluster=cluster, preview=True)
        takes_over = (stack, serving) == ("secondary", "secondary")
        serves, set_to_serve = stack == serving, (stack, serving) == ("secondary", "secondary")
        first = [
            "database databases/app-database",
            *(["record restore-attempts"] if set_to_serve else []),
            *(["record guard"] if serves and stack == "primary" else []),
            *(["record handover"] if serves or stack == "secondary" else []),
            *(["record guard"] if set_to_serve else []),
            "record creating",
            *(["record restore-attempts", "record serving"] if takes_over else []),
        ]
        assert cluster.asked[: len(first)] == first
        # What goes on with a failover says then what the gate would say.
        assert bool(cluster.asked[len(first) :]) is takes_over


def test_a_preview_registers_the_same_resources_as_an_update(combination: tuple[Role, Role], recorder: Recorder) -> None:
    stack, serving = combination
    preview = run_program(stack, {**deployed(serving), "peerReady": True}, preview=True)
    assert preview.identities() == recorder.identities()
