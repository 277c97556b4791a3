"""Finds tools that are already installed. The lab uses one on PATH instead of building it, if its version is right."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from packaging.version import Version

from lab.tools import versions


@dataclass(frozen=True, kw_only=True)
class Probe:
    """The arguments with which a tool prints its version, and a regular expression for the right answer.

    With `at_least`, the first group of the expression is a version, and a newer one of the same major version is right too.
    """

    arguments: tuple[str, ...]
    answer: str
    at_least: str | None = None

    def accepts(self, said: str) -> bool:
        found = re.search(self.answer, said)
        if found is None or self.at_least is None:
            return found is not None
        version, wanted = Version(found[1]), Version(self.at_least)
        return version.major == wanted.major and version >= wanted


def _exactly(text: str) -> str:
    return rf"(?<![\w.]){re.escape(text)}(?![\w.+-])"


_KUBERNETES = Probe(arguments=("--version",), answer=_exactly(f"Kubernetes {versions.KUBERNETES}"))
_ETCD = versions.ETCD.removeprefix("v")

# Tools without a row are always built: they cannot print their version, or are only used in images.
PROBES: Mapping[str, Probe] = {
    # Pulumi keeps its interfaces within a major version.
    "pulumi": Probe(arguments=("version",), answer=r"(?<![\w.])v(\d+\.\d+\.\d+)(?![\w.+-])", at_least=versions.PULUMI),
    # All patch releases of the same minor version work with the lab's servers.
    "kubectl": Probe(
        arguments=("version", "--client", "-o", "json"),
        answer=rf'"gitVersion": "{re.escape(versions.KUBERNETES.rpartition(".")[0])}\.',
    ),
    "etcd": Probe(arguments=("--version",), answer=_exactly(f"etcd Version: {_ETCD}")),
    "etcdctl": Probe(arguments=("version",), answer=_exactly(f"etcdctl version: {_ETCD}")),
    "etcdutl": Probe(arguments=("version",), answer=_exactly(f"etcdutl version: {_ETCD}")),
    "kube-apiserver": _KUBERNETES,
    "kube-controller-manager": _KUBERNETES,
    "kube-scheduler": _KUBERNETES,
    "kubelet": _KUBERNETES,
    "kube-proxy": _KUBERNETES,
    # The same minor version is required, because an older Helm 3 has other error messages.
    "helm": Probe(arguments=("version", "--short"), answer=rf"^{re.escape(versions.HELM.rpartition('.')[0])}\."),
    # Prometheus keeps the format of its rules and of their tests within a major version.
    "promtool": Probe(
        arguments=("--version",), answer=r"^promtool, version (\d+\.\d+\.\d+)(?![\w.+-])", at_least=versions.PROMTOOL
    ),
    "actionlint": Probe(arguments=("-version",), answer=_exactly(versions.ACTIONLINT.removeprefix("v"))),
    "coredns": Probe(arguments=("-version",), answer=_exactly(f"CoreDNS-{versions.COREDNS.removeprefix('v')}")),
}


def find(tool: str) -> Path | None:
    """The absolute path of the tool on PATH, if it has the version that the lab pins; else None."""
    probe, found = PROBES.get(tool), shutil.which(tool)
    if probe is None or found is None or _is_script(Path(found)):
        return None
    quiet = {**os.environ, "PULUMI_SKIP_UPDATE_CHECK": "true"}  # otherwise it may also print the version of an update
    try:
        asked = subprocess.run([found, *probe.arguments], env=quiet, capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return Path(found).absolute() if probe.accepts(asked.stdout + asked.stderr) else None


def _is_script(path: Path) -> bool:
    """Whether it is a script. A script may be the lab's own wrapper, which would then call itself forever."""
    try:
        with path.open("rb") as file:
            return file.read(2) == b"#!"
    except OSError:
        return True
