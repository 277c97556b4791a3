"""Python packages of an image: wheels from PyPI, each of a pinned version and hash."""

from __future__ import annotations

import platform
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

from lab.tools.debian import run

PYTHON = "3.11"  # Debian's, see debian.SUITE
_PACKAGES = f"usr/local/lib/python{PYTHON}/dist-packages"
_PROGRAMS = "usr/local/bin"
# What wheels may be built for: not asked of this machine, whose C library may be newer than the image's.
_PLATFORMS = ("manylinux_2_28", "manylinux_2_17", "manylinux2014")
_SCRIPT = "#!/usr/bin/python3\nimport sys\nfrom {module} import {function}\nsys.exit({function}())\n"


def install(requirements: Path, root: Path, programs: Mapping[str, str]) -> None:
    """Install the packages of a compiled requirements file into the root file system `root`.

    `programs`: the commands to have in the image, each with its `module:function`; their scripts are written here, for pip's
    would name the interpreter of this machine.
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
    """Compile every module in the image, so that no program of it compiles at each start what it cannot write.

    Without times of the sources in it, since in an image all of them are 0.
    """
    where = ("/usr/lib/python3", f"/usr/lib/python{PYTHON}", f"/{_PACKAGES}")
    command = ["chroot", str(root), "/usr/bin/python3", "-m", "compileall", "-qq", "--invalidation-mode=unchecked-hash", *where]
    run(command, f"compiling Python packages for {root.name}")
