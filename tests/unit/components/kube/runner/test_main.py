"""A step in a Pod: it gets its task, ends with 0 or 1, and leaves its last message where Kubernetes looks for it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

from components.kube.pods import runner_modules
from components.kube.runner import __main__ as runner
from components.kube.runner import ask
from components.kube.runner.failure import StepFailedError
from tests.ports import refusing_port
from tests.unit.components.kube.runner.servers import http_server


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """The file that a kubelet makes for a container's last message."""
    path = tmp_path / "termination-log"
    path.touch()
    return path


def behave(monkeypatch: pytest.MonkeyPatch, *, message: str = "", error: Exception | None = None) -> None:
    """Let the step `ask` return or raise."""

    def run(_: object) -> str:
        if error:
            raise error
        return message

    monkeypatch.setattr(ask, "run", run)


def test_what_a_step_returns_is_the_last_message_of_a_pod_that_succeeded(
    monkeypatch: pytest.MonkeyPatch, log: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    behave(monkeypatch, message="all is well")
    assert runner.main(["ask"], {"TASK": "{}"}, log) == 0
    assert log.read_text() == "all is well"
    assert capsys.readouterr().out == "all is well\n"


def test_why_a_step_failed_is_the_last_message_of_a_pod_that_failed(monkeypatch: pytest.MonkeyPatch, log: Path) -> None:
    behave(monkeypatch, error=StepFailedError("nobody answers"))
    assert runner.main(["ask"], {"TASK": "{}"}, log) == 1
    assert log.read_text() == "nobody answers"


def test_an_error_of_the_runner_itself_is_told_in_one_line(
    monkeypatch: pytest.MonkeyPatch, log: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    behave(monkeypatch, error=RuntimeError("two\n  lines"))
    assert runner.main(["ask"], {"TASK": "{}"}, log) == 1
    assert log.read_text() == "the runner itself failed: RuntimeError: two lines"
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "environment", "told"),
    [
        ([], {"TASK": "{}"}, "nothing is not a step of this version of the runner: ask, "),
        (["dance"], {"TASK": "{}"}, "dance is not a step"),
        (["failure"], {"TASK": "{}"}, "failure is not a step"),
        (["ask"], {}, "TASK is not set"),
        (["ask"], {"TASK": "{"}, "TASK is not JSON"),
        (["ask"], {"TASK": '{"questions": [{"uri": "http://a"}]}'}, "the runner itself failed: TypeError: "),
    ],
)
def test_a_task_that_cannot_be_read_is_told_in_one_line(
    arguments: list[str], environment: dict[str, str], told: str, log: Path
) -> None:
    assert runner.main(arguments, environment, log) == 1
    assert log.read_text().startswith(told)
    assert "\n" not in log.read_text()


def test_a_long_message_keeps_its_beginning_and_its_end(monkeypatch: pytest.MonkeyPatch, log: Path) -> None:
    behave(monkeypatch, error=StepFailedError(f"first {'ü' * 4000} last"))
    runner.main(["ask"], {"TASK": "{}"}, log)
    kept = log.read_bytes()
    assert 4000 < len(kept) <= 4096
    assert kept.decode().startswith("first ü")
    assert kept.decode().endswith("ü last")


def test_where_no_kubelet_made_the_file_none_is_made(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    behave(monkeypatch, message="all is well")
    assert runner.main(["ask"], {"TASK": "{}"}, tmp_path / "none") == 0
    assert list(tmp_path.iterdir()) == []


def test_every_step_is_a_module_with_a_run() -> None:
    for step in runner.STEPS:
        assert callable(import_module(f"components.kube.runner.{step}").run)


def as_in_a_pod(directory: Path, step: str, task: dict[str, object]) -> subprocess.CompletedProcess[str]:
    """Run a step from nothing but the files of the ConfigMap, without this repository and its packages."""
    package = directory / "runner"
    package.mkdir()
    for name, content in runner_modules().items():
        (package / name).write_text(content)
    bare = [sys.executable, "-S", "-m", "runner", step]  # -S: no installed packages
    environment = {
        "TASK": json.dumps(task),
        "PYTHONPATH": str(directory),
        "PYTHONDONTWRITEBYTECODE": "1",
        "PATH": os.environ["PATH"],
    }
    return subprocess.run(bare, cwd=directory, env=environment, capture_output=True, text=True, timeout=60, check=False)


def test_the_modules_run_as_the_package_that_the_configmap_holds(tmp_path: Path) -> None:
    with http_server(200) as server:
        ran = as_in_a_pod(tmp_path, "ask", {"questions": [{"url": f"http://127.0.0.1:{server.port}/"}]})
    assert (ran.returncode, ran.stderr) == (0, "")
    assert json.loads(ran.stdout) == [{"status": 200, "said": "HTTP 200 OK"}]


def test_a_step_that_fails_there_ends_with_one(tmp_path: Path) -> None:
    check = {"namespace": "production", "service": "web", "port": refusing_port(), "path": "/", "scheme": "http", "host": None}
    ran = as_in_a_pod(tmp_path, "verify", {**check, "seconds": 0.1})
    assert ran.returncode == 1
    assert ran.stdout.splitlines()[-1].startswith("http://web.production.svc:")
