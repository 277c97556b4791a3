"""Makes the root file systems that images share: Debian packages, and Python packages on top. Each user makes them once."""

from __future__ import annotations

import hashlib
import json
import platform
import re
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from lab import console
from lab.paths import cache_directory
from lab.tools import debian, pypi, versions
from lab.tools.go import ToolError
from lab.tools.workshop import workshop

_REQUIREMENTS = Path(__file__).parent / "requirements"
_RECIPE = 1  # increment this if a change of the code changes the root file systems
_BASE = ("base-files", "base-passwd", "bash", "coreutils", "dash", "grep", "libc-bin", "netbase", "sed")


@dataclass(frozen=True, kw_only=True)
class Root:
    """The parts of a root file system.

    `packages` are Debian packages. For `requirements` and `programs`, see `pypi.install`. `unwanted` are patterns of files that
    no program needs. `only` maps a directory to those of its subdirectories that stay. `proof` is a command in the image that
    prints the version, and so shows that the image's main program runs.
    """

    name: str
    packages: tuple[str, ...]
    proof: tuple[str, ...]
    requirements: Path | None = None
    programs: Mapping[str, str] = field(default_factory=dict)
    unwanted: tuple[str, ...] = ()
    only: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """Twelve hexadecimal digits that change with the recipe, but not with newer packages in the same suite."""
        pinned = self.requirements.read_text() if self.requirements else None
        recipe = [
            _RECIPE,
            debian.SUITE,
            self.packages,
            pinned,
            dict(self.programs),
            self.unwanted,
            dict(self.only),
            platform.machine(),
        ]
        return hashlib.sha256(json.dumps(recipe).encode()).hexdigest()[:12]


@dataclass(frozen=True, kw_only=True)
class Layer:
    """A finished root file system: an uncompressed tar, and the version that its proof printed."""

    tar: Path
    version: str


_POSTGRESQL = f"usr/lib/postgresql/{versions.POSTGRESQL_MAJOR}"
_PERL = ("usr/bin/perl*", "usr/lib/*/libperl*", "usr/lib/*/perl*", "usr/share/perl*")
_LLVM = ("usr/lib/*/libLLVM*", "usr/lib/*/libz3*", "usr/lib/llvm*", f"{_POSTGRESQL}/lib/llvmjit*", f"{_POSTGRESQL}/lib/bitcode")
_PACKAGES = "usr/local/lib/*/dist-packages"
_BARMAN = {
    f"barman-cloud-{name}": f"barman.clients.cloud_{module}:main"
    for name, module in (
        ("backup", "backup"),
        ("backup-delete", "backup_delete"),
        ("backup-keep", "backup_keep"),
        ("backup-list", "backup_list"),
        ("backup-show", "backup_show"),
        ("check-wal-archive", "check_wal_archive"),
        ("restore", "restore"),
        ("wal-archive", "walarchive"),
        ("wal-restore", "walrestore"),
    )
}

POSTGRESQL = Root(
    name="postgresql",
    packages=(
        *_BASE,
        "debianutils",
        "findutils",
        f"postgresql-{versions.POSTGRESQL_MAJOR}",
        f"postgresql-client-{versions.POSTGRESQL_MAJOR}",
        "tzdata",
    ),
    proof=(f"/{_POSTGRESQL}/bin/postgres", "--version"),
    # LLVM is only for just-in-time compilation of queries. Perl is only for Debian's wrappers around PostgreSQL's programs.
    unwanted=(*_PERL, *_LLVM),
)

# What the program's own Pods run: an interpreter with its standard library, as in the official image, and nothing else.
PYTHON = Root(
    name="python",
    packages=("base-files", "base-passwd", "libc-bin", "netbase", "python3"),
    proof=("/usr/bin/python3", "-c", "import http.client, json, ssl, sys; print(sys.version)"),
    unwanted=(*_PERL, *(f"usr/lib/python3*/{name}" for name in ("idlelib", "lib2to3", "pydoc_data", "unittest"))),
)

# Barman's programs and the AWS CLI. Two images share this root, so that a region imports it only once.
CLOUD_TOOLS = Root(
    name="cloud-tools",
    packages=(*_BASE, "curl", "gawk", "python3", "python3-psycopg2"),
    proof=("/usr/local/bin/aws", "--version"),
    requirements=_REQUIREMENTS / "cloud-tools.txt",
    programs={**_BARMAN, "aws": "awscli.clidriver:main"},
    unwanted=(*_PERL, f"{_PACKAGES}/awscli/examples", f"{_PACKAGES}/zstandard/_cffi*"),
    # The rest is 120 MB for services that the lab never calls. The AWS CLI needs the second line to start.
    only={
        f"{_PACKAGES}/awscli/botocore/data": (
            *("kms", "s3", "sts"),
            *("codedeploy", "config", "sagemaker-runtime", "sdb", "sms-voice"),
        )
    },
)


def ensure(roots: Iterable[Root], *, say: Callable[[str], None] = console.say) -> dict[str, Layer]:
    """The layers of the root file systems, by name. Those that the cache does not have are made in parallel.

    Raises ToolError if one cannot be made, because the machine has no Debian mirror, no root or no network.
    """
    wanted = {root.name: root for root in roots}
    if not all(_directory(root).is_dir() for root in wanted.values()):
        with workshop(_store(), "root file systems of images", say) as scratch, ThreadPoolExecutor() as pool:
            missing = [root for root in wanted.values() if not _directory(root).is_dir()]  # another checkout may have made them
            list(pool.map(lambda root: _make(root, scratch, say), missing))
    return {name: _layer(_directory(root)) for name, root in wanted.items()}


def _make(root: Root, scratch: Path, say: Callable[[str], None]) -> None:
    started = time.monotonic()
    say(f"  … root file system {root.name}: Debian packages{' and Python packages' if root.requirements else ''}")
    tree, result = scratch / root.name, scratch / f"{root.name}.done"
    result.mkdir()
    debian.unpack(root.packages, tree)
    if root.requirements:
        pypi.install(root.requirements, tree, root.programs)
    if "python3" in root.packages:
        pypi.compile_all(tree)
    debian.remove(tree, root.unwanted)
    for directory, names in root.only.items():
        debian.remove(tree, [f"{directory}/{path.name}" for path in tree.glob(f"{directory}/*/") if path.name not in names])
    (result / "version").write_text(_proven_version(root, tree))
    _pack(tree, result / "layer.tar")
    result.rename(_directory(root))
    size = (_directory(root) / "layer.tar").stat().st_size
    say(f"  ✓ root file system {root.name} ({size / 1e6:.0f} MB, {time.monotonic() - started:.0f} s)")


def _proven_version(root: Root, tree: Path) -> str:
    answer = debian.run(["chroot", str(tree), *root.proof], f"trying the root file system {root.name}")
    version = re.search(r"\d+(\.\d+)+", answer)
    if version is None:
        raise ToolError(
            f"trying the root file system {root.name} failed: {' '.join(root.proof)} printed no version but {answer!r}"
        )
    return version[0]


def _pack(tree: Path, target: Path) -> None:
    """Pack the tree with its owners, modes and links. Order and times are fixed, so that each run gives the same tar."""
    stable = ("--format=gnu", "--sort=name", "--mtime=@0", "--numeric-owner")
    debian.run(["tar", *stable, f"--directory={tree}", f"--file={target}", "--create", "."], f"packing {tree.name}")


def _layer(directory: Path) -> Layer:
    return Layer(tar=directory / "layer.tar", version=(directory / "version").read_text())


def _directory(root: Root) -> Path:
    return _store() / f"{root.name}-{root.key}"


def _store() -> Path:
    return cache_directory() / "images" / "roots"
