"""One line for each mistake that pydantic or a rule finds in a configuration: the key, its value, and what to do."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from settings.mistake import Mistake
from settings.places import (
    Place,
    aliases,
    everywhere,
    field_at,
    model_at,
    path,
    without_a_free_key,
)
from settings.reasons import reason, reason_without_value
from settings.rule import Rule
from settings.shown import HIDDEN, show, without_secrets
from settings.spelling import all_of, closest, in_another_object, of_another_tool

PROJECT = "k8s-dr"

SECRETS = ("backupEncryptionPassword", "staticCredentials", "databasePasswords", "receivers")

_PATH_OF_ONE = {
    "databasePasswords": 'databasePasswords["NAME"]',
    "staticCredentials": "staticCredentials.PART.accessKeyId",
    "receivers": "receivers.heartbeats.JOB",
    "receivers.heartbeats": "receivers.heartbeats.JOB",
    "receivers.heartbeats.drills": "receivers.heartbeats.drills.DRILL",
    "receivers.heartbeats.schedules": 'receivers.heartbeats.schedules["NAME"]',
    "receivers.heartbeats.databases": 'receivers.heartbeats.databases["NAME"]',
}
"""Keys that are an object of several secrets, and the path of one of these."""


def named(key: str) -> str:
    """The key as Pulumi prints it, with the project's name."""
    return f"{PROJECT}:{key}"


def storing(key: str, stack: str) -> str:
    """The command that stores the secret at `key`, which may be a path. Of an object of secrets it stores one."""
    one = _PATH_OF_ONE.get(key, key)
    what = f"--path '{one}'" if one not in SECRETS else one
    return f"pulumi config set --secret {what} -s {stack}"


def meant(word: str, known: Collection[str], above: str = "", model: type[BaseModel] | None = None) -> str:
    """The end of a message on the unknown key `word`: a known key that is spelt nearly so, else the very key at the one or two
    other places where it is, below `model` or anywhere, else a known key that is spelt alike, else all known keys. `above` is the
    path of `model`."""
    if other := in_another_object(f"{above}.{word}"):
        return f" here, did you mean {other}?"
    if close := of_another_tool(word, known) or closest(word, known, cutoff=0.8):
        return f", did you mean {close}?"
    for places in ([*everywhere(word, model, f"{above}." if above else "")] if model else [], [*everywhere(word)]):
        if found := [*dict.fromkeys(places)] if len({*places}) <= 2 else []:
            return f" here, did you mean {' or '.join(found)}?"
    close = closest(word, known)
    return f", did you mean {close}?" if close else f" {all_of(known)}"


def told(rule: Rule, mistake: Mistake, secrets: frozenset[str]) -> str:
    """A rule may repeat values of any key: its message hides them all once a key beyond SECRETS is stored as a secret."""
    text = without_secrets(mistake) if secrets - {*SECRETS} else str(mistake)
    return f"{named(path((rule.key, *mistake.at)))}: {text}"


@dataclass(frozen=True, kw_only=True)
class Explainer:
    """Explains the mistakes of one stack, whose configuration is `values`.

    `secrets` are top-level keys. Nothing of their values is ever shown. `replaced` are keys of Pulumi.yaml whose whole value this
    stack replaces. `file_of` says in which file a key is written.
    """

    stack: str
    values: Mapping[str, Any]
    secrets: frozenset[str]
    replaced: Callable[[], Collection[str]] = field(default=tuple)
    file_of: Callable[[str], str] = field(default=lambda _: "Pulumi.yaml")

    def lines(self, error: ValidationError) -> list[str]:
        """One line for each mistake."""
        details = [
            detail
            for detail in error.errors()
            if not self._is_about_the_form_not_written(detail) and not self._is_about_a_class_written_elsewhere(detail)
        ]
        slips = self._slips(details)
        details = [detail for detail in details if detail["loc"] not in slips.values()]
        lines = []
        for key in dict.fromkeys(str(detail["loc"][0]) for detail in details if _is_a_gap(detail)):
            mine = [detail for detail in details if detail["loc"][0] == key]
            if key in self.replaced() and not any(detail["type"] == "extra_forbidden" for detail in mine):
                gaps = [detail for detail in mine if detail["type"] == "missing"]
                lines.append(self._what_a_part_replaced(key, [path(detail["loc"]) for detail in gaps]))
                details = [detail for detail in details if detail not in gaps]
        return lines + [self._line(detail, slips) for detail in details]

    def broken_rule(self, rule: Rule, mistake: Mistake) -> str:
        return told(rule, mistake, self.secrets)

    def _slips(self, details: Collection[ErrorDetails]) -> dict[Place, Place]:
        """Unknown keys that are a misspelt or misplaced required one, each with the place that therefore lacks its key."""
        slips: dict[Place, Place] = {}
        for detail in details:
            loc = detail["loc"]
            if detail["type"] != "extra_forbidden":
                continue
            beside = [each["loc"] for each in details if each["loc"][:-1] == loc[:-1]]
            lacks = [each["loc"] for each in details if each["loc"] in beside and each["type"] == "missing"]
            unknown = [each["loc"] for each in details if each["loc"] in beside and each["type"] == "extra_forbidden"]
            close = self._role_of_region(loc[-1]) or closest(str(loc[-1]), aliases(model_at(loc[:-1])))
            below = [
                each
                for each in lacks
                if [*everywhere(str(loc[-1]), model_at(each), ".")] and model_at(each) != model_at(loc[:-1])
            ]
            found = [each for each in lacks if each[-1] == close] or below or (lacks if len(lacks) == len(unknown) == 1 else [])
            if found and (close is None or found[0][-1] == close):
                slips[loc] = found[0]
        return slips

    def _what_a_part_replaced(self, key: str, lacking: list[str]) -> str:
        shown = show(self.values[key], secret=key in self.secrets)
        what = f"{shown} lacks" if len(shown) <= 200 else "lacks"
        return (
            f"{named(key)}: {what} {', '.join(lacking)}, and replaces all that Pulumi.yaml says of {key}; write all of it, or, "
            f"where only a part was meant, set with --path, run: pulumi config rm {key} -s {self.stack}"
        )

    def _is_about_the_form_not_written(self, detail: ErrorDetails) -> bool:
        """pydantic complains about both forms of `endpoint`, name and object. Only the form that a person wrote counts."""
        loc = detail["loc"]
        if loc[:1] != ("endpoint",) or len(loc) < 2:
            return False
        return (loc[1] == "Alias") != isinstance(self.values.get("endpoint"), dict)

    def _is_about_a_class_written_elsewhere(self, detail: ErrorDetails) -> bool:
        """A database that names no class has `storageClass.name` (settings/presets.py), which is complained about where it is."""
        key, place, *below = (*detail["loc"], None, None)[:3]
        if key != "databases" or below != ["storageClass"] or not isinstance(place, int):
            return False
        return "storageClass" not in self.values["databases"][place]

    def _line(self, detail: ErrorDetails, slips: Mapping[Place, Place]) -> str:
        kind, loc, value = detail["type"], detail["loc"], detail["input"]
        secret = bool(loc) and loc[0] in self.secrets
        if secret and kind != "extra_forbidden":
            loc = without_a_free_key(loc, self._databases())
        key = named(path(loc)) if loc else PROJECT
        if loc and _never_shown(loc):
            return f"{key}: {reason_without_value(detail)}"
        if kind == "missing":
            return self._missing(key, loc)
        if kind == "extra_forbidden":
            return self._unknown(loc, secret=secret, lacks=slips.get(loc))
        if kind == "value_error":
            return _line_of_a_validator(key, detail, secret=secret)
        if secret and (value is None or kind in ("too_short", "string_too_short")):
            return f"{key}: is empty; run: {self._storing(loc)}"
        if value is None:
            return f"{key}: is empty; {_fill_in(loc)}"
        if kind in ("too_short", "string_too_short"):
            return f"{key}: is empty; write {'it' if isinstance(value, str) else 'at least one'}: {field_at(loc).description}"
        if kind in ("dict_type", "model_type") and secret:
            return f"{key}: {HIDDEN} is not an object; for each of its parts run: {self._storing(loc)}"
        if kind == "string_type" and loc[0] in SECRETS:
            what = "is a number" if isinstance(value, int | float) and not isinstance(value, bool) else "is not text"
            return f"{key}: {HIDDEN} {what}; run, and type it when asked: {self._storing(loc)}"
        if loc == ("active",) and not secret and (role := self._role_of_region(value)):
            return f"{key}: {value} is the region of stack {role}; write {role}"
        return f"{key}: {show(value, secret=secret)} {reason(detail, secret=secret)}"

    def _role_of_region(self, region: Any) -> str | None:
        topology = self.values.get("topology") if "topology" not in self.secrets else None
        regions = topology.get("regions") if isinstance(topology, Mapping) else None
        return next((role for role, each in regions.items() if each == region), None) if isinstance(regions, Mapping) else None

    def _unknown(self, loc: Place, *, secret: bool, lacks: Place | None) -> str:
        model, above = model_at(loc[:-1]), path(loc[:-1])
        known = aliases(model)
        role = self._role_of_region(loc[-1])
        if role in known and not secret:
            return f"{named(path(loc))}: unknown key, for regions are named by their role here; write {role}"
        if secret:
            # A known key is no secret, and is near to what was written only where that is its misspelling.
            close = closest(str(loc[-1]), known, cutoff=0.7)
            return f"{named(above)}: {HIDDEN} has an unknown key" + (f", did you mean {close}?" if close else f" {all_of(known)}")
        if lacks is not None and not closest(str(loc[-1]), known):
            below = [*everywhere(str(loc[-1]), model_at(lacks), f"{path(lacks)}.")]
            guess = (below or [str(lacks[-1])])[0]
            return f"{named(path(loc))}: unknown key here, and {path(lacks)} is missing; did you mean {guess}?"
        return f"{named(path(loc))}: unknown key{meant(str(loc[-1]), known, above, model)}"

    def _missing(self, key: str, loc: Place) -> str:
        description = field_at(loc).description
        if loc[0] in SECRETS:
            return f"{key}: is missing ({description}); run: {self._storing(loc)}"
        where = f" to {self.file_of(str(loc[0]))}" if len(loc) == 1 else ""
        return f"{key}: is missing; add it{where}: {description}"

    def _databases(self) -> list[str]:
        """Names of databases, which are no secrets although they are keys of databasePasswords."""
        entries = self.values.get("databases")
        found = [entry.get("name") for entry in entries if isinstance(entry, Mapping)] if isinstance(entries, list) else []
        return [name for name in found if isinstance(name, str)] if "databases" not in self.secrets else []

    def _storing(self, loc: Place) -> str:
        """The command that stores the secret at `loc`. If `loc` is a whole access key, the command stores its first part."""
        if loc[0] == "databasePasswords" and len(loc) > 1 and loc[1] in self._databases():
            return storing(f'databasePasswords["{loc[1]}"]', self.stack)
        below = aliases(model_at(loc)) if 1 < len(loc) < 3 and loc[0] == "staticCredentials" else []
        return storing(path((*loc, *below[:1])), self.stack)


def _is_a_gap(detail: ErrorDetails) -> bool:
    """Whether a required key lacks as it does where a part was set by --path: one of an object, or the first of an entry, by
    which a person would have begun it."""
    loc = detail["loc"]
    if detail["type"] != "missing" or loc[0] in SECRETS:
        return False
    in_an_entry = len(loc) == 3 and isinstance(loc[1], int)
    return len(loc) == 2 or (in_an_entry and loc[-1] == aliases(model_at(loc[:-1]))[0])


def _fill_in(loc: Place) -> str:
    required = field_at(loc).is_required() and not isinstance(loc[-1], int)
    return f"write it{'' if required else ', or take it out'}: {field_at(loc).description}"


def _never_shown(loc: Place) -> bool:
    """Whether the field is declared with `repr=False`: what stands there by mistake is a secret, in whatever form."""
    above = [loc[: length + 1] for length in range(len(loc))]
    return any(
        isinstance(part[-1], str) and part[-1] in aliases(model_at(part[:-1])) and not field_at(part).repr for part in above
    )


def _line_of_a_validator(key: str, detail: ErrorDetails, *, secret: bool) -> str:
    """The words of one of our validators, after key and value. They name the wrong part of an object, which is not shown."""
    error, value = detail["ctx"]["error"], detail["input"]
    text = str(error)
    if isinstance(error, Mistake):
        key = path((key, *error.at))
        text = without_secrets(error) if secret else text
    if value is None or isinstance(value, BaseModel | dict | list):
        return f"{key}: {text}"
    return f"{key}: {show(value, secret=secret)} {text}"
