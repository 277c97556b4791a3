"""Tokens and names are state from version 0.1.0 on: what a release registered is still known by its URN or by an alias, and is
called as it was at AWS and in Kubernetes.

In every configuration, and within seconds. The snapshots show how a registration changed, and one flag renews them; what a
release has registered is not renewed.
"""

from __future__ import annotations

import re
import tomllib

import pytest
from packaging.version import Version

from tests.examples import ROOT
from tests.releases import ledger, versions
from tests.unit.configurations import ledger_of_today

_BACKUP = "dr:database:Database$kubernetes:postgresql.cnpg.io/v1:Backup::failover-databases"
_MONTHLY = "the plugin deletes a Backup after a month, and a refreshed stack took it again; what it saved is in the archive"
GIVEN_UP: dict[str, dict[str, str]] = {
    "0.1.0": {
        f"{_BACKUP}-app-database-first-backup metadata.name=app-database-first-g1 metadata.namespace=databases": _MONTHLY,
        f"{_BACKUP}-orders-first-backup metadata.name=orders-first-g1 metadata.namespace=databases": _MONTHLY,
        f"{_BACKUP}-orders-first-backup metadata.name=orders-first-g1 metadata.namespace=shop": _MONTHLY,
    }
}
"""By version: a line that no configuration registers any more, and the reason. Nothing that holds data, access or traffic."""


@pytest.mark.parametrize("version", versions())
def test_what_a_release_registered_is_still_known_by_its_name(version: str) -> None:
    missing = ledger(version) - ledger_of_today(aliases=True)
    assert missing == set(GIVEN_UP[version]), "whoever renames a token or a resource adds an alias: docs/releases.md"


@pytest.mark.parametrize(
    "line",
    [
        "dr:storage:BackupBuckets$aws:s3/bucket:Bucket::storage-velero bucket=acme-velero-us-east-1-123456789012",
        "dr:iam:Identity$aws:iam/role:Role::identity-velero-role name=acme-velero-us-east-1",
        "dr:kube:JobRunner$kubernetes:core/v1:Namespace::job-runner-namespace metadata.name=k8s-dr",
    ],
)
def test_the_first_release_has_data_access_and_workloads_in_its_ledger(line: str) -> None:
    assert line in ledger("0.1.0")


def test_version_changelog_and_saved_states_agree() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    sections = re.findall(r"^## (\d\S*) - \d{4}-\d\d-\d\d$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert sections == sorted(sections, key=Version, reverse=True), "the newest first"
    assert sections[0] == versions()[-1]
    assert Version(version) >= Version(sections[0])
