"""Installs Python packages in images: wheels from PyPI with pinned versions and hashes."""

from __future__ import annotations

import platform
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

from lab.tools.debian import run

PYTHON = "3.11"  # the version in debian.SUITE
_PACKAGES = f"usr/local/lib/python{PYTHON}/dist-packages"
_PROGRAMS = "usr/local/bin"
# The platforms of accepted wheels. pip's default is this machine's platform, whose C library may be newer than the image's.
_PLATFORMS = ("manylinux_2_28", "manylinux_2_17", "manylinux2014")
_SCRIPT = "#!/usr/bin/python3\nimport sys\nfrom {module} import {function}\nsys.exit({function}())\n"


def install(requirements: Path, root: Path, programs: Mapping[str, str]) -> None:
    """Install the packages of a compiled requirements file into the root file system `root`.

    `programs` maps the commands in the image to their `module:function`. This function writes their scripts itself, because pip's
    scripts would start this machine's Python.
    """
    packages = root / _PACKAGES
    platforms = [f"--platform={name}_{platform.machine()}" for name in _PLATFORMS]
    target = ["--target", str(packages), f"--python-version={PYTHON}", "--implementation=cp", *platforms, "--only-binary=:all:"]
    pinned = ["--no-deps", "--no-compile", "--require-hashes", "--requirement", str(requirements)]
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
    run([*pip, *target, *pinned], f"installing Python packages for {root.name}")
    for directory in ("bin", "share"):
        shutil.rmtree(packages / directory, ignore_errors=True)
    (root / _PROGRAMS).mkdir(parents=True, exist_ok=True)
    for name, function in programs.items():
        module, _, function_name = function.partition(":")
        script = root / _PROGRAMS / name
        script.write_text(_SCRIPT.format(module=module, function=function_name))
        script.chmod(0o755)


def compile_all(root: Path) -> None:
    """Compile all Python modules in the image. Otherwise programs would compile them at each start, if they cannot write them.

    The compiled files do not refer to times of their sources, because all times in an image are 0.
    """
    where = ("/usr/lib/python3", f"/usr/lib/python{PYTHON}", f"/{_PACKAGES}")
    command = ["chroot", str(root), "/usr/bin/python3", "-m", "compileall", "-qq", "--invalidation-mode=unchecked-hash", *where]
    run(command, f"compiling Python packages for {root.name}")
