"""Tools that are on the machine already: one of the right version on PATH is used instead of a built one."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from lab.tools import versions


@dataclass(frozen=True, kw_only=True)
class Probe:
    """How a tool is asked for its version, and what the right answer contains (a regular expression)."""

    arguments: tuple[str, ...]
    answer: str


def _exactly(text: str) -> str:
    return rf"(?<![\w.]){re.escape(text)}(?![\w.+-])"


_KUBERNETES = Probe(arguments=("--version",), answer=_exactly(f"Kubernetes {versions.KUBERNETES}"))
_ETCD = versions.ETCD.removeprefix("v")

# A tool that cannot say its version, or is only put into an image, has no row: it is always built.
PROBES: Mapping[str, Probe] = {
    "pulumi": Probe(arguments=("version",), answer=_exactly(versions.PULUMI)),
    # Any patch release of the same minor speaks to the servers as ours does.
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
    # Of the same minor, for an older Helm 3 has other words for what it refuses.
    "helm": Probe(arguments=("version", "--short"), answer=rf"^{re.escape(versions.HELM.rpartition('.')[0])}\."),
    "actionlint": Probe(arguments=("-version",), answer=_exactly(versions.ACTIONLINT.removeprefix("v"))),
    "coredns": Probe(arguments=("-version",), answer=_exactly(f"CoreDNS-{versions.COREDNS.removeprefix('v')}")),
}


def find(tool: str) -> Path | None:
    """The tool on PATH, as an absolute path, if it is a program of the version that the lab pins; else None."""
    probe, found = PROBES.get(tool), shutil.which(tool)
    if probe is None or found is None or _is_script(Path(found)):
        return None
    quiet = {**os.environ, "PULUMI_SKIP_UPDATE_CHECK": "true"}  # else it may also name a version that is not its own
    try:
        asked = subprocess.run([found, *probe.arguments], env=quiet, capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return Path(found).absolute() if re.search(probe.answer, asked.stdout + asked.stderr) else None


def _is_script(path: Path) -> bool:
    """A script may be a wrapper, even the lab's own: taking that for the tool would have it call itself for ever."""
    try:
        with path.open("rb") as file:
            return file.read(2) == b"#!"
    except OSError:
        return True
