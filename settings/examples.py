"""Two examples of each key's value, as a person writes them in YAML, from the models' own schema."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import yaml

Schema = Mapping[str, Any]


def examples(field: Schema, schema: Schema) -> list[str]:
    """Two values of a field, or one where there is but one to write. A secret has none: nobody writes it into a file."""
    found = [_value(field, schema, which) for which in (0, 1)]
    return [text for text in dict.fromkeys(map(_as_yaml, found)) if text != "null"]


def _value(field: Schema, schema: Schema, which: int) -> Any:
    if "examples" in field:
        return field["examples"][min(which, len(field["examples"]) - 1)]
    forms = [form for form in field.get("anyOf", [field]) if form.get("type") != "null"]
    form = forms[min(which, len(forms) - 1)]
    if "$ref" in form:
        form = schema["$defs"][form["$ref"].rpartition("/")[2]]
    if form is not field and "examples" in form:
        return form["examples"][min(which, len(form["examples"]) - 1)]
    if "enum" in form or "const" in form:
        values = form.get("enum") or [form["const"]]
        return values[min(which, len(values) - 1)]
    if form.get("format") == "password" or form.get("writeOnly"):
        return None
    kind = form.get("type")
    if kind == "boolean":
        return which == 0
    if kind == "integer":
        return _whole_number(field, form, which)
    if kind == "array":
        return [_value(form["items"], schema, each) for each in range(which + 1)]
    if kind == "object":
        return _object(form, schema, which)
    return None


def _whole_number(field: Schema, form: Schema, which: int) -> int:
    low = form.get("minimum", field.get("minimum", 0))
    first = field.get("default") or max(low, 3)
    return int(first if which == 0 else min(first * 2, form.get("maximum", first * 2)))


def _object(form: Schema, schema: Schema, which: int) -> Any:
    """What must be written, or where nothing must the first key, then the second; with free keys, one of them."""
    properties = form.get("properties")
    if properties is None:
        name = _value(form.get("propertyNames", {}), schema, which) or "app-database"
        value = _value(form.get("additionalProperties", {}), schema, which)
        return None if value is None else {name: value}
    needed = form.get("required") or [[*properties][min(which, len(properties) - 1)]]
    found = {key: _value(properties[key], schema, which) for key in needed}
    return None if None in found.values() else found


def _as_yaml(value: Any) -> str:
    """In one line, as in a file: texts in quotes only where YAML would read something else."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_as_yaml(key)}: {_as_yaml(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_as_yaml, value)) + "]"
    if isinstance(value, str):
        return value if _is_plain(value) else json.dumps(value)
    return json.dumps(value)


def _is_plain(text: str) -> bool:
    try:
        return bool(yaml.safe_load(f"[{text}]") == [text])
    except yaml.YAMLError:
        return False
