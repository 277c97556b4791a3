"""Names are state: what a released version left in people's states, today's program neither replaces nor deletes.

Each saved state is imported into a pair of its own and previewed. `tests/unit/test_released_names.py` looks at names alone, in
every configuration and within seconds; here the engine itself decides.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import yaml

from lab import stacks
from lab.pulumi import Ran
from lab.standins.recorded_cluster.kinds import VELERO
from settings.roles import Role
from tests.engine.conftest import Pair
from tests.engine.states.saved import NOT_A_SECRET, SECRET, configured_pair, restored, scrubbed
from tests.releases import state_file, versions
from tests.unit.recorder import COMBINATIONS

SAVED = [(version, *combination) for version in versions() for combination in COMBINATIONS]

EXPECTED: dict[str, dict[str, str]] = {
    "0.1.0": {
        "failover-databases-app-database-first-backup": "a Backup, which the plugin deletes after a month; what it saved stays "
        "in the archive, and a schedule of this name takes its place",
        **dict.fromkeys(
            (
                "job-runner-ready",
                "velero-crds",
                "failover-databases-app-database-promoted",
                "failover-workloads-scale-production",
                "failover-workloads-verify-production",
            ),
            "a Job, whose Pod has limits and keeps sidecars out, and most of which run the runner's steps in place of kubectl",
        ),
        "failover-restores-daily-full": "only what somebody names is restored, and nothing of this backup is left; it "
        "is retained",
    }
}
"""By version: the name of a resource that is replaced or deleted when one comes from there, and the reason. Nothing that holds
data, access or traffic may stand here: such a resource gets an alias instead."""

HARMLESS = ("kubernetes:batch/v1:Job", "kubernetes:postgresql.cnpg.io/v1:Backup", "kubernetes:velero.io/v1:Restore")
"""Kinds that may stand in EXPECTED: they hold no data, no access and no traffic, and are made anew by design, or stay in the
cluster."""


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory, pulumi_binary: Path) -> Iterator[Pair]:
    """Both stacks with their configuration and secrets, and nothing deployed."""
    with configured_pair(tmp_path_factory.mktemp("states"), pulumi_binary) as pair:
        for role in stacks.ROLES:
            pair.pulumi.configure(role, "peerReady", "true")
        yield pair


def import_state(pair: Pair, stack: Role, serving: Role, state: dict[str, Any]) -> None:
    salt = yaml.safe_load((pair.pulumi.directory / f"Pulumi.{stack}.yaml").read_text())["encryptionsalt"]
    state["deployment"]["secrets_providers"] = {"type": "passphrase", "state": {"salt": salt}}
    file = pair.root / "import.json"
    file.write_text(json.dumps(state))
    pair.pulumi.run("stack", "import", "--force", "--file", str(file), "-s", stack)
    # As everybody has it: while the primary serves nobody has decided.
    pair.pulumi.run("config", "rm", "active", "-s", stack)
    if serving == "secondary":
        pair.pulumi.configure(stack, "active", serving)
    bring_objects(pair, stack, state["deployment"]["resources"])


def bring_objects(pair: Pair, stack: Role, resources: list[dict[str, Any]]) -> None:
    """Put the state's Kubernetes objects into the stack's cluster: a preview tries each update on what is there."""
    cluster = pair.clusters[stack]
    cluster.install(VELERO)
    for resource in resources:
        if resource["type"].startswith("kubernetes:"):
            outputs = resource["outputs"]
            inputs = {key: value for key, value in resource["inputs"].items() if value is not None}
            status = {"status": outputs["status"]} if outputs.get("status") else {}
            cluster.put(without_secrets({**inputs, **status}), manager=outputs.get("__fieldManager", "pulumi"))


def without_secrets(value: Any) -> Any:
    """An object with its secrets in clear: those of a saved state are nobody's."""
    if isinstance(value, dict):
        if SECRET in value:
            return json.loads(value["plaintext"])
        return {key: without_secrets(inner) for key, inner in value.items()}
    return [without_secrets(inner) for inner in value] if isinstance(value, list) else value


def planned(pair: Pair, stack: Role) -> tuple[Ran, list[tuple[str, str]]]:
    """The preview, and what it would do: each operation other than `same`, with the resource's URN."""
    preview = pair.pulumi.run("preview", "--json", "-s", stack, check=False)
    steps: list[dict[str, Any]] = []
    with suppress(ValueError):
        steps = json.loads(preview.output[preview.output.index("{") :]).get("steps") or []
    return preview, [(step["op"], step["urn"]) for step in steps if step["op"] != "same"]


def destroyed(plan: list[tuple[str, str]]) -> set[str]:
    """URNs of what would be replaced or deleted."""
    return {urn for operation, urn in plan if any(word in operation for word in ("replace", "delete", "discard"))}


@pytest.mark.parametrize(("version", "stack", "serving"), SAVED)
def test_nothing_that_holds_data_access_or_traffic_is_replaced_or_deleted(
    empty: Pair, version: str, stack: Role, serving: Role
) -> None:
    import_state(empty, stack, serving, restored(empty, state_file(version, stack, serving).read_text()))
    preview, plan = planned(empty, stack)
    assert preview.exit_code == 0, preview.output[-3000:]
    gone = {urn.rsplit("::", 1)[-1]: urn.rsplit("::", 2)[-2].rsplit("$", 1)[-1] for urn in destroyed(plan)}
    assert set(gone) <= set(EXPECTED[version]), "give it an alias, or, if it holds nothing, say in EXPECTED why it is made anew"
    assert set(gone.values()) <= set(HARMLESS)


def test_a_renamed_record_is_seen_to_be_replaced(empty: Pair) -> None:
    text = state_file(versions()[-1], "primary", "primary").read_text()
    import_state(empty, "primary", "primary", restored(empty, text.replace("::traffic-app.", "::traffic-once-app.")))
    _, plan = planned(empty, "primary")
    gone = {urn.rsplit("::", 1)[-1] for urn in destroyed(plan)}
    assert gone - set(EXPECTED[versions()[-1]]) == {"traffic-once-app.example.com"}


@pytest.mark.long
def test_a_renamed_component_of_what_is_protected_fails_the_preview(empty: Pair) -> None:
    text = state_file(versions()[-1], "primary", "primary").read_text()
    import_state(empty, "primary", "primary", restored(empty, text.replace("dr:storage:BackupBuckets", "dr:storage:Old")))
    preview, plan = planned(empty, "primary")
    assert preview.exit_code
    assert destroyed(plan) or "protected" in preview.output


@pytest.mark.parametrize(("version", "stack", "serving"), SAVED)
def test_a_saved_state_has_no_secret_and_nothing_of_a_machine(version: str, stack: Role, serving: Role) -> None:
    text = state_file(version, stack, serving).read_text()
    assert not [
        word
        for word in ("ciphertext", stacks.PASSWORD, "/tmp/pytest", "/tmp/tmp", "/home/", f"{Path.home()}/", "127.0.0.1")
        if word in text
    ]
    told = list(secrets(json.loads(text)))
    assert told
    for secret in told:
        assert NOT_A_SECRET in secret or secret in ("us-east-1", "us-west-2", "app"), secret


def secrets(value: Any) -> Iterator[str]:
    """What stands for a secret in a state, decoded as Kubernetes encodes it."""
    if isinstance(value, dict) and SECRET in value:
        yield from texts(json.loads(value["plaintext"]))
    elif isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from secrets(inner)


def texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        with suppress(ValueError):
            value = base64.b64decode(value, validate=True).decode()
        yield value
    elif isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from texts(inner)


def test_what_is_saved_is_what_is_restored(empty: Pair) -> None:
    own = {"inputs": {"kubeconfig": str(empty.files.kubeconfig)}, "modified": "2026-11-29T00:00:00Z"}
    text = scrubbed(empty, {"resources": [own], "secrets_providers": {"type": "passphrase"}})
    assert str(empty.root) not in text
    back = restored(empty, text)["deployment"]
    assert back["resources"] == [{"inputs": own["inputs"]}]
    assert "secrets_providers" not in back
