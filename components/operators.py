"""CloudNativePG, its Barman Cloud plugin and cert-manager on one cluster, for those that do not have them already.

By their charts, from archives on disk that charts/charts.lock pins: no chart repository is asked for anything, in no `up`.

CustomResourceDefinitions are left to the charts. All three have them among their templates, so that an upgrade of the release
upgrades them (what lies in a chart's directory `crds` Helm installs once and never again), and mark them as what stays when the
release goes: to delete one would be to delete every database of the cluster. Each release is retained besides, so that no
command of Pulumi's uninstalls it. A copy of the definitions in here would be a second owner to fall behind the operator.
Contract tests hold the pinned charts to it, and show on a real API server that Helm does keep what is marked.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pulumi
import pulumi_kubernetes as k8s

from charts.archives import LockError, fault, read_lock
from settings.images import Images
from settings.model import OperatorsSettings

NAMESPACE = "cnpg-system"
"""Of the operator and of the plugin: the operator finds plugins in its own namespace alone."""


@dataclass(frozen=True, kw_only=True)
class OperatorsArgs:
    settings: OperatorsSettings
    images: Images
    charts: Path = Path("charts")
    """Where the archives are, relative to the project: it is in the state, and a checkout elsewhere must change nothing."""


@dataclass(frozen=True, kw_only=True)
class _Part:
    """What one switch of the settings installs. `chart` is the chart's name and the release's."""

    switch: str
    chart: str
    namespace: str
    makes_namespace: bool = True
    values: Callable[[Images], dict[str, Any]]


def _image(images: Images, key: str) -> dict[str, str]:
    """An image as charts want it. The tag may carry a digest, as in `1.30.0@sha256:…`. Raises ValueError if it has no tag, for
    which the chart would put in its own."""
    image: str = getattr(images, key)
    path, _, digest = image.partition("@")
    repository, _, tag = path.rpartition(":")
    if not repository or "/" in tag:
        raise ValueError(
            f"k8s-dr:images.{Images.model_fields[key].alias}: {image} has no tag; write one, which a digest may follow, "
            "as in ghcr.io/cloudnative-pg/cloudnative-pg:1.30.0"
        )
    registry, _, rest = repository.partition("/")
    if not rest or not (set(".:") & set(registry) or registry == "localhost"):
        registry, rest = "docker.io", repository
    return {"registry": registry, "repository": rest, "tag": f"{tag}@{digest}" if digest else tag}


def _cert_manager(_: Images) -> dict[str, Any]:
    """The one chart that has to be told about its CRDs. Images are its own."""
    return {"crds": {"enabled": True, "keep": True}}


def _cloudnative_pg(images: Images) -> dict[str, Any]:
    """The operator puts its own image into every instance, too."""
    image = _image(images, "cloudnative_pg")
    return {
        "crds": {"create": True},
        "image": {"repository": f"{image['registry']}/{image['repository']}", "tag": image["tag"]},
    }


def _barman_cloud(images: Images) -> dict[str, Any]:
    """Both images are newer than what the chart says; charts/charts.lock tells why."""
    return {
        "crds": {"create": True},
        "image": _image(images, "barman_cloud_plugin"),
        "sidecarImage": _image(images, "barman_cloud_sidecar"),
    }


_PARTS = (
    _Part(switch="cert_manager", chart="cert-manager", namespace="cert-manager", values=_cert_manager),
    _Part(switch="cloudnative_pg", chart="cloudnative-pg", namespace=NAMESPACE, values=_cloudnative_pg),
    # After both: cert-manager issues its certificates. The namespace is the operator's, or of whoever installed that.
    _Part(
        switch="barman_cloud",
        chart="plugin-barman-cloud",
        namespace=NAMESPACE,
        makes_namespace=False,
        values=_barman_cloud,
    ),
)


def _managed(settings: OperatorsSettings) -> list[_Part]:
    return [part for part in _PARTS if getattr(settings, part.switch)]


def refuse_uninstallable(args: OperatorsArgs) -> None:
    """An archive that is missing or not the pinned one, or an image without a tag, ends the program before anything is
    registered: the provider would say so too, of one chart, after half of the rest."""
    managed = _managed(args.settings)
    try:
        for part in managed:
            part.values(args.images)
        charts = read_lock() if managed else {}
    except (ValueError, LockError) as error:
        raise pulumi.RunError(str(error)) from None
    faults = [
        f"{OperatorsSettings.model_fields[part.switch].alias} needs {args.charts / chart.file}, which {reason}"
        for part in managed
        if (reason := fault(chart := charts[part.chart], args.charts))
    ]
    if faults:
        raise pulumi.RunError(f"k8s-dr:operators: {'; '.join(faults)}: run make charts, or set to false what the cluster has")


class Operators(pulumi.ComponentResource):
    """What databases need of a cluster, each part as the settings say: installed here, or the cluster's own already.

    For both regions alike, long before a failover: no value depends on `active`, so that a failover changes no release.
    Call `refuse_uninstallable` first.
    """

    ready: list[pulumi.Resource]
    """What databases wait for: the releases of this program, each awaited until it serves."""

    def __init__(self, name: str, args: OperatorsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("dr:operators:Operators", name, None, opts)
        self._stem, self._args = name, args
        self.ready = []
        namespaces: list[pulumi.Resource] = []
        for part in _managed(args.settings):
            if part.makes_namespace:
                namespaces.append(self._namespace(part))
            self.ready.append(self._release(part, after=[*namespaces, *self.ready]))
        self.register_outputs({})

    def _namespace(self, part: _Part) -> pulumi.Resource:
        namespace: pulumi.Resource = k8s.core.v1.Namespace(
            f"{self._stem}-{part.chart}-namespace",
            metadata={"name": part.namespace},
            # Not protected: that would refuse to forget it, when a switch goes back to false.
            opts=pulumi.ResourceOptions(parent=self, retain_on_delete=True),
        )
        return namespace

    def _release(self, part: _Part, after: list[pulumi.Resource]) -> pulumi.Resource:
        archive = self._args.charts / read_lock()[part.chart].file
        release: pulumi.Resource = k8s.helm.v3.Release(
            f"{self._stem}-{part.chart}",
            name=part.chart,
            # With a dot in front it can only be a path, never a chart to look up in a repository.
            chart=str(archive) if archive.is_absolute() else f"./{archive.as_posix()}",
            namespace=part.namespace,
            create_namespace=False,
            values=part.values(self._args.images),
            # Awaited, for what comes next calls their webhooks. Not atomic: a roll-back that is interrupted locks the
            # release, while a failed upgrade is there to be looked at and the next `up` repeats it.
            skip_await=False,
            atomic=False,
            timeout=600,
            max_history=3,
            # Retained: to set a switch to false says that the cluster has the operator, not that it goes from a cluster
            # with databases.
            opts=pulumi.ResourceOptions(parent=self, depends_on=after, retain_on_delete=True),
        )
        return release
