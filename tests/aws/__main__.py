"""`python -m tests.aws`: the tests of this folder in an AWS account, which it leaves as it was.

It refuses unless TEST_AWS_ACCOUNT holds the id of the account that the credentials of this shell are for. Whatever happens, an
interrupt too, it deletes what it made. After a kill or a lost connection, --clean deletes what earlier runs have left.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import NoReturn

from botocore.exceptions import BotoCoreError, ClientError

from lab import engine
from lab.paths import CHECKOUT
from lab.tools import toolbox
from tests.aws.leftovers import KEY_DAYS, PREFIX, Leftovers
from tests.aws.world import ACCOUNT, OWNER, REGIONS, boto3_client, new_owner

PLAN = f"""\
It makes, in {" and ".join(REGIONS.values())}, all with names that begin with {PREFIX}:
  7 buckets with a few small objects, 2 KMS keys, 1 hosted zone that is delegated to nobody, 1 health check,
  8 IAM users with an access key each, 8 policies, 4 roles
It deletes them at the end; each key then waits {KEY_DAYS} days for its deletion, at no charge. About 15 minutes, and less than
0.10 $: keys and health check are charged by the hour, and a zone that lives less than 12 hours is free. Nobody has run this at
AWS yet."""


class RefusedError(Exception):
    """Nothing was made. The message is one line: why, and what to do."""


def opened_account(environ: Mapping[str, str]) -> str:
    """The account that the caller has opened to the tests, and whose credentials this shell has. Raises RefusedError."""
    opened = environ.get(ACCOUNT, "")
    if not opened:
        raise RefusedError(f"{ACCOUNT} is not set; to run this in account 123456789012: {ACCOUNT}=123456789012 make test-aws")
    try:
        account = str(boto3_client("sts", REGIONS["primary"]).get_caller_identity()["Account"])
    except (BotoCoreError, ClientError) as error:
        raise RefusedError(
            f"AWS does not say whose credentials these are: {error}; log in (aws sso login, AWS_PROFILE=…) and run it again"
        ) from None
    if account != opened:
        raise RefusedError(f"{ACCOUNT} is {opened}, but the credentials of this shell are for account {account}")
    return account


def refuse_standins() -> None:
    """Raises RefusedError where Pulumi's own parts are not installed: only they are what a deployment uses."""
    pulumi = toolbox.ensure(["pulumi"]).path("pulumi")
    parts = engine.choose(pulumi, {name: value for name, value in os.environ.items() if name != engine.MODE_VARIABLE})
    if missing := [name for name in ("language_host", "aws") if parts[name] is None]:
        raise RefusedError(
            f"not installed: {', '.join(missing)}; install the Pulumi CLI with its language host, and its plugin: "
            f"{engine.plugin_command('aws')}"
        )


def clean(owner: str) -> int:
    """Delete what begins with `owner`. Returns the exit code: 1 if something is left."""
    left = Leftovers(clients=boto3_client, regions=list(REGIONS.values()), owner=owner)
    left.delete()
    for line in left.deleted:
        print(f"  deleted {line}")
    for line in left.failed:
        print(f"  NOT deleted: {line}", file=sys.stderr)
    return 1 if left.failed else 0


def pytest_command(options: Sequence[str]) -> list[str]:
    return [sys.executable, "-m", "pytest", "tests/aws", "-v", *options]


def run_tests(account: str, options: Sequence[str]) -> int:
    """Run pytest for one run's organization, and clean up after it."""
    # A shell that starts this in the background has it ignore interrupts, and pytest with it.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupt)
    owner = new_owner()
    environment = {**os.environ, ACCOUNT: account, OWNER: owner}
    process = subprocess.Popen(pytest_command(options), cwd=CHECKOUT, env=environment, start_new_session=True)
    try:
        exit_code = process.wait()
    except KeyboardInterrupt:
        # pytest cleans up at one interrupt, and would not at two.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        process.send_signal(signal.SIGINT)
        process.wait()
        exit_code = 130
    left = clean(owner)
    return exit_code or left


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="make test-aws", description=__doc__)
    parser.add_argument("--clean", action="store_true", help="delete what earlier runs have left, and run nothing")
    parser.add_argument("options", nargs="*", help="options of pytest, after --")
    chosen = parser.parse_args(arguments)
    try:
        if chosen.clean:
            opened_account(os.environ)
            return clean(PREFIX)
        print(PLAN, flush=True)
        account = opened_account(os.environ)
        refuse_standins()
    except (RefusedError, engine.EngineError) as refused:
        print(f"nothing was made: {refused}", file=sys.stderr)
        return 2
    return run_tests(account, chosen.options)


def _interrupt(*_: object) -> NoReturn:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
