"""What is restored of which backup: only what somebody names, never twice, and never everything by an empty list."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from components.velero.selection import chosen, selector
from settings.backup import Backup
from settings.names import NEVER_RESTORED


def backup(name: str, **changes: Any) -> Backup:
    return Backup.model_validate({"name": name, "cron": "0 * * * *", "keep": "24h", **changes})


def told(backups: list[Backup], named: list[str] | None = None) -> dict[str, dict[str, list[str]]]:
    return {each.backup.name: each.namespaces for each in chosen(backups, named or [])}


def test_a_full_backup_brings_only_what_workloads_and_databases_name() -> None:
    assert told([backup("all")], ["shop", "data"]) == {"all": {"includedNamespaces": ["data", "shop"]}}
    assert told([backup("all", exclude=["shop"])], ["shop", "data"]) == {"all": {"includedNamespaces": ["data"]}}


def test_a_full_backup_brings_the_rest_too_where_somebody_says_so() -> None:
    backups = [backup("all", restore="everything", exclude=["logs"]), backup("shop", include=["shop"])]
    everything = told(backups, ["shop"])["all"]
    assert everything == {"excludedNamespaces": sorted({"logs", "shop", *NEVER_RESTORED})}


def test_an_entry_of_which_nothing_is_left_is_no_restore_for_an_empty_list_means_everything_to_velero() -> None:
    assert told([backup("a", include=["x", "y"]), backup("b", include=["y", "x"])]) == {"a": {"includedNamespaces": ["x", "y"]}}
    assert told([backup("a", include=["shop"]), backup("all")], ["shop"]) == {"a": {"includedNamespaces": ["shop"]}}
    assert told([backup("all")], ["velero"]) == {}


def test_what_one_entry_must_not_restore_is_not_handed_to_the_next() -> None:
    off = backup("hourly", include=["production"], restore=False)
    assert told([off, backup("all")], ["production", "data"]) == {"all": {"includedNamespaces": ["data"]}}
    assert "production" in told([backup("all", restore="everything"), off])["all"]["excludedNamespaces"]


def test_named_namespaces_are_restored_in_the_order_in_which_they_are_written() -> None:
    backups = [backup("all"), backup("b", include=["b"]), backup("off", include=["c"], restore=False), backup("a", include=["a"])]
    assert [each.backup.name for each in chosen(backups, ["d"])] == ["b", "a", "all"]


_NAMESPACES = st.lists(st.sampled_from("abcde"), unique=True, max_size=4)
_BACKUPS = st.lists(
    st.fixed_dictionaries({"include": _NAMESPACES, "restore": st.sampled_from([True, False, "everything"])}), max_size=5
)


@given(_BACKUPS, _NAMESPACES)
def test_no_namespace_is_restored_twice_and_no_list_is_empty(entries: list[dict[str, Any]], named: list[str]) -> None:
    answer = chosen([backup(f"entry-{place}", **entry) for place, entry in enumerate(entries)], named)
    for each in answer:
        assert all(each.namespaces.values())
    for namespace in "abcde":
        by = [each for each in answer if each.has(namespace)]
        assert len(by) <= 1
        off = any(not entry["restore"] and namespace in entry["include"] for entry in entries)
        assert not (off and by)


def labels(backup: Backup) -> dict[str, str]:
    return {each["key"]: each["operator"] for each in selector(backup)["matchExpressions"]}


def test_what_a_controller_makes_of_a_template_is_left_out_and_bare_pods_come_back() -> None:
    found = labels(backup("a"))
    for label in ("pod-template-hash", "controller-revision-hash", "batch.kubernetes.io/job-name", "rollouts-pod-template-hash"):
        assert found[label] == "DoesNotExist"


def test_copies_of_what_the_operator_lifecycle_manager_has_installed_elsewhere_are_left_out_by_their_label() -> None:
    assert labels(backup("a"))["olm.copiedFrom"] == labels(backup("a", pods="all"))["olm.copiedFrom"] == "DoesNotExist"


def test_autoscalers_that_keda_makes_anew_are_left_out_by_their_label() -> None:
    for entry in (backup("a"), backup("a", pods="all")):
        (made,) = [each for each in selector(entry)["matchExpressions"] if each["key"] == "app.kubernetes.io/managed-by"]
        assert made["operator"] == "NotIn", "what another program manages, as Helm, comes back"
        assert "keda-operator" in made["values"]


def test_pods_come_back_where_their_volumes_come_no_other_way_but_not_those_of_jobs() -> None:
    found = labels(backup("a", pods="all"))
    assert not found.keys() & {"pod-template-hash", "controller-revision-hash", "rollouts-pod-template-hash"}
    assert found["batch.kubernetes.io/job-name"] == "DoesNotExist"
