"""Root file systems that images share: Debian packages, and Python packages on top. Each is made once for this user."""

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
_RECIPE = 1  # one more whenever the code that makes a root file system changes what comes out
_BASE = ("base-files", "base-passwd", "bash", "coreutils", "dash", "grep", "libc-bin", "netbase", "sed")


@dataclass(frozen=True, kw_only=True)
class Root:
    """What a root file system consists of.

    `packages`: Debian's. `requirements` and `programs`: see `pypi.install`. `unwanted`: what of them no program here needs, as
    patterns; `only`: the directories that stay, of all in a directory. `proof`: a command in the image that says a version, and
    shows that what the image is for can run.
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
        """Twelve hexadecimal digits that change with the recipe; a newer package in the same suite is not asked for."""
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
    """A finished root file system: an uncompressed tar, and what its proof said that its version is."""

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
    # LLVM only compiles queries just in time, and Debian's own wrappers around PostgreSQL's programs are all that is Perl here.
    unwanted=(*_PERL, *_LLVM),
)

# One for two images, so that a region imports it once: Barman's programs, and the AWS CLI.
CLOUD_TOOLS = Root(
    name="cloud-tools",
    packages=(*_BASE, "curl", "gawk", "python3", "python3-psycopg2"),
    proof=("/usr/local/bin/aws", "--version"),
    requirements=_REQUIREMENTS / "cloud-tools.txt",
    programs={**_BARMAN, "aws": "awscli.clidriver:main"},
    unwanted=(*_PERL, f"{_PACKAGES}/awscli/examples", f"{_PACKAGES}/zstandard/_cffi*"),
    # 120 MB describe services that nobody calls here; without the second line the AWS CLI does not start.
    only={
        f"{_PACKAGES}/awscli/botocore/data": (
            *("kms", "s3", "sts"),
            *("codedeploy", "config", "sagemaker-runtime", "sdb", "sms-voice"),
        )
    },
)


def ensure(roots: Iterable[Root], *, say: Callable[[str], None] = console.say) -> dict[str, Layer]:
    """The layers of those root file systems by their names, made at the same time unless the cache has them.

    Raises ToolError if one cannot be made: the machine has no Debian mirror, no root or no network.
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
        raise ToolError(f"trying the root file system {root.name} failed: {' '.join(root.proof)} says no version but {answer!r}")
    return version[0]


def _pack(tree: Path, target: Path) -> None:
    """The tree with its owners, modes and links; in an order and with times that do not depend on this run."""
    stable = ("--format=gnu", "--sort=name", "--mtime=@0", "--numeric-owner")
    debian.run(["tar", *stable, f"--directory={tree}", f"--file={target}", "--create", "."], f"packing {tree.name}")


def _layer(directory: Path) -> Layer:
    return Layer(tar=directory / "layer.tar", version=(directory / "version").read_text())


def _directory(root: Root) -> Path:
    return _store() / f"{root.name}-{root.key}"


def _store() -> Path:
    return cache_directory() / "images" / "roots"
