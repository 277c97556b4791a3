"""A region dies that has everything which production clusters have. The other takes over all the same, as its own controllers
and its own admission make it: `lab.addons` and `lab.inhabitants` say what there is."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from lab import databases, demo, inhabitants
from lab.addons import load_balancers, policies
from lab.addons.admission import ROLE
from lab.regions.spec import PRIMARY, SECONDARY
from lab.waiting import until
from lab.world import Lab
from report import model
from report.model import Report
from tests.lab.conftest import deployed
from tests.lab.prompt import PromptLab


@pytest.fixture(scope="module")
def failed_over() -> Iterator[tuple[Lab, Report]]:
    with deployed(PromptLab(plan=databases.Plan(), inhabited=True)) as lab:
        there = pods_of(lab, inhabitants.STOREFRONT, region="primary")
        assert there
        for pod in there:
            assert gates(pod), "the primary's Pods have gates that no controller of the secondary would ever satisfy"
        # What an archive loses at the worst moment is what test_data.py counts.
        yield lab, demo.fail(lab, cache=False, at_worst=False)


@pytest.fixture
def world(failed_over: tuple[Lab, Report]) -> Lab:
    """The lab after its failover. Everything is asked of the secondary region."""
    return failed_over[0]


def found(lab: Lab, kind: str, *, namespace: str = inhabitants.NAMESPACE, region: str = "secondary") -> dict[str, dict[str, Any]]:
    """The objects of a kind, by name."""
    listed = lab.kubectl(region, "get", kind, "-n", namespace, "-o", "json")
    return {item["metadata"]["name"]: item for item in json.loads(listed)["items"]}


def pods_of(lab: Lab, name: str, *, region: str = "secondary") -> list[dict[str, Any]]:
    return [pod for pod in found(lab, "pods", region=region).values() if pod["metadata"]["labels"].get("app") == name]


def gates(pod: dict[str, Any]) -> set[str]:
    """The bindings on which the Pod's readiness depends."""
    found = {gate["conditionType"] for gate in pod["spec"].get("readinessGates", [])}
    return {gate.removeprefix(f"{load_balancers.GATE_PREFIX}/") for gate in found}


def messages(lab: Lab, name: str | None = None, *, namespace: str = inhabitants.NAMESPACE) -> list[str]:
    """What events of a namespace say: of the objects called `name`, or of all."""
    events = found(lab, "events", namespace=namespace).values()
    return [item["message"] for item in events if name in (None, item["involvedObject"]["name"])]


def test_users_are_served_and_every_row_is_counted(failed_over: tuple[Lab, Report]) -> None:
    _, report = failed_over
    assert model.verdict(report) == []
    assert report.served_by == "secondary"
    assert report.rows_acknowledged is not None
    assert report.rows_acknowledged > 100
    assert report.rows_lost is not None
    assert report.counting_proven is not None
    assert report.counting_proven.holds
    assert report.calls_to_dead_region == 0


def test_the_bindings_of_load_balancers_are_this_regions_own(world: Lab) -> None:
    bindings = found(world, "targetgroupbindings.elbv2.k8s.aws")
    assert {item["spec"]["serviceRef"]["name"] for item in bindings.values()} == {"storefront", "storefront-inner"}
    regions = {load_balancers.region_of(item["spec"]["targetGroupARN"]) for item in bindings.values()}
    assert regions == {SECONDARY.aws_region}


def test_load_balancers_are_made_of_this_regions_subnets_and_certificates(world: Lab) -> None:
    here = [{"ip": SECONDARY.address}]
    for kind, name in (("services", inhabitants.STOREFRONT), ("ingresses", inhabitants.INGRESS)):
        entries = found(world, kind)[name]["status"]["loadBalancer"].get("ingress", [])
        assert [{"ip": entry["ip"]} for entry in entries] == here, messages(world, name)


def test_pods_are_ready_by_no_gate_but_those_of_this_regions_bindings(world: Lab) -> None:
    running = pods_of(world, inhabitants.STOREFRONT)
    assert len(running) == 2
    for pod in running:
        assert gates(pod) <= found(world, "targetgroupbindings.elbv2.k8s.aws").keys()
        assert conditions(pod)["Ready"]["status"] == "True"


def conditions(item: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {condition["type"]: condition for condition in item["status"]["conditions"]}


def test_pods_have_this_regions_name_and_role(world: Lab) -> None:
    wanted = {"AWS_REGION": SECONDARY.aws_region, "AWS_ROLE_ARN": inhabitants.role(SECONDARY.aws_region)}
    assert found(world, "serviceaccounts")[inhabitants.ORDERS]["metadata"]["annotations"][ROLE] == wanted["AWS_ROLE_ARN"]
    running = pods_of(world, inhabitants.ORDERS)
    assert running
    for pod in running:
        values = {variable["name"]: variable.get("value") for variable in pod["spec"]["containers"][0]["env"]}
        assert wanted.items() <= values.items()


def test_what_an_autoscaler_decides_is_never_lowered(world: Lab) -> None:
    until(
        "the autoscaler to have decided",
        lambda: (
            conditions(found(world, "horizontalpodautoscalers.autoscaling")[inhabitants.CHECKOUT])["ScalingActive"]["status"]
            == "True"
        ),
        timeout=120,
    )
    deployment = found(world, "deployments.apps")[inhabitants.CHECKOUT]
    assert deployment["spec"]["replicas"] == deployment["status"]["availableReplicas"] == inhabitants.CHECKOUT_REPLICAS
    told = messages(world, inhabitants.CHECKOUT)
    assert told
    assert not [message for message in told if message.startswith("Scaled down")]


def test_what_was_switched_off_stays_off(world: Lab) -> None:
    assert found(world, "deployments.apps")[inhabitants.SWITCHED_OFF]["spec"]["replicas"] == 0


def test_a_stateful_set_that_is_updated_by_hand_runs(world: Lab) -> None:
    stateful = found(world, "statefulsets.apps")[inhabitants.VAULT]
    assert stateful["spec"]["updateStrategy"]["type"] == "OnDelete"
    assert stateful["status"]["availableReplicas"] == 1


def test_what_is_broken_since_long_is_there_and_held_nothing_up(world: Lab) -> None:
    broken = found(world, "deployments.apps")[inhabitants.BROKEN]
    assert broken["status"].get("availableReplicas", 0) == 0
    assert conditions(broken)["Progressing"]["reason"] == "ProgressDeadlineExceeded"


def test_a_job_that_ran_when_the_region_died_does_not_run_again_unasked(world: Lab) -> None:
    assert inhabitants.IMPORT not in found(world, "jobs.batch")


def test_a_pod_that_nobody_would_make_anew_is_there(world: Lab) -> None:
    pod = found(world, "pods")[inhabitants.DEBUG]
    assert pod["status"]["phase"] == "Running"
    assert "velero.io/restore-name" in pod["metadata"]["labels"]


def test_what_has_no_operator_here_is_left_out_and_holds_nothing_up(world: Lab) -> None:
    """Without `excludeResources` the restore ends PartiallyFailed: the server could not find the requested resource."""
    kinds = world.kubectl("secondary", "api-resources", "-o", "name").split()
    assert "targetgroupbindings.elbv2.k8s.aws" in kinds
    assert inhabitants.CACHES not in kinds


def test_quotas_budgets_and_policies_came_along(world: Lab) -> None:
    assert found(world, "resourcequotas")["everything"]["status"]["used"]["requests.cpu"] != "0"
    assert found(world, "poddisruptionbudgets.policy")[inhabitants.STOREFRONT]["status"]["currentHealthy"] == 2
    assert {"default-deny", "shop"} <= found(world, "networkpolicies.networking.k8s.io").keys()


def test_the_policies_are_enforced_in_both_namespaces_while_all_this_worked(world: Lab) -> None:
    table = world.region("secondary").run(["nft", "list", "table", "ip", policies.TABLE])
    (orders,) = pods_of(world, inhabitants.ORDERS)
    address = orders["status"]["podIP"].replace(".", "-")
    for direction in ("ingress", "egress"):
        chain = table.partition(f"chain {direction}-{address} {{")[2].partition("}")[0]
        assert "drop" in chain
        assert "return" not in chain
    assert "default-deny" in found(world, "networkpolicies.networking.k8s.io", namespace=inhabitants.PROGRAM_NAMESPACE)


def test_the_programs_pods_ran_under_a_quota_of_everything(world: Lab) -> None:
    quota = found(world, "resourcequotas", namespace=inhabitants.PROGRAM_NAMESPACE)["everything"]
    assert {"requests.cpu", "requests.memory", "limits.cpu", "limits.memory"} <= quota["status"]["hard"].keys()
    jobs = found(world, "jobs.batch", namespace=inhabitants.PROGRAM_NAMESPACE)
    # The guard begins one each minute, which may run just now.
    finished = {
        name: job
        for name, job in jobs.items()
        if {each["type"] for each in job["status"].get("conditions", ()) if each["status"] == "True"} & {"Complete", "Failed"}
    }
    assert {name.rpartition("-")[0] for name in finished} >= {
        f"failover-workloads-{step}-production" for step in ("scale", "verify")
    }
    # A guard that looks while the database is being promoted fails, for nobody has recorded yet that the region serves.
    serves = found(world, "configmaps", namespace=inhabitants.PROGRAM_NAMESPACE)["serving"]["metadata"]["creationTimestamp"]
    judged = [name for name, job in finished.items() if not (name.startswith("guard-") and job["status"]["startTime"] <= serves)]
    assert [name for name in judged if not finished[name]["status"].get("succeeded")] == []
    told = messages(world, namespace=inhabitants.PROGRAM_NAMESPACE)
    assert told
    assert [message for message in told if "forbidden" in message] == [], "Pods that were refused"


def test_an_up_after_it_changes_nothing(world: Lab) -> None:
    world.pulumi.up("secondary", "--expect-no-changes")


def test_a_cron_job_runs_in_the_region_that_serves(world: Lab) -> None:
    assert not found(world, "cronjobs.batch")[inhabitants.REPORTS]["spec"]["suspend"]

    def done() -> bool:
        return any(
            job["status"].get("succeeded") and job["metadata"]["ownerReferences"][0]["name"] == inhabitants.REPORTS
            for job in found(world, "jobs.batch").values()
            if job["metadata"].get("ownerReferences")
        )

    until("a report", done, timeout=150, interval=2)


def test_the_lab_has_two_regions_whose_parts_differ() -> None:
    """What is asserted above of the secondary could not hold with the primary's parts."""
    assert inhabitants.role(PRIMARY.aws_region) != inhabitants.role(SECONDARY.aws_region)
