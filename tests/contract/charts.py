"""Checks the values that the program gives to a chart against the chart's archive: its defaults, its schema and its templates."""

from __future__ import annotations

import json
import subprocess
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from lab.tools import versions

KEEP = ("helm.sh/resource-policy", "keep")
Values = Mapping[str, Any]


class RefusedError(Exception):
    """Helm refuses the chart or its values. The message is Helm's own."""


@dataclass(frozen=True, kw_only=True)
class Release:
    """One release as the program registers it, and what it must contain.

    `definitions` are names of CustomResourceDefinitions. `references` are images that must be among the rendered objects.
    """

    name: str
    namespace: str
    values: Values
    definitions: frozenset[str]
    references: frozenset[str]


def faults(helm: Path, archive: Path, release: Release) -> list[str]:
    """Each reason why the release would not be as the program intends, in one line each."""
    found = [
        f"{key} is not in the chart's values.yaml: it would be ignored" for key in unknown(release.values, defaults(archive))
    ]
    try:
        rendered = template(helm, archive, release)
    except RefusedError as error:
        return [*found, str(error)]
    return [*found, *_faults_of_definitions(archive, rendered, release.definitions), *_faults_of_images(rendered, release)]


def _faults_of_definitions(archive: Path, rendered: Sequence[dict[str, Any]], wanted: frozenset[str]) -> Iterator[str]:
    """A CRD is upgraded with its release only if it is a template. It outlives the release only if it is marked."""
    templated = {item["metadata"]["name"]: item for item in rendered if item["kind"] == "CustomResourceDefinition"}
    for name in sorted(wanted - set(templated)):
        yield f"{name} is not among the templates: no upgrade of the release would upgrade it"
    for name, item in sorted(templated.items()):
        annotation, value = KEEP
        if item["metadata"].get("annotations", {}).get(annotation) != value:
            yield f"{name} has no annotation {annotation}: {value}: with the release it would go, and every object of its kind"
    if any(Path(path).parts[1:2] == ("crds",) for path in _members(archive)):
        yield "the archive has a directory crds: Helm installs what is in it and never upgrades it"


def _faults_of_images(rendered: Sequence[dict[str, Any]], release: Release) -> Iterator[str]:
    text = json.dumps(rendered)
    for reference in sorted(release.references):
        if f'"{reference}"' not in text:
            yield f"{reference} is in no rendered object: the chart takes its image from other values"


def unknown(values: Values, known: Any, path: str = "") -> Iterator[str]:
    """Paths of values that the chart's defaults do not have. Helm ignores them silently. An empty default accepts any value."""
    for key, value in values.items():
        here = f"{path}.{key}" if path else key
        if not isinstance(known, Mapping) or key not in known:
            yield here
        elif isinstance(value, Mapping) and known[key] not in ({}, None):
            yield from unknown(value, known[key], here)


def defaults(archive: Path) -> dict[str, Any]:
    with tarfile.open(archive) as tar:
        (name,) = [path for path in tar.getnames() if Path(path).parts[1:] == ("values.yaml",)]
        file = tar.extractfile(name)
        assert file is not None
        return dict(yaml.safe_load(file.read()) or {})


def template(helm: Path, archive: Path, release: Release) -> list[dict[str, Any]]:
    """Every object of the release as an installation would create it. Raises RefusedError."""
    printed = run(
        helm,
        *("template", release.name, str(archive), "--namespace", release.namespace, "--kube-version", versions.KUBERNETES),
        *("--values", "-"),
        stdin=yaml.safe_dump(dict(release.values)),
    )
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    return [document for document in yaml.load_all(printed, Loader=loader) if document]


def run(helm: Path, *args: str, stdin: str | None = None) -> str:
    """Helm's output. Raises RefusedError, in one line."""
    ran = subprocess.run([helm, *args], input=stdin, capture_output=True, text=True, timeout=120, check=False)
    if ran.returncode:
        raise RefusedError(" ".join(ran.stderr.split()))
    return ran.stdout


def _members(archive: Path) -> list[str]:
    with tarfile.open(archive) as tar:
        return tar.getnames()
