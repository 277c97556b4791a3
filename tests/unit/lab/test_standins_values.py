"""Secrets, unknowns and differences, as the engine's protocol has them."""

import json

from google.protobuf import json_format

from lab.standins.differences import differences, spelled
from lab.standins.provider import Call, CallLog, name_of, type_of
from lab.standins.values import UNKNOWN, from_struct, has_secret, has_unknown, hide_like, prune, reveal, secret, to_struct


def test_whole_numbers_stay_whole_and_null_is_absent():
    assert from_struct(to_struct({"a": 1.0, "b": 1.5, "c": None, "d": [2.0]})) == {"a": 1, "b": 1.5, "d": [2]}


def test_a_secret_is_revealed_and_hidden_again_where_it_was():
    model = {"a": secret("x"), "b": {"c": [secret(1), 2]}}
    plain = {"a": "x", "b": {"c": [1, 2]}}
    assert has_secret(model)
    assert not has_secret(plain)
    assert reveal(model) == plain
    assert hide_like(plain, model) == model


def test_an_unknown_is_found_however_deep():
    assert has_unknown({"a": [{"b": UNKNOWN}]})
    assert not has_unknown({"a": [{"b": "known"}]})


def test_pruning_keeps_what_the_shape_speaks_of():
    live = {"a": 1, "b": {"c": 2, "d": 3}, "e": [{"f": 4, "g": 5}]}
    assert prune(live, {"b": {"c": 0, "x": 0}, "e": [{"f": 0}]}) == {"b": {"c": 2}, "e": [{"f": 4}]}


def test_differences_are_told_by_path_and_kind():
    found = list(differences({"a": 1, "b": [1], "c": {"d": 1}}, {"a": 2, "b": [1, 2], "e": 3}))
    assert [(spelled(difference.path), difference.kind) for difference in found] == [
        ("a", "UPDATE"),
        ("b[1]", "ADD"),
        ("c", "DELETE"),
        ("e", "ADD"),
    ]


def test_a_key_with_dots_is_spelled_in_brackets():
    assert spelled(("metadata", "annotations", "pulumi.com/waitFor")) == 'metadata.annotations["pulumi.com/waitFor"]'


def test_a_urn_tells_type_and_name():
    urn = "urn:pulumi:primary::k8s-dr::dr:region:Region$dr:velero:Velero$kubernetes:core/v1:Namespace::velero::x"
    assert (type_of(urn), name_of(urn)) == ("kubernetes:core/v1:Namespace", "velero::x")


def test_every_call_is_a_line_with_its_region_or_context(tmp_path, monkeypatch):
    monkeypatch.setenv("LAB_PROVIDER_LOG", str(tmp_path / "calls"))
    for provider in ("aws", "kubernetes"):
        CallLog().append(Call(provider=provider, method="Create", type="t", urn="u", place="here", preview=False))
    aws, kubernetes = [json.loads(line) for line in (tmp_path / "calls").read_text().splitlines()]
    assert aws["region"] == kubernetes["context"] == "here"
    assert {"time", "provider", "type", "method", "urn", "preview"} < aws.keys()


def test_what_is_sent_is_what_was_meant():
    assert json_format.MessageToDict(to_struct({"a": True}))["a"] is True
