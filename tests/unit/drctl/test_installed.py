"""`drctl` as a command of the environment into which the checkout is installed."""

from __future__ import annotations

import importlib
import tomllib
from collections.abc import Iterator

from tests.examples import ROOT
from tests.unit.test_structure import imported, sources

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
BY_ITSELF = {"drctl", "scripts"}
"""The command, and what its calendar runs."""


def test_the_installed_command_is_the_one_that_the_module_runs() -> None:
    module, _, name = PROJECT["project"]["scripts"]["drctl"].partition(":")
    assert callable(getattr(importlib.import_module(module), name))


def test_all_that_it_stands_on_is_installed_and_nothing_else_of_the_checkout() -> None:
    installed = {pattern.removesuffix("*") for pattern in PROJECT["tool"]["setuptools"]["packages"]["find"]["include"]}
    assert installed == set(stands_on())


def stands_on() -> Iterator[str]:
    ours = {folder.name for folder in ROOT.iterdir() if (folder / "__init__.py").exists()}
    known: set[str] = set()
    found = set(BY_ITSELF)
    while found:
        folder = found.pop()
        known.add(folder)
        yield folder
        modules = {module.split(".")[0] for _, tree in sources(folder) for module in imported(tree)}
        found |= (modules & ours) - known
