"""How the language host runs programs and reports of them as the real one does, and starts plugins that are written in Python:
policy packs, and directories with a `__main__.py`."""

import subprocess
import sys
import threading
from importlib import metadata

import pytest
from google.protobuf import struct_pb2
from pulumi.runtime.proto import language_pb2

from lab.standins.language_host import LanguageHost, interpreter, provider_packages
from lab.waiting import until
from tests.examples import ROOT

PLUGIN = """
import os, sys
print("out", os.environ["ASKED"], os.path.basename(os.getcwd()))
print("err", *sys.argv[1:], file=sys.stderr)
sys.exit(3)
"""


class Context:
    def add_callback(self, _):
        return True


def info(directory, **options):
    struct = struct_pb2.Struct()
    struct.update(options)
    return language_pb2.ProgramInfo(
        root_directory=str(directory), program_directory=str(directory), entry_point=".", options=struct
    )


def run(directory, kind, *args):
    (directory / "__main__.py").write_text(PLUGIN)
    elsewhere = directory / "elsewhere"
    elsewhere.mkdir()
    request = language_pb2.RunPluginRequest(kind=kind, info=info(directory), args=args, env=["ASKED=why=not"], pwd=str(elsewhere))
    answers = list(LanguageHost("127.0.0.1:1").RunPlugin(request, Context()))
    said = {stream: b"".join(getattr(answer, stream) for answer in answers).decode() for stream in ("stdout", "stderr")}
    assert answers[-1].exitcode == 3, "the exit code comes last"
    return said


def test_a_policy_pack_runs_in_its_own_directory_with_the_address_of_the_engine(tmp_path):
    said = run(tmp_path, "analyzer", "127.0.0.1:1")
    assert said["stdout"] == f"out why=not {tmp_path.name}\n"
    assert said["stderr"].startswith("err")


def test_another_plugin_runs_where_the_engine_says_with_its_arguments(tmp_path):
    said = run(tmp_path, "resource", "one", "two")
    assert said == {"stdout": "out why=not elsewhere\n", "stderr": "err one two\n"}


@pytest.mark.parametrize(("options", "found"), [({}, sys.executable), ({"virtualenv": ".venv"}, "{root}/.venv/bin/python")])
def test_a_pack_has_the_interpreter_of_its_own_environment(tmp_path, options, found):
    assert interpreter(info(tmp_path, **options)) == found.format(root=tmp_path)


EXECUTE = """
import sys
from lab.standins import language_exec

async def without_an_engine(program):
    program()

language_exec.runtime.run_in_stack = without_an_engine
sys.exit(language_exec.run(sys.argv[1], 1))
"""


def executed(directory, program):
    """Exit code and last words of a program that `language_exec` runs, without an engine to tell."""
    (directory / "__main__.py").write_text(program)
    ran = subprocess.run(
        [sys.executable, "-c", EXECUTE, str(directory)], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    return ran.returncode, ran.stderr


def test_what_a_program_refuses_is_its_message_alone(tmp_path):
    assert executed(tmp_path, "import pulumi\nraise pulumi.RunError('set active first')") == (1, "error: set active first\n")


def test_what_a_program_did_not_foresee_is_a_traceback_that_begins_in_it(tmp_path):
    code, said = executed(tmp_path, "open('/nowhere/at/all')")
    assert code == 32
    assert said.startswith("error: Program failed with an unhandled exception:\nTraceback (most recent call last):\n")
    assert said.splitlines()[2] == f'  File "{tmp_path}/__main__.py", line 1, in <module>'
    assert said.rstrip().endswith("No such file or directory: '/nowhere/at/all'")


def request(directory, script):
    """To run a program whose interpreter is `script`."""
    python = directory / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(f"#!/bin/sh\n{script}\n")
    python.chmod(0o755)
    return language_pb2.RunRequest(project="p", stack="s", pwd=str(directory), info=info(directory, virtualenv=".venv"))


@pytest.mark.parametrize(
    ("script", "error", "bail"),
    [
        ("exit 0", "", False),
        ("exit 1", "program exited with non-zero exit code: 1", False),
        ("exit 32", "", True),
        ("kill -9 $$", "program exited with non-zero exit code: -1", False),
    ],
)
def test_the_host_adds_what_the_real_one_adds(tmp_path, script, error, bail):
    answer = LanguageHost("127.0.0.1:1").Run(request(tmp_path, script), Context())
    assert (answer.error, answer.bail) == (error, bail)


def test_a_program_that_hangs_is_interrupted_twice_and_then_killed(tmp_path):
    host, seen = LanguageHost("127.0.0.1:1"), tmp_path / "seen"
    script = f'exec {sys.executable} -c \'import signal; seen = open("{seen}", "a", 1); '
    script += 'signal.signal(2, lambda *_: seen.write("interrupted\\n")); seen.write("runs\\n")\nwhile True: signal.pause()\''
    running = threading.Thread(target=host.Run, args=(request(tmp_path, script), Context()))
    running.start()
    until("the program to run", seen.exists, timeout=30)
    until("the program to listen", lambda: "runs" in seen.read_text(), timeout=30)
    host.end_program()
    running.join(timeout=30)
    assert not running.is_alive()
    assert seen.read_text().splitlines() == ["runs", "interrupted", "interrupted"]


def test_the_engine_is_told_of_each_installed_sdk_and_which_provider_it_needs():
    found = {package.name: package.version for package in provider_packages()}
    assert found == {name: metadata.version(f"pulumi_{name}") for name in ("aws", "kubernetes")}
