"""The guard's objects, its script with an AWS CLI that a test makes up, and what serves again after the guard has stopped it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from components.database import database
from components.database.specs import DatabaseSide
from components.failover.guard_specs import SCRIPT
from components.kube.runner import guard
from components.kube.runner.flag import Flag
from components.kube.runner.guard import fetched
from components.kube.runner.rights import NEEDED
from settings.roles import ROLES, Role
from tests.examples import KEYS, STATIC
from tests.unit.components.database.test_side_role import fenced
from tests.unit.components.iam.test_identity import IRSA
from tests.unit.fakes import FakeCluster
from tests.unit.recorder import Recorder, revealed, run_program

DEPLOYED: dict[str, Any] = {"peerReady": True}
STOPPED = "2026-03-01T12:00:00Z"
TWO = {
    "databases": [
        {"name": "app-database", "namespace": "databases"},
        {"name": "orders", "namespace": "shop", "createNamespace": False},
    ],
    "databasePasswords": {"app-database": "one of the two", "orders": "the other of the two"},
}


def region(stack: Role, **changes: Any) -> Recorder:
    return run_program(stack, {**DEPLOYED, **changes})


def pods(recorder: Recorder) -> dict[str, dict[str, Any]]:
    """The Pods of the guard: the CronJob's, and the one that looks as it starts."""
    job = recorder["guard-job"].spec["jobTemplate"]["spec"]["template"]["spec"]
    return {"job": job, "at start": recorder["guard-at-start"].spec["template"]["spec"]}


LOOKS = ["fetch", "guard", *(f"{name}-{turn}" for turn in range(2, 6) for name in ("fetch", "guard"))]
"""The init containers of the Pod that looks as it starts."""


def containers(pod: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {each["name"]: each for each in (*pod["initContainers"], *pod["containers"])}


def task(pod: dict[str, Any], name: str = "guard") -> dict[str, Any]:
    (told,) = (each["value"] for each in containers(pod)[name]["env"] if each["name"] == "TASK")
    return dict(json.loads(told))


def environment(pod: dict[str, Any], name: str = "fetch") -> dict[str, Any]:
    return {each["name"]: each.get("value", each.get("valueFrom")) for each in containers(pod)[name]["env"]}


@pytest.mark.parametrize("stack", ROLES)
def test_nothing_of_it_depends_on_who_is_active_so_a_failover_changes_nothing_of_it(stack: Role) -> None:
    before, after = (region(stack, active=active) for active in ROLES)
    own = [seen.name for seen in before.custom() if seen.name.startswith("guard")]
    assert own
    for name in own:
        assert before[name].inputs == after[name].inputs, name


def test_a_failover_does_not_wait_for_it() -> None:
    (failover,) = region("secondary", active="secondary").of("Failover")
    assert not [name for name in failover.depends_on if name.startswith("guard")]


def test_a_primary_has_it_once_there_is_a_flag_to_read_and_a_region_that_wants_none_has_none() -> None:
    assert "guard-job" not in run_program("primary").names()
    assert "guard-job" in run_program("secondary").names()
    assert not [name for name in region("primary", guard={"enabled": False}).names() if "guard" in name]


@pytest.mark.parametrize("stack", ROLES)
def test_it_reads_the_flag_in_the_secondarys_region_and_asks_its_own_for_credentials(stack: Role) -> None:
    for pod in pods(region(stack)).values():
        told = environment(pod)
        assert (told["BUCKET"], told["KEY"]) == ("acme-dr-flag-us-west-2-123456789012", "dr/active.json")
        assert told["REGION"] == "us-west-2"
        assert told["AWS_REGION"] == {"primary": "us-east-1", "secondary": "us-west-2"}[stack]


@pytest.mark.parametrize("stack", ROLES)
def test_it_stops_what_this_stack_runs_and_says_what_a_person_does_then(stack: Role) -> None:
    workloads = [
        {"namespace": "shop", "names": ["deployment/web"], "replicas": 3, "standbyReplicas": 1, "required": False},
        {"namespace": "shop", "replicas": 2},
        {"namespace": "back-office", "replicas": 1, "cronJobs": "leave"},
    ]
    told = task(pods(region(stack, workloads=workloads, **TWO))["job"])
    assert told["role"] == stack
    assert [(each["namespace"], each["name"]) for each in told["databases"]] == [
        ("databases", "app-database"),
        ("shop", "orders"),
    ]
    assert told["schedules"] == [seen.metadata["name"] for seen in region(stack, workloads=workloads, **TWO).of("Schedule")], (
        "its own schedules, by their names in this cluster"
    )
    assert told["workloads"] == [
        {
            "namespace": "shop",
            "entries": [
                {"names": ["deployment/web"], "replicas": 1, "required": True},
                {"names": [], "replicas": 0, "required": True},
            ],
            "cronJobs": "suspend",
        },
        {"namespace": "back-office", "entries": [{"names": [], "replicas": 0, "required": True}], "cronJobs": "leave"},
    ]
    peer = {"primary": "secondary", "secondary": "primary"}[stack]
    assert f"pulumi config set active {peer} -s {stack} && pulumi up -s {stack}" in told["advice"]


def test_every_minute_it_fails_while_a_person_is_needed_and_the_pod_that_looks_once_does_not() -> None:
    both = pods(region("primary"))
    assert task(both["job"])["once"] is False
    assert task(both["at start"])["once"] is True
    assert task(both["job"])["rights"] == [], "at night nothing is asked that need not be"


def test_a_run_that_was_missed_begins_at_once_and_one_that_hangs_makes_way() -> None:
    spec = region("primary")["guard-job"].spec
    assert spec["schedule"] == "* * * * *"
    assert spec["concurrencyPolicy"] == "Replace"
    assert 60 < spec["startingDeadlineSeconds"] < 6000, "the controller gives up at a hundred missed runs"
    job = spec["jobTemplate"]["spec"]
    assert (job["backoffLimit"], job["activeDeadlineSeconds"]) == (0, 55)


def test_a_look_ends_with_its_message_before_the_job_is_cut_off() -> None:
    pod = pods(region("primary"))["job"]
    last_fetch, event = 3 + 5, guard._ANSWER_SECONDS
    longest = int(environment(pod)["PATIENCE"]) + last_fetch + task(pod)["seconds"] + guard._LEAST_SECONDS + event
    assert longest < region("primary")["guard-job"].spec["jobTemplate"]["spec"]["activeDeadlineSeconds"]


@pytest.mark.parametrize(("schedule", "deadline"), [("*/5 * * * *", 310), ("0 * * * *", 3610)])
def test_a_rarer_look_is_made_up_for_until_the_next_one(schedule: str, deadline: int) -> None:
    assert region("primary", guard={"schedule": schedule})["guard-job"].spec["startingDeadlineSeconds"] == deadline


def test_the_pod_that_looks_as_it_starts_fetches_and_judges_before_it_rests() -> None:
    pod = pods(region("primary"))["at start"]
    assert [each["name"] for each in pod["initContainers"]] == LOOKS
    assert [each["name"] for each in pod["containers"]] == ["rest"]
    assert pod["restartPolicy"] == "Always"
    assert int(environment(pod)["PATIENCE"]) > int(environment(pods(region("primary"))["job"])["PATIENCE"])


def test_no_look_acts_for_more_than_a_minute_on_a_flag_that_was_fetched_once() -> None:
    """A kubelet that runs an init container again runs none of those before it."""
    pod = pods(region("primary"))["at start"]
    seconds = [task(pod, name)["seconds"] for name in LOOKS if name.startswith("guard")]
    assert all(each <= 60 for each in seconds)
    assert sum(seconds) >= 300, "until the operator is back too"
    assert {environment(pod, name)["PATIENCE"] for name in LOOKS[2:] if name.startswith("fetch")} == {"8"}


def test_a_rest_ends_as_soon_as_it_is_asked_to() -> None:
    (rest,) = pods(region("primary"))["at start"]["containers"]
    resting = subprocess.Popen([sys.executable, *rest["command"][1:]])
    with pytest.raises(subprocess.TimeoutExpired):
        resting.wait(timeout=1)
    resting.terminate()
    assert resting.wait(timeout=10) == 0


def test_the_token_is_the_judges_alone_and_the_identity_at_aws_is_of_the_other_container() -> None:
    for pod in pods(region("primary", **STATIC)).values():
        assert pod["automountServiceAccountToken"] is False
        mounts = {name: [each["name"] for each in one.get("volumeMounts", ())] for name, one in containers(pod).items()}
        assert {name for name, each in mounts.items() if "api" in each} <= {name for name in LOOKS if name.startswith("guard")}
        assert "api" in mounts["guard"]
        with_key = [
            name for name, one in containers(pod).items() if "AWS_ACCESS_KEY_ID" in {each["name"] for each in one.get("env", ())}
        ]
        assert with_key == [name for name in containers(pod) if name.startswith("fetch")]


def test_a_static_key_is_a_secret_and_a_role_is_an_annotation() -> None:
    secret = region("primary", **STATIC)["guard-credentials"]
    assert revealed(secret.inputs["stringData"]) == KEYS
    account = region("primary", **IRSA)["guard-account"].metadata
    assert account["annotations"] == {"eks.amazonaws.com/role-arn": "arn:aws:iam::123456789012:role/acme-guard-us-east-1"}


def test_the_pod_that_keeps_its_credentials_starts_once_a_pod_of_its_account_was_given_some() -> None:
    recorder = region("primary", **IRSA)
    come = recorder["guard-credentials-come"]
    assert come.spec["template"]["spec"]["serviceAccountName"] == "guard"
    assert come.metadata["namespace"] == "k8s-dr"
    assert "guard-credentials-come" in recorder["guard-at-start"].depends_on
    assert "guard-credentials-come" not in region("primary", **STATIC).names()


@pytest.mark.parametrize("stack", ROLES)
def test_it_may_change_what_it_stops_by_name_and_of_workloads_what_standing_by_takes(stack: Role) -> None:
    recorder = region(stack, **TWO)
    rules = {seen.metadata["namespace"]: seen.inputs["rules"] for seen in recorder.of("Role") if seen.name.startswith("guard-")}
    assert rules["k8s-dr"] == [
        {"apiGroups": [""], "resources": ["configmaps"], "resourceNames": ["serving"], "verbs": ["get"]},
        {"apiGroups": [""], "resources": ["configmaps"], "resourceNames": ["guard"], "verbs": ["get", "patch"]},
        {"apiGroups": [""], "resources": ["events"], "verbs": ["create"]},
    ]
    for namespace, name in (("databases", "app-database"), ("shop", "orders")):
        [rule] = rules[namespace]
        assert rule == {
            "apiGroups": ["postgresql.cnpg.io"],
            "resources": ["clusters"],
            "resourceNames": [name],
            "verbs": ["get", "patch"],
        }
    schedules = {seen.metadata["name"] for seen in recorder.of("Schedule")}
    assert {name for rule in rules["velero"] for name in rule["resourceNames"]} == schedules
    assert not [rule for each in rules.values() for rule in each if set(rule["verbs"]) - {"get", "patch", "create"}]
    asked = {(each["verb"], each["resource"], each["name"]) for each in task(pods(recorder)["at start"], LOOKS[-1])["rights"]}
    assert {(right.verb, right.resource, "") for right in NEEDED} <= asked, "each right is asked for by day"
    assert {("patch", "clusters", "orders"), ("create", "events", ""), ("get", "configmaps", "serving")} <= asked


def test_what_it_keeps_in_its_record_is_no_drift() -> None:
    record = region("primary")["guard-record"]
    assert "data" not in record.inputs
    assert record.ignore_changes == ("data",)
    assert record.metadata["labels"]["velero.io/exclude-from-backup"] == "true"


# What serves again


def woken(stack: Role, *, active: Role | None = None, **changes: Any) -> Recorder:
    cluster = FakeCluster(records={"guard": {"seen": "2026-03-02T12:00:00Z", "stopped": STOPPED}, "serving": {"region": "here"}})
    active_changes = {"active": active} if active else {}
    return run_program(stack, {**DEPLOYED, **active_changes, **changes}, cluster=cluster)


def test_a_region_that_serves_again_unfences_resumes_and_scales_up_what_the_guard_stopped() -> None:
    recorder = woken("primary")
    [database] = recorder.of("Cluster")
    assert database.metadata["annotations"]["cnpg.io/fencedInstances"] == "[]"
    assert database.metadata["annotations"]["k8s-dr/unfenced-after"] == STOPPED
    for schedule in recorder.of("Schedule"):
        assert schedule.spec["paused"] is False
        assert schedule.metadata["annotations"]["k8s-dr/resumed-after"] == STOPPED, "or the engine would see no change"
    scale = recorder["failover-workloads-scale-production"]
    assert scale.replacement_trigger == f"replicas after {STOPPED}", "also where nobody has set active yet"
    assert scale.spec["template"]["spec"]["containers"][0]["command"][-1] == "scale"


def test_a_second_stop_by_the_same_flag_makes_it_all_anew() -> None:
    def inputs(at: str) -> list[Any]:
        cluster = FakeCluster(records={"guard": {"seen": STOPPED, "stopped": STOPPED, "at": at, "overruled": STOPPED}})
        recorder = run_program("primary", DEPLOYED, cluster=cluster)
        [database], [schedule, *_] = recorder.of("Cluster"), recorder.of("Schedule")
        scale = recorder["failover-workloads-scale-production"]
        return [database.metadata["annotations"], schedule.metadata["annotations"], scale.replacement_trigger]

    first, second = inputs("2026-03-01T12:01:00Z"), inputs("2026-03-01T12:09:00Z")
    assert all(one != other for one, other in zip(first, second, strict=True))
    assert inputs("2026-03-01T12:01:00Z") == first


def test_a_region_that_stays_stopped_keeps_the_fence_under_its_sleep() -> None:
    recorder = woken("primary", active="secondary")
    [database] = recorder.of("Cluster")
    assert database.metadata["annotations"]["cnpg.io/hibernation"] == "on"
    assert "cnpg.io/fencedInstances" not in database.metadata["annotations"]
    assert recorder["failover-workloads-scale-production"].replacement_trigger == "standbyReplicas"


def test_a_region_that_was_never_stopped_has_nothing_of_it() -> None:
    recorder = region("primary")
    [database] = recorder.of("Cluster")
    assert "cnpg.io/fencedInstances" not in database.metadata["annotations"], "the operator uses it too"
    assert not [seen for seen in recorder.of("Schedule") if "k8s-dr/resumed-after" in seen.metadata["annotations"]]
    assert "failover-workloads-scale-production" not in recorder.names()


@pytest.mark.parametrize("preview", [False, True], ids=["up", "preview"])
def test_a_stack_that_gives_up_waits_until_its_fenced_database_accepts_nothing_and_its_preview_does_not(
    monkeypatch: pytest.MonkeyPatch, preview: bool
) -> None:
    asked: list[str] = []

    async def stopped(side: DatabaseSide, _: object) -> str:
        asked.append(side.settings.name)
        return side.settings.name

    monkeypatch.setattr(database, "wait_until_stopped", stopped)
    cluster = FakeCluster(databases={"app-database": fenced("primary")})
    run_program("primary", {**DEPLOYED, "active": "secondary"}, cluster=cluster, preview=preview)
    assert asked == ([] if preview else ["app-database"])


# The script

AWS = f"""\
#!{sys.executable}
import pathlib, sys
words = sys.argv[1:]
with open("calls", "a") as calls:
    print(" ".join(words), file=calls)
tries = len(open("calls").read().splitlines())
if tries < int(pathlib.Path("answers_at").read_text()):
    pathlib.Path("fetched.json").write_text("half of it")
    sys.exit("An error occurred (AccessDenied) when calling the GetObject operation: Access Denied")
pathlib.Path(words[-1]).write_text('{{"active":"secondary"}}')
print('{{"LastModified": "2026-03-01T12:00:00+00:00", "ContentLength": 22}}')
"""


def run_script(directory: Path, *, answers_at: int = 1, patience: int = 0, **changes: str) -> subprocess.CompletedProcess[str]:
    (directory / "bin").mkdir(exist_ok=True)
    (directory / "bin" / "aws").write_text(AWS)
    (directory / "bin" / "aws").chmod(0o755)
    (directory / "answers_at").write_text(str(answers_at))
    environment = {
        "PATH": f"{directory / 'bin'}:{os.environ['PATH']}",
        "BUCKET": "acme-dr-flag",
        "KEY": "dr/active.json",
        "REGION": "us-west-2",
        "PATIENCE": str(patience),
        **changes,
    }
    script = SCRIPT.replace("/flag", str(directory))
    return subprocess.run(["bash", "-c", script], env=environment, capture_output=True, text=True, check=False)


def test_what_the_script_leaves_is_what_the_guard_reads(tmp_path: Path) -> None:
    assert run_script(tmp_path).returncode == 0
    assert fetched(tmp_path).flag == Flag(active="secondary")
    assert "s3api get-object --bucket acme-dr-flag --key dr/active.json --region us-west-2" in (tmp_path / "calls").read_text()


def test_a_flag_that_does_not_come_ends_the_script_well_and_leaves_why(tmp_path: Path) -> None:
    run_script(tmp_path)
    assert run_script(tmp_path, answers_at=99).returncode == 0
    assert not (tmp_path / "active.json").exists(), "neither an older one nor half of one passes for the flag"
    assert "AccessDenied" in (tmp_path / "error").read_text()


def test_a_network_that_comes_late_is_waited_for(tmp_path: Path) -> None:
    assert run_script(tmp_path, answers_at=3, patience=30).returncode == 0
    assert fetched(tmp_path).flag == Flag(active="secondary")


def test_an_endpoint_of_ones_own_is_asked_by_path(tmp_path: Path) -> None:
    run_script(tmp_path, AWS_ENDPOINT_URL="http://s3.example.com")
    assert "addressing_style = path" in (tmp_path / "aws-config").read_text()


def test_the_script_is_told_all_that_its_tests_tell_it() -> None:
    assert {"BUCKET", "KEY", "REGION", "PATIENCE", "HOME"} <= environment(pods(region("primary"))["job"]).keys()
