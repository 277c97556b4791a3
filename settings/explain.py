"""One line for each mistake that pydantic or a rule finds in a configuration: the key, its value, and what to do."""

from __future__ import annotations

import difflib
import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from settings.mistake import Mistake
from settings.model import Settings
from settings.rules import Rule

PROJECT = "k8s-dr"

SHARED = ("topology", "dns")
"""Objects that Pulumi.yaml gives to both stacks. A stack that sets a part of one by --path replaces the whole object."""

SECRETS = ("backupEncryptionPassword", "staticCredentials", "databasePasswords")

_PATH_OF_ONE = {"databasePasswords": 'databasePasswords["NAME"]', "staticCredentials": "staticCredentials.PART.accessKeyId"}
"""Keys that are an object of several secrets, and the path of one of these."""

_HIDDEN = "the secret"

# The type of a pydantic error to the words that follow key and value. They are made from the error's `ctx`.
_REASONS: dict[str, Callable[[Mapping[str, Any]], str]] = {
    "literal_error": lambda ctx: f"is not one of {ctx['expected'].replace(' or ', ', ')}; write one of them",
    "greater_than_equal": lambda ctx: f"is less than {ctx['ge']}; write {ctx['ge']} or more",
    "less_than_equal": lambda ctx: f"is more than {ctx['le']}; write {ctx['le']} or less",
    "bool_type": lambda _: "is neither true nor false; write one of them, without quotes",
}


def named(key: str) -> str:
    """The key as Pulumi prints it, with the project's name."""
    return f"{PROJECT}:{key}"


def storing(key: str, stack: str) -> str:
    """The command that stores the secret at `key`, which may be a path. Of an object of secrets it stores one."""
    path = _PATH_OF_ONE.get(key, key)
    what = f"--path '{path}'" if path not in SECRETS else path
    return f"pulumi config set --secret {what} -s {stack}"


def show(value: Any, *, secret: bool = False) -> str:
    """The value in one line, as a person wrote it."""
    if secret:
        return _HIDDEN
    return value if isinstance(value, str) and value.isprintable() and value else json.dumps(value, default=str)


def did_you_mean(word: str, known: Collection[str]) -> str:
    """The end of a message on the unknown key `word`: the known key that is spelt alike, else all known keys.

    Case, `-` and `_` do not count.
    """
    plain = {_plain(key): key for key in known}
    close = difflib.get_close_matches(_plain(word), list(plain), n=1)
    return f", did you mean {plain[close[0]]}?" if close else f" {_known(known)}"


def _plain(key: str) -> str:
    return key.lower().replace("-", "").replace("_", "")


def _known(keys: Collection[str]) -> str:
    return f"(known: {', '.join(sorted(keys))})"


@dataclass(frozen=True, kw_only=True)
class Explainer:
    """Explains the mistakes of one stack, whose configuration is `values`.

    `secrets` are top-level keys. Nothing of their values is ever shown.
    """

    stack: str
    values: Mapping[str, Any]
    secrets: frozenset[str]

    def lines(self, error: ValidationError) -> list[str]:
        """One line for each mistake."""
        details = [detail for detail in error.errors() if not self._is_about_the_form_not_written(detail)]
        lines: list[str] = []
        for shared in SHARED:
            mine = [detail for detail in details if detail["loc"][:1] == (shared,)]
            if any(detail["type"] == "missing" and len(detail["loc"]) > 1 for detail in mine):
                missing = ", ".join(_path(detail["loc"]) for detail in mine if detail["type"] == "missing")
                lines.append(
                    f"{named(shared)}: {show(self.values[shared], secret=shared in self.secrets)} lacks {missing}; if a part of "
                    f"it was set for this stack with --path, that replaced the whole object: run: pulumi config rm {shared} "
                    f"-s {self.stack}"
                )
                details = [detail for detail in details if detail not in mine]
        return lines + [self._line(detail) for detail in details]

    def broken_rule(self, rule: Rule, mistake: Mistake) -> str:
        """A rule may repeat values of any key: its message hides them all once a key beyond SECRETS is stored as a secret."""
        text = _without_secrets(mistake) if self.secrets - {*SECRETS} else str(mistake)
        return f"{named(_path((rule.key, *mistake.at)))}: {text}"

    def _is_about_the_form_not_written(self, detail: ErrorDetails) -> bool:
        """pydantic complains about both forms of `endpoint`, name and object. Only the form that a person wrote counts."""
        loc = detail["loc"]
        if loc[:1] != ("endpoint",) or len(loc) < 2:
            return False
        return (loc[1] == "Alias") != isinstance(self.values.get("endpoint"), dict)

    def _line(self, detail: ErrorDetails) -> str:
        kind, loc, value = detail["type"], detail["loc"], detail["input"]
        secret = bool(loc) and loc[0] in self.secrets
        if secret and kind != "extra_forbidden":
            loc = _without_a_free_key(loc)
        key = named(_path(loc)) if loc else PROJECT
        if kind == "missing":
            return self._missing(key, loc)
        if kind == "extra_forbidden":
            known = _aliases(_model_at(loc[:-1]))
            if secret:
                return f"{named(_path(loc[:-1]))}: {_HIDDEN} has an unknown key {_known(known)}"
            return f"{key}: unknown key{did_you_mean(str(loc[-1]), known)}"
        if kind == "value_error":
            return _line_of_a_validator(key, detail, secret=secret)
        if secret and (value is None or kind in ("too_short", "string_too_short")):
            return f"{key}: is empty; run: {self._storing(loc)}"
        if value is None:
            return f"{key}: is empty; write it: {_field_at(loc).description}"
        if kind in ("too_short", "string_too_short"):
            return f"{key}: is empty; write {'it' if isinstance(value, str) else 'at least one'}: {_field_at(loc).description}"
        if kind in ("dict_type", "model_type") and secret:
            return f"{key}: {_HIDDEN} is not an object; for each of its parts run: {self._storing(loc)}"
        return f"{key}: {show(value, secret=secret)} {_reason(detail, secret=secret)}"

    def _missing(self, key: str, loc: tuple[int | str, ...]) -> str:
        description = _field_at(loc).description
        if loc[0] in SECRETS:
            return f"{key}: is missing ({description}); run: {self._storing(loc)}"
        if len(loc) > 1:
            return f"{key}: is missing; add it: {description}"
        return f"{key}: is missing; add it to Pulumi.yaml or Pulumi.{self.stack}.yaml: {description}"

    def _storing(self, loc: tuple[int | str, ...]) -> str:
        """The command that stores the secret at `loc`. If `loc` is a whole access key, the command stores its first part."""
        below = _aliases(_model_at(loc)) if 1 < len(loc) < 3 and loc[0] == "staticCredentials" else []
        return storing(_path((*loc, *below[:1])), self.stack)


def _line_of_a_validator(key: str, detail: ErrorDetails, *, secret: bool) -> str:
    """The words of one of our validators, after key and value. They name the wrong part of an object, which is not shown."""
    error, value = detail["ctx"]["error"], detail["input"]
    text = str(error)
    if isinstance(error, Mistake):
        key = _path((key, *error.at))
        text = _without_secrets(error) if secret else text
    if value is None or isinstance(value, BaseModel | dict | list):
        return f"{key}: {text}"
    return f"{key}: {show(value, secret=secret)} {text}"


def _without_secrets(mistake: Mistake) -> str:
    return mistake.text.format(*[_HIDDEN] * len(mistake.written))


def _reason(detail: ErrorDetails, *, secret: bool) -> str:
    """Why a value of the wrong type or beyond a limit cannot be used, and what to write instead."""
    kind, value = detail["type"], detail["input"]
    if kind in _REASONS:
        return _REASONS[kind](detail.get("ctx", {}))
    if kind == "int_type":
        digits = isinstance(value, str) and value.isdecimal()
        return "is text; write it without quotes" if digits else "is not a whole number; write one as in 3"
    if kind == "string_type":
        plain = isinstance(value, int | float) and not isinstance(value, bool)
        what = "is a number" if plain else "is not text"
        return f"{what}; write it in quotes" if not isinstance(value, dict | list) else f"{what}; write one value"
    if kind == "model_type":
        return f"is not an object; write {_example(_annotation_at(detail['loc']))}"
    if kind == "dict_type":
        return "is not an object; write {name: text}"
    if kind == "list_type":
        one = isinstance(value, str) and not secret
        return f"is not a list; write {f'[{value}]' if one else _example(_annotation_at(detail['loc']))}"
    return f"cannot be used: {detail['msg'][0].lower()}{detail['msg'][1:]}"


def _path(loc: Sequence[int | str]) -> str:
    """The path of a location as a person writes it: `workloads[0].replicas` for `('workloads', 0, 'replicas')`."""
    text = ""
    for part in loc:
        if isinstance(part, int):
            text += f"[{part}]"
        elif part != "Alias" and not part.startswith("function-"):
            text += f".{part}" if text else part
    return text


def _without_a_free_key(loc: tuple[int | str, ...]) -> tuple[int | str, ...]:
    """Leave out a key that a person chose, as NAME in `databasePasswords.NAME`: it may be the secret itself, by mistake."""
    free = isinstance(loc[-1], str) and loc[-1] not in _aliases(_model_at(loc[:-1])) and loc[-1] != "Alias"
    return loc[:-1] if free and not str(loc[-1]).startswith("function-") else loc


def _aliases(model: type[BaseModel]) -> list[str]:
    return [field.alias for field in model.model_fields.values() if field.alias]


def _model_at(loc: Sequence[int | str]) -> type[BaseModel]:
    """The model that a location leads to, found by walking from `Settings`."""
    model: type[BaseModel] = Settings
    for part in loc:
        field = next((field for field in model.model_fields.values() if part == field.alias), None)
        inner = _models_in(field.annotation if field else None)
        model = inner[0] if inner else model
    return model


def _field_at(loc: Sequence[int | str]) -> FieldInfo:
    """The field that a location leads to. An entry of a list, or of an object with free keys, belongs to the list or object."""
    *above, last = [part for part in loc if isinstance(part, str) and not part.startswith("function-")]
    field = next((field for field in _model_at(above).model_fields.values() if field.alias == last), None)
    return field or _field_at(above)


def _annotation_at(loc: Sequence[int | str]) -> Any:
    annotation = _field_at(loc).annotation
    return get_args(annotation)[0] if isinstance(loc[-1], int) else annotation


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for argument in get_args(annotation) for model in _models_in(argument)]


def _example(annotation: Any) -> str:
    """How to write an object or a list: `{zoneId: …, names: …}`. It has the required keys, or all if none is required."""
    models = _models_in(annotation)
    inner = "…"
    if models:
        fields = models[0].model_fields.values()
        needed = [field for field in fields if field.is_required()] or fields
        inner = "{" + ", ".join(f"{field.alias}: …" for field in needed) + "}"
    return f"[{inner}]" if get_origin(annotation) is list else inner
