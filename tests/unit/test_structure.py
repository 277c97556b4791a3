"""Imports point one way: a folder stands on those below it, and nothing of the program knows the lab or its tests."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from tests.examples import ROOT

STANDS_ON: dict[str, set[str]] = {
    "kube": set(),
    "iam": set(),
    "operators": set(),
    "runbook": set(),
    "storage": {"iam"},
    "etcd": {"iam", "kube"},
    "telemetry": {"kube"},  # times of a drill's record
    "velero": {"iam", "kube", "storage"},  # objects of the peer are read with a limit
    "database": {"iam", "kube", "storage"},
    "drills": {"database", "iam", "kube", "storage", "velero"},  # what is late by day is late in a drill
    "traffic": {"iam", "kube", "storage"},  # the flag's bucket is hardened as the backup buckets are
    "failover": {"database", "iam", "velero", "traffic", "kube", "telemetry"},
    # The names of what it watches.
    "monitoring": {"database", "drills", "etcd", "failover", "kube", "operators", "storage", "velero"},
}
"""Each folder of components/ and the others that it may import. What stands beside the folders wires them and may import all."""

RUNNER = Path("components/kube/runner")
"""What runs in Pods, as a package of its own."""

PROGRAM = ("settings", "components", "charts")
"""What `pulumi up` loads. No lab, no test, no script."""


def sources(folder: str) -> Iterator[tuple[Path, ast.Module]]:
    for file in sorted((ROOT / folder).rglob("*.py")):
        if ".venv" not in file.parts:
            yield file.relative_to(ROOT), _parsed(file)


@cache
def _parsed(file: Path) -> ast.Module:
    return ast.parse(file.read_text())


def imported(tree: ast.Module) -> set[str]:
    """Every module that is imported, wherever in the file, and what is imported from it as `module.name`."""
    modules: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            modules |= {alias.name for alias in node.names}
        if isinstance(node, ast.ImportFrom):
            modules |= {f"{'.' * node.level}{node.module}.{alias.name}" for alias in node.names}
    return modules


def folders(tree: ast.Module) -> set[str]:
    """The folders of components/ that a file imports from."""
    return {module.split(".")[1] for module in imported(tree) if module.startswith("components.")} & STANDS_ON.keys()


def test_every_folder_has_its_place_in_the_order() -> None:
    assert {file.parts[1] for file, _ in sources("components") if len(file.parts) > 2} == set(STANDS_ON)


@pytest.mark.parametrize("folder", STANDS_ON)
def test_no_arrow_points_back_up(folder: str) -> None:
    arrows = {(str(file), target) for file, tree in sources(f"components/{folder}") for target in folders(tree) - {folder}}
    assert not {arrow for arrow in arrows if arrow[1] not in STANDS_ON[folder]}
    assert {target for _, target in arrows} == STANDS_ON[folder], "an arrow that nobody needs any more"


def test_the_order_has_no_circle() -> None:
    left = dict(STANDS_ON)
    while ready := {folder for folder, below in left.items() if not below & left.keys()}:
        left = {folder: below for folder, below in left.items() if folder not in ready}
    assert not left


def test_no_folder_imports_what_wires_the_folders() -> None:
    wiring = {file.stem for file, _ in sources("components") if len(file.parts) == 2} - {"__init__"}
    assert wiring == {"region", "providers", "outputs", "stale_primary", "tried_by_day"}
    for file, tree in sources("components"):
        if len(file.parts) > 2:
            assert not {".".join(module.split(".")[:2]) for module in imported(tree)} & {f"components.{name}" for name in wiring}


@pytest.mark.parametrize("folder", PROGRAM)
def test_the_program_knows_neither_lab_nor_tests(folder: str) -> None:
    for file, tree in sources(folder):
        theirs = {"lab", "tests", "policy", "scripts", "report", "drctl"}
        assert not {module.split(".")[0] for module in imported(tree)} & theirs, file


def test_the_report_stands_on_nothing_so_that_it_can_show_a_failover_of_the_lab_and_a_real_one() -> None:
    for file, tree in sources("report"):
        ours = {"lab", "tests", "policy", "scripts", "components", "settings", "charts", "drctl"}
        assert not {module.split(".")[0] for module in imported(tree)} & ours, file


def test_the_operators_command_knows_neither_lab_nor_tests() -> None:
    for file, tree in sources("drctl"):
        assert not {module.split(".")[0] for module in imported(tree)} & {"lab", "tests", "policy", "scripts"}, file


def test_settings_know_no_component_and_no_resource() -> None:
    for file, tree in sources("settings"):
        modules = imported(tree)
        assert not {module for module in modules if module.startswith(("components", "pulumi_"))}, file
        assert {module for module in modules if module.startswith("pulumi")} <= {"pulumi.runtime.config"}, file


def test_a_relative_import_which_hides_where_it_points_is_of_the_runner_alone() -> None:
    for folder in ("lab", *PROGRAM, "scripts", "tests"):
        for file, tree in sources(folder):
            hidden = [module for module in imported(tree) if module.startswith(".")]
            assert not hidden or file.is_relative_to(RUNNER), file


def test_the_runner_has_itself_and_the_standard_library_alone() -> None:
    """In a Pod there is nothing else: not the program, and not its packages."""
    files = [(file, imported(tree)) for file, tree in sources(str(RUNNER))]
    assert files
    for file, modules in files:
        for module in modules:
            own = module.startswith(".") and (ROOT / RUNNER / f"{module.split('.')[1]}.py").exists()
            assert own or module.split(".")[0] in sys.stdlib_module_names, f"{file}: {module}"


def test_components_never_read_the_configuration() -> None:
    for file, tree in sources("components"):
        assert not {module for module in imported(tree) if module.startswith(("pulumi.runtime.config", "pulumi.Config"))}, file
        asked = [node for node in ast.walk(tree) if isinstance(node, ast.Attribute) and node.attr == "Config"]
        assert not [node for node in asked if isinstance(node.value, ast.Name) and node.value.id == "pulumi"], file


def test_stand_ins_are_imported_by_the_lab_alone() -> None:
    for folder in (*PROGRAM, "scripts", "report"):
        for file, tree in sources(folder):
            assert not [module for module in imported(tree) if module.startswith("lab.standins")], file


def test_no_two_rooms_of_the_whole_house_import_each_other() -> None:
    """A room is a folder, or a file beside folders."""
    rooms: dict[str, set[str]] = {}
    for folder in ("lab", *PROGRAM, "scripts", "report"):
        for file, tree in sources(folder):
            names = {room_of(Path(*module.split("."))) for module in imported(tree)}
            rooms.setdefault(room_of(file.with_suffix("")), set()).update(names - {room_of(file.with_suffix(""))})
    left = {room: {name for name in below if name in rooms} for room, below in rooms.items()}
    while ready := {room for room, below in left.items() if not below & left.keys()}:
        left = {room: below for room, below in left.items() if room not in ready}
    assert not left


def room_of(path: Path) -> str:
    """`lab/tools` of lab/tools/go.py, `lab/world` of lab/world.py, `settings` of everything in it."""
    return path.parts[0] if path.parts[0] in ("settings", "charts", "scripts", "report") else "/".join(path.parts[:2])
