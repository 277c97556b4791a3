"""Container images of the lab, made from its own static programs: no registry and no container engine is needed.

Each has the entrypoint, user and paths of the official image it stands for, so that a Pod written for that one runs unchanged.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from lab import console
from lab.paths import cache_directory
from lab.tools import versions
from lab.tools.archive import Contents, Entry, write
from lab.tools.toolbox import Toolbox

NOBODY = 65532  # the user that distroless images and Velero's run as


@dataclass(frozen=True, kw_only=True)
class Image:
    """`reference`: what a Pod says. `archive`: the file that `ctr --namespace k8s.io images import` takes."""

    reference: str
    archive: Path


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How one image is made. Without a `tag` it is tagged with the key of its contents."""

    contents: Callable[[Toolbox], Contents]
    tag: str | None = None


def _program(toolbox: Toolbox, tool: str, path: str | None = None) -> Entry:
    # A built one, whatever is on PATH: it is static, and of the very version that the tag says.
    return Entry(path=path or f"/{tool}", source=toolbox.built[tool])


def _users(home: str) -> list[Entry]:
    """What a program that asks for its user, its home and a place for temporary files expects to find."""
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


def _kubectl(toolbox: Toolbox) -> Contents:
    entries = [*_users("/home/nonroot"), Entry(path="/bin"), _program(toolbox, "kubectl", "/bin/kubectl")]
    return Contents(entries=entries, entrypoint=["/bin/kubectl"], user=f"{NOBODY}:{NOBODY}")


def _velero(toolbox: Toolbox) -> Contents:
    # No entrypoint, as in the official image: Pods name /velero themselves.
    return Contents(entries=[*_users("/home/cnb"), _program(toolbox, "velero")], user=f"{NOBODY}:{NOBODY}")


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


RECIPES: Mapping[str, Recipe] = {
    "pause": Recipe(contents=_pause, tag="1"),
    "storage-helper": Recipe(contents=_storage_helper, tag="1"),
    "kubectl": Recipe(contents=_kubectl, tag=versions.KUBERNETES),
    "velero": Recipe(contents=_velero, tag=versions.VELERO),
    "velero-plugin-for-aws": Recipe(contents=_velero_plugin_for_aws, tag=versions.VELERO_PLUGIN_FOR_AWS),
    "shop": Recipe(contents=_shop),
}


def ensure(
    toolbox: Toolbox, names: Iterable[str] = tuple(RECIPES), *, say: Callable[[str], None] = console.say
) -> dict[str, Image]:
    """The images called `names`, each made unless the cache has one of the same contents.

    `toolbox` must hold the programs that go into them; KeyError otherwise.
    """
    return {name: _ensure_one(name, RECIPES[name], toolbox, say) for name in names}


def _ensure_one(name: str, recipe: Recipe, toolbox: Toolbox, say: Callable[[str], None]) -> Image:
    contents = recipe.contents(toolbox)
    key = contents.key
    repository = f"local/{name}:{recipe.tag or key}"
    archive = cache_directory() / "images" / f"{name}-{key}.tar"
    if not archive.is_file():
        write(contents, name=repository, target=archive)
        say(f"  ✓ image {repository} ({archive.stat().st_size / 1e6:.0f} MB)")
    return Image(reference=f"docker.io/{repository}", archive=archive)
