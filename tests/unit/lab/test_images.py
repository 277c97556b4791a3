"""Images are the same bytes each time, and start as the official ones they stand for."""

from __future__ import annotations

import fcntl
import hashlib
import io
import json
import signal
import subprocess
import sys
import tarfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest

from lab.application.manifests import documents
from lab.tools import images, roots
from lab.tools.archive import Contents, Entry, architecture, write
from lab.tools.roots import Layer
from lab.tools.toolbox import Toolbox
from lab.waiting import until
from tests.examples import ROOT

TOOLS = (
    *("pause", "storage-helper", "velero", "velero-restore-helper", "velero-plugin-for-aws", "cp-plugin", "shop"),
    *("velero-previous", "cnpg-manager", "barman-cloud-manager", "etcd", "etcdctl", "etcdutl"),
)
VERSIONS = {
    "postgresql": "15.18",
    "cloud-tools": "1.46.3",
    "python": "3.11.2",
}  # what the stand-ins for root file systems say that they are


@pytest.fixture
def toolbox(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Toolbox:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for tool in TOOLS:
        (tmp_path / tool).write_text(f"the program {tool}")
    return Toolbox(built={tool: tmp_path / tool for tool in TOOLS}, on_path={})


def quiet(text: str) -> None:
    """Progress is not what these tests look at."""


@pytest.fixture
def root_file_systems(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Root file systems with one file each, `etc/root`, instead of those that take Debian's packages."""

    def ensure(wanted: Iterable[roots.Root], **_: object) -> dict[str, Layer]:
        for root in wanted:
            with tarfile.open(tmp_path / f"{root.name}.tar", "w") as tar:
                member = tarfile.TarInfo("etc/root")
                member.size = len(root.name)
                tar.addfile(member, io.BytesIO(root.name.encode()))
        return {root.name: Layer(tar=tmp_path / f"{root.name}.tar", version=VERSIONS[root.name]) for root in wanted}

    monkeypatch.setattr(roots, "ensure", ensure)


def open_archive(path: Path) -> tuple[dict[str, Any], dict[str, Any], Mapping[str, tarfile.TarInfo], list[str]]:
    """The manifest, the configuration, the files, and the layers' digests of an archive with one image."""
    with tarfile.open(path) as tar:

        def read(name: str) -> bytes:
            file = tar.extractfile(name)
            assert file is not None
            return file.read()

        (manifest,) = json.loads(read("manifest.json"))
        config = read(manifest["Config"])
        assert manifest["Config"] == f"{hashlib.sha256(config).hexdigest()}.json"
        files: dict[str, tarfile.TarInfo] = {}
        for name in manifest["Layers"]:
            with tarfile.open(fileobj=io.BytesIO(read(name))) as layer:
                files |= {member.name: member for member in layer.getmembers()}
        digests = [hashlib.sha256(read(name)).hexdigest() for name in manifest["Layers"]]
        return manifest, json.loads(config), files, digests


def test_an_archive_is_the_same_bytes_each_time_whatever_the_files_times_and_modes_are(tmp_path: Path) -> None:
    source = tmp_path / "program"
    source.write_text("content")
    contents = Contents(entries=[Entry(path="/b", source=source), Entry(path="/a")], entrypoint=["/b"])
    write(contents, name="local/it:1", target=tmp_path / "one.tar")
    source.touch()
    source.chmod(0o600)
    reordered = Contents(entries=list(reversed(contents.entries)), entrypoint=["/b"])
    write(reordered, name="local/it:1", target=tmp_path / "two.tar")
    assert (tmp_path / "one.tar").read_bytes() == (tmp_path / "two.tar").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one.tar", "program", "two.tar"]


def test_an_archive_holds_its_files_and_says_how_to_start(tmp_path: Path) -> None:
    entries = [
        Entry(path="/bin"),
        Entry(path="/bin/sh", link="/it"),
        Entry(path="/it", content=b"program"),
        Entry(path="/tmp", mode=0o1777),
        Entry(path="/home", user=65532),
    ]
    target = tmp_path / "it.tar"
    write(Contents(entries=entries, entrypoint=["/it", "-x"], user="65532:65532"), name="local/it:1", target=target)
    manifest, config, files, layers = open_archive(target)
    assert manifest["RepoTags"] == ["local/it:1"]
    assert config["config"]["Entrypoint"] == ["/it", "-x"]
    assert config["config"]["User"] == "65532:65532"
    assert config["rootfs"]["diff_ids"] == [f"sha256:{digest}" for digest in layers]
    assert files["bin/sh"].linkname == "/it"
    assert (files["it"].mode, files["it"].size) == (0o755, 7)
    assert (files["tmp"].mode, files["tmp"].isdir()) == (0o1777, True)
    assert (files["home"].uid, files["home"].gid) == (65532, 65532)


def test_an_image_is_laid_over_the_root_file_system_it_is_given(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "base.tar", "w") as tar:
        tar.addfile(tarfile.TarInfo("etc/base"))
    target = tmp_path / "it.tar"
    write(Contents(entries=[Entry(path="/it")]), name="local/it:1", target=target, base=tmp_path / "base.tar")
    manifest, config, files, layers = open_archive(target)
    assert set(files) == {"etc/base", "it"}
    assert layers[0] == hashlib.sha256((tmp_path / "base.tar").read_bytes()).hexdigest()
    assert manifest["Layers"] == [f"{digest}/layer.tar" for digest in layers]
    assert config["rootfs"]["diff_ids"] == [f"sha256:{digest}" for digest in layers]
    assert len(config["history"]) == len(layers) == 2


def test_the_key_of_an_image_follows_its_programs_and_its_configuration(tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.write_text("one")
    entries = [Entry(path="/program", source=program)]
    keys = {
        Contents(entries=entries).key,
        Contents(entries=entries, entrypoint=["/program"]).key,
        Contents(entries=entries, command=["/program"]).key,
        Contents(entries=entries, user="1").key,
        Contents(entries=entries, working_directory="/there").key,
        Contents(entries=entries, search_path="/there").key,
    }
    program.write_text("two")
    keys.add(Contents(entries=entries).key)
    assert len(keys) == 7


@pytest.mark.usefixtures("root_file_systems")
def test_references_carry_the_versions_and_are_what_containerd_calls_the_archives(toolbox: Toolbox) -> None:
    made = images.ensure(toolbox, images.RECIPES, say=quiet)
    references = {name: image.reference for name, image in made.items()}
    shop = references.pop("shop")
    assert references == {
        "pause": "docker.io/local/pause:1",
        "storage-helper": "docker.io/local/storage-helper:1",
        "python": "docker.io/local/python:3.11.2",
        "velero": "docker.io/local/velero:v1.18.3",
        "velero-previous": "docker.io/local/velero:v1.18.2",
        "velero-plugin-for-aws": "docker.io/local/velero-plugin-for-aws:v1.14.3",
        "cloudnative-pg": "docker.io/local/cloudnative-pg:1.30.0",
        "plugin-barman-cloud": "docker.io/local/plugin-barman-cloud:0.14.0",
        "postgresql": "docker.io/local/postgresql:15.18",
        "etcd": "docker.io/local/etcd:v3.7.3",
        "aws-cli": "docker.io/local/aws-cli:1.46.3",
    }
    assert shop.startswith("docker.io/local/shop:")
    for image in made.values():
        (name,) = open_archive(image.archive)[0]["RepoTags"]
        assert f"docker.io/{name}" == image.reference


@pytest.mark.parametrize(
    ("name", "entrypoint", "user", "paths"),
    [
        ("python", None, "0", {"etc/passwd", "etc/root", "tmp"}),
        ("velero", None, "65532:65532", {"velero", "velero-restore-helper", "tmp", "etc/passwd", "home/cnb"}),
        ("velero-previous", None, "65532:65532", {"velero", "tmp", "etc/passwd", "home/cnb"}),
        (
            "velero-plugin-for-aws",
            ["cp-plugin", "/plugins/velero-plugin-for-aws", "/target/velero-plugin-for-aws"],
            "65532:65532",
            {"bin/cp-plugin", "plugins/velero-plugin-for-aws"},
        ),
        ("storage-helper", ["/storage-helper"], "0", {"storage-helper", "bin/sh"}),
        ("pause", ["/pause"], "65532:65532", {"pause"}),
        ("shop", ["/shop"], "65532:65532", {"shop"}),
        ("cloudnative-pg", ["/manager"], "65532:65532", {"manager", f"operator/manager_{architecture()}", "tmp"}),
        ("plugin-barman-cloud", ["/manager"], "26:26", {"manager", "etc/passwd", "etc/root"}),
        ("postgresql", None, "26", {"etc/passwd", "etc/root", "controller", "var/lib/postgresql"}),
        ("etcd", None, "0", {"usr/local/bin/etcd", "usr/local/bin/etcdctl", "usr/local/bin/etcdutl"}),
        ("aws-cli", ["/usr/local/bin/aws"], "0", {"aws", "etc/root", "usr/bin/awk"}),
    ],
)
@pytest.mark.usefixtures("root_file_systems")
def test_each_image_starts_as_its_pods_expect(
    toolbox: Toolbox, name: str, entrypoint: list[str] | None, user: str, paths: set[str]
) -> None:
    _, config, files, _ = open_archive(images.ensure(toolbox, [name], say=quiet)[name].archive)
    assert config["config"]["Entrypoint"] == entrypoint
    assert config["config"]["User"] == user
    assert paths <= set(files)


@pytest.mark.usefixtures("root_file_systems")
def test_the_operator_finds_itself_and_the_instances_find_postgresql(toolbox: Toolbox) -> None:
    made = images.ensure(toolbox, images.DATABASES, say=quiet)
    assert open_archive(made["cloudnative-pg"].archive)[2]["manager"].linkname == f"operator/manager_{architecture()}"
    (path,) = open_archive(made["postgresql"].archive)[1]["config"]["Env"]
    assert path.startswith("PATH=/usr/lib/postgresql/15/bin:/usr/local/sbin:")


@pytest.mark.usefixtures("root_file_systems")
def test_two_images_on_one_root_file_system_share_its_layer(toolbox: Toolbox) -> None:
    made = images.ensure(toolbox, ["plugin-barman-cloud", "aws-cli"], say=quiet)
    first, second = (open_archive(image.archive)[3] for image in made.values())
    assert first[0] == second[0]
    assert first[1] != second[1]


@pytest.mark.usefixtures("root_file_systems")
def test_a_lab_without_databases_makes_the_root_file_system_of_python_alone(toolbox: Toolbox) -> None:
    assert [recipe.root for name in images.BASIC if (recipe := images.RECIPES[name]).root] == [roots.PYTHON]
    assert set(images.ensure(toolbox, say=quiet)) == set(images.BASIC)
    assert {*images.BASIC, *images.DATABASES, *images.ETCD, *images.UPGRADES} == set(images.RECIPES)


def test_an_image_is_made_once_and_again_when_its_program_changes(toolbox: Toolbox) -> None:
    said: list[str] = []
    first = images.ensure(toolbox, ["shop"], say=said.append)["shop"]
    again = images.ensure(toolbox, ["shop"], say=said.append)["shop"]
    assert (first, len(said)) == (again, 1)
    toolbox.built["shop"].write_text("a newer program")
    newer = images.ensure(toolbox, ["shop"], say=said.append)["shop"]
    assert newer.reference != first.reference
    assert newer.archive != first.archive


def test_an_image_holds_the_built_program_even_if_another_is_used_from_path(toolbox: Toolbox, tmp_path: Path) -> None:
    (tmp_path / "other").write_text("some other build of velero")
    beside = Toolbox(built=toolbox.built, on_path={"velero": tmp_path / "other"})
    assert beside.path("velero") == tmp_path / "other"
    assert images.ensure(beside, ["velero"], say=quiet) == images.ensure(toolbox, ["velero"], say=quiet)


def test_the_application_runs_the_image_it_is_given_and_depends_on_its_configmap_and_secret() -> None:
    objects = {document["kind"]: document for document in documents("docker.io/local/shop:abc", replicas=2)}
    assert list(objects) == ["Namespace", "ConfigMap", "Secret", "Deployment", "Service"]
    deployment = objects["Deployment"]["spec"]
    (container,) = deployment["template"]["spec"]["containers"]
    assert deployment["replicas"] == 2
    assert container["image"] == "docker.io/local/shop:abc"
    assert deployment["selector"]["matchLabels"] == deployment["template"]["metadata"]["labels"] == {"app": "shop"}
    (from_map,) = [
        entry["valueFrom"]["configMapKeyRef"] for entry in container["env"] if "configMapKeyRef" in entry.get("valueFrom", {})
    ]
    assert from_map["name"] == objects["ConfigMap"]["metadata"]["name"]
    assert from_map["key"] in objects["ConfigMap"]["data"]
    (volume,) = deployment["template"]["spec"]["volumes"]
    assert volume["secret"]["secretName"] == objects["Secret"]["metadata"]["name"]
    assert objects["Service"]["spec"]["ports"][0]["port"] == 80


# Makes two images, and stops in the middle of the second: its files are packed, and its archive is not written.
_STOPS_HALF_WAY = """
import pathlib, signal, sys
from lab.tools import archive, images
from lab.tools.toolbox import Toolbox

signal.signal(signal.SIGINT, signal.default_int_handler)
programs, half_way = map(pathlib.Path, sys.argv[1:])
packed, config = [], archive._config

def stop(*arguments):
    packed.append(arguments)
    if len(packed) == 2:
        half_way.touch()
        signal.pause()
    return config(*arguments)

archive._config = stop
images.ensure(Toolbox(built={path.name: path for path in programs.iterdir() if path.is_file()}, on_path={}), ["pause", "shop"])
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT], ids=["killed", "interrupted"])
def test_what_an_interrupt_left_of_an_image_is_never_taken_for_one_and_the_next_call_goes_on(
    number: signal.Signals, toolbox: Toolbox, tmp_path: Path
) -> None:
    half_way, cache = tmp_path / "cache" / "half-way", tmp_path / "cache" / "k8s-dr" / "images"
    half_way.parent.mkdir()
    command = [sys.executable, "-c", _STOPS_HALF_WAY, str(tmp_path), str(half_way)]
    making = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    until("the second image to be half made", half_way.exists, timeout=60)
    making.send_signal(number)
    making.wait(timeout=60)
    (made,) = [path.name for path in cache.glob("*.tar")]
    assert made.startswith("pause-")
    assert (cache / ".building").exists() == (number == signal.SIGKILL), "a kill leaves what was half made"

    said: list[str] = []
    images_of = images.ensure(toolbox, ["pause", "shop"], say=said.append)
    (told,) = said
    assert "image local/shop:" in told, "the first one is not made again"
    assert open_archive(images_of["shop"].archive)[0]["RepoTags"] == [images_of["shop"].reference.removeprefix("docker.io/")]
    assert {path.name for path in cache.iterdir()} == {*(image.archive.name for image in images_of.values()), ".lock"}


def test_of_two_checkouts_the_second_waits_and_takes_the_image_that_the_first_made(toolbox: Toolbox, tmp_path: Path) -> None:
    image = images.ensure(toolbox, ["shop"], say=quiet)["shop"]
    image.archive.rename(tmp_path / "made")
    with (image.archive.parent / ".lock").open("w") as first:
        fcntl.flock(first, fcntl.LOCK_EX)

        def say(text: str) -> None:
            assert text == "  … another checkout is building images; waiting for it"
            (tmp_path / "made").rename(image.archive)
            fcntl.flock(first, fcntl.LOCK_UN)

        assert images.ensure(toolbox, ["shop"], say=say) == {"shop": image}
