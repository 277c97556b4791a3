"""The two stacks of the lab, deployed as the README says: four ups, then the commands of a failover."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from lab import engine, project
from lab.console import step
from lab.pulumi import Pulumi
from lab.regions.namespaces import inside

ROLES = ("primary", "secondary")
PASSWORD = "correct horse battery staple"  # noqa: S105 - the lab's own, and the same on every machine
PASSPHRASE = "lab"  # noqa: S105 - the lab's state holds nothing worth hiding


def cli(chosen: engine.Engine, root: Path, *, provider_log: Path, namespace: str | None = None) -> Pulumi:
    """The CLI on the lab's copy of the project below `root`, in a network namespace if one is named."""
    (root / "state").mkdir(parents=True, exist_ok=True)
    environment = chosen.environment(backend=f"file://{root / 'state'}", passphrase=PASSPHRASE, provider_log=provider_log)
    # moto takes any credentials; what it must not find is the user's own.
    environment |= {
        "AWS_ACCESS_KEY_ID": "operator-key-id",
        "AWS_SECRET_ACCESS_KEY": "operator-secret-key",
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    return Pulumi(directory=root / "project", environment=environment, prefix=inside(namespace) if namespace else ())


def prepare(pulumi: Pulumi, files: project.ProjectFiles, *, static_credentials: bool = False) -> None:
    """The copy of the project, both stacks, their secrets."""
    project.create(pulumi.directory, files)
    for role in ROLES:
        pulumi.run("stack", "init", role)
        pulumi.secret(role, "backupEncryptionPassword", PASSWORD)
        for database in files.databases:
            give_password(pulumi, role, database["name"])
        if static_credentials:
            pulumi.secret(role, "accessKeyId", "velero-key-id")
            pulumi.secret(role, "secretAccessKey", "velero-secret-key")


def give_password(pulumi: Pulumi, role: str, database: str) -> None:
    """The password of a database's owner, by standard input: it must not stand in a process list."""
    key = f'databasePasswords["{database}"]'
    pulumi.run("config", "set", "--secret", "--path", key, "-s", role, stdin=PASSWORD)


def deploy(pulumi: Pulumi, *, bring_first_backups: Callable[[], None] = lambda: None) -> None:
    """Both regions from nothing. The third `up` starts the copying towards the region that did not exist at the first, and takes
    the databases' first backups; the fourth makes the standbys of those, and starts the copying back.

    `bring_first_backups` returns once those backups are in the secondary's bucket.
    """
    with step("pulumi up -s primary"):
        pulumi.up("primary")
    with step("pulumi up -s secondary"):
        pulumi.up("secondary")
    with step("pulumi config set peerReady true -s primary; pulumi up -s primary"):
        pulumi.configure("primary", "peerReady", "true")
        pulumi.up("primary")
    bring_first_backups()
    with step("pulumi config set peerReady true -s secondary; pulumi up -s secondary"):
        pulumi.configure("secondary", "peerReady", "true")
        pulumi.up("secondary")
