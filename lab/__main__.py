"""The lab's command line: `python -m lab COMMAND`."""

from __future__ import annotations

import argparse
import json
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

from dnslib import DNSRecord

from lab import databases, demo, first_look, project, rehearsal, way_round
from lab.cloud.cloud import CloudError
from lab.console import say, warn
from lab.engine import EngineError
from lab.ledger import LedgerError
from lab.packages import PackagesError
from lab.pulumi import CommandFailedError
from lab.regions import namespaces, network, preflight
from lab.regions.commands import RegionError, last_words
from lab.regions.spec import REGIONS
from lab.tools.go import ToolError
from lab.waiting import TimedOutError
from lab.world import Lab, LabError
from report.model import Report
from settings.presets import DEFAULT, PRESETS

_REPORTED_WITHOUT_TRACEBACK = (
    LabError,
    LedgerError,
    CloudError,
    EngineError,
    CommandFailedError,
    RegionError,
    ToolError,
    PackagesError,
    TimedOutError,
    subprocess.SubprocessError,
    OSError,
)
_PROGRAM = "python -m lab"
_REGIONS = [spec.name for spec in REGIONS]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=_PROGRAM, description="Two Kubernetes regions on one machine.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    shown = commands.add_parser("demo", help="kill one region, fail over to the other, and write a recovery report")
    shown.add_argument("--tier", choices=list(PRESETS), default=DEFAULT, help=f"what the other region keeps (default: {DEFAULT})")
    shown.add_argument(
        "--replication", choices=["archive", "streaming"], help="how rows reach the standby (default: what the tier uses)"
    )
    shown.add_argument(
        "--source", choices=["replica-bucket", "primary-bucket"], default="replica-bucket", help="which archive the standby reads"
    )
    shown.add_argument(
        "--instances",
        type=int,
        choices=range(1, 10),
        default=1,
        metavar="N",
        help="PostgreSQL instances in each region (default: 1)",
    )
    shown.add_argument(
        "--circle",
        action="store_true",
        help="then go the whole way round: the old primary comes back and follows, and both regions hand over by plan",
    )
    for name, text in (
        ("rehearsal", "run the failover without clusters, on any machine"),
        ("up", "start both regions, deploy both stacks and the application, and keep them running"),
        ("status", "show what runs, and with which engine"),
        ("env", "print shell exports for using pulumi and kubectl with the lab"),
        ("down", "stop everything that the lab started"),
    ):
        commands.add_parser(name, help=text)
    for name, text in (("kill", "cut the power of a region"), ("heal", "start a killed region again, with its old disk")):
        commands.add_parser(name, help=text).add_argument("region", choices=_REGIONS)
    dig = commands.add_parser("dig", help="ask the lab's name server for a name")
    dig.add_argument("name", nargs="?", default=project.NAME)
    logs = commands.add_parser("logs", help="show the last lines of a log; without a name, list the logs")
    logs.add_argument("name", nargs="?")
    return parser


def main() -> int:
    # These signals end the lab like Ctrl-C does, so that its `finally` blocks stop what it started.
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    parser = _parser()
    options = parser.parse_args()
    plan = _plan(options)
    if options.command == "demo" and options.circle and not plan.preset.standby:
        parser.error(f"--circle: tier {plan.tier} keeps no standby, and no database follows another; choose another --tier")
    # Where the other region runs the application before a failover, its claims are there, and no restore writes into them.
    lab = Lab(plan=plan, files=plan.preset.workloads == "none")
    try:
        return _run(options, lab)
    except PermissionError as error:
        warn(f"✗ {_explain_permission_error(error, lab)}")
        return 1
    except _REPORTED_WITHOUT_TRACEBACK as error:
        warn(f"✗ {error}")
        return 1
    except KeyboardInterrupt:
        warn("interrupted")
        return 130


def _explain_permission_error(error: PermissionError, lab: Lab) -> str:
    """A message for the user. The usual cause: root ran the lab here before, and its files still belong to root."""
    if error.filename is None or not Path(error.filename).is_relative_to(lab.paths.root):
        return str(error)
    return f"{error.filename}: {error.strerror}; another user ran the lab here: run this command as that user"


def _plan(options: argparse.Namespace) -> databases.Plan:
    if options.command != "demo":
        return databases.Plan()
    # Each lab cluster has one node, so several instances have to share it.
    changes = {"instances": options.instances, "antiAffinity": "preferred"} if options.instances > 1 else {}
    plan = databases.Plan(tier=options.tier, source=options.source, changes=changes)
    return replace(plan, replication=options.replication or ("streaming" if plan.preset.streams else "archive"))


def _interrupt(*_: object) -> NoReturn:
    raise KeyboardInterrupt


def _run(options: argparse.Namespace, lab: Lab) -> int:
    match options.command:
        case "demo":
            return _demo(lab, way_round.go if options.circle else None)
        case "rehearsal":
            return rehearsal.run(lab.paths)
        case "up":
            return _up(lab)
        case "down":
            lab.down()
            if lab.another:
                say(f"the lab that is up on this machine belongs to {lab.another.parent}: make down there stops it")
        case "status":
            say(json.dumps(lab.status(), indent=2, ensure_ascii=False))
        case "env":
            exports = {**lab.environment(), "PATH": f"{lab.paths.bin}:$PATH"}
            for key, value in exports.items():
                say(f"export {key}={shlex.quote(value) if key != 'PATH' else value}")
        case "kill":
            lab.kill(options.region)
        case "heal":
            lab.heal(options.region)
        case "dig":
            _dig(lab, options.name)
        case "logs":
            _logs(lab, options.name)
    return 0


def _demo(lab: Lab, go: Callable[[Lab], Report] | None) -> int:
    if obstacles := preflight.obstacles():
        say(f"The lab cannot run here: {'; '.join(obstacles)}. Running the rehearsal instead; it ignores the demo's options.")
        return rehearsal.run(lab.paths)
    first_look.show(lab)
    return demo.run(lab, go)


def _up(lab: Lab) -> int:
    lab.set_up()
    # Both must run: a killed rehearsal can leave the AWS endpoint running without any region.
    fresh = not (lab.up_here and lab.cloud.running)
    if fresh:
        lab.down()
        lab.forget()
    try:
        lab.up(fresh=fresh)
        if fresh:
            lab.deploy()
            lab.wait_backed_up()
    except BaseException:
        lab.down()
        raise
    lab.say_how_to_use()
    return 0


def _dig(lab: Lab, name: str) -> None:
    """Ask from inside the WAN's network namespace, like the lab's users do. This process cannot reach the name server itself."""
    lab.require_up()
    code = "import sys; from lab.__main__ import ask; print(ask(*sys.argv[1:]))"
    command = [*network.inside(namespaces.WAN), sys.executable, "-c", code, name, network.WAN_ADDRESS]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    if ran.returncode:
        raise LabError(f"the name server does not answer for {name}: {last_words(ran)}; see: {_PROGRAM} logs name-server")
    say(ran.stdout.rstrip())


def ask(name: str, server: str) -> str:
    return str(DNSRecord.parse(DNSRecord.question(name, "A").send(server, 53, timeout=2)))


def _logs(lab: Lab, name: str | None) -> None:
    files = {
        str(file.relative_to(lab.paths.root)): file
        for file in sorted(lab.paths.root.glob("**/*.log"))
        if "engine" not in file.parts
    }
    if name is None:
        say("\n".join(files) or "no logs yet")
        return
    chosen = [file for label, file in files.items() if name in label]
    if not chosen:
        raise LabError(f"no log is called {name}; there are: {', '.join(files) or 'none'}")
    for file in chosen:
        say(f"==> {file}")
        say("\n".join(file.read_text(errors="replace").splitlines()[-40:]))


if __name__ == "__main__":
    sys.exit(main())
