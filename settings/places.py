"""Where a value stands in the configuration: its path as a person writes it, and the field of the model that it belongs to."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Any, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from settings.fields import Form
from settings.model import Settings

Place = tuple[int | str, ...]

_BOTH_FORMS = "Alias"
"""How pydantic calls one of the two forms of `endpoint`, which is no key."""

_THE_KEY_ITSELF = "[key]"
"""How pydantic ends the location of a mistake in a key of an object with free keys."""


def path(loc: Sequence[int | str]) -> str:
    """The path of a location as a person writes it: `workloads[0].replicas` for `('workloads', 0, 'replicas')`.

    A key that a person chose, and that is itself what is wrong, is not part of it.
    """
    text = ""
    for part in loc[: loc.index(_THE_KEY_ITSELF) - 1] if _THE_KEY_ITSELF in loc else loc:
        if isinstance(part, int):
            text += f"[{part}]"
        elif _is_a_key(part):
            text += f".{part}" if text else part
    return text


def _is_a_key(part: str) -> bool:
    return part != _BOTH_FORMS and not part.startswith(("function-", "chain", "nullable"))


def without_a_free_key(loc: Place, known: Collection[str] = ()) -> Place:
    """Leave out a key that a person chose, as NAME in `databasePasswords.NAME`: it may be the secret itself, by mistake. A key of
    `known` is none."""
    if _THE_KEY_ITSELF in loc:
        return loc[: loc.index(_THE_KEY_ITSELF) - 1]
    last = loc[-1]
    free = isinstance(last, str) and last not in aliases(model_at(loc[:-1])) and _is_a_key(last) and last not in known
    return loc[:-1] if free else loc


def aliases(model: type[BaseModel]) -> list[str]:
    return [field.alias for field in model.model_fields.values() if field.alias]


def model_at(loc: Sequence[int | str]) -> type[BaseModel]:
    """The model that a location leads to, found by walking from `Settings`."""
    model: type[BaseModel] = Settings
    for part in loc:
        field = next((field for field in model.model_fields.values() if part == field.alias), None)
        inner = models_in(field.annotation if field else None)
        model = inner[0] if inner else model
    return model


def field_at(loc: Sequence[int | str]) -> FieldInfo:
    """The field that a location leads to. An entry of a list, or of an object with free keys, belongs to the list or object."""
    *above, last = [part for part in loc if isinstance(part, str) and _is_a_key(part)]
    field = next((field for field in model_at(above).model_fields.values() if field.alias == last), None)
    return field or field_at(above)


def annotation_at(loc: Sequence[int | str]) -> Any:
    annotation = field_at(loc).annotation
    return get_args(annotation)[0] if isinstance(loc[-1], int) else annotation


def models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for argument in get_args(annotation) for model in models_in(argument)]


def form_at(loc: Sequence[int | str]) -> Form | None:
    """The form of the text at a location; of the entries, where a list or an object with free keys stands there."""
    field = field_at(loc)
    return next(iter(_forms_in(field.annotation, field.metadata)), None)


def _forms_in(annotation: Any, metadata: Sequence[Any] = ()) -> Iterator[Form]:
    yield from (each for each in (*metadata, *getattr(annotation, "__metadata__", ())) if isinstance(each, Form))
    for argument in get_args(annotation)[-1:] if get_origin(annotation) is dict else get_args(annotation):
        yield from _forms_in(argument)


def example(annotation: Any) -> str:
    """How to write an object or a list: `{zoneId: …, names: …}`. It has the required keys, or all if none is required."""
    models = models_in(annotation)
    inner = "…"
    if models:
        fields = models[0].model_fields.values()
        needed = [field for field in fields if field.is_required()] or fields
        inner = "{" + ", ".join(f"{field.alias}: …" for field in needed) + "}"
    return f"[{inner}]" if get_origin(annotation) is list else inner


def everywhere(key: str, model: type[BaseModel] = Settings, above: str = "") -> Iterator[str]:
    """The paths of every key of this name below `model`: `dns.ttl`, `workloads[].replicas`."""
    for field in model.model_fields.values():
        if not field.alias or field.alias == "role":
            continue
        here = f"{above}{field.alias}"
        if field.alias == key:
            yield here
        entries = "[]" if get_origin(field.annotation) is list else ""
        for inner in models_in(field.annotation):
            yield from everywhere(key, inner, f"{here}{entries}.")
