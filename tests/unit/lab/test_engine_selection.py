"""Which parts of the engine are real and which are stand-ins, with programs that only say their version."""

import os
import shutil
import subprocess
from importlib import metadata

import pytest
from packaging.version import Version

from lab.engine import EngineError, compatible, prepare, prepared, record, would_be

AWS, KUBERNETES = metadata.version("pulumi_aws"), metadata.version("pulumi_kubernetes")
STAND_INS = {"language_host": "stand-in", "kubernetes": "stand-in", "aws": "stand-in"}


def says(directory, program, text):
    directory.mkdir(parents=True, exist_ok=True)
    file = directory / program
    file.write_text(f"#!/bin/sh\necho {text}\n")
    file.chmod(0o755)
    return file


@pytest.fixture
def cli(tmp_path):
    return says(tmp_path / "cli", "pulumi", "v3.260.0")


@pytest.fixture
def environ(tmp_path):
    return {"PATH": str(tmp_path / "path"), "HOME": str(tmp_path / "home")}


@pytest.fixture
def chosen(tmp_path, cli, environ):
    return lambda **extra: prepare(tmp_path / "engine", cli, environ={**environ, **extra})


def install_everything(tmp_path):
    says(tmp_path / "cli", "pulumi-language-python", "3.260.0")
    for name, version in (("aws", AWS), ("kubernetes", KUBERNETES)):
        says(tmp_path / f"home/.pulumi/plugins/resource-{name}-v{version}", f"pulumi-resource-{name}", "")


def test_where_nothing_is_installed_everything_but_the_cli_is_a_stand_in(chosen):
    assert chosen().describe() == {"cli": "real v3.260.0", **STAND_INS}


def test_where_everything_is_installed_nothing_is_a_stand_in_and_nothing_is_laid_out(tmp_path, cli, chosen):
    install_everything(tmp_path)
    engine = chosen(LAB_ENGINE="real")
    assert engine.describe() == {
        "cli": "real v3.260.0",
        "language_host": "real 3.260.0",
        "kubernetes": f"real {KUBERNETES}",
        "aws": f"real {AWS}",
    }
    assert (engine.pulumi, engine.home) == (cli, None)
    assert not (tmp_path / "engine").exists()


def test_stand_ins_can_be_had_where_everything_is_installed(tmp_path, chosen):
    install_everything(tmp_path)
    assert chosen(LAB_ENGINE="standin").describe() == {"cli": "real v3.260.0", **STAND_INS}


def test_real_parts_that_are_not_installed_are_named_with_the_command_that_installs_them(tmp_path, chosen):
    says(tmp_path / "path", "pulumi-resource-aws", AWS)
    with pytest.raises(EngineError) as error:
        chosen(LAB_ENGINE="real")
    text = str(error.value)
    assert "pulumi-language-python" in text
    assert f"pulumi plugin install resource kubernetes v{KUBERNETES}" in text
    assert "resource aws" not in text
    assert "\n" not in text


def test_another_word_than_real_or_standin_is_an_error(chosen):
    with pytest.raises(EngineError, match="LAB_ENGINE=fake"):
        chosen(LAB_ENGINE="fake")


@pytest.mark.parametrize("place", ["path", "cli"])
def test_a_provider_on_path_or_beside_the_cli_is_used_and_the_rest_stands_in(tmp_path, chosen, place):
    program = says(tmp_path / place, "pulumi-resource-aws", AWS)
    engine = chosen()
    assert engine.describe() == {"cli": "real v3.260.0", **STAND_INS, "aws": f"real {AWS}"}
    assert (engine.home / f"plugins/resource-aws-v{AWS}/pulumi-resource-aws").resolve() == program.resolve()


def test_an_incompatible_provider_is_left_alone(tmp_path, chosen):
    says(tmp_path / "path", "pulumi-resource-aws", "6.0.0")
    says(tmp_path / "home/.pulumi/plugins/resource-kubernetes-v3.30.2", "pulumi-resource-kubernetes", "")
    assert chosen().describe() == {"cli": "real v3.260.0", **STAND_INS}


def test_the_newest_fitting_provider_of_the_cache_is_used(tmp_path, chosen):
    newer = f"{Version(AWS).major}.{Version(AWS).minor + 8}.0"
    for version in (AWS, newer, "6.0.0"):
        says(tmp_path / f"cache/plugins/resource-aws-v{version}", "pulumi-resource-aws", "")
    assert chosen(PULUMI_HOME=str(tmp_path / "cache")).aws == f"real {newer}"


def test_a_stand_in_on_path_is_not_taken_for_the_real_thing(tmp_path, chosen, environ):
    first = chosen()
    path = os.pathsep.join([str(first.pulumi.parent), *(str(plugin) for plugin in (first.home / "plugins").iterdir())])
    assert chosen(PATH=path).describe() == {"cli": "real v3.260.0", **STAND_INS}


@pytest.mark.parametrize(
    ("found", "fits"), [("4.34.2", True), ("4.35.0", True), ("v4.34.2", True), ("4.34.1", False), ("5.0.0", False), ("x", False)]
)
def test_a_version_fits_if_its_major_is_the_same_and_it_is_no_older(found, fits):
    assert compatible(found, Version("4.34.2")) is fits


def test_a_cli_that_does_not_run_is_one_clear_error(tmp_path, environ):
    with pytest.raises(EngineError, match="not a Pulumi CLI that runs"):
        prepare(tmp_path / "engine", tmp_path / "nothing", environ=environ)


def test_the_environment_leads_nowhere_else(tmp_path, chosen):
    engine = chosen()
    base = {"PATH": "/usr/bin", "AWS_PROFILE": "work", "PULUMI_ACCESS_TOKEN": "t", "KUBECONFIG": "mine", "LANG": "C"}
    base |= {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://theirs", "TRACEPARENT": "00-1-2-01"}
    environment = engine.environment(backend="file:///s", passphrase="p", provider_log=tmp_path / "log", base=base)
    assert not {"AWS_PROFILE", "PULUMI_ACCESS_TOKEN", "KUBECONFIG"} & environment.keys()
    assert not {"OTEL_EXPORTER_OTLP_ENDPOINT", "TRACEPARENT"} & environment.keys()
    assert environment["LANG"] == "C"
    assert environment["PATH"].split(os.pathsep) == [str(engine.pulumi.parent), "/usr/bin"]
    assert environment["PULUMI_HOME"] == str(engine.home)
    assert environment["LAB_PROVIDER_LOG"] == str(tmp_path / "log")


def test_with_real_parts_alone_the_users_own_plugins_are_found(tmp_path, chosen):
    install_everything(tmp_path)
    environment = chosen().environment(backend="file:///s", passphrase="p", base={"PATH": "", "PULUMI_HOME": "/mine"})
    assert environment["PULUMI_HOME"] == "/mine"
    assert "PULUMI_IGNORE_AMBIENT_PLUGINS" not in environment


def test_the_stand_ins_that_were_laid_out_start_and_say_their_port(chosen):
    engine = chosen()
    for program in (engine.pulumi.parent / "pulumi-language-python", *(engine.home / "plugins").glob("*/pulumi-resource-*")):
        child = subprocess.Popen([program, "127.0.0.1:1"], stdout=subprocess.PIPE, text=True)
        try:
            assert int(child.stdout.readline()) > 0
        finally:
            child.terminate()
            assert child.wait(timeout=10) == 0
            child.stdout.close()


def test_what_was_prepared_is_known_to_another_process_until_it_is_removed(tmp_path, chosen):
    directory = tmp_path / "engine"
    assert prepared(directory) is None
    made = chosen()
    assert prepared(directory) == made
    whole = record(directory).read_text()
    record(directory).write_text(whole[: len(whole) // 2])
    assert prepared(directory) is None
    record(directory).write_text(whole)
    shutil.rmtree(directory)
    assert prepared(directory) is None


def test_what_would_be_chosen_is_told_without_laying_anything_out(tmp_path, cli, environ):
    install_everything(tmp_path)
    said = would_be(cli, environ={**environ, "LAB_ENGINE": "standin"})
    assert said == {"cli": "real v3.260.0", **STAND_INS}
    assert would_be(None, environ=environ) == {"cli": "not built: make tools"}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cli", "home"]
