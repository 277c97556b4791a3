"""Names, differences, replacement and ownership in the Kubernetes stand-in."""

import pytest
from google.protobuf import json_format
from pulumi.runtime.proto import provider_pb2

from lab.standins.differences import differences
from lab.standins.kubernetes_provider import manifests
from lab.standins.kubernetes_provider.ownership import as_applied, created_by
from lab.standins.kubernetes_provider.provider import KubernetesProvider, checkpoint, field_manager, force
from lab.standins.kubernetes_provider.replacement import forced, forces_replacement
from lab.standins.provider import NotCoveredError
from lab.standins.values import UNKNOWN, secret, to_struct

JOB = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "j", "namespace": "n"}, "spec": {"template": {"image": "a"}}}


def provider():
    return KubernetesProvider(engine=None, log=None)


def diff(old, new, **settings):
    subject = provider()
    subject._settings = settings
    state = checkpoint({**old, "status": {"any": "thing"}}, old, "manager", "v1")
    return subject.diff(provider_pb2.DiffRequest(olds=to_struct(state), news=to_struct(new)))


def test_an_object_without_a_name_gets_its_logical_name_and_eight_hex_digits():
    named = manifests.with_name({"kind": "ConfigMap"}, {}, "settings", b"")
    assert named["metadata"]["annotations"] == {manifests.AUTONAMED: "true"}
    stem, _, suffix = named["metadata"]["name"].rpartition("-")
    assert (stem, len(suffix)) == ("settings", 8)
    assert int(suffix, 16) >= 0


def test_a_made_name_is_kept_at_the_next_up_and_a_given_one_is_never_touched():
    first = manifests.with_name({"metadata": {"namespace": "n"}}, {}, "settings", b"")
    assert manifests.with_name({"metadata": {"namespace": "n"}}, first, "settings", b"") == first
    given = {"metadata": {"name": "mine"}}
    assert manifests.with_name(given, first, "settings", b"") == given


def test_two_objects_of_one_resource_get_different_names():
    names = {manifests.with_name({}, {}, "restore", b"")["metadata"]["name"] for _ in range(20)}
    assert len(names) == 20


@pytest.mark.parametrize(
    "token",
    [
        "kubernetes:helm.sh/v3:Release",
        "kubernetes:yaml/v2:ConfigFile",
        "kubernetes:kustomize/v2:Directory",
        "kubernetes:core/v1:ConfigMapPatch",
    ],
)
def test_types_that_are_not_one_whole_object_are_refused_by_name(token):
    with pytest.raises(NotCoveredError, match=token):
        manifests.refuse_uncovered(token)


def test_a_release_is_previewed_by_its_inputs_and_not_made():
    urn = "urn:pulumi:s::p::kubernetes:helm.sh/v3:Release::operator"
    inputs = provider().check(urn, {}, {"chart": "./operator.tgz"}, b"")
    assert provider().create(urn, inputs, timeout=0, preview=True) == ("", inputs)
    with pytest.raises(NotCoveredError, match=r"helm\.sh/v3:Release"):
        provider().create(urn, inputs, timeout=0, preview=False)


def test_the_same_inputs_are_no_difference_whatever_the_cluster_added():
    assert diff(JOB, JOB).changes == provider_pb2.DiffResponse.DIFF_NONE


def test_a_label_is_updated_in_place():
    response = diff(JOB, {**JOB, "metadata": {**JOB["metadata"], "labels": {"a": "b"}}})
    assert response.changes == provider_pb2.DiffResponse.DIFF_SOME
    assert not response.replaces
    assert not response.deleteBeforeReplace


def test_the_template_of_a_job_replaces_it_and_the_old_one_goes_first():
    response = diff(JOB, {**JOB, "spec": {"template": {"image": "b"}}})
    assert list(response.replaces) == ["spec.template.image"]
    assert response.deleteBeforeReplace


def test_another_name_replaces_without_deleting_first():
    response = diff(JOB, {**JOB, "metadata": {"name": "k", "namespace": "n"}})
    assert list(response.replaces) == ["metadata.name"]
    assert not response.deleteBeforeReplace


def test_a_made_name_needs_no_deletion_first():
    meta = {"name": "j-1", "annotations": {manifests.AUTONAMED: "true"}}
    response = diff({**JOB, "metadata": meta}, {**JOB, "metadata": meta, "spec": {"template": {"image": "b"}}})
    assert response.replaces
    assert not response.deleteBeforeReplace


def test_a_secret_written_as_text_is_no_difference_from_the_encoded_one_that_the_cluster_keeps():
    inputs = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "stringData": {"a": "x"}}
    live = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "data": {"a": "eA=="}}
    state = to_struct(checkpoint(live, inputs, "m", "v1"))
    response = provider().diff(provider_pb2.DiffRequest(olds=state, news=to_struct(inputs)))
    assert response.changes == provider_pb2.DiffResponse.DIFF_NONE


def test_a_value_that_is_not_known_yet_is_a_difference():
    changed = {**JOB, "metadata": {**JOB["metadata"], "annotations": {"after": UNKNOWN}}}
    assert diff(JOB, changed).changes == provider_pb2.DiffResponse.DIFF_SOME


@pytest.mark.parametrize(
    ("api_version", "kind", "old", "new", "replaces"),
    [
        ("v1", "ConfigMap", {"data": {"a": "1"}}, {"data": {"a": "2"}}, True),
        ("v1", "ConfigMap", {}, {"data": {"a": "2"}}, True),
        ("v1", "ConfigMap", {"immutable": False}, {"immutable": True}, False),
        ("apps/v1", "Deployment", {"spec": {"replicas": 1}}, {"spec": {"replicas": 2}}, False),
        ("apps/v1", "Deployment", {"spec": {"selector": {"a": "1"}}}, {"spec": {"selector": {"a": "2"}}}, True),
        ("rbac.authorization.k8s.io/v1", "ClusterRoleBinding", {"roleRef": {"name": "a"}}, {"roleRef": {"name": "b"}}, True),
        ("velero.io/v1", "Restore", {"spec": {"a": 1}}, {"spec": {"a": 2}}, False),
        ("batch/v1", "Job", {}, {"spec": {"backoffLimit": 1}}, False),
        ("batch/v1", "Job", {}, {"spec": {"template": {}}}, True),
    ],
)
def test_only_what_cannot_be_changed_in_place_replaces(api_version, kind, old, new, replaces):
    paths = forced(api_version, kind)
    assert any(forces_replacement(difference, paths) for difference in differences(old, new)) is replaces


def test_config_maps_that_are_declared_mutable_are_updated():
    assert "data" not in forced("v1", "ConfigMap", config_map_mutable=True)
    assert "data" in forced("v1", "Secret", config_map_mutable=True)


CREATED = {"manager": "m", "operation": "Update", "fieldsV1": {"f:spec": {"f:a": {}}}}
APPLIED = {"manager": "m", "operation": "Apply", "fieldsV1": {"f:spec": {"f:b": {}}}}
OTHER = {"manager": "velero-server", "operation": "Update", "fieldsV1": {"f:spec": {"f:c": {}}}}
STATUS = {"manager": "m", "operation": "Update", "subresource": "status", "fieldsV1": {}}


def test_what_was_owned_by_creating_is_owned_by_applying_afterwards_and_nobody_else_loses_anything():
    answer = as_applied([CREATED, APPLIED, OTHER, STATUS], "m")
    assert created_by(answer, "m") == []
    assert {"manager": "m", "operation": "Apply", "fieldsV1": {"f:spec": {"f:a": {}, "f:b": {}}}} in answer
    assert answer[:2] == [OTHER, STATUS]


def test_only_the_annotation_takes_fields_of_others():
    live = {"metadata": {"managedFields": [CREATED, OTHER]}}
    forcing = {"metadata": {"annotations": {"pulumi.com/patchForce": "true"}}}
    assert force(forcing, live, "m", preview=False)
    assert not force({}, live, "m", preview=False)
    assert force({}, live, "m", preview=True)
    assert not force({}, {"metadata": {"managedFields": [OTHER]}}, "m", preview=True)


def test_the_field_manager_stays_what_it_was():
    assert field_manager({}, {"__fieldManager": "first"}) == "first"
    assert (
        field_manager({"metadata": {"annotations": {"pulumi.com/patchFieldManager": "mine"}}}, {"__fieldManager": "first"})
        == "mine"
    )


def test_no_secret_gets_into_the_state_in_the_clear():
    inputs = {"kind": "Secret", "stringData": secret({"a": "hush"})}
    state = checkpoint({"kind": "Secret", "data": {"a": "aHVzaA=="}}, inputs, "m", "v1")
    assert state["data"] == secret({"a": "aHVzaA=="})
    assert state["__inputs"]["stringData"] == secret({"a": "hush"})
    json_format.MessageToDict(to_struct(state))


def test_settings_that_would_change_its_behaviour_are_refused():
    with pytest.raises(NotCoveredError, match="enableServerSideApply"):
        provider().configure({"enableServerSideApply": "false"})
    with pytest.raises(NotCoveredError, match="renderYamlToDirectory"):
        provider().configure({"renderYamlToDirectory": "x"})


def test_a_cluster_identifier_that_stays_keeps_the_provider_when_the_kubeconfig_changes():
    replaces = provider().replaces_provider
    assert replaces({"context": "a"}, {"context": "b"})
    assert not replaces({"context": "a", "clusterIdentifier": "c"}, {"context": "b", "clusterIdentifier": "c"})
    assert replaces({"context": "a", "clusterIdentifier": "c"}, {"context": "a", "clusterIdentifier": "d"})
