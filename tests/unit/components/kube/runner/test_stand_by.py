"""A region that gives up stops what serves users, and notes what ran."""

from __future__ import annotations

import pytest

from components.kube.runner.api import ApiError
from components.kube.runner.failure import StepFailedError
from tests.unit.components.kube.runner.fake_api import FakeApi
from tests.unit.components.kube.runner.steps import Clock, entry, standing_by, standing_up

WEB, QUEUE = "deployment/web", "statefulset/queue"
RAN = "k8s-dr/ran"


@pytest.fixture
def api() -> FakeApi:
    return FakeApi()


def test_everything_goes_down_to_the_number_of_a_standby_with_a_note_of_what_ran(api: FakeApi) -> None:
    api.workload(WEB, 12)
    api.workload(QUEUE, 5)
    assert standing_by(api) == "production: deployment/web 12 → 0, statefulset/queue 5 → 0"
    assert (api.replicas(WEB), api.replicas(QUEUE)) == (0, 0)
    assert (api.annotations(WEB), api.annotations(QUEUE)) == ({RAN: "12"}, {RAN: "5"})


def test_number_and_note_are_one_request_so_that_neither_is_ever_there_without_the_other(api: FakeApi) -> None:
    api.workload(WEB, 12)
    standing_by(api)
    ((where, patch),) = api.patches
    assert where == "deployments/web"
    assert patch["spec"] == {"replicas": 0}
    assert patch["metadata"]["annotations"] == {RAN: "12"}


def _deletes_claims(api: FakeApi, name: str) -> None:
    """What Kubernetes does on the way down to the claims of a StatefulSet with `whenScaled: Delete`."""
    api.of(name)["spec"]["persistentVolumeClaimRetentionPolicy"] = {"whenDeleted": "Delete", "whenScaled": "Delete"}


def _policy(api: FakeApi, name: str) -> dict[str, str]:
    return dict(api.of(name)["spec"]["persistentVolumeClaimRetentionPolicy"])


def test_claims_that_go_when_a_stateful_set_is_scaled_down_stay_for_the_last_backup_is_made_afterwards(api: FakeApi) -> None:
    api.workload(QUEUE, 5)
    _deletes_claims(api, QUEUE)
    standing_by(api)
    assert [patch["spec"] for _, patch in api.patches] == [
        {"persistentVolumeClaimRetentionPolicy": {"whenScaled": "Retain"}},
        {"replicas": 0},
    ], "the claims first"
    standing_up(api)
    assert _policy(api, QUEUE) == {"whenDeleted": "Delete", "whenScaled": "Delete"}, "as before"
    assert (api.replicas(QUEUE), api.annotations(QUEUE)) == (5, {})


def test_claims_stay_before_keda_sees_that_it_shall_lower(api: FakeApi) -> None:
    api.workload(QUEUE, 5)
    _deletes_claims(api, QUEUE)
    api.add("scaledobject", "queue", {"scaleTargetRef": {"kind": "StatefulSet", "name": "queue"}})
    standing_by(api)
    assert [where for where, _ in api.patches] == ["statefulsets/queue", "scaledobjects/queue", "statefulsets/queue"]
    assert _policy(api, QUEUE)["whenScaled"] == "Retain"
    standing_up(api)
    assert _policy(api, QUEUE)["whenScaled"] == "Delete", "KEDA decides from zero on, and its owner what goes then"
    assert (api.replicas(QUEUE), api.annotations(QUEUE)) == (0, {})


def test_a_stateful_set_that_is_not_lowered_keeps_its_own_word_on_claims(api: FakeApi) -> None:
    api.workload(QUEUE, 1)
    _deletes_claims(api, QUEUE)
    standing_by(api, entry(replicas=1))
    assert not api.patches


def test_claims_that_were_kept_stay_while_the_stateful_set_stays_down(api: FakeApi) -> None:
    api.workload(QUEUE, 5)
    _deletes_claims(api, QUEUE)
    standing_by(api)
    api.of(QUEUE)["metadata"]["annotations"][RAN] = "0"
    standing_up(api)
    assert (api.replicas(QUEUE), _policy(api, QUEUE)["whenScaled"]) == (0, "Retain")


def test_a_second_run_changes_nothing(api: FakeApi) -> None:
    api.workload(WEB, 12)
    api.add("cronjob", "invoices")
    standing_by(api)
    before = list(api.patches)
    assert standing_by(api) == "production: nothing to do"
    assert api.patches == before


def test_a_note_of_the_time_when_it_served_outlives_a_smaller_number_of_a_standby(api: FakeApi) -> None:
    api.workload(WEB, 12)
    standing_by(api, entry(replicas=1))
    standing_by(api, entry(replicas=0))
    assert api.annotations(WEB) == {RAN: "12"}
    standing_up(api)
    assert api.replicas(WEB) == 12


def test_what_is_at_zero_without_a_note_gets_none_and_no_standby_either(api: FakeApi) -> None:
    api.workload(WEB, 0)
    standing_by(api, entry(replicas=1))
    assert api.replicas(WEB) == 0
    assert not api.patches


def test_a_standby_that_has_less_than_its_number_is_raised_to_it(api: FakeApi) -> None:
    api.workload(WEB, 0, annotations={RAN: "12"})
    api.workload(QUEUE, 1)
    standing_by(api, entry(replicas=2))
    assert (api.replicas(WEB), api.replicas(QUEUE)) == (2, 2)
    assert api.annotations(WEB) == {RAN: "12"}


def test_an_autoscalers_workload_goes_to_zero_which_switches_the_autoscaler_off(api: FakeApi) -> None:
    api.workload(WEB, 12)
    api.autoscaler(WEB, 10, 40)
    standing_by(api)
    assert api.replicas(WEB) == 0
    assert api.annotations(WEB) == {RAN: "12"}


def test_an_autoscaler_keeps_its_own_least_number_in_a_standby_that_runs_something(api: FakeApi) -> None:
    api.workload(WEB, 12)
    api.autoscaler(WEB, 10, 40)
    assert "deployment/web stays at 12: HorizontalPodAutoscaler web decides" in standing_by(api, entry(replicas=1))
    assert api.replicas(WEB) == 12


def test_each_workload_has_the_number_of_its_entry_and_what_no_entry_means_is_left_alone(api: FakeApi) -> None:
    for name in (WEB, QUEUE, "deployment/agent"):
        api.workload(name, 3)
    standing_by(api, entry(WEB, replicas=0), entry(QUEUE, replicas=1))
    assert [api.replicas(name) for name in (WEB, QUEUE, "deployment/agent")] == [0, 1, 3]


def test_a_workload_that_is_named_and_does_not_exist_is_nothing_to_stop(api: FakeApi) -> None:
    assert standing_by(api, entry(WEB, replicas=0)) == "production: nothing to do"


def test_one_workload_that_is_refused_does_not_keep_the_others_up(api: FakeApi) -> None:
    api.workload(WEB, 3)
    api.workload(QUEUE, 3)
    api.refused["/apis/apps/v1/namespaces/production/deployments/web"] = ApiError(403, "denied by policy (HTTP 403)")
    with pytest.raises(StepFailedError, match=r"in production: deployment/web: denied by policy \(HTTP 403\)"):
        standing_by(api)
    assert api.replicas(QUEUE) == 0


def test_it_waits_until_the_surplus_is_gone_and_not_until_a_standby_is_well(api: FakeApi) -> None:
    api.workload(WEB, 3)
    api.broken.add("web")
    clock = Clock()
    standing_by(api, entry(replicas=1), clock=clock)
    assert clock.now == 0


def test_what_still_runs_at_the_end_is_named_with_its_reason(api: FakeApi) -> None:
    api.workload(QUEUE, 3)
    api.controllers = [lambda: api.of(QUEUE).update(status={"observedGeneration": 9, "replicas": 1})]
    api.add("pod", "queue-0", deletionTimestamp="2026-01-01T03:00:00Z")
    with pytest.raises(
        StepFailedError, match=r"statefulset/queue has 1 Pods, and shall have 0: Pod queue-0 is being deleted since"
    ):
        standing_by(api)


def test_who_sets_back_what_was_lowered_is_named_at_once(api: FakeApi) -> None:
    api.workload(WEB, 3)

    def self_heal() -> None:
        if api.replicas(WEB) == 0:
            fields = {"f:spec": {"f:replicas": {}}}
            api.of(WEB)["spec"]["replicas"] = 3
            api.of(WEB)["metadata"]["managedFields"] = [{"manager": "kustomize-controller", "fieldsV1": fields}]

    api.controllers.insert(0, self_heal)
    with pytest.raises(StepFailedError, match=r"deployment/web: kustomize-controller set its replicas back to 3"):
        standing_by(api)


def test_an_operator_that_does_not_say_that_it_is_the_controller_decides_when_it_sets_back(api: FakeApi) -> None:
    """As Strimzi and OLM do. Others use such a reference only to have the workload deleted with something else."""
    kafka = {"ownerReferences": [{"kind": "Kafka", "name": "events", "controller": False}]}
    api.workload("deployment/entity-operator", 1, **kafka)
    api.workload("deployment/with-its-config", 2, ownerReferences=[{"kind": "ConfigMap", "name": "config"}])
    api.workload(WEB, 3)

    def operator() -> None:
        api.of("deployment/entity-operator")["spec"]["replicas"] = 1

    api.controllers.insert(0, operator)
    assert "deployment/entity-operator went back to 1: Kafka events decides" in standing_by(api)
    assert (api.replicas(WEB), api.replicas("deployment/with-its-config")) == (0, 0)
    assert "deployment/entity-operator went back to 1: Kafka events decides" in standing_up(api)
    assert (api.replicas(WEB), api.replicas("deployment/with-its-config")) == (3, 3)


def test_cron_jobs_and_unfinished_jobs_are_suspended_with_a_note(api: FakeApi) -> None:
    api.add("cronjob", "invoices", {"schedule": "0 * * * *"})
    api.add("job", "import")
    api.add("job", "invoices-1", ownerReferences=[{"kind": "CronJob", "name": "invoices", "controller": True}])
    assert standing_by(api) == "production: cronjob/invoices suspended, job/import suspended, job/invoices-1 suspended"
    for name in ("cronjob/invoices", "job/import", "job/invoices-1"):
        assert api.of(name)["spec"]["suspend"] is True
        assert api.annotations(name) == {RAN: "true"}


@pytest.mark.parametrize(
    ("name", "manager"),
    [
        ("cronjob/invoices", "argocd-controller"),
        ("cronworkflow/etl", "argocd-controller"),
        ("job/import", "kueue"),
        ("job/import", None),
    ],
)
def test_who_resumes_what_was_suspended_is_named_for_its_runs_would_go_on_in_both_regions(
    name: str, manager: str | None, api: FakeApi
) -> None:
    api.add(name.split("/")[0], name.split("/")[1], {"suspend": False})

    def resume() -> None:
        if api.of(name)["spec"]["suspend"]:
            api.of(name)["spec"]["suspend"] = False
            fields: dict[str, object] = {"f:spec": {"f:suspend": {}}}
            api.of(name)["metadata"]["managedFields"] = [{"manager": manager, "fieldsV1": fields}] if manager else []

    api.controllers.append(resume)
    with pytest.raises(StepFailedError, match=rf"{name}: {manager or 'somebody'} set suspend back to false"):
        standing_by(api)
    assert standing_by(api, entry(replicas=0), cron_jobs="leave") == "production: nothing to do"


def test_a_cron_workflow_is_suspended_with_a_note_and_goes_on_later_but_not_one_that_a_person_suspended(api: FakeApi) -> None:
    api.workload(WEB, 3)
    api.add("cronworkflow", "etl", {"schedules": ["0 * * * *"]})
    api.add("cronworkflow", "retired", {"suspend": True})
    owner = {"kind": "Pipeline", "name": "daily", "controller": True}
    api.add("cronworkflow", "of-an-operator", ownerReferences=[owner])
    assert "cronworkflow/etl suspended" in standing_by(api)
    assert api.of("cronworkflow/etl")["spec"]["suspend"] is True
    assert api.annotations("cronworkflow/etl") == {RAN: "true"}
    assert "cronworkflow/etl resumed" in standing_up(api)
    assert api.of("cronworkflow/etl")["spec"]["suspend"] is False
    assert api.annotations("cronworkflow/etl") == api.annotations("cronworkflow/retired") == {}
    assert api.of("cronworkflow/retired")["spec"]["suspend"] is True
    assert api.of("cronworkflow/of-an-operator")["spec"] == {}


def test_a_cron_job_that_its_operator_resumes_without_saying_that_it_is_the_controller_ends_nothing(api: FakeApi) -> None:
    api.workload(WEB, 3)
    api.add("cronjob", "compact", {"suspend": False}, ownerReferences=[{"kind": "Store", "name": "events"}])
    api.controllers.insert(0, lambda: api.of("cronjob/compact")["spec"].update(suspend=False))
    assert "cronjob/compact was resumed again: Store events decides" in standing_by(api)
    assert api.replicas(WEB) == 0


def test_a_scaled_job_is_paused_by_kedas_own_annotation_and_goes_on_later(api: FakeApi) -> None:
    api.workload(WEB, 3)
    api.add("scaledjob", "thumbnails")
    api.add("scaledjob", "paused-by-a-person", annotations={"autoscaling.keda.sh/paused": "true"})
    standing_by(api)
    assert api.annotations("scaledjob/thumbnails") == {RAN: "true", "autoscaling.keda.sh/paused": "true"}
    standing_up(api)
    assert api.annotations("scaledjob/thumbnails") == {}
    assert api.annotations("scaledjob/paused-by-a-person") == {"autoscaling.keda.sh/paused": "true"}


def test_what_a_person_suspended_gets_no_note(api: FakeApi) -> None:
    api.add("cronjob", "retired", {"suspend": True})
    standing_by(api)
    assert not api.patches


def test_jobs_that_have_ended_of_this_program_or_of_an_operator_are_left_alone(api: FakeApi) -> None:
    api.add("job", "done")["status"] = {"conditions": [{"type": "Complete", "status": "True"}]}
    api.add("job", "own", labels={"app.kubernetes.io/part-of": "k8s-dr"})
    api.add("job", "app-database-1-join", ownerReferences=[{"kind": "Cluster", "name": "app-database", "controller": True}])
    api.add("cronjob", "of-an-operator", ownerReferences=[{"kind": "Backup", "name": "x", "controller": True}])
    standing_by(api)
    assert not api.patches


def test_cron_jobs_and_jobs_may_be_left_alone(api: FakeApi) -> None:
    api.add("cronjob", "invoices")
    api.add("cronworkflow", "etl")
    api.add("job", "import")
    standing_by(api, cron_jobs="leave")
    assert not api.patches
