"""actionlint accepts the workflows. `make style` runs zizmor over them."""

from __future__ import annotations

import subprocess

from tests.contract.conftest import tool
from tests.workflows import NAMES, WORKFLOWS


def test_the_workflows_are_what_github_understands() -> None:
    files = [WORKFLOWS / f"{name}.yml" for name in NAMES]
    # If shellcheck is installed, actionlint runs it over the scripts too.
    ran = subprocess.run([tool("actionlint", "actionlint"), "-no-color", *files], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout
