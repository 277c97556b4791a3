"""Every image that the program runs."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field, model_validator

from settings import nearly
from settings.fields import Form, Model
from settings.mistake import Mistake

# The grammar of github.com/distribution/reference: host and port, path, tag, digest.
_PART = r"[a-z0-9]+(?:(?:\.|_{1,2}|-+)[a-z0-9]+)*"
_REFERENCE = re.compile(
    rf"(?P<name>(?:[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?(?::[0-9]+)?/)?{_PART}(?:/{_PART})*)"
    r"(?::(?P<tag>[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}))?(?:@(?P<digest>sha256:[0-9a-f]{64}))?"
)
_VERSION_OF_POSTGRESQL = re.compile(r"(?P<major>[1-9][0-9])(?:\.[0-9]+)*(?:[-._].*)?")
_OLDEST_POSTGRESQL = 13
_MOVING = ("main", "master", "edge", "stable", "nightly", "dev", "canary")
"""Tags that mostly mean another image tomorrow: velero/velero has main, for one."""
OLDEST_ETCD = (3, 5)
"""etcdctl snapshots every etcd from 3.4 on; etcdutl is there since 3.5 (etcd's CHANGELOG-3.5)."""
OLDEST_PYTHON = (3, 11)
"""What pyproject.toml requires, by which the code is checked that Jobs run inside the cluster."""
OLDEST_PLUGIN = (0, 14)
"""The lowest version of the Barman Cloud plugin that can promote: before it, a promotion read its WAL from the archive that it
writes."""
_DIGEST = f"sha256:{'0123456789abcdef' * 4}"


def image(text: str) -> str:
    """An image that is the same on every node, and changes only when somebody changes the configuration: no moving tag."""
    found = _REFERENCE.fullmatch(text)
    if not found:
        raise ValueError("is not an image; write one as in registry.example.com/velero/velero:v1.18.3")
    if not found["digest"] and (found["tag"] or "latest").lower() == "latest":
        raise ValueError("does not say its version, so nodes keep different ones; write its tag too, as in velero:v1.18.3")
    return text


def _tagged(text: str) -> str:
    """Names of Jobs and values of charts are made from the tag."""
    if (_REFERENCE.fullmatch(image(text))["tag"] or "latest").lower() == "latest":  # type: ignore[index]
        raise ValueError("has no tag beside its digest, and the version is read from it; write both: velero:v1.18.3@sha256:…")
    return text


def _postgresql(text: str) -> str:
    """CloudNativePG reads the version from the tag: `^(\\d\\.?)+`, and "Versions 13 or newer are supported" (its webhook)."""
    found = _REFERENCE.fullmatch(text)
    version = _VERSION_OF_POSTGRESQL.fullmatch((found and found["tag"]) or "")
    if not version:
        raise ValueError("is not an image with a tag that begins with PostgreSQL's version; write one as in postgresql:18.4")
    if int(version["major"]) < _OLDEST_POSTGRESQL:
        raise ValueError(
            f"is older than PostgreSQL {_OLDEST_POSTGRESQL}, which CloudNativePG does not run; write postgresql:18.4"
        )
    return text


Image = Annotated[
    str,
    Form(
        check=image,
        name="an image with its tag or digest, as in registry.example.com/velero/velero:v1.18.3",
        examples=("registry.example.com/velero/velero:v1.18.3", f"docker.io/library/python@{_DIGEST}"),
        nearly=nearly.image,
        pattern=rf"^{_REFERENCE.pattern.replace('?P<name>', '?:').replace('?P<tag>', '?:').replace('?P<digest>', '?:')}$",
    ),
]
TaggedImage = Annotated[
    str,
    Form(
        check=_tagged,
        name="an image with its tag, and its digest if you like, as in registry.example.com/velero/velero:v1.18.3",
        nearly=nearly.image,
        examples=("registry.example.com/velero/velero:v1.18.3", f"docker.io/velero/velero:v1.18.3@{_DIGEST}"),
    ),
]
PostgresqlImage = Annotated[
    str,
    Form(
        check=_postgresql,
        name="an image with a tag that begins with PostgreSQL's version, as in postgresql:18.4",
        nearly=nearly.image,
        examples=("ghcr.io/cloudnative-pg/postgresql:18.4-system-trixie", f"registry.example.com/postgresql:17.6@{_DIGEST}"),
    ),
]


def version_in(reference: str) -> tuple[int, int] | None:
    """The major and minor version that an image's tag names; None if it names none, as a digest alone."""
    found = _REFERENCE.fullmatch(reference)
    version = re.match(r"v?(\d+)\.(\d+)(?!\d)", (found and found["tag"]) or "")
    return (int(version[1]), int(version[2])) if version else None


def older_cli(image: str, oldest: Mapping[int, tuple[int, int]]) -> bool:
    """Whether an image is an AWS CLI, by its name, and older than the oldest of its major version."""
    version = version_in(image)
    return _repository(image) == "aws-cli" and version is not None and version < oldest.get(version[0], (0, 0))


def tag_of(reference: str) -> str:
    """The tag of a tagged image."""
    return str(_REFERENCE.fullmatch(reference)["tag"])  # type: ignore[index]


def moves(reference: str) -> bool:
    """Whether an image's tag is the name of something that moves, where no digest holds it."""
    found = _REFERENCE.fullmatch(reference)
    return bool(found and not found["digest"] and (found["tag"] or "").lower() in _MOVING)


def _repository(reference: str) -> str:
    """The last part of an image's name: velero of docker.io/velero/velero:v1.18.3."""
    found = _REFERENCE.fullmatch(reference)
    return found["name"].rpartition("/")[2] if found else ""


def postgresql_major(reference: str) -> int:
    """The major version that the tag of a PostgreSQL image names."""
    return int(_VERSION_OF_POSTGRESQL.fullmatch(_REFERENCE.fullmatch(reference)["tag"])["major"])  # type: ignore[index]


class Images(Model):
    """Every image that the program runs. Point them at a registry in your own region, so that a failover depends on no other."""

    velero: TaggedImage = Field(
        default="docker.io/velero/velero:v1.18.3", description="Velero's server, node agent and CRD installer"
    )
    velero_plugin_for_aws: Image = Field(
        default="docker.io/velero/velero-plugin-for-aws:v1.14.3", description="Velero's plugin for S3"
    )
    python: Image = Field(
        default="docker.io/library/python:3.13.12-slim", description="Python, for what the program does inside the cluster"
    )
    etcd: Image = Field(
        default="gcr.io/etcd-development/etcd:v3.6.5", description="etcd's own tools, which take and verify snapshots"
    )
    aws_cli: Image = Field(
        default="public.ecr.aws/aws-cli/aws-cli:2.31.0",
        description="the AWS CLI, which uploads etcd snapshots, marks archives and fetches the traffic flag",
    )
    cloudnative_pg: TaggedImage = Field(
        default="ghcr.io/cloudnative-pg/cloudnative-pg:1.30.0",
        description="the CloudNativePG operator, where this program installs it",
    )
    barman_cloud_plugin: TaggedImage = Field(
        default="ghcr.io/cloudnative-pg/plugin-barman-cloud:v0.14.0",
        description="the Barman Cloud plugin, where this program installs it",
    )
    barman_cloud_sidecar: TaggedImage = Field(
        default="ghcr.io/cloudnative-pg/plugin-barman-cloud-sidecar:v0.14.0",
        description="the Barman Cloud plugin's sidecar in each database instance",
    )

    @model_validator(mode="before")
    @classmethod
    def _kubectl_is_gone(cls, values: Any) -> Any:
        """Version 0.1.0 ran kubectl. Nothing runs it any more, and its mirror in a registry of one's own holds no Python."""
        if isinstance(values, dict) and "kubectl" in values:
            raise Mistake(
                "{} is run by nothing any more: take images.kubectl out, and write images.python with your registry's copy of "
                f"{cls.model_fields['python'].default}",
                str(values["kubectl"]),
                at=("kubectl",),
            )
        return values

    @model_validator(mode="after")
    def _each_can_do_what_this_program_asks_of_it(self) -> Images:
        if _repository(self.velero).startswith("velero-plugin"):
            raise Mistake(
                "{} is a plugin of Velero and not Velero itself; write velero/velero with its tag", self.velero, at=("velero",)
            )
        if _repository(self.velero_plugin_for_aws) == "velero":
            text = "{} is Velero and not its plugin; write velero/velero-plugin-for-aws with its tag"
            raise Mistake(text, self.velero_plugin_for_aws, at=("veleroPluginForAws",))
        # A tag is Python's own version only where the image is called after it.
        named = _repository(self.python).startswith("python")
        for key, image, oldest, why in (
            *(
                [("python", self.python, OLDEST_PYTHON, "is older than what the program runs inside the cluster")]
                if named
                else ()
            ),
            ("etcd", self.etcd, OLDEST_ETCD, "has no etcdutl, which verifies snapshots"),
            ("barmanCloudPlugin", self.barman_cloud_plugin, OLDEST_PLUGIN, "cannot promote: it reads WAL from the wrong archive"),
            (
                "barmanCloudSidecar",
                self.barman_cloud_sidecar,
                OLDEST_PLUGIN,
                "cannot promote: it reads WAL from the wrong archive",
            ),
        ):
            version = version_in(image)
            if version and version < oldest:
                raise Mistake(f"{{}} {why}; write version {'.'.join(map(str, oldest))} or newer", image, at=(key,))
        return self
