"""In which order the lab makes its two stacks, and what of it runs side by side."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import pytest

from lab import project, stacks
from lab.cloud.access_keys import AccessKey
from lab.pulumi import Pulumi
from settings.parts import key_of


@dataclass
class FakePulumi:
    """It notes what it was told. An `up` waits for another one beside it, if `ups` says that there is one."""

    directory: Path
    ups: threading.Barrier | None = None
    told: list[tuple[str, ...]] = field(default_factory=list)

    def run(self, *args: str, stdin: str | None = None) -> None:
        self.told.append(args)

    def secret(self, stack: str, key: str, value: str) -> None:
        self.told.append(("secret", stack, key))

    def configure(self, stack: str, key: str, value: str) -> None:
        self.told.append(("configure", stack, key))

    def up(self, stack: str) -> None:
        if self.ups:
            self.ups.wait(timeout=10)
        self.told.append(("up", stack))


def deployed(tmp_path: Path, *, ups: threading.Barrier | None = None, **options: bool) -> list[tuple[str, ...]]:
    pulumi = FakePulumi(directory=tmp_path, ups=ups)
    stacks.deploy(cast(Pulumi, pulumi), bring_first_backups=lambda: pulumi.told.append(("backups",)), **options)
    return pulumi.told


def test_a_standby_is_made_once_the_databases_backups_are_there(tmp_path: Path) -> None:
    told = deployed(tmp_path)
    assert set(told[:2]) == {("up", "primary"), ("up", "secondary")}
    assert told[2:] == [
        ("configure", "primary", "peerReady"),
        ("up", "primary"),
        ("backups",),
        ("configure", "secondary", "peerReady"),
        ("up", "secondary"),
    ]


def test_without_databases_the_last_two_ups_run_side_by_side_as_the_first_two_do(tmp_path: Path) -> None:
    told = deployed(tmp_path, ups=threading.Barrier(2), with_databases=False)
    assert told[2:4] == [("configure", "primary", "peerReady"), ("configure", "secondary", "peerReady")]
    assert set(told[4:]) == {("up", "primary"), ("up", "secondary")}


def test_both_stacks_are_there_before_their_secrets_and_one_thread_makes_the_users(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(project, "create", lambda *_: None)
    pulumi, users, threads = FakePulumi(directory=tmp_path), [], set()

    def create_user(name: str) -> AccessKey:
        users.append(name)
        threads.add(threading.get_ident())
        return AccessKey(identifier=f"id of {name}", secret="not-a-secret")

    files = project.ProjectFiles(
        endpoint="http://127.0.0.1:1", zone_id="Z1", kubeconfig=tmp_path / "kubeconfig", databases=(project.lab_database(),)
    )
    stacks.prepare(cast(Pulumi, pulumi), files, create_user)
    assert pulumi.told[:2] == [("stack", "init", role) for role in stacks.ROLES]
    assert threads == {threading.get_ident()}
    assert len(set(users)) == len(files.parts) * len(stacks.ROLES)
    for role in stacks.ROLES:
        given = [args for args in pulumi.told[2:] if role in args]
        assert given[0] == ("secret", role, "backupEncryptionPassword")
        assert [args[4] for args in given[1:]] == [
            'databasePasswords["app-database"]',
            *(f"staticCredentials.{key_of(part)}.{key}" for part in files.parts for key in ("accessKeyId", "secretAccessKey")),
        ]
