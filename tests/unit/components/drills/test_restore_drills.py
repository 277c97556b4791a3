"""The objects of the drills that restore: what comes into the scratch namespace, what it can reach, and who may do what."""

from __future__ import annotations

import json
from typing import Any

import pytest

from components.drills.scratch_rules import KINDS, PODS, PRIORITY_CLASS, RestoredKind
from components.kube.runner.drill_record import LABEL
from settings.kinds import DATABASE_KINDS
from settings.roles import ROLES, Role
from tests.examples import STATIC
from tests.unit.recorder import Recorder, revealed, run_program

SCRATCH, DRILLS = "k8s-dr-drills-scratch", "k8s-dr-drills"
NOT_BACKED_UP = {"velero.io/exclude-from-backup": "true"}
EVERYTHING_WITH_PODS = {"name": "daily-full", "cron": "0 2 * * *", "keep": "720h", "pods": "all"}
DATABASES = {
    "databases": [
        {"name": "app-database", "namespace": "databases", "parameters": {"max_connections": "300"}},
        {"name": "orders", "namespace": "shop", "createNamespace": False, "owner": "clerk", "walStorage": None},
    ],
    "databasePasswords": {"app-database": "one of the two", "orders": "the other of the two"},
}


def region(stack: Role = "secondary", **changes: Any) -> Recorder:
    return run_program(stack, {"peerReady": True, **DATABASES, **changes})


def task(recorder: Recorder, kind: str) -> dict[str, Any]:
    spec = recorder[f"drills-{kind}-job"].spec["jobTemplate"]["spec"]["template"]["spec"]
    [container] = (each for each in spec["containers"] if each["name"] == f"drill-{kind}")
    [told] = (each["value"] for each in container["env"] if each["name"] == "TASK")
    return dict(json.loads(told))


def changed(recorder: Recorder, kind: str, body: dict[str, Any]) -> dict[str, Any]:
    """What Velero would make of an object of the backup, by the merge patches, and the JSON patches that move."""
    found = json.loads(recorder["drills-rules"].inputs["data"]["rules.yaml"])["resourceModifierRules"]
    original = json.loads(json.dumps(body))
    for rule in found:
        conditions = rule["conditions"]
        if conditions["groupResource"] != kind or not all(_holds(original, each) for each in conditions.get("matches", [])):
            continue
        for patch in rule.get("mergePatches", []):
            _merge(body, json.loads(patch["patchData"]))
        for patch in rule.get("patches", []):
            if patch["operation"] == "move":
                _move(body, patch["from"], patch["path"])
    return body


def _move(body: Any, source: str, target: str) -> None:
    """As RFC 6902 has it, for paths that are there."""

    def parent(path: str) -> tuple[Any, Any]:
        *parts, last = path.strip("/").split("/")
        found = body
        for part in parts:
            found = found[int(part)] if isinstance(found, list) else found[part]
        return found, int(last) if isinstance(found, list) else last

    holder, place = parent(source)
    value = holder.pop(place)
    holder, place = parent(target)
    if isinstance(holder, list):
        assert place <= len(holder)
        holder.insert(place, value)
    else:
        holder[place] = value


def _holds(body: Any, match: dict[str, str]) -> bool:
    for part in match["path"].strip("/").split("/"):
        try:
            body = body[int(part)] if isinstance(body, list) else body[part]
        except (KeyError, IndexError):
            return False
    return str(body) == match["value"].strip('"')


def _merge(into: dict[str, Any], patch: dict[str, Any]) -> None:
    for key, value in patch.items():
        if value is None:
            into.pop(key, None)
        elif isinstance(value, dict):
            inner = into.setdefault(key, {})
            _merge(inner, value)
        else:
            into[key] = value


@pytest.mark.parametrize("stack", ROLES)
def test_no_object_of_a_drill_depends_on_who_is_active(stack: Role) -> None:
    before, after = (region(stack, active=active) for active in ROLES)
    for seen in before.custom():
        if seen.name.startswith("drills-"):
            assert seen.inputs == after[seen.name].inputs, seen.name


def test_the_namespace_comes_from_the_peers_schedule_into_the_scratch_namespace_alone() -> None:
    told = task(region(), "namespace")
    assert (told["namespace"], told["location"]) == ("production", "peer")
    assert told["restore"]["includedNamespaces"] == ["production"]
    assert told["restore"]["namespaceMapping"] == {"production": SCRATCH}
    assert told["restore"]["includeClusterResources"] is False
    assert told["schedule"] == "hourly-critical-us-east-1"


def test_nothing_comes_that_a_controller_outside_would_act_on() -> None:
    kinds = task(region(), "namespace")["restore"]["includedResources"]
    assert set(kinds) == {each.name for each in KINDS}
    for kind in (
        "jobs.batch",
        "ingresses.networking.k8s.io",
        "networkpolicies.networking.k8s.io",
        "rolebindings.rbac.authorization.k8s.io",
        "pods",
        *DATABASE_KINDS,
    ):
        assert kind not in kinds


def test_a_kind_that_a_person_leaves_out_does_not_come_and_is_not_counted() -> None:
    told = task(region(drills={"namespace": {"excludeResources": ["secrets"]}}), "namespace")
    assert "secrets" not in told["restore"]["includedResources"]
    assert "secrets" not in [each["plural"] for each in told["kinds"]]


@pytest.mark.parametrize("replicas", [0, 1])
def test_workloads_have_as_many_pods_as_the_drill_wants_and_give_way(replicas: int) -> None:
    recorder = region(drills={"namespace": {"replicas": replicas}})
    web = changed(recorder, "deployments.apps", {"spec": {"replicas": 9, "template": {"spec": {"priorityClassName": "high"}}}})
    assert web["spec"] == {"replicas": replicas, "template": {"spec": {"priorityClassName": PRIORITY_CLASS}}}
    assert (task(recorder, "namespace")["fence"] is not None) is bool(replicas)


def test_what_was_switched_off_stays_off() -> None:
    recorder = region(drills={"namespace": {"replicas": 1}})
    assert changed(recorder, "statefulsets.apps", {"spec": {"replicas": 0}})["spec"]["replicas"] == 0


def test_no_cron_job_runs_no_autoscaler_raises_and_no_node_takes_a_daemon_sets_pod() -> None:
    recorder = region()
    assert changed(recorder, "cronjobs.batch", {"spec": {"suspend": False}})["spec"]["suspend"] is True
    scaler = changed(recorder, "horizontalpodautoscalers.autoscaling", {"spec": {"minReplicas": 3, "maxReplicas": 30}})
    assert scaler["spec"] == {"minReplicas": 1, "maxReplicas": 1}
    daemon = changed(recorder, "daemonsets.apps", {"spec": {"template": {"spec": {}}}})
    assert daemon["spec"]["template"]["spec"]["nodeSelector"] == {"k8s-dr/drill": "on-no-node"}


def test_no_service_is_reached_from_outside_or_takes_a_name() -> None:
    metadata = {"name": "web", "annotations": {"external-dns.alpha.kubernetes.io/hostname": "app.example.com"}}
    spec = {"type": "LoadBalancer", "loadBalancerClass": "nlb", "externalTrafficPolicy": "Local", "selector": {"app": "web"}}
    web = changed(region(), "services", {"metadata": metadata, "spec": spec})
    assert web["spec"] == {"type": "ClusterIP", "selector": {"app": "web"}}
    assert "annotations" not in web["metadata"]


def test_an_external_name_leads_nowhere() -> None:
    spec = {"type": "ExternalName", "externalName": "queue.production.example.com"}
    queue = changed(region(), "services", {"metadata": {}, "spec": spec})
    assert queue["spec"] == {"type": "ClusterIP", "clusterIP": "None", "selector": {"k8s-dr/drill": "nothing"}}


def test_a_chosen_node_port_is_taken_away_for_the_api_server_would_refuse_it() -> None:
    found = json.loads(region()["drills-rules"].inputs["data"]["rules.yaml"])["resourceModifierRules"]
    spec = {"spec": {"ports": [{"protocol": "TCP", "nodePort": 30080}]}}
    by_port = [rule for rule in found if "patches" in rule]
    taken = [rule["patches"][0]["path"] for rule in by_port if all(_holds(spec, each) for each in rule["conditions"]["matches"])]
    assert taken == ["/spec/ports/0/nodePort"]


def test_no_account_has_a_role_at_aws_and_no_deployer_takes_an_object_for_its_own() -> None:
    labels = {"app": "web", "argocd.argoproj.io/instance": "shop"}
    metadata = {"annotations": {"eks.amazonaws.com/role-arn": "arn:a"}, "labels": labels}
    account = changed(region(), "serviceaccounts", {"metadata": metadata})
    assert account["metadata"] == {"labels": {"app": "web", **NOT_BACKED_UP}}


@pytest.mark.parametrize("kind", [*KINDS, PODS], ids=lambda kind: kind.name)
def test_no_finalizer_of_production_comes_along_and_no_backup_takes_what_came(kind: RestoredKind) -> None:
    metadata = {"name": "web", "labels": {"app": "web"}, "finalizers": ["orders.example.com/refund", "foregroundDeletion"]}
    found = changed(region(backups=[EVERYTHING_WITH_PODS]), kind.name, {"metadata": metadata, "spec": {}})
    assert "finalizers" not in found["metadata"]
    assert found["metadata"]["labels"]["velero.io/exclude-from-backup"] == "true"


def test_a_secret_keeps_what_it_is_and_is_not_mirrored() -> None:
    annotations = {"kubernetes.io/service-account.name": "web", "replicator.v1.mittwald.de/replicate-to": "production"}
    secret = changed(region(), "secrets", {"metadata": {"annotations": annotations}})
    assert secret["metadata"]["annotations"] == {"kubernetes.io/service-account.name": "web"}


def test_a_persons_own_rules_come_before_those_that_keep_the_drill_harmless() -> None:
    own = {"conditions": {"groupResource": "cronjobs.batch"}, "mergePatches": [{"patchData": '{"spec":{"suspend":false}}'}]}
    assert changed(region(velero={"modifiers": [own]}), "cronjobs.batch", {"spec": {}})["spec"]["suspend"] is True


def test_where_volumes_come_through_pods_these_rest_and_belong_to_nobody() -> None:
    recorder = region(backups=[EVERYTHING_WITH_PODS])
    spec = {
        "initContainers": [{"name": "migrate"}, {"name": "mesh", "restartPolicy": "Always"}],
        "containers": [{"name": "queue"}],
        "ephemeralContainers": [{"name": "debug"}],
        "priority": 9,
    }
    body = {"metadata": {"labels": {"app": "queue"}}, "spec": spec}
    # Velero puts its own container before those of the Pod (pod_volume_restore_action.go), if it fills a volume of it.
    filled: dict[str, Any] = json.loads(json.dumps(body))
    filled["spec"]["initContainers"].insert(0, {"name": "restore-wait", "image": "velero"})
    for given, first in ((body, []), (filled, [{"name": "restore-wait", "image": "velero"}])):
        found = changed(recorder, "pods", given)
        assert found["metadata"]["labels"] == NOT_BACKED_UP
        assert found["spec"]["initContainers"] == first
        assert [each["name"] for each in found["spec"]["containers"]] == ["rest"]
        assert not {"priority", "ephemeralContainers", "restoreWait"} & found["spec"].keys()
    assert "pods" in task(recorder, "namespace")["restore"]["includedResources"]
    assert changed(recorder, "statefulsets.apps", {"spec": {"replicas": 3}})["spec"]["replicas"] == 0


def test_where_pods_come_for_their_volumes_it_is_asked_too_whether_they_are_cut_off() -> None:
    assert task(region(backups=[EVERYTHING_WITH_PODS]), "namespace")["fence"] is not None


def test_pods_of_the_scratch_namespace_reach_each_other_and_names_alone() -> None:
    spec = region()["drills-scratch-network"].spec
    assert spec["podSelector"] == {}
    assert sorted(spec["policyTypes"]) == ["Egress", "Ingress"]
    assert spec["egress"] == [
        {"to": [{"podSelector": {}}]},
        {"ports": [{"protocol": "UDP", "port": 53}, {"protocol": "TCP", "port": 53}]},
    ]
    [ingress] = spec["ingress"]
    assert ingress["from"][1]["namespaceSelector"]["matchLabels"] == {"kubernetes.io/metadata.name": "k8s-dr"}


def test_a_quota_refuses_what_must_never_be_there() -> None:
    hard = region()["drills-scratch-quota"].spec["hard"]
    assert {key for key, value in hard.items() if value == "0"} == {
        "services.loadbalancers",
        "services.nodeports",
        "count/jobs.batch",
        "count/ingresses.networking.k8s.io",
    }


def test_both_namespaces_are_in_no_backup_and_no_restore() -> None:
    recorder = region()
    for name in ("drills-namespace", "drills-scratch"):
        assert recorder[name].metadata["labels"]["velero.io/exclude-from-backup"] == "true"


# The throw-away Cluster


def test_it_recovers_archives_nothing_and_follows_nobody() -> None:
    for database in task(region(), "database")["databases"]:
        spec = database["cluster"]
        assert not {"plugins", "backup", "replica", "managed"} & spec.keys()
        assert spec["instances"] == 1
        assert spec["enableSuperuserAccess"] is False
        assert spec["bootstrap"].keys() == {"recovery"}
        assert spec["inheritedMetadata"]["labels"][LABEL] == "database"


def test_its_account_has_the_clusters_name_for_the_plugin_binds_no_other() -> None:
    recorder = region()
    told = task(recorder, "database")
    account, archive = recorder["drills-cluster-account"].metadata, recorder["drills-archive"].metadata
    assert told["cluster"] == account["name"] == archive["name"] == told["databases"][0]["cluster"]["serviceAccountName"]
    assert account["namespace"] == archive["namespace"] == told["space"] == DRILLS


def test_it_has_the_volumes_and_parameters_of_the_database_and_takes_part_in_no_replication() -> None:
    app, orders = (each["cluster"] for each in task(region(), "database")["databases"])
    assert app["postgresql"]["parameters"]["max_connections"] == "300"
    assert app["postgresql"]["parameters"]["max_logical_replication_workers"] == "0"
    assert "walStorage" in app
    assert "walStorage" not in orders
    assert orders["bootstrap"]["recovery"]["owner"] == "clerk"


@pytest.mark.parametrize("stack", ROLES)
def test_its_archive_is_that_of_this_regions_bucket_and_is_only_read(stack: Role) -> None:
    spec = region(stack)["drills-archive"].spec
    bucket = {"primary": "us-east-1", "secondary": "us-west-2"}[stack]
    assert bucket in spec["configuration"]["destinationPath"]
    assert "retentionPolicy" not in spec
    assert "data" not in spec["configuration"]


def test_with_a_static_key_it_has_one_that_only_reads_archives() -> None:
    own = {"accessKeyId": "AKIAOFTHECLUSTER", "secretAccessKey": "of-the-cluster"}
    recorder = region(**{**STATIC, "staticCredentials": {**STATIC["staticCredentials"], "drillDatabase": own}})
    credentials = recorder["drills-archive"].spec["configuration"]["s3Credentials"]
    assert {each["name"] for each in credentials.values()} == {"drill-database-credentials"}
    secret = revealed(recorder["drills-cluster-credentials"].inputs["stringData"])
    assert {each["key"] for each in credentials.values()} <= secret.keys()
    assert secret["accessKeyId"] == own["accessKeyId"]
    there = [seen.name for seen in recorder.of("Secret") if seen.metadata["namespace"] == DRILLS]
    assert there == ["drills-cluster-credentials"], "no key that writes a record or reads other backups is beside it"


def test_it_reaches_no_other_postgresql() -> None:
    spec = region()["drills-cluster-network"].spec
    inside, others = spec["egress"]
    assert inside == {"to": [{"podSelector": {}}]}
    for port in others["ports"]:
        assert not port["port"] <= 5432 <= port.get("endPort", port["port"])


def test_the_job_asks_as_the_owner_and_only_reads() -> None:
    [container] = task(region(), "database")["databases"][1]["job"]["template"]["spec"]["containers"]
    told = {each["name"]: each.get("value", each.get("valueFrom")) for each in container["env"]}
    assert "default_transaction_read_only=on" in told["PGOPTIONS"]
    assert told["PGPASSWORD"] == {"secretKeyRef": {"name": "drill-database-app", "key": "password"}}


def test_each_database_has_its_own_questions() -> None:
    checks = [
        {"database": "orders", "sql": "SELECT count(*) FROM orders", "expect": "42"},
        {"database": "app-database", "sql": "SELECT max(at) FROM visits", "maxAge": "1h"},
    ]
    app, orders = task(region(drills={"database": {"checks": checks}}), "database")["databases"]
    assert app["checks"] == [{"sql": "SELECT max(at) FROM visits", "expect": None, "within": 3600}]
    assert orders["checks"] == [{"sql": "SELECT count(*) FROM orders", "expect": "42", "within": None}]


def test_a_point_in_time_is_told_in_seconds() -> None:
    assert task(region(), "database")["back"] is None
    assert task(region(drills={"database": {"pointInTime": "24h"}}), "database")["back"] == 86400


# What the accounts may do


def rules_of(recorder: Recorder, name: str) -> list[tuple[str, ...]]:
    return [
        (verb, resource, *rule.get("resourceNames", []))
        for rule in recorder[name].inputs["rules"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    ]


def test_it_looks_for_what_is_left_also_of_kinds_that_a_person_leaves_out() -> None:
    recorder = region(drills={"namespace": {"excludeResources": ["persistentvolumeclaims"]}})
    granted = rules_of(recorder, "drills-namespace-role-k8s-dr-drills-scratch")
    assert {("list", "persistentvolumeclaims"), ("delete", "persistentvolumeclaims"), ("list", "pods")} <= set(granted)


def test_no_account_may_do_anything_to_everything() -> None:
    for seen in region().custom():
        if seen.kind in ("Role", "ClusterRole") and seen.name.startswith("drills-"):
            assert "*" not in json.dumps(seen.inputs["rules"]), seen.name


def test_in_all_of_the_cluster_they_only_give_volumes_up() -> None:
    recorder = region()
    assert rules_of(recorder, "drills-volumes") == [("list", "persistentvolumes"), ("patch", "persistentvolumes")]
    assert [seen.name for seen in recorder.custom() if seen.kind == "ClusterRole" and seen.name.startswith("drills-")] == [
        "drills-volumes"
    ]


def test_the_cluster_and_its_job_are_the_only_ones_that_the_drill_deletes() -> None:
    granted = rules_of(region(), f"drills-database-role-{DRILLS}")
    assert ("delete", "clusters", "drill-database") in granted
    assert ("delete", "clusters") not in granted
    assert ("delete", "jobs", "drill-database-checks") in granted
    assert not [each for each in granted if each[1] == "secrets"]


def test_the_policy_lets_through_the_restore_that_the_drill_makes_and_no_other() -> None:
    recorder = region()
    spec = recorder["drills-policy"].spec
    assert spec["failurePolicy"] == "Fail"
    [who] = spec["matchConditions"]
    accounts = [f"system:serviceaccount:k8s-dr:drill-{kind}" for kind in ("namespace", "database")]
    assert who["expression"] == f"request.userInfo.username in {json.dumps(accounts)}"
    restore = spec["validations"][0]["expression"]
    told = task(recorder, "namespace")["restore"]
    for wanted in (told["namespaceMapping"], told["includedNamespaces"], told["includedResources"]):
        assert json.dumps(wanted) in restore
    for field in ("scheduleName", "orLabelSelectors", "restoreStatus", "resourcePolicy"):
        assert f"!has(object.spec.{field})" in restore
    assert "object.spec.?resourceModifier.?kind.orValue('') == \"ConfigMap\"" in restore
    assert "object.spec.?existingResourcePolicy.orValue('') == \"none\"" in restore


@pytest.mark.parametrize(
    ("drills", "there"),
    [
        ({"namespace": {"enabled": False}}, {"drills-archive", "drills-policy"}),
        ({"database": {"enabled": False}}, {"drills-scratch", "drills-rules", "drills-policy"}),
        ({"namespace": {"enabled": False}, "database": {"enabled": False}}, set()),
    ],
)
def test_what_is_switched_off_leaves_nothing_behind(drills: dict[str, Any], there: set[str]) -> None:
    made = {seen.name for seen in region(drills=drills).custom()}
    assert made & {"drills-archive", "drills-policy", "drills-scratch", "drills-rules"} == there


def test_a_namespace_that_no_failover_restores_is_not_drilled() -> None:
    backups = [
        {"name": "own", "cron": "0 2 * * *", "keep": "720h", "include": ["production"], "restore": False},
        {"name": "rest", "cron": "0 2 * * *", "keep": "720h"},
    ]
    assert "drills-scratch" not in {seen.name for seen in region(backups=backups).custom()}


@pytest.mark.parametrize("kind", ["namespace", "database"])
def test_what_sweeps_has_the_drills_account_and_task_and_its_jobs_are_none_of_the_drills(kind: str) -> None:
    recorder = region()
    found, drill = recorder[f"drills-{kind}-sweep"], recorder[f"drills-{kind}-job"]
    template = found.spec["jobTemplate"]["spec"]["template"]
    assert template["spec"]["serviceAccountName"] == f"drill-{kind}"
    [container] = template["spec"]["containers"]
    [told] = (each["value"] for each in container["env"] if each["name"] == "TASK")
    assert json.loads(told) == task(recorder, kind)
    assert LABEL not in found.spec["jobTemplate"]["metadata"]["labels"]
    assert template["metadata"]["labels"][LABEL] == drill.spec["jobTemplate"]["metadata"]["labels"][LABEL] == kind
