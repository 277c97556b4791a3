"""The program's Velero objects match the pinned version's own CRDs. They have no field that an API server would silently drop."""

from __future__ import annotations

import copy
from typing import Any

import jsonschema
import pytest

from tests.contract.conftest import kubernetes_object
from tests.unit.recorder import run_program

KINDS = {"BackupStorageLocation", "Schedule", "Restore"}
Schemas = dict[str, dict[str, Any]]


def strict(schema: dict[str, Any]) -> dict[str, Any]:
    """The same schema, but it refuses unknown fields. An API server would prune them, and the program would never learn of it."""
    closed = dict(schema)
    if "properties" in schema:
        closed["properties"] = {name: strict(inner) for name, inner in schema["properties"].items()}
        if not schema.get("x-kubernetes-preserve-unknown-fields"):
            closed.setdefault("additionalProperties", False)
    if isinstance(schema.get("additionalProperties"), dict):
        closed["additionalProperties"] = strict(schema["additionalProperties"])
    if "items" in schema:
        closed["items"] = strict(schema["items"])
    if schema.get("nullable"):
        return {"anyOf": [{"type": "null"}, closed]}
    return closed


@pytest.fixture(scope="module")
def schemas(crds: list[dict[str, Any]]) -> Schemas:
    """By kind, the schema of the served version."""
    found: Schemas = {}
    for crd in crds:
        (version,) = [version for version in crd["spec"]["versions"] if version["served"]]
        schema = version["schema"]["openAPIV3Schema"]
        metadata = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
        properties = {**schema["properties"], "metadata": metadata}  # a copy: other tests install these very CRDs
        found[crd["spec"]["names"]["kind"]] = strict({**schema, "properties": properties})
    return found


def check(item: dict[str, Any], schemas: Schemas) -> None:
    jsonschema.Draft202012Validator(schemas[item["kind"]]).validate(item)


def of_velero(objects: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [item for item in objects if item["apiVersion"].startswith("velero.io/")]


def test_every_object_of_velero_fits_its_crd(objects: list[dict[str, Any]], schemas: Schemas) -> None:
    for item in of_velero(objects):
        assert item["apiVersion"] == "velero.io/v1"
        check(item, schemas)


def test_each_combination_has_the_kinds_that_its_role_asks_for(
    combination: tuple[str, str, dict[str, Any]], objects: list[dict[str, Any]]
) -> None:
    takes_over = combination[:2] == ("secondary", "secondary")
    assert {item["kind"] for item in of_velero(objects)} == (KINDS if takes_over else KINDS - {"Restore"})


WRONG: list[tuple[str, list[str], Any]] = [
    ("Schedule", ["spec", "template", "snapshotMoveDate"], True),
    ("Schedule", ["spec", "skipImmediatly"], True),
    ("Schedule", ["spec", "paused"], "yes"),
    ("Restore", ["spec", "scheduleNames"], ["daily"]),
    ("Restore", ["spec", "existingResourcePolicy"], {"name": "none"}),
    ("BackupStorageLocation", ["spec", "accessMode"], "ReadMostly"),
    ("BackupStorageLocation", ["spec", "objectStorage", "region"], "us-west-2"),
    ("BackupStorageLocation", ["spec", "config"], {"s3ForcePathStyle": True}),
]


@pytest.fixture(scope="module")
def takeover() -> list[dict[str, Any]]:
    region = run_program("secondary", {"active": "secondary"})
    return [kubernetes_object(seen) for seen in region.custom() if seen.provider == "kubernetes"]


@pytest.mark.parametrize(("kind", "path", "value"), WRONG, ids=[".".join([kind, *path[1:]]) for kind, path, _ in WRONG])
def test_a_wrong_field_would_be_noticed(
    kind: str, path: list[str], value: Any, takeover: list[dict[str, Any]], schemas: Schemas
) -> None:
    item = copy.deepcopy(next(item for item in takeover if item["kind"] == kind))
    check(item, schemas)
    *above, last = path
    place = item
    for key in above:
        place = place[key]
    place[last] = value
    with pytest.raises(jsonschema.ValidationError):
        check(item, schemas)


def test_the_phases_of_a_restore_that_the_program_waits_for_are_veleros(schemas: Schemas, takeover: list[dict[str, Any]]) -> None:
    phases = schemas["Restore"]["properties"]["status"]["properties"]["phase"]["enum"]
    wait = next(item for item in takeover if item["kind"] == "Restore")["metadata"]["annotations"]["pulumi.com/waitFor"]
    ended = {phase for phase in phases if f"'{phase}'" in wait}
    assert ended == {"Completed", "PartiallyFailed", "Failed", "FailedValidation"}
    # Every other phase leads to one of these.
    assert set(phases) - ended <= {
        "New",
        "InProgress",
        "WaitingForPluginOperations",
        "WaitingForPluginOperationsPartiallyFailed",
        "Finalizing",
        "FinalizingPartiallyFailed",
    }
