"""The tests run with a real part wherever it is installed. They skip what only its stand-in can answer, and count it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from lab.engine import MODE_VARIABLE
from tests.examples import ROOT


def outcome_of(file: str, **environment: str) -> str:
    """Pytest's output for one file of these tests."""
    command = [sys.executable, "-m", "pytest", f"tests/engine/{file}", "-q", "-p", "no:cacheprovider"]
    outside = {key: value for key, value in os.environ.items() if key != MODE_VARIABLE}
    ran = subprocess.run(command, cwd=ROOT, env=outside | environment, capture_output=True, text=True, timeout=300, check=False)
    return ran.stdout


def test_what_needs_the_stand_in_is_skipped_with_its_reason_where_the_real_part_is_installed(tmp_path: Path) -> None:
    plugin = tmp_path / "plugins" / "resource-aws-v7.99.0" / "pulumi-resource-aws"
    plugin.parent.mkdir(parents=True)
    plugin.write_text("#!/bin/sh\nexit 1\n")
    plugin.chmod(0o755)
    said = outcome_of("test_identity.py", PULUMI_HOME=str(tmp_path))
    assert "4 skipped" in said
    assert "needs the stand-in for aws: the real provider asks STS whose keys it has" in said
    assert "aws real 7.99.0" in said
    assert "skipped because only a stand-in can answer: 4" in said
