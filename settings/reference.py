"""Writes docs/configuration.md, a page with every key, from the models themselves.

python -m settings.reference > docs/configuration.md
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from settings.advice import ADVICE
from settings.examples import examples
from settings.explain import SECRETS
from settings.files import REGION_KEYS
from settings.model import Settings
from settings.rule import Rule
from settings.rules import RULES
from settings.worked_example import OWN, SHARED

_HEAD = """# Configuration

Every key of `k8s-dr`. `python -m settings.reference > docs/configuration.md` writes this page from `settings/model.py`; a test
fails while the two differ.

`[]` stands for each entry of a list. A key that is required below an object or a list is required only where that object or list
is written. The program refuses every other key, and every value that is not allowed. It does so before it touches anything, in
one line that says what to write instead. What several keys must agree on is [at the end](#what-several-keys-must-agree-on).

A key that you do not write has its default, and some defaults come from `tier` ([tiers](tiers.md)). Few keys need to be written:
"""

_RULES = """## What several keys must agree on

Once every value is allowed by itself, the program checks these, in this order, and refuses what breaks one. They are
`settings/rules.py` and what it names.

| key | rule |
|---|---|
"""

_ADVICE = """
## What is warned about

A person may mean these, so a preview and an `up` say them and go on (`settings/advice.py`).

| key | expected |
|---|---|
"""

_EXAMPLE = f"""## An example

A shop with a database. This is what its `Pulumi.yaml` has below `config:`, and all of it; a test loads it:

```yaml
{SHARED}```

And this is its `Pulumi.primary.yaml`. `Pulumi.secondary.yaml` has its own cluster and load balancer:

```yaml
{OWN}```

Two secrets come in addition, for each stack and with the same values in both: `backupEncryptionPassword`, and the password of
`orders` in `databasePasswords` ([first deployment](first-deployment.md#5-write-down-what-you-have) has the commands).
"""

_GROUPS = {
    "Shared: `Pulumi.yaml`": "Write these once, for both regions: below `config:` the key, below that `value:`. A stack file "
    "that sets one of these keys replaces its whole value for that stack. Only `active` is meant to be set in a stack file.",
    "One stack's own: `Pulumi.primary.yaml`, `Pulumi.secondary.yaml`": "Write these below `config:`, with the project's name "
    "before the key: `k8s-dr:cluster`.",
    "Secrets": "Set these once for each stack by `pulumi config set --secret KEY -s STACK`. In clear text they are refused.",
}

Schema = Mapping[str, Any]


def page() -> str:
    """The whole reference as Markdown."""
    schema = Settings.model_json_schema(by_alias=True)
    keys = [key for key in schema["properties"] if key != "role"]
    members = (
        [key for key in keys if key not in (*REGION_KEYS, *SECRETS)],
        [key for key in keys if key in REGION_KEYS],
        [key for key in keys if key in SECRETS],
    )
    parts = [_HEAD, _EXAMPLE]
    for (title, text), group in zip(_GROUPS.items(), members, strict=True):
        parts += [f"## {title}\n", f"{text}\n", "| key | meaning | default | allowed | for example |", "|---|---|---|---|---|"]
        for key in group:
            parts += _rows(key, schema["properties"][key], schema, required=key in schema["required"])
        parts.append("")
    return "\n".join(parts) + _RULES + _table(RULES) + _ADVICE + _table(ADVICE)


def _table(rules: Sequence[Rule]) -> str:
    return "".join(f"| `{rule.key}` | {rule.says} |\n" for rule in rules)


def _rows(key: str, field: Schema, schema: Schema, *, required: bool) -> Iterator[str]:
    """The row of one key, and the rows of the keys below it."""
    default, written = _default(field, required=required), " · ".join(f"`{text}`" for text in examples(field, schema)) or "–"
    cells = [f"`{key}`", field.get("description", ""), default, _allowed(field, schema), written.replace("|", "\\|")]
    yield f"| {' | '.join(cells)} |"
    for form in _forms(field):
        entry = form.get("items", form)
        inner = _resolved(entry, schema)
        for name, below in inner.get("properties", {}).items():
            path = f"{key}[].{name}" if "items" in form else f"{key}.{name}"
            yield from _rows(path, below, schema, required=name in inner.get("required", ()))


def _forms(field: Schema) -> list[Schema]:
    """The forms of value that a field takes. Null is not one of them: nobody writes it, but leaves the key out."""
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
        return ", ".join(f"`{value if isinstance(value, str) else json.dumps(value)}`" for value in kind["enum"])
    if kind["type"] == "array":
        least = "at least one" if kind.get("minItems") else "any number"
        return f"a list, {least}: {_one_allowed(kind['items'], schema)}"
    if kind["type"] == "integer":
        low, high = kind.get("minimum"), kind.get("maximum")
        limits = f", {low} to {high}" if high is not None else f", {low} or more" if low is not None else ""
        return f"a whole number{limits}"
    if kind.get("format") == "password":  # what pydantic calls the text of a secret
        return "text"
    if kind["type"] == "string" and ("minLength" in kind or "maxLength" in kind) and "format" not in kind:
        return f"text of {kind.get('minLength', 0)} characters or more"
    names = {"object": "an object", "boolean": "`true`, `false`", "string": "text"}
    return str(kind.get("format") or names[kind["type"]])


if __name__ == "__main__":
    print(page(), end="")
