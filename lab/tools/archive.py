"""Writes container images as archives in the format of `docker save`. The same contents give the same bytes."""

from __future__ import annotations

import hashlib
import io
import json
import os
import platform
import tarfile
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

SEARCH_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_EPOCH = "1970-01-01T00:00:00Z"
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One file, link or directory in an image. `user` is the number of its owner and of its group.

    A file has either a `source` (a file on this machine) or `content`. A symbolic link has its target as `link`. A directory has
    none of these.
    """

    path: str
    mode: int = 0o755
    user: int = 0
    source: Path | None = None
    content: bytes | None = None
    link: str | None = None


@dataclass(frozen=True, kw_only=True)
class Contents:
    """The contents of an image: its files, and how a container starts."""

    entries: Sequence[Entry]
    entrypoint: Sequence[str] = ()
    command: Sequence[str] = ()
    user: str = "0"
    working_directory: str = "/"
    search_path: str = SEARCH_PATH

    @property
    def key(self) -> str:
        """Twelve hexadecimal digits that change if anything in the image changes."""
        start = [self.entrypoint, self.command, self.user, self.working_directory, self.search_path, architecture()]
        digest = hashlib.sha256(json.dumps(start).encode())
        for entry in self.entries:
            digest.update(json.dumps([entry.path, entry.mode, entry.user, entry.link]).encode())
            if entry.source is not None:
                with entry.source.open("rb") as file:
                    digest.update(hashlib.file_digest(file, "sha256").digest())
            elif entry.content is not None:
                digest.update(hashlib.sha256(entry.content).digest())
        return digest.hexdigest()[:12]


def write(contents: Contents, *, name: str, target: Path, base: Path | None = None) -> None:
    """Write the image `name` (repository:tag) to `target`. An interrupted write leaves no file there.

    `base` is a tar with a root file system, which becomes a separate layer below the contents.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".image-") as scratch:
        layer, archive = Path(scratch) / "layer.tar", Path(scratch) / "image.tar"
        _write_layer(contents.entries, layer)
        layers = {_digest(tar): tar for tar in ([base] if base else []) + [layer]}
        config = _config(contents, list(layers))
        config_name = f"{hashlib.sha256(config).hexdigest()}.json"
        manifest = [{"Config": config_name, "RepoTags": [name], "Layers": [f"{digest}/layer.tar" for digest in layers]}]
        with tarfile.open(archive, "w", format=tarfile.GNU_FORMAT) as tar:
            _add(tar, Entry(path="manifest.json", mode=0o644, content=json.dumps(manifest).encode()))
            _add(tar, Entry(path=config_name, mode=0o644, content=config))
            for digest, path in layers.items():
                _add(tar, Entry(path=f"{digest}/layer.tar", mode=0o644, source=path))
        os.replace(archive, target)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _write_layer(entries: Sequence[Entry], target: Path) -> None:
    with tarfile.open(target, "w", format=tarfile.GNU_FORMAT) as tar:
        for entry in sorted(entries, key=lambda entry: entry.path):
            _add(tar, entry)


def _add(tar: tarfile.TarFile, entry: Entry) -> None:
    info = tarfile.TarInfo(entry.path.lstrip("/"))  # its time is 0 and its owner's name is empty, so the bytes do not vary
    info.mode, info.uid, info.gid = entry.mode, entry.user, entry.user
    if entry.link is not None:
        info.type, info.linkname = tarfile.SYMTYPE, entry.link
        tar.addfile(info)
    elif entry.source is not None:
        info.size = entry.source.stat().st_size
        with entry.source.open("rb") as file:
            tar.addfile(info, file)
    elif entry.content is not None:
        info.size = len(entry.content)
        tar.addfile(info, io.BytesIO(entry.content))
    else:
        info.type = tarfile.DIRTYPE
        tar.addfile(info)


def _config(contents: Contents, layer_digests: Sequence[str]) -> bytes:
    config = {
        "architecture": architecture(),
        "os": "linux",
        "created": _EPOCH,
        "config": {
            "Env": [f"PATH={contents.search_path}"],
            "Entrypoint": list(contents.entrypoint) or None,
            "Cmd": list(contents.command) or None,
            "User": contents.user,
            "WorkingDir": contents.working_directory,
        },
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}" for digest in layer_digests]},
        "history": [{"created": _EPOCH, "created_by": "k8s-dr lab"} for _ in layer_digests],
    }
    return json.dumps(config, sort_keys=True).encode()


def architecture() -> str:
    return _ARCHITECTURES.get(platform.machine(), platform.machine())
