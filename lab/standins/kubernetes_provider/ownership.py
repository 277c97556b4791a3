"""Which manager owns which field of an object, from the API server's `managedFields`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def created_by(managed_fields: Sequence[dict[str, Any]], manager: str) -> list[dict[str, Any]]:
    """The entries that `manager` got by creating the object. A later apply by it would conflict with these."""
    return [
        entry
        for entry in managed_fields
        if entry.get("manager") == manager and entry.get("operation") == "Update" and not entry.get("subresource")
    ]


def as_applied(managed_fields: Sequence[dict[str, Any]], manager: str) -> list[dict[str, Any]]:
    """The entries, changed as if `manager` had applied the fields that it created."""
    created = created_by(managed_fields, manager)
    applied = [entry for entry in managed_fields if entry.get("manager") == manager and entry.get("operation") == "Apply"]
    if not created:
        return list(managed_fields)
    fields: dict[str, Any] = {}
    for entry in [*created, *applied]:
        fields = _union(fields, entry.get("fieldsV1") or {})
    merged = {**created[0], "operation": "Apply", "fieldsV1": fields}
    return [*(entry for entry in managed_fields if entry not in created and entry not in applied), merged]


def _union(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    return {**one, **{key: _union(one[key], part) if key in one else part for key, part in other.items()}}
