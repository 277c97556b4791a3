"""Kubeconfig files: one for people, with a context for each region, and one for each part that calls a region's API server."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from lab.regions.pki import ADMIN, User
from lab.regions.spec import RegionSpec


def for_people(certificates: Mapping[RegionSpec, Path]) -> str:
    """The file for people: an administrator of each region. `certificates` has the directory of each region's certificates."""
    return _dump([_entry(spec, directory, ADMIN) for spec, directory in certificates.items()])


def for_part(spec: RegionSpec, certificates: Path, user: User) -> str:
    """The file for one part of a region."""
    return _dump([_entry(spec, certificates, user)])


def write(file: Path, content: str) -> None:
    """Write a kubeconfig that only its owner can read, because it has private keys."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.touch(mode=0o600)
    file.write_text(content)


def _entry(spec: RegionSpec, certificates: Path, user: User) -> dict[str, Any]:
    """The cluster, user and context of one region. All three have the context's name."""
    name = spec.context
    authority = _base64(certificates / "ca.crt")
    client = {"crt": _base64(certificates / f"{user.file}.crt"), "key": _base64(certificates / f"{user.file}.key")}
    return {
        "clusters": {"name": name, "cluster": {"server": spec.api_server, "certificate-authority-data": authority}},
        "users": {
            "name": name,
            "user": {"client-certificate-data": client["crt"], "client-key-data": client["key"]},
        },
        "contexts": {"name": name, "context": {"cluster": name, "user": name}},
    }


def _dump(entries: Sequence[Mapping[str, Any]]) -> str:
    lists = {key: [entry[key] for entry in entries] for key in ("clusters", "users", "contexts")}
    current = entries[0]["contexts"]["name"]
    document = {"apiVersion": "v1", "kind": "Config", "current-context": current, **lists}
    return yaml.safe_dump(document, sort_keys=False)


def _base64(file: Path) -> str:
    return base64.b64encode(file.read_bytes()).decode()
