"""The recorded cluster, asked as the Kubernetes client and the provider ask it."""

import json
import threading
import urllib.request

import pytest
from kubernetes import client, config

from components.kube.pods import Runner, runner_modules, runner_pod
from lab.standins.kubernetes_provider.cluster import ApiError, Cluster, NoMatchError, connect
from lab.standins.recorded_cluster import RecordedCluster, write_kubeconfig
from lab.standins.recorded_cluster.kinds import OPERATORS

RESTORE = {
    "apiVersion": "velero.io/v1",
    "kind": "Restore",
    "metadata": {"name": "r", "namespace": "velero"},
    "spec": {"scheduleName": "s"},
}
NAMESPACE = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "velero"}}
DATABASE = {
    "apiVersion": "postgresql.cnpg.io/v1",
    "kind": "Cluster",
    "metadata": {"name": "db", "namespace": "default"},
    "spec": {"instances": 3, "bootstrap": {"recovery": {"source": "a"}}, "replica": {"self": "b", "primary": "a"}},
}
BASE_BACKUP = {
    "apiVersion": "postgresql.cnpg.io/v1",
    "kind": "Backup",
    "metadata": {"name": "first", "namespace": "default"},
    "spec": {"cluster": {"name": "db"}},
}


@pytest.fixture
def recorded():
    with RecordedCluster(velero_installed=True, operators_installed=True) as cluster:
        yield cluster


@pytest.fixture
def kubeconfig(recorded, tmp_path):
    write_kubeconfig(tmp_path / "kubeconfig", {"lab-primary": recorded.url})
    return str(tmp_path / "kubeconfig")


@pytest.fixture
def cluster(kubeconfig):
    return Cluster(connect(kubeconfig, "lab-primary"))


@pytest.mark.parametrize("started", [False, True], ids=["never started", "started"])
def test_a_cluster_can_be_closed_whether_it_was_started_or_not_and_twice(started):
    cluster = RecordedCluster()
    if started:
        cluster.start()
    closing = threading.Thread(target=lambda: (cluster.close(), cluster.close()), daemon=True)
    closing.start()
    closing.join(timeout=10)
    assert not closing.is_alive()
    with pytest.raises(OSError, match="refused"):
        urllib.request.urlopen(cluster.url, timeout=5)


def order(recorded, **outcome):
    request = urllib.request.Request(f"{recorded.url}/_recorded/outcome", json.dumps(outcome).encode(), method="PUT")
    urllib.request.urlopen(request, timeout=5).close()


def test_a_created_object_is_there_and_cannot_be_created_again(cluster):
    cluster.create(NAMESPACE, "m", dry_run=False)
    assert cluster.get(NAMESPACE)["status"] == {"phase": "Active"}
    with pytest.raises(ApiError, match='namespaces "velero" already exists') as error:
        cluster.create(NAMESPACE, "m", dry_run=False)
    assert error.value.already_exists


def test_a_dry_run_leaves_nothing(cluster):
    cluster.create(NAMESPACE, "m", dry_run=True)
    assert cluster.find(NAMESPACE) is None


def test_an_object_in_a_namespace_that_is_not_there_is_refused(cluster):
    with pytest.raises(ApiError, match='namespaces "velero" not found'):
        cluster.create(RESTORE, "m", dry_run=False)


def test_a_restore_completes_unless_another_outcome_was_ordered(recorded, cluster):
    cluster.create(NAMESPACE, "m", dry_run=False)
    cluster.create(RESTORE, "m", dry_run=False)
    assert cluster.get(RESTORE)["status"]["phase"] == "Completed"
    order(recorded, kind="Restore", name="bad", phase="FailedValidation", validationErrors=["no backup"])
    bad = {**RESTORE, "metadata": {"name": "bad-1", "namespace": "velero"}}
    cluster.create(bad, "m", dry_run=False)
    assert cluster.get(bad)["status"] == {"phase": "FailedValidation", "validationErrors": ["no backup"]}


def test_velero_is_known_only_once_its_job_has_run():
    with RecordedCluster() as recorded:
        cluster = Cluster(connect(json.dumps(_kubeconfig(recorded.url)), "c"))
        cluster.create(NAMESPACE, "m", dry_run=False)
        with pytest.raises(NoMatchError):
            cluster.get(RESTORE)
        containers = [{"name": "crds", "image": "velero", "args": ["install", "--crds-only", "--apply"]}]
        metadata = {"name": "crds", "namespace": "velero"}
        job = {
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": metadata,
            "spec": {"template": {"spec": {"containers": containers}}},
        }
        cluster.create(job, "m", dry_run=False)
        assert cluster.find(RESTORE) is None
        assert cluster.serves(RESTORE)


def _kubeconfig(url):
    return {
        "clusters": [{"name": "c", "cluster": {"server": url}}],
        "users": [{"name": "u", "user": {}}],
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "c",
    }


def test_a_job_that_fails_leaves_a_pod_with_its_last_words(recorded, cluster):
    order(recorded, kind="Job", name="verify-", phase="Failed", message="no endpoints")
    spec = {"template": {"spec": {"containers": [{"name": "verify", "image": "example.com/image:1"}]}}}
    job = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "verify-x", "namespace": "default"}, "spec": spec}
    cluster.create(job, "m", dry_run=False)
    assert cluster.get(job)["status"]["conditions"][0]["type"] == "Failed"
    [pod] = cluster.pods("default", "job-name=verify-x")
    assert pod["status"]["containerStatuses"][0]["state"]["terminated"]["message"] == "no endpoints"
    cluster.delete(job, "verify-x", "Foreground")
    assert cluster.pods("default", "job-name=verify-x") == []


def test_an_apply_takes_away_what_its_manager_leaves_out_and_counts_generations(cluster):
    deployment = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d", "namespace": "default"}}
    cluster.create({**deployment, "spec": {"replicas": 1, "paused": True}}, "m", dry_run=False)
    answer = cluster.apply({**deployment, "spec": {"replicas": 3}}, "m", force=False, dry_run=False)
    assert answer["spec"] == {"replicas": 3}
    assert answer["metadata"]["generation"] == 2
    assert cluster.get(deployment)["status"]["availableReplicas"] == 3


def test_the_kubernetes_client_reads_and_writes_it(recorded, kubeconfig):
    recorded.put(NAMESPACE)
    labels = {"velero.io/schedule-name": "daily"}
    metadata = {"name": "b", "namespace": "velero", "labels": labels}
    recorded.put({"apiVersion": "velero.io/v1", "kind": "Backup", "metadata": metadata, "status": {"phase": "Completed"}})
    api = config.new_client_from_config(kubeconfig)
    find = client.CustomObjectsApi(api).list_namespaced_custom_object
    found = find("velero.io", "v1", "velero", "backups", label_selector="velero.io/schedule-name=daily")["items"]
    assert [backup["status"]["phase"] for backup in found] == ["Completed"]
    assert find("velero.io", "v1", "velero", "backups", label_selector="velero.io/schedule-name=hourly")["items"] == []
    core = client.CoreV1Api(api)
    core.create_namespaced_config_map("default", {"metadata": {"name": "serving"}, "data": {"a": "1"}})
    core.patch_namespaced_config_map("serving", "default", {"data": {"b": "2"}})
    assert core.read_namespaced_config_map("serving", "default").data == {"a": "1", "b": "2"}


def test_what_was_there_is_there_again_after_a_restart(tmp_path):
    file = tmp_path / "objects.json"
    first = RecordedCluster(file=file, velero_installed=True)
    first.put(NAMESPACE)
    first.put(RESTORE)
    again = RecordedCluster(file=file)
    assert [restore["spec"] for restore in again.objects("Restore")] == [{"scheduleName": "s"}]


def conditions(obj):
    return {condition["type"]: condition["status"] for condition in obj["status"]["conditions"]}


def test_a_database_is_healthy_and_on_its_second_timeline_once_it_was_promoted(cluster):
    cluster.create(DATABASE, "m", dry_run=False)
    found = cluster.get(DATABASE)
    assert (found["status"]["phase"], found["status"]["timelineID"]) == ("Cluster in healthy state", 1)
    assert found["status"]["currentPrimary"] == "db-1"
    assert conditions(found) == {"Ready": "True", "ContinuousArchiving": "True"}
    promoted = {**DATABASE, "spec": {**DATABASE["spec"], "replica": {"self": "b", "primary": "b"}}}
    cluster.apply(promoted, "m", force=False, dry_run=False)
    assert cluster.get(DATABASE)["status"]["timelineID"] == 2


def test_a_database_sleeps_while_its_annotation_says_so(cluster):
    cluster.create(DATABASE, "m", dry_run=False)
    sleeping = {**DATABASE, "metadata": {**DATABASE["metadata"], "annotations": {"cnpg.io/hibernation": "on"}}}
    cluster.apply(sleeping, "m", force=False, dry_run=False)
    found = cluster.get(DATABASE)
    assert conditions(found)["cnpg.io/hibernation"] == "True"
    assert found["status"]["readyInstances"] == 0
    cluster.apply(DATABASE, "m", force=False, dry_run=False)
    found = cluster.get(DATABASE)
    assert "cnpg.io/hibernation" not in conditions(found)
    assert found["status"]["readyInstances"] == 3


def test_a_database_that_is_fenced_stops_and_does_not_go_to_sleep(cluster):
    annotations = {"cnpg.io/fencedInstances": '["*"]', "cnpg.io/hibernation": "on"}
    cluster.create({**DATABASE, "metadata": {**DATABASE["metadata"], "annotations": annotations}}, "m", dry_run=False)
    found = cluster.get(DATABASE)
    assert found["status"]["readyInstances"] == 0
    assert found["status"]["phase"] == "Cluster in healthy state", "the operator leaves the phase as it was"
    assert conditions(found)["cnpg.io/hibernation"] == "False"


def test_a_database_that_is_not_healthy_says_why_and_does_not_go_to_sleep(recorded, cluster):
    order(recorded, kind="Cluster", phase="Cluster is unrecoverable", phaseReason="a job failed")
    sleeping = {**DATABASE, "metadata": {**DATABASE["metadata"], "annotations": {"cnpg.io/hibernation": "on"}}}
    cluster.create(sleeping, "m", dry_run=False)
    found = cluster.get(DATABASE)
    assert (found["status"]["phase"], found["status"]["phaseReason"]) == ("Cluster is unrecoverable", "a job failed")
    assert conditions(found) == {"Ready": "False", "cnpg.io/hibernation": "False"}
    order(recorded, kind="Cluster")
    cluster.apply({**sleeping, "spec": {**DATABASE["spec"], "instances": 1}}, "m", force=False, dry_run=False)
    found = cluster.get(DATABASE)
    assert "phaseReason" not in found["status"]
    assert conditions(found)["cnpg.io/hibernation"] == "True"


def test_a_base_backup_ends_once_and_as_ordered(recorded, cluster):
    order(recorded, kind="Backup", name="second", phase="failed", error="AccessDenied")
    second = {**BASE_BACKUP, "metadata": {"name": "second", "namespace": "default"}}
    for backup in (BASE_BACKUP, second):
        cluster.create(backup, "m", dry_run=False)
    assert cluster.get(BASE_BACKUP)["status"]["phase"] == "completed"
    assert cluster.get(second)["status"]["error"] == "AccessDenied"
    order(recorded, kind="Backup", name="second")
    cluster.apply({**second, "spec": {"cluster": {"name": "other"}}}, "m", force=False, dry_run=False)
    assert cluster.get(second)["status"]["phase"] == "failed"


def test_a_schedule_makes_its_first_base_backup_at_once_and_never_again(recorded, cluster):
    def scheduled(name, **spec):
        metadata = {"name": name, "namespace": "default"}
        return {"apiVersion": "postgresql.cnpg.io/v1", "kind": "ScheduledBackup", "metadata": metadata, "spec": spec}

    order(recorded, kind="Backup", name="second", phase="failed", error="AccessDenied")
    for name in ("first", "second"):
        cluster.create(scheduled(name, immediate=True, cluster={"name": "db"}), "m", dry_run=False)
    cluster.create(scheduled("third", immediate=False), "m", dry_run=False)
    cluster.create(scheduled("fourth", immediate=True, suspend=True), "m", dry_run=False)
    cluster.apply(scheduled("first", immediate=True, cluster={"name": "other"}), "m", force=False, dry_run=False)
    made = {
        each["metadata"]["labels"]["cnpg.io/scheduled-backup"]: each for each in recorded.objects("Backup.postgresql.cnpg.io")
    }
    assert {name: each["status"]["phase"] for name, each in made.items()} == {"first": "completed", "second": "failed"}
    assert made["first"]["spec"]["cluster"] == {"name": "db"}
    assert cluster.get(scheduled("first"))["status"]["lastScheduleTime"]
    assert "lastScheduleTime" not in cluster.get(scheduled("third")).get("status", {})


def test_two_kinds_of_one_name_are_told_apart_by_their_group(recorded):
    recorded.put(BASE_BACKUP)
    assert len(recorded.objects("Backup")) == 1
    assert recorded.objects("Backup.velero.io") == []
    assert len(recorded.objects("Backup.postgresql.cnpg.io")) == 1


def test_what_a_pod_asks_for_is_not_there_unless_ordered(recorded, cluster):
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"generateName": "ask-", "namespace": "default"}, "spec": {}}
    name = cluster.create(pod, "m", dry_run=False)["metadata"]["name"]
    assert cluster.get(pod, name)["status"]["phase"] == "Failed"
    order(recorded, kind="Pod", name="ask-", phase="Succeeded")
    name = cluster.create(pod, "m", dry_run=False)["metadata"]["name"]
    assert cluster.get(pod, name)["status"]["phase"] == "Succeeded"


def step_of_the_runner(step, task, code="runner-1"):
    """A Job that runs a step of the program's runner."""
    template = runner_pod(Runner(image="python", code=code), step, task)
    metadata = {"name": f"{step}-x", "namespace": "default"}
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": {"template": template}}


def deploy_the_modules(cluster):
    metadata = {"name": "runner-1", "namespace": "default"}
    cluster.create({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": runner_modules()}, "m", dry_run=False)


def end_of(cluster, job):
    """Whether a Job completed, or why it failed, and the last words of its Pod."""
    conditions = {each["type"]: each["reason"] for each in cluster.get(job)["status"]["conditions"]}
    pods = cluster.pods("default", f"job-name={job['metadata']['name']}")
    said = [pod["status"]["containerStatuses"][0]["state"]["terminated"]["message"] for pod in pods]
    return conditions.get("Failed", "completed"), said


CHECK = {"namespace": "n", "service": "s", "port": 80, "path": "/", "scheme": "http", "host": None, "seconds": 1}


def test_a_step_completes_where_its_modules_and_its_task_are_in_order(cluster):
    deploy_the_modules(cluster)
    for step, task in (("verify", CHECK), ("rights", {"rights": [{"verb": "list", "group": "", "resource": "pods"}]})):
        job = step_of_the_runner(step, task)
        cluster.create(job, "m", dry_run=False)
        assert end_of(cluster, job) == ("completed", [])


def test_a_step_whose_modules_are_not_there_ends_by_its_deadline(cluster):
    job = step_of_the_runner("verify", CHECK)
    cluster.create(job, "m", dry_run=False)
    assert end_of(cluster, job) == ("DeadlineExceeded", ["ConfigMap runner-1 is not there"])


@pytest.mark.parametrize(
    ("step", "task", "said"),
    [
        ("dance", {}, "dance is not a step of this version of the runner"),
        ("verify", {**CHECK, "hots": "app"}, "the runner itself failed: TypeError: "),
        ("ask", {"questions": [{"url": "app.example.com"}]}, "the runner itself failed: ValueError: "),
        ("rights", {}, "the runner itself failed: KeyError: "),
    ],
)
def test_a_step_fails_as_in_a_cluster_if_it_cannot_read_its_task(cluster, step, task, said):
    deploy_the_modules(cluster)
    job = step_of_the_runner(step, task)
    cluster.create(job, "m", dry_run=False)
    reason, [last] = end_of(cluster, job)
    assert reason == "BackoffLimitExceeded"
    assert last.startswith(said)


def test_a_pod_that_asks_another_region_gets_no_answer_unless_one_was_ordered(recorded, cluster):
    def answer():
        template = runner_pod(
            Runner(image="python", code="runner-1"), "ask", {"questions": [{"url": "https://app.example.com/"}]}
        )
        metadata = {"generateName": "asks-", "namespace": "default"}
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]}
        found = cluster.get(pod, cluster.create(pod, "m", dry_run=False)["metadata"]["name"])
        statuses = found["status"].get("containerStatuses") if "status" in found else None
        return json.loads(statuses[0]["state"]["terminated"]["message"]) if statuses else None

    assert answer() is None, "a Pod without its modules never starts"
    deploy_the_modules(cluster)
    assert answer() == [{"status": None, "said": "nothing within 3 s"}]
    alive = [{"status": 200, "said": "HTTP 200 OK"}]
    order(recorded, kind="Pod", name="asks-", phase="Succeeded", message=json.dumps(alive))
    assert answer() == alive


def test_an_operator_that_goes_takes_its_kinds_with_it(recorded, cluster):
    recorded.store.uninstall(OPERATORS)
    with pytest.raises(NoMatchError):
        cluster.create(DATABASE, "m", dry_run=False)
    recorded.store.install(OPERATORS)
    cluster.create(DATABASE, "m", dry_run=False)


def test_a_field_that_another_manager_applied_is_a_conflict_and_taken_by_force(recorded, cluster):
    cluster.create(DATABASE, "m", dry_run=False)
    recorded.put({**DATABASE, "spec": {"replica": {"primary": "a"}}}, manager="somebody")
    promoted = {**DATABASE, "spec": {**DATABASE["spec"], "replica": {"self": "b", "primary": "b"}}}
    for dry_run in (True, False):
        with pytest.raises(ApiError, match=r'conflict with "somebody": \.spec\.replica\.primary') as error:
            cluster.apply(promoted, "m", force=False, dry_run=dry_run)
        assert error.value.conflict
    assert cluster.get(DATABASE)["spec"]["replica"]["primary"] == "a"
    cluster.apply(promoted, "m", force=True, dry_run=False)
    assert cluster.get(DATABASE)["spec"]["replica"]["primary"] == "b"
    cluster.apply(DATABASE, "m", force=False, dry_run=False)
    assert cluster.get(DATABASE)["spec"]["replica"]["primary"] == "a", "what was taken by force is theirs no more"


def test_what_another_manager_applied_and_this_one_leaves_as_it_is_is_no_conflict(recorded, cluster):
    cluster.create(DATABASE, "m", dry_run=False)
    recorded.put({**DATABASE, "spec": {"replica": {"primary": "a"}}}, manager="somebody")
    more = {**DATABASE, "spec": {**DATABASE["spec"], "instances": 1}}
    assert cluster.apply(more, "m", force=False, dry_run=False)["spec"]["instances"] == 1


def test_kinds_that_came_later_are_served_again_after_a_restart(tmp_path):
    file = tmp_path / "objects.json"
    RecordedCluster(file=file, operators_installed=True).put(DATABASE)
    assert len(RecordedCluster(file=file).objects("Cluster")) == 1


def test_what_is_put_back_is_there_again_each_time_and_nothing_else(recorded, cluster):
    recorded.put(DATABASE, manager="somebody")
    kept = recorded.store.content()
    changed = {**DATABASE, "spec": {**DATABASE["spec"], "instances": 1}}
    for _ in range(2):
        cluster.apply(changed, "m", force=True, dry_run=False)
        cluster.create(BASE_BACKUP, "m", dry_run=False)
        recorded.store.uninstall(OPERATORS)
        recorded.store.put_back(kept)
        assert recorded.store.content() == kept
        assert recorded.objects("Cluster")[0]["spec"]["instances"] == 3
        with pytest.raises(ApiError) as error:
            cluster.apply(changed, "m", force=False, dry_run=False)
        assert error.value.conflict, "it is somebody's field again"
