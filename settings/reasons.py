"""Why a value of the wrong type, or beyond a limit, cannot be used: the words that follow key and value."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from pydantic_core import ErrorDetails

from settings.places import aliases, annotation_at, example, field_at, form_at, models_in
from settings.shown import show
from settings.spelling import closest

# The type of a pydantic error to the words that follow key and value. They are made from the error's `ctx`.
_REASONS: dict[str, Callable[[Mapping[str, Any]], str]] = {
    "greater_than_equal": lambda ctx: f"is less than {ctx['ge']}; write {ctx['ge']} or more",
    "less_than_equal": lambda ctx: f"is more than {ctx['le']}; write {ctx['le']} or less",
    "bool_type": lambda _: "is neither true nor false; write one of them, without quotes",
}


def reason_without_value(detail: ErrorDetails) -> str:
    """Why such a field's value cannot be used: the validator's own words, or what the field is for."""
    if detail["type"] == "value_error":
        return str(detail["ctx"]["error"])
    return f"is not text; write it in quotes: {field_at(detail['loc']).description}"


def reason(detail: ErrorDetails, *, secret: bool) -> str:
    """Why a value of the wrong type or beyond a limit cannot be used, and what to write instead."""
    kind, value = detail["type"], detail["input"]
    if kind == "literal_error":
        return _reason_of_none_of_them(detail, secret=secret)
    if kind in _REASONS:
        return _REASONS[kind](detail.get("ctx", {}))
    if kind == "int_type":
        digits = isinstance(value, str) and value.isdecimal()
        meant = _number_in(value, str(field_at(detail["loc"]).description)) if isinstance(value, str) and not digits else None
        if meant and not secret:
            return f"is not a whole number; write {meant}"
        default = field_at(detail["loc"]).default
        number = default if isinstance(default, int) and default else 3
        return "is text; write it without quotes" if digits else f"is not a whole number; write one as in {number}"
    if kind == "string_type":
        return _reason_of_no_text(detail, secret=secret)
    if kind == "model_type" and isinstance(value, bool) and (switch := _switch_of(annotation_at(detail["loc"]))):
        return f"is not an object; write {{{switch}: {'true' if value else 'false'}}}"
    if kind == "model_type":
        return f"is not an object; write {example(annotation_at(detail['loc']))}"
    if kind == "dict_type":
        return "is not an object; write {name: text}"
    if kind == "list_type":
        one = isinstance(value, str) and not secret and show(value) == value
        return f"is not a list; write {f'[{value}]' if one else example(annotation_at(detail['loc']))}"
    return f"cannot be used: {detail['msg'][0].lower()}{detail['msg'][1:]}"


_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 24 * 3600, "w": 7 * 24 * 3600, "y": 365 * 24 * 3600}


def _number_in(text: str, description: str) -> str | None:
    """The number that a text begins with. Of a time, the seconds or the days that the key takes: 5m are 300 seconds."""
    unit = next((each for word, each in (("seconds ", "s"), ("days ", "d")) if description.startswith(word)), None)
    if unit is None:
        found = re.match(r"\d{1,3}([_,]\d{3})+(?!\d)|\d+", text)
        return re.sub("[_,]", "", found[0]) if found else None
    time = re.fullmatch(r"(\d+)\s*([smhdwy])[a-z]*", text.strip().lower())
    number, rest = divmod(int(time[1]) * _SECONDS[time[2]], _SECONDS[unit]) if time else (0, 0)
    return str(number) if number and not rest else None


def _reason_of_none_of_them(detail: ErrorDetails, *, secret: bool) -> str:
    """The allowed value that is spelt alike, unless the written one may be a secret."""
    value, allowed = detail["input"], detail["ctx"]["expected"].replace(" or ", ", ")
    close = closest(value, re.findall(r"'([^']*)'", allowed), cutoff=0.8) if isinstance(value, str) and not secret else None
    return f"is not one of {allowed}; " + (f"did you mean {close}?" if close else "write one of them")


def _switch_of(annotation: Any) -> str | None:
    """The key by which an object is switched on and off as a whole."""
    known = {key for model in models_in(annotation)[:1] for key in aliases(model)}
    return next((key for key in ("enabled", "managed") if key in known), None)


def _reason_of_no_text(detail: ErrorDetails, *, secret: bool) -> str:
    value, form = detail["input"], form_at(detail["loc"])
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if isinstance(value, dict | list):
        return f"{'is a number' if number else 'is not text'}; write one value"
    if number and form and form.units and not form.accepts(str(value)):
        several = [f"{value}{unit}" for unit in form.units]
        shown = f"{', '.join(several[:-1])} or {several[-1]}"
        return "is a number without a unit; write " + (f"one as in {form.examples[0]}" if secret else shown)
    meant = form.nearly(str(value)) if form and form.nearly and form.accepts(form.nearly(str(value))) else value
    quoted = "" if secret or not number else f': "{meant}"'
    return f"{'is a number' if number else 'is not text'}; write it in quotes{quoted}"
