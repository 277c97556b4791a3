"""Writes the JSON schemas by which an editor completes and checks `Pulumi.yaml` and `Pulumi.*.yaml`.

python -m settings.schema

They are made from the models, so an editor knows every key with its meaning, and marks most values that the models refuse. It
does not know the rules across keys: only the program checks those. The first line of each configuration file names its schema, in
the way that the YAML language server of VS Code, IntelliJ, Neovim and others reads it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from settings.explain import PROJECT, SECRETS
from settings.model import Settings

FOLDER = Path(__file__).parent.parent / "schemas"

_DIALECT = "http://json-schema.org/draft-07/schema#"
_ENCRYPTED = {
    "type": "object",
    "description": "stored by pulumi config set --secret",
    "required": ["secure"],
    "properties": {"secure": {"type": "string"}},
    "additionalProperties": False,
}

_NOT_FOR_EDITORS = ("title", "format", "writeOnly", "default", "examples")

Schema = dict[str, Any]


def project_schema() -> Schema:
    """The schema of Pulumi.yaml, where each key has a `value`, or a type and a default."""
    keys = {
        key: {
            "description": field["description"],
            "type": "object",
            "properties": {"value": field, "default": {"anyOf": [field, {"const": ""}]}, "type": {"type": "string"}},
        }
        for key, field in _keys().items()
        if key not in SECRETS
    }
    return _document("Pulumi.yaml of k8s-dr: what both regions share", keys, prefix="")


def stack_schema() -> Schema:
    """The schema of Pulumi.primary.yaml and Pulumi.secondary.yaml. A stack may set every key, also the shared ones."""
    keys = {f"{PROJECT}:{key}": _as_the_cli_stores_it(field, secret=key in SECRETS) for key, field in _keys().items()}
    return _document("Pulumi.<stack>.yaml of k8s-dr: what is a region's own", keys, prefix=f"{PROJECT}:")


def _document(title: str, keys: Mapping[str, Schema], *, prefix: str) -> Schema:
    """The schema of a file whose `config` has these keys. It refuses other keys that begin with `prefix`; without a prefix, it
    refuses all other keys that belong to no provider (`aws:region`)."""
    known = "|".join(key.removeprefix(prefix) for key in keys)
    unknown = f"^{prefix}(?!(?:{known})$)" + ("" if prefix else "[^:]*$")
    config = {"type": "object", "properties": dict(keys), "patternProperties": {unknown: False}}
    return {
        "$schema": _DIALECT,
        "title": title,
        "type": "object",
        "properties": {"config": config},
        "definitions": _for_editors(Settings.model_json_schema(by_alias=True)["$defs"]),
    }


def _keys() -> dict[str, Schema]:
    properties = _for_editors(Settings.model_json_schema(by_alias=True)["properties"])
    return {key: field for key, field in properties.items() if key != "role"}


def _as_the_cli_stores_it(field: Schema, *, secret: bool) -> Schema:
    """The field as a stack file holds it: the CLI writes a boolean as the text "true", and a secret as its ciphertext."""
    if secret:
        inner = {"type": "object", "additionalProperties": {"anyOf": [_ENCRYPTED, {"type": "object"}]}}
        parts = field.get("type") != "string" and field.get("format") != "password"
        return {"description": field["description"], "anyOf": [_ENCRYPTED, *([inner] if parts else [])]}
    if field.get("type") == "boolean":
        return {**field, "type": ["boolean", "string"], "enum": [True, False, "true", "false"]}
    return field


def _for_editors(schema: Any) -> Any:
    """pydantic's schema as an editor should show it: without generated titles, with the form of a value in its description."""
    if isinstance(schema, list):
        return [_for_editors(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    answer = {key: _for_editors(value) for key, value in schema.items() if key not in _NOT_FOR_EDITORS}
    if isinstance(schema.get("$ref"), str):
        answer["$ref"] = schema["$ref"].replace("#/$defs/", "#/definitions/")
    if isinstance(form := schema.get("format"), str) and form != "password":
        answer["description"] = ": ".join(part for part in (schema.get("description"), form) if part)
        answer |= {"patternErrorMessage": f"write {form}"} if "pattern" in schema else {}
    if "default" in schema and schema["default"] is not None:
        answer["default"] = schema["default"]
    return answer


def texts() -> dict[str, str]:
    """The text of each schema, by its file name."""
    schemas = {"Pulumi.schema.json": project_schema(), "Pulumi.stack.schema.json": stack_schema()}
    return {name: json.dumps(schema, indent=2, ensure_ascii=False) + "\n" for name, schema in schemas.items()}


if __name__ == "__main__":
    for name, text in texts().items():
        (FOLDER / name).write_text(text)
