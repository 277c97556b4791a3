"""What a restore changes in objects: parts of region A that region B finds anew, and counterparts that a person writes down."""

from __future__ import annotations

import json
from typing import Any

from components.velero.modifiers import document, rules
from settings.velero import VeleroSettings

SUBNETS = "service.beta.kubernetes.io/aws-load-balancer-subnets"
CERTIFICATE = "service.beta.kubernetes.io/aws-load-balancer-ssl-cert"
GROUPS = "alb.ingress.kubernetes.io/security-groups"


def settings(**changes: Any) -> VeleroSettings:
    return VeleroSettings.model_validate(changes)


def annotations(rule: dict[str, Any]) -> dict[str, str | None]:
    (patch,) = rule["mergePatches"]
    found: dict[str, str | None] = json.loads(patch["patchData"]).get("metadata", {}).get("annotations", {})
    return found


def test_what_the_load_balancer_controller_finds_anew_is_taken_away_and_nothing_that_would_open_a_door() -> None:
    gone = {annotation for rule in rules(settings()) for annotation, value in annotations(rule).items() if value is None}
    assert {SUBNETS, "alb.ingress.kubernetes.io/subnets"} <= gone
    assert not [each for each in gone if "security-groups" in each or "waf" in each or "certificate" in each]
    assert CERTIFICATE not in gone, "without it a load balancer would talk in clear text"


def test_a_rule_without_conditions_is_a_merge_patch_that_is_no_error_where_the_annotation_is_missing() -> None:
    for rule in rules(settings()):
        assert rule.keys() == {"conditions", "mergePatches"}
        assert rule["conditions"].keys() == {"groupResource"}


def test_a_counterpart_takes_the_place_of_a_whole_value_and_comes_after_the_rules_that_take_away() -> None:
    found = rules(settings(counterparts={"subnet-a": "subnet-b"}))
    places = {SUBNETS: [], GROUPS: []}
    for place, rule in enumerate(found):
        for annotation, value in annotations(rule).items():
            if annotation in places:
                places[annotation].append((place, value))
    (away, none), (back, there) = places[SUBNETS]
    assert (none, there) == (None, "subnet-b")
    assert away < back
    replaced = found[places[GROUPS][0][0]]
    assert replaced["conditions"] == {
        "groupResource": "ingresses.networking.k8s.io",
        "matches": [{"path": "/metadata/annotations/alb.ingress.kubernetes.io~1security-groups", "value": '"subnet-a"'}],
    }


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
    assert json.loads(document(settings(modifiers=[own])))["version"] == "v1"


def test_a_claim_comes_without_the_name_of_the_volume_that_it_had_in_the_other_region() -> None:
    (unbound,) = [rule for rule in rules(settings()) if rule["conditions"]["groupResource"] == "persistentvolumeclaims"]
    assert unbound["mergePatches"] == [{"patchData": '{"spec": {"volumeName": null}}'}]
