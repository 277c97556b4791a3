"""docs/configuration.md is what the models say, every key of them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Annotated, Any, get_origin

import yaml
from pydantic import BaseModel, TypeAdapter
from pydantic.fields import FieldInfo

from settings import load
from settings.advice import ADVICE
from settings.examples import examples
from settings.files import REGION_KEYS
from settings.load import KEYS, SECRETS
from settings.model import Settings
from settings.places import models_in
from settings.reference import page
from settings.rules import RULES
from settings.worked_example import OWN, SHARED
from tests.examples import PASSWORD, PROJECT, ROOT


def rows() -> dict[str, str]:
    """Key to its row."""
    keys, _, _ = page().partition("## What several keys must agree on")
    lines = [line for line in keys.splitlines() if line.startswith("| `")]
    return {line.split("`")[1]: line for line in lines}


def test_the_committed_reference_is_fresh() -> None:
    committed = (ROOT / "docs" / "configuration.md").read_text()
    assert committed == page(), "run: .venv/bin/python -m settings.reference > docs/configuration.md"


def test_every_key_has_a_row_with_a_meaning() -> None:
    assert {key for key in rows() if "." not in key} == set(KEYS)
    assert not [row for row in rows().values() if "|  |" in row]


def test_what_differs_from_region_to_region_is_a_key() -> None:
    assert set(REGION_KEYS) <= set(KEYS)


def test_keys_below_objects_lists_and_alternatives_have_rows() -> None:
    assert {"topology.regions.primary", "backups[].cron", "workloads[].check.port", "endpoint.zoneId"} <= rows().keys()


def test_a_row_says_what_is_required_what_is_allowed_and_what_it_is_else() -> None:
    assert "| required | a duration, as in 720h" in rows()["backups[].keep"]
    assert "| `60` | a whole number, 1 to 86400 |" in rows()["dns.ttl"]
    assert "| required | a whole number, 1 to 2147483647 |" in rows()["workloads[].replicas"]
    assert "| `standby-takes-over` | `standby-takes-over`, `record`, `both-regions` |" in rows()["dns.mode"]


def fields(model: type[BaseModel], above: str = "") -> Iterator[tuple[str, FieldInfo]]:
    """Every field that a person may write, with its path."""
    for field in model.model_fields.values():
        if field.alias and field.alias != "role":
            path = f"{above}{field.alias}"
            yield path, field
            entries = "[]" if get_origin(field.annotation) is list else ""
            for inner in models_in(field.annotation):
                yield from fields(inner, f"{path}{entries}.")


def test_every_key_but_the_secrets_has_two_examples() -> None:
    cells = {
        key: row.replace("\\|", "/").split(" | ")[4].rstrip(" |").count("`") // 2 for key, row in rows().items() if key in FIELDS
    }
    few = {key for key, count in cells.items() if count < 2 and key.split(".")[0] not in SECRETS}
    assert cells.keys() == FIELDS.keys()
    assert few == set()


def test_every_example_is_a_value_that_its_key_takes() -> None:
    schema = Settings.model_json_schema(by_alias=True)
    tried = 0
    for path, field in FIELDS.items():
        for text in examples(_schema_at(path, schema), schema):
            annotation = Annotated[field.annotation, *field.metadata] if field.metadata else field.annotation
            TypeAdapter(annotation).validate_python(yaml.safe_load(text))
            tried += 1
    assert tried > 200


def _schema_at(path: str, schema: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {**schema}
    for key in path.split("."):
        found = next(form["properties"][key.removesuffix("[]")] for form in _forms_of(found, schema))
    return found


def _forms_of(field: dict[str, Any], schema: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for form in field.get("anyOf", [field]):
        entry = form.get("items", form)
        resolved = schema["$defs"][entry["$ref"].rpartition("/")[2]] if "$ref" in entry else entry
        if "properties" in resolved:
            yield resolved


FIELDS = dict(fields(Settings))


def test_the_rules_on_several_keys_and_the_warnings_are_in_the_reference() -> None:
    text = page()
    for rule in (*RULES, *ADVICE):
        assert f"| `{rule.key}` | {rule.says} |" in text


def test_the_worked_example_is_a_configuration_and_does_what_its_comments_say() -> None:
    assert SHARED in page()
    assert OWN in page()
    shared = {key: entry["value"] for key, entry in yaml.safe_load(SHARED)["config"].items()}
    own = {
        key.removeprefix(f"{PROJECT}:"): value for key, value in yaml.safe_load(OWN)["config"].items() if key.startswith(PROJECT)
    }
    given = {**shared, **own, "backupEncryptionPassword": PASSWORD, "databasePasswords": {"orders": PASSWORD}}
    settings = load("primary", {key: each if isinstance(each, str) else json.dumps(each) for key, each in given.items()}, SECRETS)
    assert (settings.objectives.rpo_seconds, settings.objectives.rto_seconds) == (5 * 60, 30 * 60)
    assert [(each.names, each.required) for each in settings.workloads] == [
        (["deployment/web", "deployment/api"], True),
        (["deployment/newsletter"], False),
    ]
    assert {"shop", "orders"} <= set(settings.named_namespaces)
    assert settings.databases[0].archive_timeout == "30s"
