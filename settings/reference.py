"""Every key in one page, made from the models, so that it cannot say anything else than they do.

python -m settings.reference > docs/configuration.md
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from settings.explain import SECRETS
from settings.model import Settings

OWN = ("cluster", "endpoint", "peerReady", "force", "images", "delivery", "aws")
"""Keys that differ from region to region; all others but the secrets are both regions' in common."""

_HEAD = """# Configuration

Every key of `k8s-dr`. Made from `settings/model.py` by `python -m settings.reference > docs/configuration.md`; a test holds the
two against each other.

`[]` stands for each entry of a list. What is required below an object or a list is required wherever that is written.
A key that is not here is refused, and so is a value that is not allowed: before anything is touched, in one line that says what
to write instead.
"""

_GROUPS = {
    "Shared: `Pulumi.yaml`": "Written once, for both regions, below `config:` and there `value:`. A stack file that sets one of "
    "these keys replaces the whole of it for that stack. Only `active` is meant to be set so.",
    "One stack's own: `Pulumi.primary.yaml`, `Pulumi.secondary.yaml`": "Written below `config:` with the project's name before "
    "the key: `k8s-dr:cluster`.",
    "Secrets": "Set once for each stack by `pulumi config set --secret KEY -s STACK`; in clear text they are refused.",
}

Schema = Mapping[str, Any]


def page() -> str:
    """The whole reference as Markdown."""
    schema = Settings.model_json_schema(by_alias=True)
    keys = [key for key in schema["properties"] if key != "role"]
    members = (
        [key for key in keys if key not in (*OWN, *SECRETS)],
        [key for key in keys if key in OWN],
        [key for key in keys if key in SECRETS],
    )
    parts = [_HEAD]
    for (title, text), group in zip(_GROUPS.items(), members, strict=True):
        parts += [f"## {title}\n", f"{text}\n", "| key | meaning | default | allowed |", "|---|---|---|---|"]
        for key in group:
            parts += _rows(key, schema["properties"][key], schema, required=key in schema["required"])
        parts.append("")
    return "\n".join(parts)


def _rows(key: str, field: Schema, schema: Schema, *, required: bool) -> Iterator[str]:
    """The row of one key, and the rows of the keys below it."""
    yield f"| `{key}` | {field.get('description', '')} | {_default(field, required=required)} | {_allowed(field, schema)} |"
    for form in _forms(field):
        entry = form.get("items", form)
        inner = _resolved(entry, schema)
        for name, below in inner.get("properties", {}).items():
            path = f"{key}[].{name}" if "items" in form else f"{key}.{name}"
            yield from _rows(path, below, schema, required=name in inner.get("required", ()))


def _forms(field: Schema) -> list[Schema]:
    """The kinds of value that a field takes, but null: a key that may be left out is left out."""
    forms = field.get("anyOf", [field])
    return [form for form in forms if form.get("type") != "null"]


def _resolved(entry: Schema, schema: Schema) -> Schema:
    reference = entry.get("$ref")
    return schema["$defs"][reference.rpartition("/")[2]] if reference else entry


def _default(field: Schema, *, required: bool) -> str:
    if required:
        return "required"
    default = field.get("default")
    return "–" if default is None else f"`{default if isinstance(default, str) else json.dumps(default)}`"


def _allowed(field: Schema, schema: Schema) -> str:
    return ", or ".join(_one_allowed(form, schema) for form in _forms(field))


def _one_allowed(form: Schema, schema: Schema) -> str:
    kind = _resolved(form, schema)
    if "enum" in kind:
        return ", ".join(f"`{value}`" for value in kind["enum"])
    if kind["type"] == "array":
        least = "at least one" if kind.get("minItems") else "any number"
        return f"a list, {least}: {_one_allowed(kind['items'], schema)}"
    if kind["type"] == "integer":
        low, high = kind.get("minimum"), kind.get("maximum")
        limits = f", {low} to {high}" if high is not None else f", {low} or more" if low is not None else ""
        return f"a whole number{limits}"
    if kind.get("format") == "password":  # pydantic's own word for what it does not show
        return "text"
    names = {"object": "an object", "boolean": "`true`, `false`", "string": "text"}
    return str(kind.get("format") or names[kind["type"]])


if __name__ == "__main__":
    print(page(), end="")
