"""A region that serves brings up what serves users: it lowers nothing, and leaves alone what others decide."""

from __future__ import annotations

import pytest

from components.kube.runner.api import ApiError
from components.kube.runner.failure import StepFailedError
from tests.unit.components.kube.runner.fake_api import FakeApi
from tests.unit.components.kube.runner.steps import SECONDS, Clock, entry, standing_by, standing_up

WEB, SCHEDULER, OFF, QUEUE = "deployment/web", "deployment/scheduler", "deployment/switched-off", "statefulset/queue"
RAN = "k8s-dr/ran"


@pytest.fixture
def api() -> FakeApi:
    return FakeApi()


def noted(ran: str) -> dict[str, dict[str, str]]:
    return {"annotations": {RAN: ran}}


# How many


def test_what_runs_is_never_lowered(api: FakeApi) -> None:
    api.workload(WEB, 12)
    assert standing_up(api) == "production: 1 available"
    assert not api.patches


def test_what_runs_with_less_than_the_least_number_is_raised_to_it(api: FakeApi) -> None:
    api.workload(WEB, 1)
    api.workload(QUEUE, 2)
    standing_up(api)
    assert (api.replicas(WEB), api.replicas(QUEUE)) == (3, 3)


def test_what_was_switched_off_stays_off_beside_what_runs(api: FakeApi) -> None:
    api.workload(WEB, 12)
    api.workload(OFF, 0)
    assert "deployment/switched-off stays at 0" in standing_up(api)
    assert api.replicas(OFF) == 0


def test_what_was_switched_off_in_the_other_region_stays_off_also_alone_in_its_entry(api: FakeApi) -> None:
    api.workload(OFF, 0, labels={"velero.io/restore-name": "hourly-critical-us-east-1"})
    standing_up(api)
    assert api.replicas(OFF) == 0


def test_an_entry_of_which_nothing_has_ever_run_here_stood_by_and_is_raised(api: FakeApi) -> None:
    api.workload(WEB, 0)
    api.workload(QUEUE, 0)
    standing_up(api)
    assert (api.replicas(WEB), api.replicas(QUEUE)) == (3, 3)
    assert not api.annotations(WEB)


def test_the_rest_of_an_entry_that_stood_by_is_raised_also_after_the_first_of_it_runs(api: FakeApi) -> None:
    api.workload(WEB, 0)
    api.workload(QUEUE, 0)
    api.refused["/apis/apps/v1/namespaces/production/statefulsets/queue"] = ApiError(403, "denied by policy (HTTP 403)")
    with pytest.raises(StepFailedError, match="denied by policy"):
        standing_up(api)
    api.refused.clear()
    standing_up(api)
    assert (api.replicas(WEB), api.replicas(QUEUE)) == (3, 3)


def test_what_a_restore_or_an_operator_runs_beside_it_does_not_say_that_a_standby_was_switched_off(api: FakeApi) -> None:
    api.workload(WEB, 0)
    api.workload(SCHEDULER, 1, labels={"velero.io/restore-name": "hourly-critical-us-east-1"})
    operator = {"apiVersion": "monitoring.coreos.com/v1", "kind": "Prometheus", "name": "metrics", "controller": True}
    api.workload("statefulset/prometheus", 1, ownerReferences=[operator])
    standing_up(api)
    assert api.replicas(WEB) == 3


def test_what_this_region_gave_up_comes_back_with_what_ran_or_the_least_number(api: FakeApi) -> None:
    api.workload(WEB, 0, **noted("12"))
    api.workload(SCHEDULER, 0, **noted("1"))
    api.workload(QUEUE, 1, **noted("5"))
    api.workload(OFF, 0)
    standing_up(api)
    assert [api.replicas(name) for name in (WEB, SCHEDULER, QUEUE, OFF)] == [12, 3, 5, 0]


def test_a_note_is_gone_once_it_is_used_so_that_what_is_switched_off_later_stays_off(api: FakeApi) -> None:
    api.workload(WEB, 0, **noted("12"))
    api.workload(SCHEDULER, 3, **noted("3"))
    standing_up(api)
    assert RAN not in api.annotations(WEB)
    assert RAN not in api.annotations(SCHEDULER)


def test_a_note_of_zero_keeps_a_workload_down_where_everything_else_stood_by(api: FakeApi) -> None:
    api.workload(WEB, 0, **noted("12"))
    api.workload(OFF, 0, **noted("0"))
    standing_up(api)
    assert api.replicas(OFF) == 0
    assert api.annotations(OFF) == {RAN: "0"}


def test_a_note_that_is_no_number_is_an_error_that_names_it_and_the_others_come_up_all_the_same(api: FakeApi) -> None:
    api.workload(WEB, 0, **noted("twelve"))
    api.workload(QUEUE, 1)
    with pytest.raises(StepFailedError, match=r"deployment/web: the annotation k8s-dr/ran says 'twelve'; write a whole number"):
        standing_up(api)
    assert api.replicas(QUEUE) == 3


# Which numbers


def test_each_workload_has_the_number_of_the_entry_that_names_it(api: FakeApi) -> None:
    for name in (WEB, SCHEDULER, QUEUE):
        api.workload(name, 1)
    standing_up(api, entry(replicas=3), entry(SCHEDULER, replicas=1), entry(QUEUE, replicas=5))
    assert [api.replicas(name) for name in (WEB, SCHEDULER, QUEUE)] == [3, 1, 5]


def test_what_no_entry_means_is_left_alone(api: FakeApi) -> None:
    api.workload(WEB, 1)
    api.workload(QUEUE, 1)
    standing_up(api, entry(WEB))
    assert api.replicas(QUEUE) == 1


def test_a_workload_that_is_named_and_does_not_exist_is_an_error(api: FakeApi) -> None:
    api.workload(QUEUE, 1)
    with pytest.raises(
        StepFailedError, match=r"in production: deployment/web does not exist; deploy it, or take it out of names"
    ):
        standing_up(api, entry(WEB), entry(QUEUE))
    assert api.replicas(QUEUE) == 3


def test_a_namespace_without_workloads_is_an_error(api: FakeApi) -> None:
    with pytest.raises(StepFailedError, match="in production: there is no Deployment and no StatefulSet"):
        standing_up(api)


# Who decides


@pytest.mark.parametrize("now", [1, 12])
def test_what_an_autoscaler_decides_is_left_alone(now: int, api: FakeApi) -> None:
    api.workload(WEB, now)
    api.autoscaler(WEB, 10, 40)
    standing_up(api)
    assert api.replicas(WEB) == now


@pytest.mark.parametrize(("ran", "raised"), [("12", 12), ("1", 10), ("80", 40)])
def test_an_autoscaler_does_nothing_at_zero_so_its_workload_is_given_a_start_within_its_limits(
    ran: str, raised: int, api: FakeApi
) -> None:
    api.workload(WEB, 0, **noted(ran))
    api.autoscaler(WEB, 10, 40)
    standing_up(api)
    assert api.replicas(WEB) == raised


def test_an_autoscalers_workload_that_was_switched_off_stays_off(api: FakeApi) -> None:
    api.workload(WEB, 0)
    api.workload(QUEUE, 3)
    api.autoscaler(WEB, 10, 40)
    standing_up(api)
    assert api.replicas(WEB) == 0


def scaled_object(api: FakeApi, target: str, spec: dict[str, int] | None = None, **annotations: str) -> None:
    reference = {"scaleTargetRef": {"name": target.split("/")[1]}}
    api.add("scaledobject", "worker", {**reference, **(spec or {})}, annotations={**annotations})


PAUSED, PAUSED_REPLICAS = "k8s-dr/paused", "autoscaling.keda.sh/paused-replicas"


def test_what_keda_scales_is_left_to_keda_at_zero_too(api: FakeApi) -> None:
    api.workload(WEB, 3)
    api.workload("deployment/worker", 0)
    scaled_object(api, "deployment/worker")
    assert "deployment/worker stays at 0: ScaledObject worker decides" in standing_up(api)
    assert not api.patches


def test_a_scaled_object_that_this_region_paused_goes_on(api: FakeApi) -> None:
    api.workload("deployment/worker", 4)
    scaled_object(api, "deployment/worker", {"minReplicaCount": 2})
    standing_by(api)
    assert api.annotations("scaledobject/worker") == {PAUSED: "", PAUSED_REPLICAS: "0"}
    assert api.replicas("deployment/worker") == 0
    standing_up(api)
    assert api.annotations("scaledobject/worker") == {}
    assert api.replicas("deployment/worker") == 2


def test_a_scaled_object_that_a_person_paused_is_paused_again_as_it_was(api: FakeApi) -> None:
    api.workload("deployment/worker", 4)
    scaled_object(api, "deployment/worker", None, **{PAUSED_REPLICAS: "4"})
    standing_up(api)
    assert api.annotations("scaledobject/worker") == {PAUSED_REPLICAS: "4"}
    standing_by(api)
    standing_up(api)
    assert api.annotations("scaledobject/worker") == {PAUSED_REPLICAS: "4"}


def test_kedas_own_autoscaler_does_not_hide_the_scaled_object(api: FakeApi) -> None:
    api.workload("deployment/worker", 0, **noted("4"))
    api.autoscaler("deployment/worker", 1, 9)
    scaled_object(api, "deployment/worker", {"minReplicaCount": 2, "idleReplicaCount": 0})
    standing_up(api)
    assert api.replicas("deployment/worker") == 0


def test_what_an_operator_made_is_left_to_the_operator(api: FakeApi) -> None:
    owner = {"apiVersion": "monitoring.coreos.com/v1", "kind": "Prometheus", "name": "metrics", "controller": True}
    api.workload("statefulset/prometheus", 1, ownerReferences=[owner])
    standing_up(api)
    standing_by(api)
    assert api.replicas("statefulset/prometheus") == 1


# Until it serves


def test_the_template_of_an_argo_rollout_stays_at_zero_for_its_pods_run_there(api: FakeApi) -> None:
    api.workload(WEB, 0)
    api.workload("deployment/moving", 2)
    api.add("rollout", "web", {"replicas": 3, "workloadRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}})
    api.add(
        "rollout", "moving", {"replicas": 3, "workloadRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "moving"}}
    )
    api.add("rollout", "with-its-own-template", {"replicas": 3, "template": {}})
    api.add("rollout", "of-nothing", {"workloadRef": {"kind": "Deployment"}})
    del api.add("rollout", "empty")["spec"]
    api.workload(QUEUE, 0)
    assert "deployment/web stays at 0: Rollout web decides" in standing_up(api, entry(WEB), entry())
    assert (api.replicas(WEB), api.replicas("deployment/moving")) == (0, 3)
    assert api.annotations(WEB) == {}


def test_it_waits_until_the_least_number_is_available_and_for_no_more(api: FakeApi) -> None:
    api.workload(WEB, 12)
    status = {"observedGeneration": 1, "availableReplicas": 0}
    api.controllers = [lambda: api.of(WEB).update(status=status)]
    clock = Clock(lambda: status.update(availableReplicas=status["availableReplicas"] + 1))
    standing_up(api, clock=clock)
    assert status["availableReplicas"] == 3


def test_a_status_from_before_the_change_says_nothing(api: FakeApi) -> None:
    api.workload(WEB, 1)
    status = {"observedGeneration": 1, "availableReplicas": 3}
    api.controllers = [lambda: api.of(WEB).update(status=status)]
    standing_up(api, clock=Clock(lambda: status.update(observedGeneration=2)))
    assert status["observedGeneration"] == 2


def test_a_stateful_set_that_knows_no_available_replicas_is_judged_by_the_ready_ones(api: FakeApi) -> None:
    api.workload(QUEUE, 3)
    api.controllers = [lambda: api.of(QUEUE).update(status={"observedGeneration": 1, "readyReplicas": 3})]
    assert standing_up(api) == "production: 1 available"


def test_a_deployment_long_past_its_progress_deadline_that_serves_is_available(api: FakeApi) -> None:
    api.workload(WEB, 3)
    past = {"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded"}
    served = {"observedGeneration": 1, "availableReplicas": 3, "updatedReplicas": 1, "conditions": [past]}
    api.controllers = [lambda: api.of(WEB).update(status=served)]
    assert standing_up(api) == "production: 1 available"


def test_a_workload_that_nobody_requires_holds_up_nothing_and_is_told(api: FakeApi) -> None:
    api.workload(WEB, 3)
    api.workload("deployment/reports", 1)
    api.broken.add("reports")
    clock = Clock()
    told = standing_up(api, entry(), entry("deployment/reports", replicas=1, required=False), clock=clock)
    assert "deployment/reports is not required and has 0 of 1 available" in told
    assert clock.now == 0


def test_what_nobody_requires_may_be_missing_or_refused(api: FakeApi) -> None:
    api.workload(WEB, 3)
    api.workload(QUEUE, 1)
    api.refused["/apis/apps/v1/namespaces/production/statefulsets/queue"] = ApiError(403, "denied by policy (HTTP 403)")
    optional = entry("deployment/reports", QUEUE, required=False)
    told = standing_up(api, entry(WEB), optional)
    assert "deployment/reports does not exist" in told
    assert "statefulset/queue: denied by policy (HTTP 403) (not required)" in told


def test_what_is_late_is_named_with_its_number_its_newest_warning_and_what_its_containers_wait_for(api: FakeApi) -> None:
    api.workload(WEB, 3)
    api.workload(QUEUE, 3)
    api.broken.add("web")
    waiting = {"reason": "ImagePullBackOff", "message": 'Back-off pulling image "web:2"'}
    pod = api.add("pod", "web-5d4-x")
    pod["status"] = {"containerStatuses": [{"name": "web", "state": {"waiting": waiting}}]}
    for number, (kind, name, message) in enumerate(
        [
            ("Pod", "web-5d4-x", "Error: ErrImagePull"),
            ("ReplicaSet", "web-5d4", "exceeded quota: compute"),
            ("ReplicaSet", "web-admin-5d4", "of another Deployment"),
            ("Pod", "queue-0", "of another workload"),
        ]
    ):
        event = api.add("event", f"event-{number}")
        about = {"kind": kind, "name": name}
        event |= {
            "involvedObject": about,
            "reason": "Failed",
            "message": message,
            "lastTimestamp": f"2026-01-01T03:00:0{number}Z",
        }
    clock = Clock()
    with pytest.raises(StepFailedError) as failed:
        standing_up(api, clock=clock)
    assert clock.now == SECONDS
    assert str(failed.value) == (
        "in production not available in time: deployment/web has 0 of 3 available: container web of Pod web-5d4-x waits: "
        'ImagePullBackOff (Back-off pulling image "web:2"); ReplicaSet web-5d4: Failed: exceeded quota: compute | '
        "Put this right and run the same pulumi up; or give it an entry of its own in k8s-dr:workloads with required: false, and "
        "the rest goes on without it"
    )


def test_a_paused_deployment_is_told_with_how_to_resume_it(api: FakeApi) -> None:
    for name in (WEB, QUEUE):
        api.workload(name, 1)
        api.of(name)["spec"]["paused"] = True  # a StatefulSet has no such field
        api.of(name)["metadata"]["labels"] = {"velero.io/restore-name": "restore"}
        api.broken.add(name.partition("/")[2])
    with pytest.raises(StepFailedError) as failed:
        standing_up(api, clock=Clock())
    assert (
        "deployment/web has 0 of 3 available: is paused, and Kubernetes makes no ReplicaSet for a paused Deployment; resume it: "
        "kubectl rollout resume deployment/web -n production"
    ) in str(failed.value)
    assert "statefulset/queue has 0 of 3 available: no event says why" in str(failed.value)


def test_who_sets_back_what_was_raised_is_named_at_once(api: FakeApi) -> None:
    api.workload(WEB, 1)
    fields = {"f:spec": {"f:replicas": {}}}

    def self_heal() -> None:
        body = api.of(WEB)
        if body["spec"]["replicas"] == 3:
            body["spec"]["replicas"] = 0
            body["metadata"]["managedFields"] = [
                {"manager": "k8s-dr", "time": "2026-01-01T03:00:00Z", "fieldsV1": fields},
                {"manager": "argocd-controller", "time": "2026-01-01T03:00:05Z", "fieldsV1": fields},
            ]

    api.controllers.insert(0, self_heal)
    with pytest.raises(StepFailedError, match=r"deployment/web: argocd-controller set its replicas back to 0 .*docs/gitops\.md"):
        standing_up(api)


def test_a_workload_that_is_deleted_meanwhile_is_an_error(api: FakeApi) -> None:
    api.workload(WEB, 1)
    api.broken.add("web")
    with pytest.raises(StepFailedError, match="deployment/web was deleted"):
        standing_up(api, clock=Clock(api.objects.clear))


# Compared before it is written


def test_a_change_is_decided_anew_if_the_workload_has_changed_since_it_was_read(api: FakeApi) -> None:
    api.workload(WEB, 1)
    patch = api.patch

    def patch_too_late(path: str, body: dict[str, object]) -> dict[str, object]:
        if api.replicas(WEB) == 1:
            api.of(WEB)["spec"]["replicas"] = 7
            api.of(WEB)["metadata"]["resourceVersion"] = "of somebody else"
        return patch(path, body)

    api.patch = patch_too_late
    standing_up(api)
    assert api.replicas(WEB) == 7


def test_what_somebody_starts_meanwhile_is_not_marked_as_a_standby(api: FakeApi) -> None:
    api.workload(WEB, 0)
    patch = api.patch

    def patch_too_late(path: str, body: dict[str, object]) -> dict[str, object]:
        if api.replicas(WEB) == 0:
            api.of(WEB)["spec"]["replicas"] = 7
            api.of(WEB)["metadata"]["resourceVersion"] = "of somebody else"
        return patch(path, body)

    api.patch = patch_too_late
    standing_up(api)
    assert not api.patches


def test_an_api_server_that_refuses_is_told_in_its_own_words(api: FakeApi) -> None:
    api.workload(WEB, 1)
    api.refused["/apis/apps/v1/namespaces/production/deployments/web"] = ApiError(403, "denied by policy (HTTP 403)")
    with pytest.raises(StepFailedError, match=r"in production: deployment/web: denied by policy \(HTTP 403\)"):
        standing_up(api)


# CronJobs


def test_a_cron_job_that_was_stopped_here_is_resumed_and_one_that_a_person_suspended_is_not(api: FakeApi) -> None:
    api.workload(WEB, 3)
    api.add("cronjob", "invoices", {"suspend": True}, annotations={RAN: "true"})
    api.add("cronjob", "retired", {"suspend": True})
    assert "cronjob/invoices resumed" in standing_up(api)
    assert api.of("cronjob/invoices")["spec"]["suspend"] is False
    assert RAN not in api.annotations("cronjob/invoices")
    assert api.of("cronjob/retired")["spec"]["suspend"] is True


def test_cron_jobs_are_resumed_only_when_the_workloads_are_available(api: FakeApi) -> None:
    api.workload(WEB, 3)
    api.broken.add("web")
    api.add("cronjob", "invoices", {"suspend": True}, annotations={RAN: "true"})
    with pytest.raises(StepFailedError):
        standing_up(api)
    assert api.of("cronjob/invoices")["spec"]["suspend"] is True


def test_an_interrupted_run_of_a_cron_job_goes_on_for_it_would_block_the_next_and_a_job_of_nobodys_schedule_does_not(
    api: FakeApi,
) -> None:
    api.workload(WEB, 3)
    owner = {"kind": "CronJob", "name": "invoices", "controller": True}
    api.add("job", "invoices-1", {"suspend": True}, annotations={RAN: "true"}, ownerReferences=[owner])
    api.add("job", "import", {"suspend": True}, annotations={RAN: "true"})
    assert "job/import stays suspended" in standing_up(api)
    assert api.of("job/invoices-1")["spec"]["suspend"] is False
    assert api.of("job/import")["spec"]["suspend"] is True


def test_cron_jobs_that_are_left_alone_by_now_are_resumed_if_this_program_has_suspended_them(api: FakeApi) -> None:
    api.workload(WEB, 3)
    api.add("cronjob", "invoices", {"suspend": True}, annotations={RAN: "true"})
    api.add("cronjob", "reports", {"suspend": True})
    standing_up(api, cron_jobs="leave")
    assert [api.of(f"cronjob/{name}")["spec"]["suspend"] for name in ("invoices", "reports")] == [False, True]
