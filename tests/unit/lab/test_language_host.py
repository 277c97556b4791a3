"""How the language host starts plugins that are written in Python: policy packs, and directories with a `__main__.py`."""

import sys

import pytest
from google.protobuf import struct_pb2
from pulumi.runtime.proto import language_pb2

from lab.standins.language_host import LanguageHost, interpreter

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
