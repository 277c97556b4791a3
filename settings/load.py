"""Reads Pulumi's configuration, and makes `Settings` of it or an error with one line for each mistake."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Collection, Mapping
from typing import Any

import pulumi.runtime.config
from pydantic import ValidationError

from settings.explain import PROJECT, SECRETS, Explainer, did_you_mean, named, show, storing
from settings.model import Settings
from settings.roles import ROLES
from settings.rules import broken_rules

KEYS = [field.alias for name, field in Settings.model_fields.items() if field.alias and name != "role"]
_PLAIN_TEXT = {"active", "tier", "identity", "backupEncryptionPassword"}


class ConfigurationError(Exception):
    """The configuration cannot be used; each line of the message names a key, its value and the fix."""


def read_configuration() -> tuple[dict[str, str], set[str]]:
    """Every configured key of this project with its text, and the keys that are stored as secrets.

    `pulumi.Config` answers only for keys that the program asks for, and so cannot find a misspelt one.
    """
    raw = {**pulumi.runtime.config.get_config_env(), **pulumi.runtime.config.CONFIG.get()}
    prefix = f"{PROJECT}:"
    own = {key.removeprefix(prefix): value for key, value in raw.items() if key.startswith(prefix)}
    return own, {key for key in own if pulumi.runtime.config.is_config_secret(prefix + key)}


def load(stack: str, raw: Mapping[str, str], secrets: Collection[str] = ()) -> Settings:
    """Validate one stack's configuration, before anything is registered. Raise ConfigurationError if it cannot be used.

    `raw` maps keys, without the project's name, to their text as Pulumi stores it. `secrets` are the keys that are stored with
    --secret: nothing of their values is ever in a message. `Settings` checks every field, and then this function every rule.
    """
    if stack not in ROLES:
        raise ConfigurationError(
            f"stack {stack}: a stack is called primary or secondary, for its name is its role; run: pulumi stack select primary"
        )
    problems = _misplaced_assignments(stack, raw, secrets) or _unknown_keys(stack, raw)
    values: dict[str, Any] = {}
    for key, text in raw.items():
        if key in KEYS and not (key == "active" and not text):  # Pulumi.yaml's default: nobody has set it
            try:
                values[key] = _parse(key, text)
            except (ValueError, RecursionError):
                shown = show(text, secret=key in secrets or key in SECRETS)
                fix = f"write it as YAML in Pulumi.yaml or Pulumi.{stack}.yaml"
                if key in SECRETS:
                    fix = f"run: pulumi config rm {key} -s {stack} && {storing(key, stack)}"
                problems.append(f"{named(key)}: {shown} cannot be read; {fix}")
    problems += [
        f"{named(key)}: is stored in clear text; run: {storing(key, stack)}"
        for key in SECRETS
        if key in raw and key not in secrets
    ]
    if problems:
        raise ConfigurationError("\n".join(problems))
    explainer = Explainer(stack=stack, values=values, secrets=frozenset({*SECRETS, *secrets}))
    try:
        settings = Settings.model_validate({"role": stack, **values}, by_alias=True, by_name=False)
    except ValidationError as error:
        raise ConfigurationError("\n".join(explainer.lines(error))) from None
    if broken := broken_rules(settings):
        raise ConfigurationError("\n".join(explainer.broken_rule(rule, mistake) for rule, mistake in broken))
    return settings


def _parse(key: str, text: str) -> Any:
    """Pulumi stores objects, lists, numbers and booleans as JSON, and plain text as it is."""
    if key in _PLAIN_TEXT:
        return text
    if key == "endpoint" and not text.lstrip().startswith("{"):
        return text
    return json.loads(text)


def _in_quotes(text: str) -> str:
    """`text` as one word of a shell, in quotes even where it needs none."""
    quoted = shlex.quote(text)
    return quoted if quoted != text else f"'{text}'"


def _misplaced_assignments(stack: str, raw: Mapping[str, str], secrets: Collection[str]) -> list[str]:
    """Mistakes like `pulumi config set active=secondary`, which stores a key of the name `active=secondary` and no value."""
    problems = []
    for key in (key for key in raw if "=" in key):
        name, _, value = key.partition("=")
        top, path = _top_level_key(name), "" if name == _top_level_key(name) else "--path "
        if key in secrets or top in SECRETS:
            shown, again = "…", f"--secret {path}{shlex.quote(name)}"
        elif top in KEYS:
            shown, again = value, f"{path}{shlex.quote(name)} {shlex.quote(value)}"
        else:  # misspelt, it may be the key of a secret
            shown, again = "…", ""
        happened = f"'pulumi config set {name}={shown}' stored a key of that name and changed nothing"
        if not again:
            happened += f", and {top} is an unknown key{did_you_mean(top, KEYS)}"
        fix = f"pulumi config rm {_in_quotes(f'{name}={shown}')} -s {stack}"
        fix += f" && pulumi config set {again} -s {stack}" if again else ""
        problems.append(f"{named(name)}={shown}: {happened}; run: {fix}")
    return problems


def _unknown_keys(stack: str, raw: Mapping[str, str]) -> list[str]:
    problems = []
    for key in (key for key in raw if key not in KEYS):
        remove = f"pulumi config rm {shlex.quote(key)} -s {stack}"
        if _top_level_key(key) in KEYS:
            # The command for a secret has no value, so that Pulumi asks for it: the shell's history would keep a written one.
            secret, value = ("--secret ", "") if _top_level_key(key) in SECRETS else ("", " …")
            again = f"pulumi config set {secret}--path {shlex.quote(key)}{value} -s {stack}"
            problems.append(f"{named(key)}: was stored without --path and changed nothing; run: {remove} && {again}")
        else:
            problems.append(f"{named(key)}: unknown key{did_you_mean(key, KEYS)}; to remove it run: {remove}")
    return problems


def _top_level_key(path: str) -> str:
    """The top-level key of a path: `databasePasswords` of `databasePasswords["app"]`."""
    return re.split(r"[.\[]", path, maxsplit=1)[0]
