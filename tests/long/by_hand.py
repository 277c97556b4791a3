"""A person without this program: the commands of docs/runbook.md, "By hand" and "The way back, by hand", as the page has them.

The page's contexts are in the person's own kubeconfig, and the names of its clusters, buckets, schedules and databases are the
lab's too. RENAMED is what is left of its names, and EXCHANGED what the page has its reader exchange on the way from B to A.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

from lab.application import manifests
from lab.cloud.access_keys import ADMINISTRATOR
from lab.paths import CHECKOUT
from lab.regions import kubeconfig, namespaces, network
from lab.regions.spec import named
from lab.world import Lab
from settings.roles import Role
from tests.documented import blocks

PAGE = CHECKOUT / "docs" / "runbook.md"
CONTEXTS: Mapping[Role, str] = {"primary": "prod-use1", "secondary": "prod-usw2"}
"""The contexts of the page, by the region of the lab behind them."""

RENAMED = {"deployment/web": f"deployment/{manifests.NAME}", "-l app=web": f"-l app={manifests.NAME}"}
"""What the page calls its application, and what the lab calls it."""

EXCHANGED = (("prod-use1", "prod-usw2"), ("us-east-1", "us-west-2"), ("app-database-primary", "app-database-secondary"))
"""What the page has exchanged on the way from B to A."""

STEPS = {
    "who am I": "auth can-i",
    "fail over": "restore create --from-schedule",
    "start": "condition=ContinuousArchiving",
    "flag": """echo -n '{"active":"secondary"}'""",
    "stop": "fencedInstances",
    "rejoin": "patch --local",
    "give up": "demotionToken",
    "take over": "restore create --from-backup",
    "resume": '"suspend": false',
    "announce": '"handover":"primary"',
    "flag home": """echo -n '{"active":"primary"}'""",
    "afterwards": "--refresh --run-program -s secondary",
}
"""For each step of the page, words that only its block has."""

INDENTED = {"what the guard says": "reason=RegionStopped", "base backup": '"generateName": "by-hand-"'}
"""The same for commands that the page has indented, and not fenced."""

# What `dig +short` prints, by the resolver's client that the lab has.
_DIG = (
    "import sys; from dnslib import DNSRecord; "
    "answer = DNSRecord.parse(DNSRecord.question(sys.argv[-1], 'A').send(sys.argv[1], 53, timeout=5)); "
    "print(*(each.rdata for each in answer.rr), sep='\\n')"
)


def documented(step: str) -> str:
    """The commands of one step, as the page has them."""
    if step in INDENTED:
        indented = re.findall(r"(?:^    \S.*\n|^      .*\n)+", PAGE.read_text(), re.MULTILINE)
        (commands,) = (each for each in indented if INDENTED[step] in each)
        return textwrap.dedent(commands)
    (found,) = (block.commands for block in blocks(PAGE) if STEPS[step] in block.commands)
    return found


def exchanged(commands: str) -> str:
    """The same on the way from B to A."""
    other = {name: peer for pair in EXCHANGED for name, peer in (pair, pair[::-1])}
    return re.sub("|".join(map(re.escape, other)), lambda found: other[found[0]], commands)


def renamed(commands: str) -> str:
    """The same with the lab's application."""
    for theirs, ours in RENAMED.items():
        commands = commands.replace(theirs, ours)
    return commands


@dataclass(frozen=True, kw_only=True)
class Person:
    """A person at a shell in `directory`, with kubectl, velero, aws, dig and pulumi, which reach the running lab."""

    lab: Lab
    directory: Path
    patience: float = 1200
    """Seconds that a shell may take."""

    def sits_down(self) -> None:
        """Write the kubeconfig and the programs that the lab's own `bin` has not."""
        self._programs.mkdir(parents=True, exist_ok=True)
        kubeconfig.write(self._kubeconfig, self._contexts())
        outside = shlex.join([*network.inside(namespaces.WAN), sys.executable, "-c", _DIG, network.WAN_ADDRESS])
        self._program("dig", f'exec {outside} "$@"')
        self._program("aws", f'exec {shlex.join([*network.inside(namespaces.OPS), sys.executable, "-m", "awscli"])} "$@"')
        # The engine gets the lab's environment alone: both stacks have one backend there, which the page cannot know.
        environment = [f"{key}={value}" for key, value in self.lab.pulumi.environment.items()]
        engine = shlex.join([*self.lab.pulumi.prefix, "env", "-i", *environment, str(self.lab.engine.pulumi)])
        yes = '[ "$1" = up ] && set -- "$@" --yes'
        self._program("pulumi", f'{yes}\ncd {shlex.quote(str(self.lab.paths.project))}\nexec {engine} "$@"')

    def types(self, *steps: str, exchange: bool = False) -> str:
        """Run the blocks of these steps one after the other in one shell, and return what they printed."""
        commands = "\n".join(map(documented, steps))
        return self.runs(exchanged(commands) if exchange else commands)

    def runs(self, commands: str) -> str:
        """Run commands of the page. A failure of any ends them, and shows all that they printed."""
        script = f"set -euo pipefail\ncd {shlex.quote(str(self.directory))}\n{renamed(commands)}"
        ran = subprocess.run(
            ["bash", "-c", script],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            env=self._environment,
            timeout=self.patience,
        )
        assert ran.returncode == 0, f"{script}\n{ran.stdout[-4000:]}\n{ran.stderr[-4000:]}"
        # The velero CLI ends well whatever came of it.
        for status in re.findall(r"^(?:Restore|Backup) completed with status: (\w+)", ran.stdout, re.MULTILINE):
            assert status == "Completed", ran.stdout
        return ran.stdout

    def asks_for(self, name: str) -> list[str]:
        """What the name leads to now."""
        return self.runs(f"dig +short {name}").split()

    @property
    def _programs(self) -> Path:
        return self.directory / "bin"

    @property
    def _kubeconfig(self) -> Path:
        return self.directory / "kubeconfig"

    @property
    def _environment(self) -> dict[str, str]:
        path = os.pathsep.join([str(self._programs), str(self.lab.paths.bin), os.environ["PATH"]])
        return {
            **os.environ,
            **ADMINISTRATOR.environment,
            "AWS_ENDPOINT_URL": self.lab.cloud.endpoint_url,
            "AWS_EC2_METADATA_DISABLED": "true",
            "HOME": str(self.directory),
            "KUBECONFIG": str(self._kubeconfig),
            "PATH": path,
        }

    def _program(self, name: str, script: str) -> None:
        file = self._programs / name
        file.write_text(f"#!/bin/sh\n{script}\n")
        file.chmod(0o755)

    def _contexts(self) -> str:
        """The lab's kubeconfig, with the page's names for its contexts."""
        document = yaml.safe_load(self.lab.paths.kubeconfig.read_text())
        theirs = {named(role).context: context for role, context in CONTEXTS.items()}
        for context in document["contexts"]:
            context["name"] = theirs[context["name"]]
        # No command may fall back to a region that it does not name.
        del document["current-context"]
        return yaml.safe_dump(document, sort_keys=False)
