"""What is changed of Velero's Deployment for an option, and the names of what is measured."""

from __future__ import annotations

from components.velero.specs import deployment
from lab import project
from settings.images import Images
from settings.pods import PodsSettings
from settings.velero import VeleroSettings
from tests.bench import restores
from tests.bench.restores import AS_DEPLOYED, OPTIONS, Option


def test_an_option_is_an_argument_of_the_server_or_its_limit() -> None:
    patch = Option(arguments=("--a=1", "--b"), cpu_limit="2").patch
    assert [(each["path"].rpartition("/")[2], each["value"]) for each in patch] == [("-", "--a=1"), ("-", "--b"), ("cpu", "2")]
    assert OPTIONS[AS_DEPLOYED].patch == []


def test_the_paths_of_a_patch_are_those_of_the_programs_deployment() -> None:
    spec = deployment(project.names("secondary"), Images(), VeleroSettings(), static_credentials=True, pods=PodsSettings())
    container = spec["template"]["spec"]["containers"][0]
    assert container["args"][0] == "server"
    assert container["resources"]["limits"]["cpu"]
    assert restores._CPU == "/spec/template/spec/containers/0/resources/limits/cpu"
    assert restores._ARGUMENTS == "/spec/template/spec/containers/0/args/-"


def test_each_option_names_itself() -> None:
    for words, option in OPTIONS.items():
        assert words in (AS_DEPLOYED, f"CPU limit {option.cpu_limit}", " ".join(option.arguments))
