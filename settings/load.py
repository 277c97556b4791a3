"""From Pulumi's configuration to `Settings`, or to one line a mistake: the key, the value, what to do."""

from __future__ import annotations

import difflib
import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any, get_args

import pulumi.runtime.config
from pydantic import BaseModel, SecretStr, ValidationError
from pydantic_core import ErrorDetails

from settings.model import Settings
from settings.roles import Role

PROJECT = "k8s-dr"
ROLES: tuple[Role, ...] = get_args(Role)

SHARED = ("topology", "dns")
"""Objects that Pulumi.yaml gives both stacks; setting a part of one in a stack replaces the whole."""

SECRETS = ("backupEncryptionPassword", "accessKeyId", "secretAccessKey")

_ALIASES = {field.alias: name for name, field in Settings.model_fields.items() if field.alias and name != "role"}
_TEXT = {"active", "traffic", *SECRETS}
_SECRET_LOCATIONS = {(key,) for key in SECRETS}


class ConfigurationError(Exception):
    """The configuration cannot be used; each line of the message names a key, its value and the fix."""


def read_configuration() -> tuple[dict[str, str], set[str]]:
    """Every configured key of this project with its text, and which of them are secrets.

    `pulumi.Config` can only be asked for keys one knows, but a key nobody knows is the mistake to catch.
    """
    raw = {**pulumi.runtime.config.get_config_env(), **pulumi.runtime.config.CONFIG.get()}
    prefix = f"{PROJECT}:"
    own = {key.removeprefix(prefix): value for key, value in raw.items() if key.startswith(prefix)}
    return own, {key for key in own if pulumi.runtime.config.is_config_secret(prefix + key)}


def load(stack: str, raw: Mapping[str, str], secrets: Collection[str] = ()) -> Settings:
    """Validate one stack's configuration. `raw` maps keys without the project's name to their text, as Pulumi stores it.

    Raises ConfigurationError before anything is registered.
    """
    if stack not in ROLES:
        raise ConfigurationError(
            f"stack {stack}: a stack is called primary or secondary, for its name is its role; run: pulumi stack select primary"
        )
    problems = _misplaced_assignments(stack, raw) or _unknown_keys(stack, raw)
    values: dict[str, Any] = {}
    for key, text in raw.items():
        if key in _ALIASES:
            try:
                values[key] = _parse(key, text)
            except ValueError:
                problems.append(
                    f"{_name(key)}: {_show(text)} cannot be read; write it as YAML in Pulumi.yaml or Pulumi.{stack}.yaml"
                )
    problems += [
        f"{_name(key)}: is stored in clear text; run: pulumi config set --secret {key} -s {stack}"
        for key in SECRETS
        if key in raw and key not in secrets
    ]
    if problems:
        raise ConfigurationError("\n".join(problems))
    try:
        return Settings.model_validate({"role": stack, **values})
    except ValidationError as error:
        raise ConfigurationError("\n".join(_explain_all(error, stack, values))) from None


def _name(key: str) -> str:
    return f"{PROJECT}:{key}"


def _parse(key: str, text: str) -> Any:
    """Objects, lists, numbers and booleans arrive as JSON, plain text as it is."""
    if key in _TEXT:
        return text
    if key == "endpoint" and not text.lstrip().startswith("{"):
        return text
    return json.loads(text)


def _misplaced_assignments(stack: str, raw: Mapping[str, str]) -> list[str]:
    """`pulumi config set active=secondary` succeeds, stores a key of that name, and changes nothing."""
    problems = []
    for name, _, value in (key.partition("=") for key in raw if "=" in key):
        secret = name in SECRETS
        shown, again = ("…", f"--secret {name}") if secret else (value, f"{name} {value}")
        problems.append(
            f"{_name(name)}={shown}: 'pulumi config set {name}={shown}' stored a key of that name and changed nothing; run: "
            f"pulumi config rm '{name}={shown}' -s {stack} && pulumi config set {again} -s {stack}"
        )
    return problems


def _unknown_keys(stack: str, raw: Mapping[str, str]) -> list[str]:
    return [
        f"{_name(key)}: unknown key{_did_you_mean(key, _ALIASES)}; to remove it run: pulumi config rm {key} -s {stack}"
        for key in raw
        if key not in _ALIASES
    ]


def _did_you_mean(word: str, known: Collection[str]) -> str:
    close = difflib.get_close_matches(word, list(known), n=1)
    return f", did you mean {close[0]}?" if close else f" (known: {', '.join(sorted(known))})"


def _explain_all(error: ValidationError, stack: str, values: Mapping[str, Any]) -> list[str]:
    details = [detail for detail in error.errors() if not _shadowed(detail, values)]
    lines: list[str] = []
    for shared in SHARED:
        mine = [detail for detail in details if detail["loc"][:1] == (shared,)]
        if any(detail["type"] == "missing" and len(detail["loc"]) > 1 for detail in mine):
            missing = ", ".join(_path(detail["loc"]) for detail in mine if detail["type"] == "missing")
            lines.append(
                f"{_name(shared)}: {json.dumps(values[shared])} lacks {missing}; if a part of it was set for this stack with "
                f"--path, that replaced the whole object: run: pulumi config rm {shared} -s {stack}"
            )
            details = [detail for detail in details if detail not in mine]
    return lines + [_explain(detail, stack) for detail in details]


def _shadowed(detail: ErrorDetails, values: Mapping[str, Any]) -> bool:
    """`endpoint` may be a name or an object: only the complaint about the form that was written is worth reading."""
    loc = detail["loc"]
    if loc[:1] != ("endpoint",) or len(loc) < 2:
        return False
    return (loc[1] == "Alias") != isinstance(values.get("endpoint"), dict)


def _path(loc: Sequence[int | str]) -> str:
    """`('workloads', 0, 'replicas')` as a person writes it: `workloads[0].replicas`."""
    text = ""
    for part in loc:
        if isinstance(part, int):
            text += f"[{part}]"
        elif part != "Alias" and not part.startswith("function-"):
            text += f".{part}" if text else part
    return text


def _explain(detail: ErrorDetails, stack: str) -> str:
    key = f"{PROJECT}:{_path(detail['loc'])}" if detail["loc"] else PROJECT
    kind, value = detail["type"], SecretStr("") if detail["loc"][:1] in _SECRET_LOCATIONS else detail["input"]
    if kind == "missing":
        return _explain_missing(key, detail["loc"], stack)
    if kind == "extra_forbidden":
        known = [field.alias for field in _model_at(detail["loc"][:-1]).model_fields.values() if field.alias]
        return f"{key}: unknown key{_did_you_mean(str(detail['loc'][-1]), known)}"
    if kind == "literal_error":
        return f"{key}: {_show(value)} is not one of {detail['ctx']['expected'].replace(' or ', ', ')}; write one of them"
    if kind == "value_error":
        text = str(detail["ctx"]["error"])
        return (
            f"{key}: {text}"
            if isinstance(value, BaseModel | dict | list) or detail["loc"] == ()
            else f"{key}: {_show(value)} {text}"
        )
    return f"{key}: {_show(value)} cannot be used: {detail['msg'][0].lower()}{detail['msg'][1:]}"


def _explain_missing(key: str, loc: tuple[int | str, ...], stack: str) -> str:
    model = _model_at(loc[:-1])
    field = next(field for field in model.model_fields.values() if field.alias == loc[-1])
    if len(loc) > 1:
        return f"{key}: is missing; add it: {field.description}"
    if loc[0] in SECRETS:
        return f"{key}: is missing ({field.description}); run: pulumi config set --secret {loc[0]} -s {stack}"
    return f"{key}: is missing; add it to Pulumi.yaml or Pulumi.{stack}.yaml: {field.description}"


def _model_at(loc: Sequence[int | str]) -> type[BaseModel]:
    """The model whose field a mistake is in, found by walking the error's location from `Settings`."""
    model: type[BaseModel] = Settings
    for part in loc:
        if isinstance(part, int):
            continue
        field = next((field for name, field in model.model_fields.items() if part in (field.alias, name)), None)
        inner = _models_in(field.annotation if field else None)
        model = inner[0] if inner else model
    return model


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for argument in get_args(annotation) for model in _models_in(argument)]


def _show(value: Any) -> str:
    if isinstance(value, SecretStr):
        return "the secret"
    return value if isinstance(value, str) and value.isprintable() and value else json.dumps(value, default=str)
