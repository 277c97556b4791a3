"""The schemas that editors read: fresh, named by the files, and neither stricter nor blinder than they can be."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import yaml
from jsonschema import Draft7Validator

from settings.load import KEYS
from settings.schema import FOLDER, project_schema, stack_schema, texts
from tests.examples import REMOVED, ROOT
from tests.unit.settings import test_database_mistakes, test_mistakes

FILES = {"Pulumi.yaml": project_schema(), **{f"Pulumi.{stack}.yaml": stack_schema() for stack in ("primary", "secondary")}}


def read(name: str) -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load((ROOT / name).read_text())
    return document


def complaints(name: str, document: dict[str, Any]) -> list[str]:
    return [error.message for error in Draft7Validator(FILES[name]).iter_errors(document)]


def refused(changes: dict[str, Any]) -> bool:
    """Whether an editor marks the committed stack file with these keys in it."""
    document = copy.deepcopy(read("Pulumi.secondary.yaml"))
    document["config"] |= {f"k8s-dr:{key}": value for key, value in changes.items()}
    return bool(complaints("Pulumi.secondary.yaml", document))


@pytest.mark.parametrize("name", sorted(texts()))
def test_the_committed_schema_is_fresh(name: str) -> None:
    assert (FOLDER / name).read_text() == texts()[name], "run: .venv/bin/python -m settings.schema"


@pytest.mark.parametrize("name", FILES)
def test_a_schema_is_one_and_the_committed_file_fits_it(name: str) -> None:
    Draft7Validator.check_schema(FILES[name])
    assert complaints(name, read(name)) == []


@pytest.mark.parametrize("name", FILES)
def test_an_editor_finds_the_schema_by_the_first_line_of_the_file(name: str) -> None:
    first = (ROOT / name).read_text().splitlines()[0]
    assert first.startswith("# yaml-language-server: $schema=")
    assert (ROOT / first.partition("$schema=")[2]).is_file()


def test_every_key_is_offered_with_its_meaning() -> None:
    offered = stack_schema()["properties"]["config"]["properties"]
    assert set(offered) == {f"k8s-dr:{key}" for key in KEYS}
    assert all(field["description"] for field in offered.values())


@pytest.mark.parametrize(
    "changes",
    [
        {"peerRedy": True},
        {"cluster": {"context": "a", "name": "b", "distribution": "eks", "contxt": "c"}},
        {"cluster": {"context": "a", "name": "b"}},
        {"cluster": {"context": "a", "name": "b", "distribution": "gke"}},
        {"endpoint": "https://lb.example.com"},
        {"endpoint": {"name": "lb.example.com"}},
        {"workloads": [{"namespace": "Production", "replicas": 3}]},
        {"workloads": [{"namespace": "production", "replicas": 0}]},
        {"backups": [{"name": "daily", "cron": "0 2 * *", "keep": "720h"}]},
        {"backups": [{"name": "daily", "cron": "0 2 * * *", "keep": "30d"}]},
        {"databases": [{"name": "app", "namespace": "databases", "backupCron": "0 3 * * *"}]},
        {"active": "both"},
        {"backupEncryptionPassword": "in clear text"},
    ],
    ids=str,
)
def test_an_editor_marks_a_mistake(changes: dict[str, Any]) -> None:
    assert refused(changes)


@pytest.mark.parametrize(
    "changes",
    [
        {"peerReady": "true"},
        {"active": "secondary"},
        {"backupEncryptionPassword": {"secure": "v1:abc"}},
        {"databasePasswords": {"app-database": {"secure": "v1:abc"}}},
        {"staticCredentials": {"velero": {"accessKeyId": {"secure": "v1:a"}, "secretAccessKey": {"secure": "v1:b"}}}},
        {"endpoint": {"name": "lb.example.com", "zoneId": "Z0123456789ABCDEFGHIJ"}},
    ],
    ids=str,
)
def test_what_the_cli_stores_is_not_marked(changes: dict[str, Any]) -> None:
    assert not refused(changes)


def test_keys_of_other_projects_and_of_pulumi_are_not_marked() -> None:
    document = {"encryptionsalt": "v1:…", "config": {"aws:region": "us-east-1", "pulumi:tags": {"a": "b"}}}
    assert complaints("Pulumi.primary.yaml", document) == []
    assert complaints("Pulumi.yaml", {"name": "k8s-dr", "runtime": "python", **document}) == []


def test_most_malformed_configurations_are_seen_in_the_editor_already() -> None:
    everything = [changes for changes, _ in (*test_mistakes.MISTAKES, *test_database_mistakes.MISTAKES)]
    malformed = [changes for changes in everything if REMOVED not in changes.values()]
    assert len(malformed) >= 60
    assert sum(refused(changes) for changes in malformed) / len(malformed) >= 0.7
