"""One region for the rest of the lab: start it, load images, kill it, start it again, wipe it."""

from __future__ import annotations

import json
import os
import signal
import sys
import tarfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from lab.deletion import delete_tree
from lab.paths import CHECKOUT, LabPaths
from lab.processes import Daemon
from lab.regions import cgroups, commands, layout, namespaces, network, ownership, pki
from lab.regions.commands import RegionError
from lab.regions.spec import RegionSpec
from lab.waiting import TimedOutError, until

STORAGE_HELPER = "docker.io/local/storage-helper:1"
_UNSHARE = ("unshare", "--mount", "--pid", "--uts", "--ipc", "--fork", "--kill-child", "--mount-proc")
_CTR = ("ctr", "--namespace", "k8s.io", "images")
_LAST_LINES = 8


class Region:
    """A whole Kubernetes cluster with one node.

    `tools` maps each name of `layout.TOOLS` to a program; killing a region needs none. `disks` says that it has disks that take
    snapshots, whose programs and files are in `tools` too. A killed region keeps its disk. When it starts again, it has its old
    state, and disks if it had some.
    """

    def __init__(
        self,
        paths: LabPaths,
        spec: RegionSpec,
        tools: Mapping[str, Path],
        *,
        storage_helper: str = STORAGE_HELPER,
        disks: bool = False,
    ) -> None:
        self.spec = spec
        self.disk = paths.regions / spec.name
        self._root = paths.root
        self._tools = tools
        self._storage_helper = storage_helper
        self._with_disks = disks
        self._daemon = Daemon(paths, f"region-{spec.name}")

    @property
    def has_disks(self) -> bool:
        return self._with_disks or self._on_disk(layout.DISKS).is_dir()

    @property
    def _programs(self) -> tuple[str, ...]:
        return (*layout.TOOLS, *(layout.DISK_TOOLS if self.has_disks else ()))

    @property
    def _kinds(self) -> tuple[str, ...]:
        return layout.DISK_KINDS if self.has_disks else ()

    @property
    def alive(self) -> bool:
        return self._daemon.pid is not None

    @property
    def certificates(self) -> Path:
        return self._on_disk(layout.PKI)

    @property
    def audit_log(self) -> Path:
        """The API server's audit log, with one line of JSON for each request."""
        return self._on_disk(layout.AUDIT_LOG)

    @property
    def log(self) -> Path:
        """The log of the region's first process. Its daemons' logs are in `log/` on the disk."""
        return self._daemon.log

    def start(self) -> None:
        """Start the region if it does not run. It needs a few seconds to become ready: see `wait_ready`.

        Raises RegionError if the network is not up, a tool is missing, or another checkout's lab uses this machine.
        """
        ownership.claim(self._root)
        if self.alive:
            return
        if self.spec.namespace not in namespaces.present():
            raise RegionError(f"{self.spec.name} cannot start: there is no network {self.spec.namespace}; bring that up first")
        if missing := [name for name in (*self._programs, *self._kinds) if name not in self._tools]:
            raise RegionError(
                f"{self.spec.name} cannot start: no {', '.join(missing)}; build the lab's tools first (`make tools`)"
            )
        self._end_strays()
        self.disk.mkdir(parents=True, exist_ok=True)
        self._on_disk(layout.READY).unlink(missing_ok=True)
        pki.ensure(self.certificates, self.spec)
        self._boot().write(self._on_disk(layout.BOOT))
        cgroups.current().create(self.spec.namespace)
        network.heal(self.spec)
        init = (sys.executable, "-m", "lab.regions.init", str(self._on_disk(layout.BOOT)))
        # The region gets only these variables, so that no credential or proxy setting of the user gets into the lab.
        environment = {"PATH": commands.PATH, "LANG": "C.UTF-8"}
        self._daemon.start([*namespaces.inside(self.spec.namespace), *_UNSHARE, *init], env=environment, cwd=CHECKOUT)

    def wait_ready(self, timeout: float = 240) -> None:
        """Wait until the API server, the node and the cluster's DNS are ready. Raises RegionError with the end of the log."""
        self._wait("be ready", lambda: self._on_disk(layout.READY).exists(), timeout)

    def load_images(self, archives: Iterable[Path], timeout: float = 120) -> list[Path]:
        """Import the archives (in the format of `docker save`) that the region does not have yet, and return those.

        This works as soon as the region has started. `timeout` is how many seconds its container runtime may take to answer.
        """
        self._wait("run containerd", self._runs_containerd, timeout)
        existing = set(self.run([*_CTR, "list", "--quiet"]).split())
        record = self._on_disk(layout.CONTAINERD) / "imported.json"
        known: dict[str, str] = json.loads(record.read_text()) if record.exists() else {}
        imported = []
        for archive in archives:
            mark = f"{archive.name} {archive.stat().st_mtime_ns}"
            names = image_names(archive)
            if existing.issuperset(names) and all(known.get(name) == mark for name in names):
                continue
            snapshotter = self._on_disk(layout.SNAPSHOTTER).read_text()
            self.run([*_CTR, "import", f"--snapshotter={snapshotter}", str(archive)])
            imported.append(archive)
            known |= dict.fromkeys(names, mark)
            record.write_text(json.dumps(known, indent=2))
        return imported

    def run(self, command: Sequence[str]) -> str:
        """Run a command in the region's namespaces, and return its output. Raises RegionError if it fails."""
        return commands.run([*self.inside(), *command])

    def inside(self) -> list[str]:
        """The prefix for a command that runs it in the region's namespaces. Raises RegionError if the region does not run."""
        pid = self._daemon.pid
        if pid is None:
            raise RegionError(f"{self.spec.name} does not run: start it first")
        # `pid` is the parent of the region's process 1. It is in all of the region's namespaces except the one for processes.
        processes = f"--pid=/proc/{pid}/ns/pid_for_children"
        return ["nsenter", f"--target={pid}", "--net", "--mount", "--uts", "--ipc", processes, "--"]

    def kill(self) -> None:
        """Kill all processes of the region at once, like a power cut. Nothing shuts down in order; the disk stays.

        The region is also disconnected, so that packets to it are lost. Otherwise its network stack would refuse connections,
        and a dead region would not do that.
        """
        if ownership.is_anothers(self._root):
            return
        if self.spec.namespace in namespaces.present():
            network.cut(self.spec)
        if (pid := self._daemon.pid) is not None:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)  # this also kills its child, the region's process 1, and so all others
            until(f"{self.spec.name} to die", lambda: not self.alive, timeout=20, interval=0.02)
            with suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)
        self._daemon.stop()
        self._end_strays()

    def kill_container(self, container: str) -> None:
        """Kill all processes of a container at once, as the kernel does where memory is short: no signal tells them beforehand.

        `container` is its id, as the status of its Pod has it. Raises RegionError if none of its processes is there.
        """
        identifier = container.rpartition("://")[2]
        pids = cgroups.current().pids(self.spec.namespace, identifier) if identifier else set()
        if not pids:
            raise RegionError(f"{self.spec.name} runs no process of container {container or 'without an id'}")
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def wipe(self, *, keep_images: bool = True) -> None:
        """Kill the region and empty its disk. With `keep_images`, the imported images stay, because importing takes long."""
        self.kill()
        if not self.disk.is_dir():
            return
        for entry in self.disk.iterdir():
            if entry.is_dir() and not (keep_images and entry == self._on_disk(layout.CONTAINERD)):
                delete_tree(entry)
            elif not entry.is_dir():
                entry.unlink()

    def _end_strays(self) -> None:
        """Remove the region's control group, and kill processes left in it by a region whose process id was lost."""
        groups = cgroups.current()
        for pid in groups.pids(self.spec.namespace):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        groups.remove(self.spec.namespace)

    def _boot(self) -> layout.Boot:
        tools = {name: str(self._tools[name]) for name in self._programs}
        kinds = [str(self._tools[name]) for name in self._kinds]
        return layout.Boot(
            region=self.spec.name, disk=str(self.disk), tools=tools, kinds=kinds, storage_helper=self._storage_helper
        )

    def _wait(self, what: str, condition: Callable[[], bool], timeout: float) -> None:
        try:
            until(f"{self.spec.name} to {what}", lambda: not self.alive or condition(), timeout=timeout, interval=0.1)
        except TimedOutError as error:
            raise RegionError(f"{error}; its log is {self.log}") from error
        if not self.alive:
            last = self.log.read_text(errors="replace").splitlines()[-_LAST_LINES:] if self.log.exists() else []
            raise RegionError("\n".join([f"{self.spec.name} does not run and cannot {what}; its log, {self.log}, ends:", *last]))

    def _runs_containerd(self) -> bool:
        # Check the socket here, because containerd's client would wait ten seconds for a missing one.
        return Path(f"/proc/{self._daemon.pid}/root{layout.CONTAINERD_SOCKET}").is_socket()

    def _on_disk(self, path: Path) -> Path:
        return layout.on_disk(self.disk, path)


def image_names(archive: Path) -> list[str]:
    """The names of the images in an archive, in the runtime's form: `local/x:1` becomes `docker.io/local/x:1`."""
    with tarfile.open(archive) as file:
        manifest = file.extractfile("manifest.json")
        if manifest is None:
            raise RegionError(f"{archive} is not an archive of images: it has no manifest.json")
        tags = [tag for image in json.load(manifest) for tag in image["RepoTags"]]
    return [tag if _has_registry(tag) else f"docker.io/{tag}" for tag in tags]


def _has_registry(name: str) -> bool:
    first, _, rest = name.partition("/")
    return bool(rest) and ("." in first or ":" in first or first == "localhost")
