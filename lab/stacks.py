"""The two stacks of the lab. The lab deploys them with the four `pulumi up` commands of the README."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from lab import engine, project
from lab.cloud.access_keys import ADMINISTRATOR, AccessKey
from lab.console import step
from lab.pulumi import Pulumi
from lab.regions.namespaces import inside
from settings.parts import Part, key_of
from settings.roles import Role

ROLES: tuple[Role, ...] = ("primary", "secondary")
PASSWORD = "correct horse battery staple"  # noqa: S105 - only the lab uses it, and it is the same on every machine
PASSPHRASE = "lab"  # noqa: S105 - the lab's state holds nothing worth hiding


def cli(chosen: engine.Engine, root: Path, *, provider_log: Path, namespace: str | None = None) -> Pulumi:
    """The Pulumi CLI for the lab's copy of the project below `root`. It runs in network namespace `namespace`, if given."""
    (root / "state").mkdir(parents=True, exist_ok=True)
    environment = chosen.environment(backend=f"file://{root / 'state'}", passphrase=PASSPHRASE, provider_log=provider_log)
    environment |= {**ADMINISTRATOR.environment, "AWS_EC2_METADATA_DISABLED": "true"}
    return Pulumi(directory=root / "project", environment=environment, prefix=inside(namespace) if namespace else ())


def prepare(pulumi: Pulumi, files: project.ProjectFiles, create_user: Callable[[str], AccessKey]) -> None:
    """Write the copy of the project, create both stacks, and set their secrets.

    `create_user` makes an IAM user and returns an access key, as an operator has to do with `identity: static`. One thread alone
    calls it: not every client of AWS can be made by several at once. Each secret is a start of the CLI; the two stacks' are set
    side by side, in the file of each.
    """
    project.create(pulumi.directory, files)
    for role in ROLES:
        pulumi.run("stack", "init", role)
    keys = {role: {part: create_user(project.names(role).principal(part)) for part in files.parts} for role in ROLES}

    def give_secrets(role: Role) -> None:
        pulumi.secret(role, "backupEncryptionPassword", PASSWORD)
        for database in files.databases:
            give_password(pulumi, role, database["name"])
        for part, key in keys[role].items():
            _give_key(pulumi, role, part, key)

    with ThreadPoolExecutor() as pool:
        list(pool.map(give_secrets, ROLES))


def give_key(pulumi: Pulumi, role: Role, part: Part, create_user: Callable[[str], AccessKey]) -> None:
    """Set the access key of a part's IAM user. `create_user` makes the user if it does not exist."""
    _give_key(pulumi, role, part, create_user(project.names(role).principal(part)))


def _give_key(pulumi: Pulumi, role: Role, part: Part, key: AccessKey) -> None:
    give_secret(pulumi, role, f"staticCredentials.{key_of(part)}.accessKeyId", key.identifier)
    give_secret(pulumi, role, f"staticCredentials.{key_of(part)}.secretAccessKey", key.secret)


def give_password(pulumi: Pulumi, role: str, database: str) -> None:
    """Set the password of a database's owner."""
    give_secret(pulumi, role, f'databasePasswords["{database}"]', PASSWORD)


def give_secret(pulumi: Pulumi, role: str, path: str, value: str) -> None:
    """Set one key of a secret object. The value goes through standard input, so that no process list shows it."""
    pulumi.run("config", "set", "--secret", "--path", path, "-s", role, stdin=value)


def deploy(pulumi: Pulumi, *, bring_first_backups: Callable[[], None] = lambda: None, with_databases: bool = True) -> None:
    """Deploy both regions for the first time, with four `pulumi up` commands.

    The first two create the regions; neither needs the other. The third starts replication from the primary to the secondary, and
    takes the databases' first backups. The fourth creates the standbys from those backups, and starts replication in the other
    direction. Without databases, the last two need nothing of each other, and run side by side.

    `bring_first_backups` must return only after those backups are in the secondary's bucket. Without databases nobody calls it.
    """
    with step("pulumi up -s primary; pulumi up -s secondary, side by side"), ThreadPoolExecutor() as pool:
        list(pool.map(pulumi.up, ROLES))
    if not with_databases:
        with step("pulumi config set peerReady true; pulumi up, in both stacks side by side"), ThreadPoolExecutor() as pool:
            for role in ROLES:
                pulumi.configure(role, "peerReady", "true")
            list(pool.map(pulumi.up, ROLES))
        return
    with step("pulumi config set peerReady true -s primary; pulumi up -s primary"):
        pulumi.configure("primary", "peerReady", "true")
        pulumi.up("primary")
    bring_first_backups()
    with step("pulumi config set peerReady true -s secondary; pulumi up -s secondary"):
        pulumi.configure("secondary", "peerReady", "true")
        pulumi.up("secondary")
