"""The CronJob of heartbeats: what it may look at, and where its URLs are."""

from __future__ import annotations

import json
from typing import Any

import pytest

from components.kube.runner.heartbeat import URLS
from settings.roles import ROLES, Role
from tests.unit.recorder import Recorder, deployed, is_secret, revealed, run_program

URL = "https://hooks.example.com/hush"
SELF_MANAGED: dict[str, Any] = {
    "cluster": {"context": "prod", "name": "prod", "distribution": "self-managed", "oidcIssuer": "oidc.example.com/id/EXAMPLE"},
    "identity": "irsa",
}
JOBS: dict[str, Any] = {
    "etcd": f"{URL}/etcd",
    "guard": f"{URL}/guard",
    "marks": f"{URL}/marks",
    "drills": {kind: f"{URL}/{kind}" for kind in ("integrity", "namespace", "database")},
    "schedules": {"hourly-critical": f"{URL}/hourly"},
    "databases": {"app-database": f"{URL}/app"},
}
NAMES = {
    "etcd",
    "guard",
    "marks",
    "drills.integrity",
    "drills.namespace",
    "drills.database",
    "schedules.hourly-critical",
    "databases.app-database",
}


def beating(stack: Role = "primary", jobs: dict[str, Any] | None = None, **changes: Any) -> Recorder:
    asked = JOBS if jobs is None else jobs
    return run_program(stack, {**SELF_MANAGED, "peerReady": True, "receivers": {"heartbeats": asked}, **changes})


def of_heartbeats(recorder: Recorder) -> dict[str, dict[str, Any]]:
    return {seen.name: seen.inputs for seen in recorder.custom() if seen.parent.endswith("::heartbeats")}


def pod(recorder: Recorder) -> dict[str, Any]:
    return dict(recorder["heartbeats-job"].spec["jobTemplate"]["spec"]["template"]["spec"])


def task(recorder: Recorder) -> dict[str, list[dict[str, Any]]]:
    [container] = pod(recorder)["containers"]
    found: dict[str, list[dict[str, Any]]] = json.loads(
        next(each["value"] for each in container["env"] if each["name"] == "TASK")
    )
    return found


def test_there_is_none_where_nobody_has_set_a_url() -> None:
    assert of_heartbeats(run_program("primary", {"peerReady": True})) == {}
    alone = {"receivers": {"heartbeats": {"watchdog": URL}}, "monitoring": {"enabled": True}}
    assert of_heartbeats(run_program("primary", alone)) == {}, "Alertmanager calls that one itself"


def test_each_job_with_a_url_is_looked_at_and_no_other() -> None:
    everything = beating()
    assert {each["job"] for listed in task(everything).values() for each in listed} == NAMES
    assert set(revealed(everything["heartbeats-urls"].inputs["stringData"])) == NAMES
    only = beating(jobs={"guard": URL})
    assert [each["job"] for listed in task(only).values() for each in listed] == ["guard"]
    assert set(of_heartbeats(only)) == {
        "heartbeats-account",
        "heartbeats-urls",
        "heartbeats-role-k8s-dr",
        "heartbeats-binding-k8s-dr",
        "heartbeats-job",
    }


def test_what_it_looks_at_is_what_the_program_makes() -> None:
    region = beating()
    made = {
        f"/apis/batch/v1/namespaces/{seen.metadata['namespace']}/cronjobs/{seen.metadata['name']}"
        for seen in region.of("CronJob")
    }
    looked_at = task(region)
    assert {each["path"] for each in looked_at["cronJobs"]} <= made
    [backups] = looked_at["backups"]
    assert backups["schedules"] == ["hourly-critical-us-east-1", "hourly-critical-us-west-2"], "of whichever region serves"
    assert region["schedules-hourly-critical"].metadata["name"] in backups["schedules"]


def test_the_urls_are_in_a_secret_that_no_backup_takes_along_and_nowhere_else() -> None:
    region = beating()
    secret = region["heartbeats-urls"]
    assert is_secret(secret.inputs["stringData"])
    assert secret.metadata["labels"]["velero.io/exclude-from-backup"] == "true"
    others = [seen.inputs for seen in region.seen if seen.name != "heartbeats-urls"]
    assert "hush" not in json.dumps(others)
    assert "hush" not in json.dumps(region.outputs, default=str)
    [container] = pod(region)["containers"]
    [mount] = [each for each in container["volumeMounts"] if each["mountPath"] == str(URLS)]
    assert mount["readOnly"]
    assert {"name": mount["name"], "secret": {"secretName": "heartbeats", "defaultMode": 0o440}} in pod(region)["volumes"]


def test_its_account_may_look_at_these_jobs_and_change_nothing() -> None:
    region = beating()
    rules = {
        seen.metadata["namespace"]: seen.inputs["rules"]
        for seen in region.of("Role")
        if seen.name.startswith("heartbeats-") and seen.metadata["name"] == "k8s-dr-heartbeats"
    }
    verbs = {verb for listed in rules.values() for rule in listed for verb in rule["verbs"]}
    assert verbs == {"get", "list"}
    assert rules["velero"] == [{"apiGroups": ["velero.io"], "resources": ["backups"], "verbs": ["list"]}]
    named = [rule["resourceNames"] for namespace, listed in rules.items() if namespace != "velero" for rule in listed]
    assert sorted(name for names in named for name in names) == sorted(
        ["etcd-backup", "guard", "freshness", "drill-integrity", "drill-namespace", "drill-database", "app-database"]
    )
    assert set(rules) == {"k8s-dr", "kube-system", "velero", "databases"}
    assert not [seen for seen in region.of("ClusterRoleBinding") if "heartbeats" in seen.name]


def test_it_is_let_out_and_ends_within_a_minute() -> None:
    region = beating()
    spec = region["heartbeats-job"].spec["jobTemplate"]["spec"]
    assert (spec["activeDeadlineSeconds"], spec["backoffLimit"]) == (60, 0)
    selected = region["job-runner-network"].spec["podSelector"]["matchLabels"]
    assert selected.items() <= spec["template"]["metadata"]["labels"].items()


@pytest.mark.parametrize("stack", ROLES)
def test_a_flip_changes_nothing_of_it(stack: Role) -> None:
    before, after = (of_heartbeats(beating(stack, **deployed(serving))) for serving in ROLES)
    assert before
    assert before == after
