"""The two stacks of the lab, deployed as the README says: three ups, then the commands of a failover."""

from __future__ import annotations

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
        if static_credentials:
            pulumi.secret(role, "accessKeyId", "velero-key-id")
            pulumi.secret(role, "secretAccessKey", "velero-secret-key")


def deploy(pulumi: Pulumi) -> None:
    """Both regions from nothing. The third `up` starts the copying towards the region that did not exist at the first."""
    with step("pulumi up -s primary"):
        pulumi.up("primary")
    with step("pulumi up -s secondary"):
        pulumi.up("secondary")
    with step("pulumi config set peerReady true -s primary; pulumi up -s primary"):
        pulumi.configure("primary", "peerReady", "true")
        pulumi.up("primary")
