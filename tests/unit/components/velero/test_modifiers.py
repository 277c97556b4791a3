"""What a restore changes in objects: parts of one region that the other finds anew, and counterparts that a person writes."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from components.velero import modifiers
from components.velero.modifiers import document, storage_classes
from settings.roles import ROLES, Role
from settings.velero import VeleroSettings

SUBNETS = "service.beta.kubernetes.io/aws-load-balancer-subnets"
CERTIFICATE = "service.beta.kubernetes.io/aws-load-balancer-ssl-cert"
ATTRIBUTES = "service.beta.kubernetes.io/aws-load-balancer-attributes"
ALB = "alb.ingress.kubernetes.io"
NLB = "service.beta.kubernetes.io/aws-load-balancer"
AUTOSCALERS = "horizontalpodautoscalers.autoscaling"
GROUPS = "alb.ingress.kubernetes.io/security-groups"


def settings(**changes: Any) -> VeleroSettings:
    return VeleroSettings.model_validate(changes)


def rules(found: VeleroSettings, role: Role = "secondary") -> list[dict[str, Any]]:
    return modifiers.rules(found, role)


def annotations(rule: dict[str, Any]) -> dict[str, str | None]:
    (patch,) = rule["mergePatches"]
    found: dict[str, str | None] = json.loads(patch["patchData"]).get("metadata", {}).get("annotations", {})
    return found


def test_what_the_load_balancer_controller_finds_anew_is_taken_away_and_nothing_that_would_open_a_door() -> None:
    gone = {annotation for rule in rules(settings()) for annotation, value in annotations(rule).items() if value is None}
    assert {SUBNETS, f"{ALB}/subnets", f"{ALB}/frontend-nlb-subnets", f"{ALB}/frontend-nlb-eip-allocations"} <= gone
    assert {f"{ALB}/ipam-ipv4-pool-id", "service.beta.kubernetes.io/aws-load-balancer-source-nat-ipv6-prefixes"} <= gone
    closing = ("security-group", "acl", "certificate", "auth", "jwt", "pca", "customer-owned")
    assert not [each for each in gone if any(word in each for word in closing)]
    assert CERTIFICATE not in gone, "without it a load balancer would talk in clear text"


def test_every_rule_is_a_merge_patch_that_is_no_error_where_the_annotation_is_missing() -> None:
    for rule in rules(settings()):
        assert rule.keys() == {"conditions", "mergePatches"}
        assert of_keda(rule) or rule["conditions"].keys() == {"groupResource"}


def of_keda(rule: dict[str, Any]) -> bool:
    return bool(rule["conditions"]["groupResource"] == AUTOSCALERS)


@pytest.mark.parametrize("role", ROLES)
def test_an_autoscaler_of_keda_that_comes_does_not_keep_its_scaled_object_out(role: Role) -> None:
    found = [rule for rule in rules(settings(), role) if of_keda(rule)]
    assert [annotations(rule) for rule in found] == 2 * [{"validations.keda.sh/hpa-ownership": "false"}]
    by_name, by_label = (rule["conditions"] for rule in found)
    assert by_name.keys() == {"groupResource", "resourceNameRegex"}
    assert re.search(by_name["resourceNameRegex"], "keda-hpa-web")
    assert not re.search(by_name["resourceNameRegex"], "web"), "a person wrote it, and KEDA must not scale beside it"
    labelled = {"matchExpressions": [{"key": "scaledobject.keda.sh/name", "operator": "Exists"}]}
    assert by_label == {"groupResource": AUTOSCALERS, "labelSelector": labelled}, "whatever name a person chose for it"


def test_a_counterpart_takes_the_place_of_a_whole_value_and_comes_after_the_rules_that_take_away() -> None:
    found = rules(settings(counterparts={"part-a": "part-b"}))
    places = {SUBNETS: [], GROUPS: []}
    for place, rule in enumerate(found):
        for annotation, value in annotations(rule).items():
            if annotation in places:
                places[annotation].append((place, value))
    (away, none), (back, there) = places[SUBNETS]
    assert (none, there) == (None, "part-b")
    assert away < back
    replaced = found[places[GROUPS][0][0]]
    assert replaced["conditions"] == {
        "groupResource": "ingresses.networking.k8s.io",
        "matches": [{"path": "/metadata/annotations/alb.ingress.kubernetes.io~1security-groups", "value": '"part-a"'}],
    }


@pytest.mark.parametrize(
    ("kind", "annotation"),
    [
        *(
            ("ingresses.networking.k8s.io", f"{ALB}/{name}")
            for name in (
                "frontend-nlb-subnets",
                "frontend-nlb-eip-allocations",
                "frontend-nlb-security-groups",
                "frontend-nlb-attributes",
                "ipam-ipv4-pool-id",
                "customer-owned-ipv4-pool",
                "web-acl-id",
                "wafv2-acl-name",
                "acm-pca-arn",
                "jwt-validation",
                "auth-idp-cognito",
            )
        ),
        ("services", f"{ALB}/auth-idp-cognito"),
        ("services", "service.beta.kubernetes.io/aws-load-balancer-source-nat-ipv6-prefixes"),
    ],
)
def test_each_annotation_that_names_a_part_of_a_region_can_have_a_counterpart(kind: str, annotation: str) -> None:
    found = [
        rule
        for rule in rules(settings(counterparts={"here": "there"}))
        if rule["conditions"]["groupResource"] == kind and annotations(rule).get(annotation) == "there"
    ]
    assert [rule["conditions"]["matches"][0]["value"] for rule in found] == ['"here"']


def test_a_counterpart_may_be_json_as_that_of_a_user_pool_is() -> None:
    here, there = '{"userPoolARN":"a","path":"\\\\"}', '{"userPoolARN":"b"}'
    found = [rule for rule in rules(settings(counterparts={here: there})) if f"{ALB}/auth-idp-cognito" in annotations(rule)]
    assert len(found) == 2, "Services and Ingresses"
    for rule in found:
        assert json.loads(rule["conditions"]["matches"][0]["value"]) == here, "Velero puts it into its text of JSON as it is"
        assert annotations(rule) == {f"{ALB}/auth-idp-cognito": there}


def test_a_hundred_roles_of_service_accounts_fit_into_the_rules() -> None:
    roles = {f"arn:aws:iam::123456789012:role/{n}-use1": f"arn:aws:iam::123456789012:role/{n}-usw2" for n in range(1000)}
    assert len(document(settings(counterparts=roles), "secondary")) < 512 * 1024
    (role,) = [rule for rule in rules(settings(counterparts=roles)) if "999-usw2" in str(rule)]
    assert role["conditions"]["groupResource"] == "serviceaccounts"


@pytest.mark.parametrize(
    ("value", "kinds"),
    [
        ("arn:aws:acm:us-east-1:123456789012:certificate/0123abcd-{}", {f"{ALB}/certificate-arn", f"{NLB}-ssl-cert"}),
        (
            "sg-{}",
            {f"{where}-security-groups" for where in (f"{ALB}/frontend-nlb", NLB, f"{NLB}-extra")} | {f"{ALB}/security-groups"},
        ),
        ("subnet-{}", {f"{ALB}/subnets", f"{ALB}/frontend-nlb-subnets", f"{NLB}-subnets"}),
    ],
    ids=["certificates", "security groups", "subnets"],
)
def test_five_hundred_parts_of_one_kind_fit_into_the_rules_for_each_is_sought_where_it_may_be(
    value: str, kinds: set[str]
) -> None:
    parts = {value.format(f"{n:017x}"): f"there-{n}" for n in range(500)}
    assert len(document(settings(counterparts=parts), "secondary")) < 1024 * 1024
    replaced = [each for rule in rules(settings(counterparts=parts)) for each in annotations(rule).items()]
    assert {name for name, there in replaced if there and "there-499" in there} == kinds


@pytest.mark.parametrize("bucket", ["sg-logs-us-east-1", "subnet-logs", "pl-0a1b2c3d.example"])
def test_a_name_that_begins_as_an_id_of_aws_does_is_sought_everywhere(bucket: str) -> None:
    found = [rule for rule in rules(settings(counterparts={bucket: "there"})) if "there" in annotations(rule).values()]
    assert f"{NLB}-access-log-s3-bucket-name" in {name for rule in found for name in annotations(rule)}


def test_attributes_that_say_more_than_what_is_of_one_region_do_not_stay_as_they_are_here() -> None:
    more = {f"{ALB}/frontend-nlb-attributes", f"{ALB}/load-balancer-attributes", ATTRIBUTES}
    kept = {annotation for each in modifiers.KEPT_HERE.values() for annotation in each}
    assert not more & kept
    assert {f"{ALB}/frontend-nlb-security-groups", f"{ALB}/acm-pca-arn"} <= kept


def test_a_role_has_a_counterpart_too() -> None:
    found = [
        rule for rule in rules(settings(counterparts={"arn:a": "arn:b"})) if "eks.amazonaws.com/role-arn" in annotations(rule)
    ]
    assert [rule["conditions"]["groupResource"] for rule in found] == ["serviceaccounts"]


def test_what_a_person_writes_comes_last_and_as_velero_reads_it() -> None:
    own = {
        "conditions": {"groupResource": "statefulsets.apps", "namespaces": ["shop"], "matches": [{"path": "/a", "value": "b"}]},
        "patches": [{"operation": "move", "from": "/a", "path": "/b"}],
    }
    assert rules(settings(modifiers=[own]))[-1] == own
    assert json.loads(document(settings(modifiers=[own]), "secondary"))["version"] == "v1"


def test_a_claim_comes_without_the_name_of_the_volume_that_it_had_in_the_other_region() -> None:
    (unbound,) = [rule for rule in rules(settings()) if rule["conditions"]["groupResource"] == "persistentvolumeclaims"]
    assert unbound["mergePatches"] == [{"patchData": '{"spec": {"volumeName": null}}'}]


WAYS: list[tuple[Role, str, str]] = [("secondary", "sg-a", "sg-b"), ("primary", "sg-b", "sg-a")]


@pytest.mark.parametrize(("role", "before", "after"), WAYS, ids=ROLES[::-1])
def test_the_way_back_is_the_way_there_turned_round(role: Role, before: str, after: str) -> None:
    found = settings(counterparts={"sg-a": "sg-b"}, storageClasses={"gp2": "gp3"})
    (replaced,) = [rule for rule in rules(found, role) if GROUPS in annotations(rule)]
    assert replaced["conditions"]["matches"][0]["value"] == f'"{before}"'
    assert annotations(replaced) == {GROUPS: after}
    assert storage_classes(found, role) == ({"gp2": "gp3"} if role == "secondary" else {"gp3": "gp2"})


@pytest.mark.parametrize("role", ROLES)
def test_both_ways_take_away_what_is_found_anew_and_unbind_claims(role: Role) -> None:
    found = rules(settings(), role)
    assert SUBNETS in {annotation for rule in found for annotation, value in annotations(rule).items() if value is None}
    assert [rule for rule in found if rule["conditions"]["groupResource"] == "persistentvolumeclaims"]


def test_what_stands_for_several_comes_back_as_the_one_that_somebody_wrote() -> None:
    found = settings(
        counterparts={"sg-a": "sg-b", "sg-c": "sg-b", "sg-d": "sg-e"},
        counterpartsBack={"sg-b": "sg-c"},
        storageClasses={"gp2": "gp3", "old": "gp3"},
        storageClassesBack={"gp3": "gp2"},
    )
    assert modifiers.counterparts(found, "primary") == {"sg-b": "sg-c", "sg-e": "sg-d"}
    assert storage_classes(found, "primary") == {"gp3": "gp2"}
    assert modifiers.counterparts(found, "secondary") == {"sg-a": "sg-b", "sg-c": "sg-b", "sg-d": "sg-e"}


def test_rules_that_a_person_wrote_hold_for_one_way_alone() -> None:
    patches = {"mergePatches": [{"patchData": "a: 1"}]}
    there, back = ({"conditions": {"groupResource": kind}, **patches} for kind in ("pods", "secrets"))
    found = settings(modifiers=[there], modifiersBack=[back])
    assert (there in rules(found), back in rules(found)) == (True, False)
    assert (there in rules(found, "primary"), back in rules(found, "primary")) == (False, True)


def test_what_an_object_here_has_of_its_region_stays_unless_a_counterpart_is_written() -> None:
    here = {"namespace": "shop", "name": "web.v1", "annotations": {SUBNETS: "subnet-here", "own": "x", ATTRIBUTES: "idle=60"}}
    plain = {"namespace": "shop", "name": "plain"}
    kept = modifiers.kept_here({"services": [{"metadata": here}, {"metadata": plain}], "ingresses.networking.k8s.io": []})
    (rule,) = kept
    assert rule["conditions"] == {"groupResource": "services", "namespaces": ["shop"], "resourceNameRegex": r"^web\.v1$"}
    assert annotations(rule) == {SUBNETS: "subnet-here"}
    found = modifiers.rules(settings(counterparts={"subnet-a": "subnet-b"}), "secondary", kept)
    order = [annotations(each)[SUBNETS] for each in found if SUBNETS in annotations(each)]
    assert order == [None, "subnet-here", "subnet-b"]
