"""Reads Pulumi's configuration, and makes `Settings` of it or an error with one line for each mistake."""

from __future__ import annotations

import json
import os
import re
import shlex
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import pulumi.runtime.config
from pydantic import ValidationError

from settings.explain import PROJECT, SECRETS, Explainer, meant, named, storing
from settings.files import UNREAD, Files, encrypted, without_secrets
from settings.model import Settings
from settings.places import example, field_at
from settings.roles import ROLES
from settings.rules import broken_rules
from settings.shown import show
from settings.spelling import closest

KEYS = [field.alias for name, field in Settings.model_fields.items() if field.alias and name != "role"]
TRIES_IN_PREVIEWS = "K8S_DR_TRY_BY_DAY"
"""The variable by which a preview asks what each `up` asks by day. It is no key: it says how to run, and not what is wanted."""

_OF_A_PROJECT = re.compile(r"(?P<project>[A-Za-z0-9_-]+):(?P<name>.*)", re.DOTALL)

_OTHER_PROJECTS = ("pulumi", "aws", "aws-native", "kubernetes", "random", "tls", "command")
"""Whose keys are in a stack file beside this project's: Pulumi itself and providers."""

_PLAIN_TEXT = {"active", "handover", "rejoin", "tier", "identity", "backupEncryptionPassword"}


class ConfigurationError(Exception):
    """The configuration cannot be used; each line of the message names a key, its value and the fix."""


def read_configuration() -> tuple[dict[str, str], set[str]]:
    """Every configured key of this project with its text, and the keys that are stored as secrets.

    `pulumi.Config` answers only for keys that the program asks for, and so cannot find a misspelt one.
    """
    raw = {**pulumi.runtime.config.get_config_env(), **pulumi.runtime.config.CONFIG.get()}
    prefix = f"{PROJECT}:"
    own = {key.removeprefix(prefix): value for key, value in raw.items() if key.startswith(prefix)}
    # Under a misspelt name of the project a key is nobody's, and would change nothing in silence.
    meant_for_us = {key: value for key, value in raw.items() if _of_a_misspelt_project(key)}
    secrets = {key for key in own if pulumi.runtime.config.is_config_secret(prefix + key)}
    return {**own, **meant_for_us}, secrets | {key for key in meant_for_us if pulumi.runtime.config.is_config_secret(key)}


def tries_in_previews() -> bool:
    """Whether whoever runs a preview wants to know, too, what each `up` asks by day of the failover to come."""
    return os.environ.get(TRIES_IN_PREVIEWS) == "true"


def _of_a_misspelt_project(key: str) -> bool:
    """Whether a key is of no provider, and of this project but for its spelling: `k8sdr:active`."""
    found = _OF_A_PROJECT.match(key)
    if not found or found["project"] in (PROJECT, *_OTHER_PROJECTS):
        return False
    return closest(found["project"], [PROJECT]) is not None or _top_level_key(found["name"]) in KEYS


def load_files(stack: str, directory: Path = Path(), *, without: Collection[str] = ()) -> Settings:
    """One stack's settings as Pulumi.yaml and its own file in `directory` have them, but for its secrets and the keys `without`:
    no Pulumi, no state and no passphrase is asked. Raise ConfigurationError if they cannot be used."""
    files = Files(stack=stack, directory=directory)
    values = {key: value for key, value in {**files.shared(), **files.own()}.items() if key not in without}
    if hidden := sorted(key for key, value in values.items() if key not in SECRETS and encrypted(value)):
        raise ConfigurationError(
            f"{named(hidden[0])}: is stored as a secret in {files.own_name}, which is read without Pulumi here; it is none, so "
            f"run: pulumi config set --plaintext {hidden[0]} … -s {stack}"
        )
    given = without_secrets(values).items()
    raw = {key: value if isinstance(value, str) else json.dumps(value) for key, value in given}
    return load(stack, raw, SECRETS, directory, unread=UNREAD)


def load(
    stack: str,
    raw: Mapping[str, str],
    secrets: Collection[str] = (),
    directory: Path = Path(),
    *,
    unread: Collection[str] = (),
) -> Settings:
    """Validate one stack's configuration, before anything is registered. Raise ConfigurationError if it cannot be used.

    `raw` maps keys, without the project's name, to their text as Pulumi stores it. `secrets` are the keys that are stored with
    --secret: nothing of their values is ever in a message. `Settings` checks every field, and then this function every rule. In
    `directory` are Pulumi.yaml and the stack's own file, for messages that say where a key is written. No rule judges keys that
    are `unread`: the stack may have them.
    """
    if stack not in ROLES:
        raise ConfigurationError(
            f"stack {stack}: a stack is called primary or secondary, for its name is its role; run: pulumi stack select primary"
        )
    files = Files(stack=stack, directory=directory)
    problems = _misspelt_projects(stack, raw) + (_misplaced_assignments(stack, raw, secrets) or _unknown_keys(stack, raw))
    values: dict[str, Any] = {}
    for key, text in raw.items():
        if key in KEYS and not (key == "active" and not text):  # Pulumi.yaml's default: nobody has set it
            try:
                values[key] = _parse(key, text)
            except (ValueError, RecursionError):
                problems.append(_unreadable(key, text, stack, files, secret=key in secrets or key in SECRETS))
    problems += [
        f"{named(key)}: is stored in clear text; run: {storing(key, stack)}"
        for key in SECRETS
        if key in raw and key not in secrets
    ]
    if problems:
        raise ConfigurationError("\n".join(problems))
    explainer = Explainer(
        stack=stack,
        values=values,
        secrets=frozenset({*SECRETS, *secrets}),
        replaced=lambda: files.replaced(values),
        file_of=files.of,
    )
    try:
        settings = Settings.model_validate({"role": stack, **values}, by_alias=True, by_name=False)
    except ValidationError as error:
        raise ConfigurationError("\n".join(explainer.lines(error))) from None
    if broken := [(rule, mistake) for rule, mistake in broken_rules(settings) if rule.key not in unread]:
        raise ConfigurationError("\n".join(explainer.broken_rule(rule, mistake) for rule, mistake in broken))
    return settings


def _parse(key: str, text: str) -> Any:
    """Pulumi stores objects, lists, numbers and booleans as JSON, and plain text as it is."""
    if key in _PLAIN_TEXT:
        return text
    if key == "endpoint" and not text.lstrip().startswith("{"):
        return text
    return json.loads(text)


def _unreadable(key: str, text: str, stack: str, files: Files, *, secret: bool) -> str:
    """Why the text of a key is no value of its type, and what to write."""
    kind = field_at((key,)).annotation
    if key in SECRETS:
        return (
            f"{named(key)}: {show(text, secret=True)} cannot be read; run: pulumi config rm {key} -s {stack} && "
            f"{storing(key, stack)}"
        )
    if kind is bool:
        return f"{named(key)}: {show(text, secret=secret)} is neither true nor false; write one of them"
    if not text.strip():
        out = "" if field_at((key,)).is_required() else f"take it out of {files.of(key)}, or "
        return f"{named(key)}: is empty; {out}write it: {example(kind)}"
    return f"{named(key)}: {show(text, secret=secret)} cannot be read; write it as YAML in {files.of(key)}: {example(kind)}"


def _misspelt_projects(stack: str, raw: Mapping[str, str]) -> list[str]:
    problems = []
    for key in (key for key in raw if _of_a_misspelt_project(key)):
        project, _, name = key.partition(":")
        secret = "--secret " if _top_level_key(name) in SECRETS else ""
        path = "--path " if name != _top_level_key(name) else ""
        value = "" if secret else " …"
        again = f"pulumi config set {secret}{path}{shlex.quote(name)}{value} -s {stack}"
        fix = f"pulumi config rm {shlex.quote(key)} -s {stack} && {again}"
        problems.append(f"{key}: is a key of {project}, which nobody reads, and not of {PROJECT}; run: {fix}")
    return problems


def _in_quotes(text: str) -> str:
    """`text` as one word of a shell, in quotes even where it needs none."""
    quoted = shlex.quote(text)
    return quoted if quoted != text else f"'{text}'"


def _misplaced_assignments(stack: str, raw: Mapping[str, str], secrets: Collection[str]) -> list[str]:
    """Mistakes like `pulumi config set active=secondary`, which stores a key of the name `active=secondary` and no value."""
    problems = []
    for key in (key for key in raw if "=" in key and not _OF_A_PROJECT.match(key)):
        name, _, value = key.partition("=")
        top, path = _top_level_key(name), "" if name == _top_level_key(name) else "--path "
        if key in secrets or top in SECRETS:
            shown, again = "…", f"--secret {path}{shlex.quote(name)}"
        elif top in KEYS and show(value) == value:
            shown, again = value, f"{path}{shlex.quote(name)} {shlex.quote(value)}"
        else:  # misspelt, it may be the key of a secret; long, it may be a file with one
            shown, again = "…", f"{path}{shlex.quote(name)} …" if top in KEYS else ""
        happened = f"'pulumi config set {name}={shown}' stored a key of that name and changed nothing"
        if not again:
            happened += f", and {top} is an unknown key{meant(top, KEYS)}"
        fix = f"pulumi config rm {_in_quotes(f'{name}={shown}')} -s {stack}"
        fix += f" && pulumi config set {again} -s {stack}" if again else ""
        problems.append(f"{named(name)}={shown}: {happened}; run: {fix}")
    return problems


def _unknown_keys(stack: str, raw: Mapping[str, str]) -> list[str]:
    problems = []
    for key in (key for key in raw if key not in KEYS and not _OF_A_PROJECT.match(key)):
        remove = f"pulumi config rm {shlex.quote(key)} -s {stack}"
        if _top_level_key(key) in KEYS:
            # The command for a secret has no value, so that Pulumi asks for it: the shell's history would keep a written one.
            secret, value = ("--secret ", "") if _top_level_key(key) in SECRETS else ("", " …")
            again = f"pulumi config set {secret}--path {shlex.quote(key)}{value} -s {stack}"
            problems.append(f"{named(key)}: was stored without --path and changed nothing; run: {remove} && {again}")
        else:
            problems.append(f"{named(key)}: unknown key{meant(key, KEYS)}; to remove it run: {remove}")
    return problems


def _top_level_key(path: str) -> str:
    """The top-level key of a path: `databasePasswords` of `databasePasswords["app"]`."""
    return re.split(r"[.\[]", path, maxsplit=1)[0]
