"""The types of single values (durations, cron lines, host names, …), and the base class of every settings model."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, GetCoreSchemaHandler, GetJsonSchemaHandler, Strict
from pydantic.alias_generators import to_camel
from pydantic_core import CoreSchema, core_schema

from settings import nearly
from settings.durations import check_cron, check_cron_with_seconds, parse_duration
from settings.mistake import Mistake

LABEL_LENGTH = 63
"""Longest value of a Kubernetes label. Most Kubernetes names have the same limit."""

# RFC 1123 and RFC 1035 as Kubernetes reads them (apimachinery, util/validation): labels, names of several labels with dots
# between them, and labels that begin with a letter.
_DNS_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_SUBDOMAIN = re.compile(r"(?=.{1,253}$)[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_LABEL_OF_1035 = re.compile(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?")
_WITHOUT_REPLICAS = re.compile(r"(daemonset|ds|job|cronjob|pod|po|cj)s?(\.[a-z]+)?/.*", re.IGNORECASE)
_WORKLOAD = re.compile(r"(deployment|statefulset)/(?!.*\.[.-]|.*-\.)[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")


@dataclass(frozen=True, kw_only=True)
class Form:
    """A form that a text must have.

    `check` raises ValueError for any other text, and may return the text as the program shall use it. `name` is what
    docs/configuration.md calls the form.
    """

    check: Callable[[str], str]
    name: str
    examples: tuple[str, str]
    pattern: str | None = None
    """A regular expression by which an editor checks the text (JSON Schema). It accepts every text that `check` accepts."""
    units: tuple[str, ...] = ()
    """What must follow a number that a person wrote bare: `30` is `30s`, `30m` or `30h`."""
    nearly: Callable[[str], str] | None = None
    """What a person may have meant by a text that `check` refuses (`settings/nearly.py`)."""
    most: int | None = None
    """The most characters of such a text, for a message that says so."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self._checked, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        pattern = {"pattern": self.pattern} if self.pattern else {}
        return {**handler(schema), "format": self.name, "examples": list(self.examples), **pattern}

    def _checked(self, text: str) -> str:
        if text != (trimmed := text.strip(" \t")) and self.accepts(trimmed):
            raise ValueError("begins or ends with a space; take it out")
        try:
            return self.check(text)
        except Mistake:
            raise
        except ValueError as error:
            if self.most and len(text) > self.most and self.accepts(text[: self.most].rstrip("-._")):
                raise ValueError(f"is longer than {self.most} characters; shorten it by {len(text) - self.most}") from None
            meant = self.nearly(text) if self.nearly else text
            if meant == text or not self.accepts(meant):
                raise
            what, _, _ = str(error).partition("; write ")
            raise Mistake(f"{what}; write {{}}", f'"{meant}"' if meant.isdecimal() else meant, hidden=str(error)) from None

    def accepts(self, text: str) -> bool:
        try:
            self.check(text)
        except ValueError:
            return False
        return True


def matching(
    pattern: re.Pattern[str],
    what: str,
    example: str,
    other: str | None = None,
    *,
    ascii_only: bool = True,
    units: tuple[str, ...] = (),
    nearly: Callable[[str], str] | None = None,
    most: int | None = None,
) -> Form:
    """The form of texts that `pattern` matches, in ASCII: to Python, digits and letters are those of every script."""
    compiled = re.compile(pattern.pattern, (pattern.flags & ~re.UNICODE) | re.ASCII)

    def check(text: str) -> str:
        if not compiled.fullmatch(text) or (ascii_only and not text.isascii()):
            raise ValueError(f"is not {what}; write one as in {example}")
        return text

    examples = (example.strip('"'), (other or example).strip('"'))
    name = f"{what}, as in {example}"
    return Form(
        check=check, name=name, examples=examples, pattern=rf"^(?:{pattern.pattern})$", units=units, nearly=nearly, most=most
    )


def two(form: Form, *examples: str) -> Form:
    """`form` with examples of its own, where its words name several values at once."""
    return replace(form, examples=(examples[0], examples[1]))


def form_of(kind: Any) -> Form:
    """The form of an annotated text."""
    return next(each for each in kind.__metadata__ if isinstance(each, Form))


def _duration(text: str) -> str:
    parse_duration(text)
    return text


# Strict, because pydantic otherwise reads true as 1 and "no" as false.
Whole = Annotated[int, Strict()]
Switch = Annotated[bool, Strict()]

MOST_DAYS = 36500
"""A hundred years. S3 keeps the days of a rule in 32 bits, and refuses dates that it cannot write."""

Duration = Annotated[
    str,
    Form(
        check=_duration,
        name="a duration, as in 720h, 1h30m or 90s",
        examples=("90s", "1h30m"),
        pattern="^(?:[0-9]+[hms])+$",
        units=("s", "m", "h"),
        nearly=nearly.duration,
    ),
]


def at_least(least: str, why: str, other: str) -> Form:
    """The form of durations that are not below `least`. `why` follows it in the message, `other` is a second example."""

    def check(text: str) -> str:
        if parse_duration(text) < parse_duration(least):
            raise ValueError(f"is shorter than {least}, {why}; write {least} or more")
        return text

    name = f"a duration of {least} or more, as in {other}"
    return replace(form_of(Duration), check=check, name=name, examples=(least, other))


Cron = Annotated[
    str,
    Form(
        check=check_cron,
        name='a cron line of five fields, as in "0 2 * * *"',
        examples=("0 2 * * *", "*/30 * * * *"),
        pattern=r"^(?:(?:\S+\s+){4}\S+|@[a-z]+)$",
    ),
]
CronWithSeconds = Annotated[
    str,
    Form(
        check=check_cron_with_seconds,
        name='a cron line of six fields, seconds first, as in "0 0 3 * * *"',
        examples=("0 0 3 * * *", "0 30 1 * * 0"),
        pattern=r"^(?:[0-5]?[0-9]\s+(?:\S+\s+){4}\S+|@[a-z]+)$",
    ),
]
Label = Annotated[
    str,
    matching(
        _DNS_LABEL,
        "a Kubernetes name (lower case letters, digits and -)",
        "production",
        "back-office",
        nearly=nearly.kubernetes_name,
        most=LABEL_LENGTH,
    ),
]
ServiceName = Annotated[
    str,
    matching(
        _LABEL_OF_1035,
        "a name of lower case letters, digits and -, which begins with a letter",
        "app-database",
        "orders-2024",
        nearly=nearly.kubernetes_name,
        most=LABEL_LENGTH,
    ),
]
ClassName = Annotated[str, matching(_SUBDOMAIN, "the name of a StorageClass", "gp3-encrypted", "ebs.gp3", most=253)]
SecretName = Annotated[str, matching(_SUBDOMAIN, "the name of a Secret", "app-database-server", "pg.example.com-tls", most=253)]
_NAMED_WORKLOAD = two(
    matching(_WORKLOAD, "a workload", "deployment/web or statefulset/queue", nearly=nearly.workload),
    "deployment/web",
    "statefulset/queue",
)


def _workload(text: str) -> str:
    if _WITHOUT_REPLICAS.fullmatch(text):
        raise ValueError("has no replicas that could be set; take it out, for a restore brings it by itself")
    return _NAMED_WORKLOAD.check(text)


WorkloadName = Annotated[str, replace(_NAMED_WORKLOAD, check=_workload)]
_PATH = matching(
    re.compile(r"(?!.*//)(?!(.*/)?\.\.?(/|$))(/[^/\s:]+)+/?"), "an absolute path", "/var/backups/etcd", "/var/lib/kubelet"
)
AbsolutePath = Annotated[str, replace(_PATH, check=lambda text: _PATH.check(text).removesuffix("/"))]
FileName = Annotated[
    str, matching(re.compile(r"(?!/)(?!(.*/)?\.\.(/|$))[^\s]+"), "a file below that directory", "ca.crt", "tls/ca.crt")
]
HttpPath = Annotated[
    str,
    matching(
        re.compile(r"/[\x21\x22\x24-\x7e]{0,254}"), "a path", "/healthz", "/healthz?full=1", nearly=nearly.http_path, most=255
    ),
]


class Model(BaseModel):
    """Base of every settings model: frozen, refuses unknown keys, and reads keys in camelCase, as a person writes them."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, alias_generator=to_camel, validate_by_name=True, validate_by_alias=True
    )


def all_different(values: list[str], what: str) -> list[str]:
    """Return `values`, or raise Mistake if one of them occurs twice. `what` is the word for such a value in the message."""
    seen: set[str] = set()
    for value in values:
        if value in seen:
            raise Mistake(f"names the {what} {{}} twice; keep one", value)
        seen.add(value)
    return values
