"""An attack on a lab's backups with a writer's own key, and the recovery exactly as docs/worst-day.md has it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from lab import project
from lab.cloud.access_keys import ADMINISTRATOR, AccessKey
from lab.paths import CHECKOUT
from lab.regions import namespaces, network
from lab.regions.spec import named
from lab.waiting import until
from lab.world import Lab
from settings.parts import Part
from settings.roles import ROLES, Role
from settings.topology import Purpose

BREAK_GLASS = "break-glass"


@dataclass(frozen=True, kw_only=True)
class Attack:
    """An attack on the lab's buckets of one purpose. The attacker has the key of the primary's `part`; `prefix` limits it."""

    lab: Lab
    purpose: Purpose
    part: Part
    prefix: str

    @property
    def writer(self) -> AccessKey:
        """An access key of the user that the primary's pods are."""
        return self.lab.cloud.create_user(project.names("primary").principal(self.part))

    def bucket(self, region: Role) -> str:
        return project.names(region).bucket(self.purpose)

    def ask(self, region: Role, command: str, *arguments: str, key: AccessKey = ADMINISTRATOR) -> Any:
        """Run a command of `intruder` on the region's bucket."""
        program = [sys.executable, "-m", "tests.lab.intruder", command, self.bucket(region), *arguments]
        return json.loads(run(self.lab, region, program, key=key).stdout)

    def contents(self, region: Role) -> dict[str, str]:
        return dict(self.ask(region, "contents", f"{self.prefix}/"))

    def versions(self, region: Role) -> set[str]:
        return set(self.ask(region, "versions", f"{self.prefix}/"))

    def attempts(self) -> dict[str, str]:
        """Try to make a deletion final with the writer's key; returns AWS's answers."""
        return dict(self.ask("primary", "attempts", f"{self.prefix}/", key=self.writer))

    def spoil(self, deleted: str) -> None:
        """Overwrite everything, delete what is below `deleted`, and wait until the other region has the same."""
        keys = set(self.ask("primary", "spoil", f"{self.prefix}/", deleted, key=self.writer))
        self.wait_same(keys)

    def wait_same(self, keys: set[str]) -> None:
        """Wait until both regions have the same object under each of these keys, or neither has one."""

        def same() -> bool:
            primary, secondary = (self.contents(region) for region in ROLES)
            return all(primary.get(key) == secondary.get(key) for key in keys)

        until("both regions to hold the same", same, timeout=120)

    def recover(self, region: Role, at: datetime, *options: str) -> str:
        """Run the documented command, with only the documented permissions; returns its output."""
        program = [sys.executable, "scripts/recover_prefix.py", self.bucket(region), self.prefix, "--at", at.isoformat()]
        where = ["--region", named(region).aws_region, "--endpoint-url", self.lab.cloud.endpoint_url]
        ran = run(self.lab, region, [*program, *where, *options], key=self._break_glass())
        return ran.stdout

    def _break_glass(self) -> AccessKey:
        key = self.lab.cloud.create_user(BREAK_GLASS)
        program = [sys.executable, "-m", "tests.lab.intruder", "allow", BREAK_GLASS, documented_policy()]
        run(self.lab, "primary", program, key=ADMINISTRATOR)
        return key


def moment() -> datetime:
    """The current time. Waits until its second is over, because S3's times have whole seconds and could not order two events."""
    at = datetime.now(UTC)
    until("the next second", lambda: datetime.now(UTC) >= at + timedelta(seconds=1), timeout=5)
    return at


def documented_policy() -> str:
    """The break-glass role's policy, as docs/worst-day.md has it."""
    found = re.search(r"```json\n(.*?)```", (CHECKOUT / "docs" / "worst-day.md").read_text(), re.DOTALL)
    assert found, "the documentation has no policy"
    return json.dumps(json.loads(found[1]))


def run(lab: Lab, region: Role, program: list[str], *, key: AccessKey) -> subprocess.CompletedProcess[str]:
    """Run a program as the user of `key`, in the network that reaches the lab's AWS."""
    environment = {**os.environ, **key.environment, "AWS_REGION": named(region).aws_region, "AWS_EC2_METADATA_DISABLED": "true"}
    environment |= {"AWS_DEFAULT_REGION": named(region).aws_region, "AWS_ENDPOINT_URL": lab.cloud.endpoint_url}
    command = [*network.inside(namespaces.WAN), *program]
    ran = subprocess.run(command, capture_output=True, text=True, check=False, env=environment, cwd=CHECKOUT)
    assert ran.returncode == 0, ran.stderr
    return ran
