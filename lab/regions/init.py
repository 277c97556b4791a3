"""The first process of a region: it sets up mounts and cgroups, starts the daemons, and collects processes that end.

It runs as process 1 in the region's own network, mount, process, host name and IPC namespaces. Killing it kills everything in the
region at once, like a power cut. It restarts no daemon: an unexpected end is a defect, and must be visible in the region's log.

    python -m lab.regions.init BOOT_FILE
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from lab.regions import cgroups, configuration, containerd, daemons, kubeconfig, layout, pki
from lab.regions.commands import PATH, RegionError, attempt, run
from lab.regions.layout import Boot
from lab.regions.spec import RegionSpec, named
from lab.waiting import TimedOutError, until

_STEP_TIMEOUT = 240  # seconds for each step on a slow, busy machine; an idle machine needs a few seconds for all of them
_LAST_LINES = 5

_NODE_READY = 'jsonpath={range .status.conditions[?(@.type=="Ready")]}{.status} {.lastHeartbeatTime}{end}'

# kubelet would change these settings for the whole machine. The region mounts files with the wanted values over them instead.
_MACHINE_SETTINGS = {
    "vm/overcommit_memory": "1",
    "vm/panic_on_oom": "0",
    "kernel/panic": "10",
    "kernel/panic_on_oops": "1",
    "kernel/keys/root_maxkeys": "1000000",
    "kernel/keys/root_maxbytes": "25000000",
}


class Daemons:
    """The region's daemons. Each has its own log."""

    def __init__(self) -> None:
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, commands: daemons.Commands) -> None:
        for name, command in commands.items():
            with _log(name).open("ab") as log:
                self._running[name] = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def wait(self, what: str, condition: Callable[[], bool]) -> None:
        """Wait for `condition`. If a daemon ends meanwhile, raise RegionError with the end of its log."""

        def ended_or_true() -> bool:
            return bool(self._ended()) or condition()

        try:
            until(what, ended_or_true, timeout=_STEP_TIMEOUT, interval=0.1)
        except TimedOutError as error:
            raise RegionError(str(error)) from error
        if ended := self._ended():
            name, status = ended[0]
            raise RegionError(
                f"{name} ended with status {status} while waiting for {what}; its log ends:\n{_last_lines(_log(name))}"
            )

    def collect(self) -> None:
        """Collect the exit status of every process that ends, forever: daemons, and orphans of containers."""
        names = {process.pid: name for name, process in self._running.items()}
        while True:
            pid, status = os.wait()
            if pid in names:
                print(f"{names[pid]} ended with status {os.waitstatus_to_exitcode(status)}", flush=True)

    def _ended(self) -> list[tuple[str, int]]:
        return [(name, status) for name, process in self._running.items() if (status := process.poll()) is not None]


def main(boot_file: Path) -> None:
    boot = Boot.read(boot_file)
    spec = named(boot.region)
    started = datetime.now(UTC)
    _surroundings(spec, Path(boot.disk))
    _write_configuration(spec, boot)
    running = Daemons()
    running.start(daemons.control_plane(spec, boot.tools))
    kubectl = [boot.tools["kubectl"], f"--kubeconfig={configuration.kubeconfig(pki.SETUP)}"]
    running.wait("the API server to be ready", lambda: _answers([*kubectl, "get", "--raw=/readyz"], "ok"))
    running.start(daemons.controllers(boot.tools))
    running.wait("containerd to listen", Path(layout.CONTAINERD_SOCKET).is_socket)
    files = [f"--filename={file}" for file in (*boot.kinds, layout.CONFIG / "objects.yaml")]
    run([*kubectl, "apply", "--server-side", "--force-conflicts", *files])
    running.start(daemons.node(spec, boot.tools, boot.storage_helper))
    running.wait("the node to be Ready", lambda: _node_is_ready(kubectl, spec, started))
    # A kubelet may not give itself a role, so the control plane does it, as with kubeadm.
    run([*kubectl, "label", "node", spec.name, "node-role.kubernetes.io/control-plane=", "--overwrite"])
    account = [*kubectl, "get", "serviceaccount", "default", "--output=name"]  # pods cannot be created before it exists
    running.wait("service accounts to be created", lambda: _answers(account, "serviceaccount/default"))
    running.wait("the cluster's DNS to be ready", _dns_is_ready)
    layout.READY.touch()
    print(f"{spec.name} is ready", flush=True)
    running.collect()


def _surroundings(spec: RegionSpec, disk: Path) -> None:
    """Set up mounts, host name and control group. The mounts are visible only in the region, and end with it."""
    socket.sethostname(spec.name)
    run(["mount", "--make-rshared", "/"])  # containers must see the volumes that kubelet mounts
    run(["mount", "-t", "tmpfs", "tmpfs", "/run"])
    for directory in (layout.DISK, Path("/run/lock"), Path("/run/netns"), Path("/run/containerd")):
        directory.mkdir()
    run(["mount", "--bind", str(disk), str(layout.DISK)])
    for kind in ("--make-private", "--make-shared"):  # otherwise each volume would also appear at the disk's path on the machine
        run(["mount", kind, str(layout.DISK)])
    for scratch in ("/var/log", "/var/lib/cni"):  # kubelet and the CNI library write here, and have no option to change it
        Path(scratch).mkdir(exist_ok=True)
        run(["mount", "-t", "tmpfs", "tmpfs", scratch])
    for setting, value in _MACHINE_SETTINGS.items():
        substitute = Path("/run/machine-settings", setting)
        substitute.parent.mkdir(parents=True, exist_ok=True)
        substitute.write_text(value)
        run(["mount", "--bind", str(substitute), f"/proc/sys/{setting}"])
    cgroups.current().join(spec.namespace)


def _write_configuration(spec: RegionSpec, boot: Boot) -> None:
    for directory in (layout.CONFIG, layout.LOGS, layout.KUBELET, layout.VOLUMES, containerd.NETWORK_CONFIGURATION):
        directory.mkdir(parents=True, exist_ok=True)
    authority = (layout.ADDONS_PKI / "ca.crt").read_text()
    for name, content in configuration.files(spec, boot.storage_helper, authority, with_disks=bool(boot.kinds)).items():
        (layout.CONFIG / name).write_text(content)
    for user in pki.users(spec):
        kubeconfig.write(Path(configuration.kubeconfig(user)), kubeconfig.for_part(spec, layout.PKI, user))
    snapshotter = containerd.snapshotter(layout.DISK)
    layout.SNAPSHOTTER.write_text(snapshotter)
    settings = containerd.configuration(run(["containerd", "--version"]), containerd.plugin_directory(), snapshotter)
    (layout.CONFIG / "containerd.toml").write_text(settings)
    (containerd.NETWORK_CONFIGURATION / "10-lab.conflist").write_text(containerd.network(spec))
    _use_own_dns()


def _use_own_dns() -> None:
    """Make the region's daemons use its own DNS.

    On some machines /etc/resolv.conf is a link into /run, where the region has mounted an empty directory by now.
    """
    resolver = Path("/etc/resolv.conf").resolve()
    resolver.parent.mkdir(parents=True, exist_ok=True)
    resolver.touch()
    run(["mount", "--bind", str(layout.CONFIG / "resolv.conf"), str(resolver)])


def _answers(command: list[str], answer: str) -> bool:
    return attempt(command).stdout.strip() == answer


def _node_is_ready(kubectl: list[str], spec: RegionSpec, since: datetime) -> bool:
    """Whether kubelet reported Ready after `since`. In a restarted region, etcd still has the report from before its death."""
    status, heartbeat = attempt([*kubectl, "get", "node", spec.name, f"--output={_NODE_READY}"]).stdout.split()
    return status == "True" and datetime.fromisoformat(heartbeat) >= since.replace(microsecond=0)


def _dns_is_ready() -> bool:
    with socket.create_connection(("127.0.0.1", 8181), timeout=2) as connection:
        connection.sendall(b"GET /ready HTTP/1.0\r\n\r\n")
        return b" 200 " in connection.recv(64)


def _log(daemon: str) -> Path:
    return layout.LOGS / f"{daemon}.log"


def _last_lines(file: Path) -> str:
    return "\n".join(file.read_text(errors="replace").splitlines()[-_LAST_LINES:])


if __name__ == "__main__":
    os.environ["PATH"] = PATH
    os.environ["HOME"] = "/run"  # kubectl keeps a cache at home
    try:
        main(Path(sys.argv[1]))
    except RegionError as error:
        sys.exit(str(error))
