"""JSON schemas of the configuration, with which an editor completes and checks `Pulumi.yaml` and `Pulumi.*.yaml`.

python -m settings.schema

Made from the models, so that an editor knows every key with its meaning, and refuses what they would refuse for its form. What
takes more than one key to see, only the program says. The first line of each of the files names its schema, as the YAML language
server of VS Code, IntelliJ, Neovim and others reads it.
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
_SECURE = {
    "type": "object",
    "description": "stored by pulumi config set --secret",
    "required": ["secure"],
    "properties": {"secure": {"type": "string"}},
    "additionalProperties": False,
}

_REWRITTEN = ("title", "format", "writeOnly", "default")

Schema = dict[str, Any]


def project_schema() -> Schema:
    """Of Pulumi.yaml: each key of ours with its `value`, or declared with a type and a default."""
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
    """Of Pulumi.primary.yaml and Pulumi.secondary.yaml: a region's own keys, and what is set for one stack alone."""
    keys = {f"{PROJECT}:{key}": _typed(field, secret=key in SECRETS) for key, field in _keys().items()}
    return _document("Pulumi.<stack>.yaml of k8s-dr: what is a region's own", keys, prefix=f"{PROJECT}:")


def _document(title: str, keys: Mapping[str, Schema], *, prefix: str) -> Schema:
    """A file whose `config` has these keys. Others are refused: below `prefix`, or, without one, all that name no provider."""
    known = "|".join(key.removeprefix(prefix) for key in keys)
    unknown = f"^{prefix}(?!(?:{known})$)" + ("" if prefix else "[^:]*$")
    config = {"type": "object", "properties": dict(keys), "patternProperties": {unknown: False}}
    return {
        "$schema": _DIALECT,
        "title": title,
        "type": "object",
        "properties": {"config": config},
        "definitions": _rewritten(Settings.model_json_schema(by_alias=True)["$defs"]),
    }


def _keys() -> dict[str, Schema]:
    properties = _rewritten(Settings.model_json_schema(by_alias=True)["properties"])
    return {key: field for key, field in properties.items() if key != "role"}


def _typed(field: Schema, *, secret: bool) -> Schema:
    """A key as the CLI stores it: `pulumi config set peerReady true` writes the text "true", a secret is what it encrypted."""
    if secret:
        inner = {"type": "object", "additionalProperties": {"anyOf": [_SECURE, {"type": "object"}]}}
        parts = field.get("type") != "string" and field.get("format") != "password"
        return {"description": field["description"], "anyOf": [_SECURE, *([inner] if parts else [])]}
    if field.get("type") == "boolean":
        return {**field, "type": ["boolean", "string"], "enum": [True, False, "true", "false"]}
    return field


def _rewritten(schema: Any) -> Any:
    """pydantic's schema as editors show it: no titles made from names, and our words for a form in what is shown of the key."""
    if isinstance(schema, list):
        return [_rewritten(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    answer = {key: _rewritten(value) for key, value in schema.items() if key not in _REWRITTEN}
    if isinstance(schema.get("$ref"), str):
        answer["$ref"] = schema["$ref"].replace("#/$defs/", "#/definitions/")
    if isinstance(form := schema.get("format"), str) and form != "password":
        answer["description"] = ": ".join(part for part in (schema.get("description"), form) if part)
        answer |= {"patternErrorMessage": f"write {form}"} if "pattern" in schema else {}
    if "default" in schema and schema["default"] is not None:
        answer["default"] = schema["default"]
    return answer


def texts() -> dict[str, str]:
    """File name to what it must say."""
    schemas = {"Pulumi.schema.json": project_schema(), "Pulumi.stack.schema.json": stack_schema()}
    return {name: json.dumps(schema, indent=2, ensure_ascii=False) + "\n" for name, schema in schemas.items()}


if __name__ == "__main__":
    for name, text in texts().items():
        (FOLDER / name).write_text(text)
