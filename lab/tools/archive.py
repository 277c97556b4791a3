"""Write a container image by hand: a docker-archive (as of `docker save`) with one layer, the same bytes each time."""

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

_EPOCH = "1970-01-01T00:00:00Z"
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One thing in an image's file system, owned by `user` (a number; the group is the same).

    Exactly one of `source` (a file of this machine), `content` and `link` (the target of a symbolic link) is set; for a
    directory none is.
    """

    path: str
    mode: int = 0o755
    user: int = 0
    source: Path | None = None
    content: bytes | None = None
    link: str | None = None


@dataclass(frozen=True, kw_only=True)
class Contents:
    """What an image is: its files, and how a container of it starts."""

    entries: Sequence[Entry]
    entrypoint: Sequence[str] = ()
    user: str = "0"

    @property
    def key(self) -> str:
        """Twelve hexadecimal digits that change with anything in the image."""
        digest = hashlib.sha256(json.dumps([list(self.entrypoint), self.user, _architecture()]).encode())
        for entry in self.entries:
            digest.update(json.dumps([entry.path, entry.mode, entry.user, entry.link]).encode())
            if entry.source is not None:
                with entry.source.open("rb") as file:
                    digest.update(hashlib.file_digest(file, "sha256").digest())
            elif entry.content is not None:
                digest.update(hashlib.sha256(entry.content).digest())
        return digest.hexdigest()[:12]


def write(contents: Contents, *, name: str, target: Path) -> None:
    """Write the image called `name` (repository:tag) to `target`, which appears complete or not at all."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".image-") as scratch:
        layer, archive = Path(scratch) / "layer.tar", Path(scratch) / "image.tar"
        _write_layer(contents.entries, layer)
        with layer.open("rb") as file:
            layer_digest = hashlib.file_digest(file, "sha256").hexdigest()
        config = _config(contents, layer_digest)
        config_name = f"{hashlib.sha256(config).hexdigest()}.json"
        manifest = [{"Config": config_name, "RepoTags": [name], "Layers": [f"{layer_digest}/layer.tar"]}]
        with tarfile.open(archive, "w", format=tarfile.GNU_FORMAT) as tar:
            _add(tar, Entry(path="manifest.json", mode=0o644, content=json.dumps(manifest).encode()))
            _add(tar, Entry(path=config_name, mode=0o644, content=config))
            _add(tar, Entry(path=f"{layer_digest}/layer.tar", mode=0o644, source=layer))
        os.replace(archive, target)


def _write_layer(entries: Sequence[Entry], target: Path) -> None:
    with tarfile.open(target, "w", format=tarfile.GNU_FORMAT) as tar:
        for entry in sorted(entries, key=lambda entry: entry.path):
            _add(tar, entry)


def _add(tar: tarfile.TarFile, entry: Entry) -> None:
    info = tarfile.TarInfo(entry.path.lstrip("/"))  # its time is 0 and its names are empty unless set
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


def _config(contents: Contents, layer_digest: str) -> bytes:
    config = {
        "architecture": _architecture(),
        "os": "linux",
        "created": _EPOCH,
        "config": {
            "Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"],
            "Entrypoint": list(contents.entrypoint) or None,
            "User": contents.user,
            "WorkingDir": "/",
        },
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{layer_digest}"]},
        "history": [{"created": _EPOCH, "created_by": "k8s-dr lab"}],
    }
    return json.dumps(config, sort_keys=True).encode()


def _architecture() -> str:
    return _ARCHITECTURES.get(platform.machine(), platform.machine())
