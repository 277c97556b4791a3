"""The types of single values (durations, cron lines, host names, …), and the base class of every settings model."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, GetCoreSchemaHandler, GetJsonSchemaHandler, Strict
from pydantic.alias_generators import to_camel
from pydantic_core import CoreSchema, core_schema

from settings.durations import check_cron, check_cron_with_seconds, parse_duration
from settings.mistake import Mistake

LABEL_LENGTH = 63
"""Longest value of a Kubernetes label. Most Kubernetes names have the same limit."""

_DNS_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_HOST_NAME = re.compile(r"(?=.{1,253}$)([a-z0-9_]([-a-z0-9]{0,61}[a-z0-9])?\.)+[a-z]([-a-z0-9]{0,61}[a-z0-9])?")
_WORKLOAD = re.compile(r"(deployment|statefulset)/[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")


@dataclass(frozen=True)
class Form:
    """A form that a text must have.

    `check` raises ValueError for any other text. `name` is what docs/configuration.md calls the form.
    """

    check: Callable[[str], str]
    name: str
    pattern: str | None = None
    """A regular expression by which an editor checks the text (JSON Schema). It accepts every text that `check` accepts."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self.check, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {**handler(schema), "format": self.name, **({"pattern": self.pattern} if self.pattern else {})}


def matching(pattern: re.Pattern[str], what: str, example: str) -> Form:
    def check(text: str) -> str:
        if not pattern.fullmatch(text):
            raise ValueError(f"is not {what}; write one as in {example}")
        return text

    return Form(check, f"{what}, as in {example}", rf"^(?:{pattern.pattern})$")


def _duration(text: str) -> str:
    parse_duration(text)
    return text


# Strict, because pydantic otherwise reads true as 1 and "no" as false.
Whole = Annotated[int, Strict()]
Switch = Annotated[bool, Strict()]

Duration = Annotated[str, Form(_duration, "a duration, as in 720h, 1h30m or 90s", "^(?:[0-9]+[hms])+$")]
Cron = Annotated[str, Form(check_cron, 'a cron line of five fields, as in "0 2 * * *"', r"^\s*(?:\S+\s+){4}\S+\s*$")]
CronWithSeconds = Annotated[
    str,
    Form(
        check_cron_with_seconds,
        'a cron line of six fields, seconds first, as in "0 0 3 * * *"',
        r"^\s*[0-5]?[0-9]\s+(?:\S+\s+){4}\S+\s*$",
    ),
]
Label = Annotated[str, matching(_DNS_LABEL, "a Kubernetes name (lower case letters, digits and -)", "production")]
HostName = Annotated[str, matching(_HOST_NAME, "a host name", "app.example.com")]
# The ARNs and host names that this program builds are wrong in other partitions (China, GovCloud, …).
_AWS_REGION = re.compile(r"(?!cn-|us-gov-|us-iso|eu-iso)[a-z]{2}(-[a-z]+)+-\d")
AwsRegion = Annotated[str, matching(_AWS_REGION, "a commercial AWS region", "us-west-2")]
WorkloadName = Annotated[str, matching(_WORKLOAD, "a workload", "deployment/web or statefulset/queue")]
Url = Annotated[
    str,
    matching(re.compile(r"https?://[^/\s]+"), "a plain URL (scheme, host and port)", "http://minio.example.com:9000"),
]
HttpPath = Annotated[str, matching(re.compile(r"/[^\s?#]*"), "a path", "/healthz")]
ZoneId = Annotated[str, matching(re.compile(r"[A-Z0-9]{4,32}"), "a Route 53 hosted zone id", "Z0123456789ABCDEFGHIJ")]


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
