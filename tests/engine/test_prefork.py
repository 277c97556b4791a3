"""A fork of the server is, to whoever started it, the process that it takes the place of."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.engine.prefork import Prefork

WAITS = "import signal\nprint('runs', flush=True)\nsignal.pause()\n"


@pytest.fixture(scope="module")
def server() -> Iterator[Prefork]:
    made = Prefork()
    yield made
    made.stop()


def start(server: Prefork, directory: Path, program: str, *arguments: str) -> subprocess.Popen[str]:
    """Start a program as the language host does."""
    file = directory / "program.py"
    file.write_text(program)
    return subprocess.Popen(
        [str(server.virtual_environment / "bin" / "python"), "-u", str(file), *arguments],
        cwd=directory,
        env={"OF": "its own"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_it_has_its_own_arguments_directory_environment_and_streams(server: Prefork, tmp_path: Path) -> None:
    told = (
        "import os, sys\n"
        "print(sys.argv[1:], os.getcwd(), os.environ['OF'], 'HOME' in os.environ, input())\n"
        "print('why', file=sys.stderr)\n"
        "sys.exit(3)\n"
    )
    ran = start(server, tmp_path, told, "one", "two")
    out, err = ran.communicate("asked\n")
    assert out == f"['one', 'two'] {tmp_path} its own False asked\n"
    assert (err, ran.returncode) == ("why\n", 3)


def test_what_many_import_is_there_and_the_programs_own_modules_come_from_its_folder(server: Prefork, tmp_path: Path) -> None:
    (tmp_path / "settings.py").write_text("PLACE = 'its own'\n")
    ran = start(
        server,
        tmp_path,
        "import sys\nprint('pulumi_aws' in sys.modules, 'settings' in sys.modules)\nimport settings\nprint(settings.PLACE)\n",
    )
    assert ran.communicate() == ("True False\nits own\n", "")


def test_one_that_fails_prints_where(server: Prefork, tmp_path: Path) -> None:
    ran = start(server, tmp_path, "raise ValueError('no')\n")
    _, err = ran.communicate()
    assert err.endswith("ValueError: no\n")
    assert ran.returncode == 1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_reaches_it(server: Prefork, tmp_path: Path, number: signal.Signals) -> None:
    ran = start(server, tmp_path, f"import signal\nsignal.signal({number}, lambda *_: exit(7))\n{WAITS}")
    assert ran.stdout is not None
    assert ran.stdout.readline() == "runs\n"
    ran.send_signal(number)
    ran.communicate()
    assert ran.returncode == 7


def test_one_that_a_signal_ended_ends_so_for_whoever_waits(server: Prefork, tmp_path: Path) -> None:
    ran = start(server, tmp_path, "import os\nos.kill(os.getpid(), 9)\n")
    ran.communicate()
    assert ran.returncode == -signal.SIGKILL


def test_its_parent_is_gone_when_the_one_that_started_it_is_killed(server: Prefork, tmp_path: Path) -> None:
    waits = (
        "import os, time\n"
        "parent = os.getppid()\n"
        "print('runs', flush=True)\n"
        "while os.getppid() == parent:\n"
        "    time.sleep(0.01)\n"
        "print('alone')\n"
    )
    ran = start(server, tmp_path, waits)
    assert ran.stdout is not None
    assert ran.stdout.readline() == "runs\n"
    ran.kill()
    assert ran.stdout.read() == "alone\n"
    ran.wait()
