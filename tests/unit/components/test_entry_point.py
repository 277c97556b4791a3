"""The entry point reads, builds and exports, and decides nothing itself."""

from __future__ import annotations

import ast

from tests.examples import ROOT

PROGRAM = ast.parse((ROOT / "__main__.py").read_text())
COMPONENTS = {
    file.relative_to(ROOT / "components").as_posix(): ast.parse(file.read_text())
    for file in sorted((ROOT / "components").rglob("*.py"))
}


def imported(trees: list[ast.Module]) -> set[str]:
    names: set[str] = set()
    for tree in trees:
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                names |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                names.add(node.module)
    return names


def test_it_defines_and_decides_nothing() -> None:
    forbidden = (ast.FunctionDef, ast.ClassDef, ast.If, ast.While, ast.ListComp, ast.DictComp, ast.Lambda)
    assert not [node for node in ast.walk(PROGRAM) if isinstance(node, forbidden)]
    assert len([node for node in ast.walk(PROGRAM) if isinstance(node, ast.For)]) == 2


def test_it_makes_one_region_and_no_resource_of_its_own() -> None:
    assert imported([PROGRAM]) == {"signal", "pulumi", "components.region", "settings"}


READS = {"get_secret_value", "get_object", "get_paginator"}
OWN_SPANS = {
    "telemetry/sdk.py": {
        *("get_current_span", "get_finished_spans", "get_meter", "get_metrics_data", "get_span_context", "get_tracer"),
        "get_ident",
    }
}
"""What reads the objects of OpenTelemetry's SDK in this process, and asks nobody."""

ASKED_BY_DAY = {"traffic/checkers.py": {"get_health_check_status"}}
"""What is asked of AWS for a warning: `components/tried_by_day.py` asks it, in no preview and in no failover, and no resource
depends on the answer."""


def test_components_look_nothing_up() -> None:
    assert len(COMPONENTS) > 40, "every folder is looked at"
    for file, tree in COMPONENTS.items():
        calls = [node.func for node in ast.walk(tree) if isinstance(node, ast.Call)]
        looked_up = {call.attr for call in calls if isinstance(call, ast.Attribute) and call.attr.startswith("get_")}
        assert looked_up <= READS | ASKED_BY_DAY.get(file, set()) | OWN_SPANS.get(file, set()), file
        assert "StackReference" not in ast.unparse(tree), file
