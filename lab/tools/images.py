"""Makes the lab's container images from its own programs and from packages, without a registry or a container engine.

Each image has the entrypoint, user and paths of the official image that it replaces. Pods for the official image run unchanged.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from lab import console
from lab.paths import cache_directory
from lab.tools import roots, versions
from lab.tools.archive import SEARCH_PATH, Contents, Entry, architecture, write
from lab.tools.roots import Layer, Root
from lab.tools.toolbox import Toolbox
from lab.tools.workshop import workshop

NOBODY = 65532  # the user of distroless images and of Velero's images
POSTGRES = 26  # the user of CloudNativePG's PostgreSQL images and of the Barman sidecar


@dataclass(frozen=True, kw_only=True)
class Image:
    """One image. Pods use `reference`; `archive` is a file for `ctr --namespace k8s.io images import`."""

    reference: str
    archive: Path


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How to make one image: `contents`, on top of a `root` file system if it has one.

    Without a `tag`, the image's tag is the version of its root, or without a root the key of its contents. The image's repository
    has the name of the recipe. If the image is an older version of another recipe's image, `older` is the name of that recipe,
    and the image uses its repository.
    """

    contents: Callable[[Toolbox], Contents]
    tag: str | None = None
    older: str | None = None
    root: Root | None = None


def _program(toolbox: Toolbox, tool: str, path: str | None = None) -> Entry:
    # Always use the built program, never one on PATH: it is static, and has exactly the version of the tag.
    return Entry(path=path or f"/{tool}", source=toolbox.built[tool])


def _users(home: str) -> list[Entry]:
    """The files and directories for programs that look up their user, their home or a temporary directory."""
    passwd = f"root:x:0:0:root:/root:/\nnonroot:x:{NOBODY}:{NOBODY}:nonroot:{home}:/\n"
    return [
        Entry(path="/etc"),
        Entry(path="/etc/passwd", mode=0o644, content=passwd.encode()),
        Entry(path="/home"),
        Entry(path=home, user=NOBODY),
        Entry(path="/tmp", mode=0o1777),  # noqa: S108 - a path in the image
    ]


def _pause(toolbox: Toolbox) -> Contents:
    return Contents(entries=[_program(toolbox, "pause")], entrypoint=["/pause"], user=f"{NOBODY}:{NOBODY}")


def _python(_: Toolbox) -> Contents:
    # Like the official image, this one starts an interpreter as root unless a Pod says otherwise.
    return Contents(entries=_base_files("root:x:0:0:root:/root:/bin/sh\n"), command=["python3"])


def _velero(toolbox: Toolbox) -> Contents:
    # The helper waits in a restored Pod until a file-system restore has filled its volumes.
    return _velero_of(_program(toolbox, "velero"), _program(toolbox, "velero-restore-helper"))


def _velero_previous(toolbox: Toolbox) -> Contents:
    return _velero_of(_program(toolbox, "velero-previous", "/velero"))


def _velero_of(*programs: Entry) -> Contents:
    # Like the official image, this one has no entrypoint: Pods name /velero themselves.
    return Contents(entries=[*_users("/home/cnb"), *programs], user=f"{NOBODY}:{NOBODY}")


def _velero_plugin_for_aws(toolbox: Toolbox) -> Contents:
    plugin = "velero-plugin-for-aws"
    entries = [
        Entry(path="/bin"),
        _program(toolbox, "cp-plugin", "/bin/cp-plugin"),
        Entry(path="/plugins"),
        _program(toolbox, plugin, f"/plugins/{plugin}"),
    ]
    entrypoint = ["cp-plugin", f"/plugins/{plugin}", f"/target/{plugin}"]
    return Contents(entries=entries, entrypoint=entrypoint, user=f"{NOBODY}:{NOBODY}")


def _storage_helper(toolbox: Toolbox) -> Contents:
    helper = "/storage-helper"
    entries = [_program(toolbox, "storage-helper", helper), Entry(path="/bin"), Entry(path="/bin/sh", link=helper)]
    return Contents(entries=entries, entrypoint=[helper])


def _shop(toolbox: Toolbox) -> Contents:
    return Contents(entries=[_program(toolbox, "shop")], entrypoint=["/shop"], user=f"{NOBODY}:{NOBODY}")


def _cloudnative_pg(toolbox: Toolbox) -> Contents:
    # The operator expects its own program in /operator, under a name for each architecture of its nodes.
    manager = f"operator/manager_{architecture()}"
    entries = [
        *_users("/home/nonroot"),
        Entry(path="/operator"),
        _program(toolbox, "cnpg-manager", f"/{manager}"),
        Entry(path="/manager", link=manager),
    ]
    return Contents(entries=entries, entrypoint=["/manager"], user=f"{NOBODY}:{NOBODY}")


def _plugin_barman_cloud(toolbox: Toolbox) -> Contents:
    # This image replaces two images of the project: the plugin's, and the sidecar's, which also calls Barman's programs.
    entries = [*_postgres_user("/tmp"), _program(toolbox, "barman-cloud-manager", "/manager")]  # noqa: S108 - a path in the image
    return Contents(entries=entries, entrypoint=["/manager"], user=f"{POSTGRES}:{POSTGRES}")


def _postgresql(_: Toolbox) -> Contents:
    # The operator calls initdb, postgres and others without a path. Debian has them in a directory that is not on PATH.
    entries = [
        *_postgres_user("/var/lib/postgresql"),
        Entry(path="/controller"),
        Entry(path="/var/lib/postgresql", user=POSTGRES),
    ]
    path = f"/usr/lib/postgresql/{versions.POSTGRESQL_MAJOR}/bin:{SEARCH_PATH}"
    return Contents(entries=entries, user=str(POSTGRES), search_path=path)


def _postgres_user(home: str) -> list[Entry]:
    passwd = f"root:x:0:0:root:/root:/bin/sh\npostgres:x:{POSTGRES}:{POSTGRES}:postgres:{home}:/bin/sh\n"
    return [
        *_base_files(passwd),
        Entry(path="/etc/group", mode=0o644, content=f"root:x:0:\npostgres:x:{POSTGRES}:\n".encode()),
    ]


def _base_files(passwd: str) -> list[Entry]:
    """Files that Debian packages only create when they are configured."""
    return [
        Entry(path="/etc"),
        Entry(path="/etc/passwd", mode=0o644, content=passwd.encode()),
        Entry(path="/etc/nsswitch.conf", mode=0o644, content=b"hosts: files dns\n"),
        Entry(path="/tmp", mode=0o1777),  # noqa: S108 - a path in the image
    ]


def _etcd(toolbox: Toolbox) -> Contents:
    # Like the official image, this one has nothing else, and no shell.
    directories = ("/usr", "/usr/local", "/usr/local/bin", "/var", "/var/etcd", "/var/lib", "/var/lib/etcd")
    programs = [_program(toolbox, tool, f"/usr/local/bin/{tool}") for tool in ("etcd", "etcdctl", "etcdutl")]
    entries = [*_users("/home/nonroot"), *(Entry(path=path) for path in directories), *programs]
    return Contents(entries=entries, command=["/usr/local/bin/etcd"])


def _aws_cli(_: Toolbox) -> Contents:
    entries = [*_base_files("root:x:0:0:root:/root:/bin/bash\n"), Entry(path="/aws"), Entry(path="/root", mode=0o700)]
    links = [Entry(path="/usr/bin/awk", link="gawk")]
    return Contents(entries=[*entries, *links], entrypoint=["/usr/local/bin/aws"], working_directory="/aws")


RECIPES: Mapping[str, Recipe] = {
    "pause": Recipe(contents=_pause, tag="1"),
    "storage-helper": Recipe(contents=_storage_helper, tag="1"),
    "python": Recipe(contents=_python, root=roots.PYTHON),  # tagged with Debian's patch release
    "velero": Recipe(contents=_velero, tag=versions.VELERO),
    "velero-previous": Recipe(contents=_velero_previous, tag=versions.VELERO_PREVIOUS, older="velero"),
    "velero-plugin-for-aws": Recipe(contents=_velero_plugin_for_aws, tag=versions.VELERO_PLUGIN_FOR_AWS),
    "shop": Recipe(contents=_shop),
    "cloudnative-pg": Recipe(contents=_cloudnative_pg, tag=versions.CLOUDNATIVE_PG.removeprefix("v")),
    "plugin-barman-cloud": Recipe(
        contents=_plugin_barman_cloud, tag=versions.PLUGIN_BARMAN_CLOUD.removeprefix("v"), root=roots.CLOUD_TOOLS
    ),
    "postgresql": Recipe(contents=_postgresql, root=roots.POSTGRESQL),  # tagged with Debian's patch release
    "etcd": Recipe(contents=_etcd, tag=versions.ETCD),
    "aws-cli": Recipe(contents=_aws_cli, root=roots.CLOUD_TOOLS),
}
DATABASES = ("cloudnative-pg", "plugin-barman-cloud", "postgresql", "aws-cli")
ETCD = ("etcd", "aws-cli")
UPGRADES = ("velero-previous",)
BASIC = tuple(name for name in RECIPES if name not in (*DATABASES, *ETCD, *UPGRADES))  # what every lab needs


def ensure(toolbox: Toolbox, names: Iterable[str] = BASIC, *, say: Callable[[str], None] = console.say) -> dict[str, Image]:
    """The images called `names`. Each is made unless the cache has it with the same contents.

    Raises KeyError if `toolbox` does not have their programs. After an interrupt, even a kill, the next call makes the images
    that are still missing, and deletes what was half made.
    """
    recipes = {name: RECIPES[name] for name in names}
    layers = roots.ensure([recipe.root for recipe in recipes.values() if recipe.root], say=say)
    drafts = [
        _draft(name, recipe, toolbox, layers[recipe.root.name] if recipe.root else None) for name, recipe in recipes.items()
    ]
    if not all(draft.image.archive.is_file() for draft in drafts):
        with workshop(_store(), "images", say) as scratch:
            for draft in drafts:
                if not draft.image.archive.is_file():  # another checkout may have made it
                    _make(draft, scratch, say)
    return {draft.name: draft.image for draft in drafts}


@dataclass(frozen=True, kw_only=True)
class _Draft:
    """An image that is made unless it is there."""

    name: str
    contents: Contents
    repository: str
    base: Layer | None
    image: Image


def _draft(name: str, recipe: Recipe, toolbox: Toolbox, base: Layer | None) -> _Draft:
    contents = recipe.contents(toolbox)
    key = f"{contents.key}-{recipe.root.key}" if recipe.root else contents.key
    repository = f"local/{recipe.older or name}:{recipe.tag or (base.version if base else key)}"
    image = Image(reference=f"docker.io/{repository}", archive=_store() / f"{name}-{key}.tar")
    return _Draft(name=name, contents=contents, repository=repository, base=base, image=image)


def _make(draft: _Draft, scratch: Path, say: Callable[[str], None]) -> None:
    made = scratch / f"{draft.name}.tar"
    write(draft.contents, name=draft.repository, target=made, base=draft.base.tar if draft.base else None)
    made.rename(draft.image.archive)
    say(f"  ✓ image {draft.repository} ({draft.image.archive.stat().st_size / 1e6:.0f} MB)")


def _store() -> Path:
    return cache_directory() / "images"
