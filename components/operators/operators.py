"""CloudNativePG, its Barman Cloud plugin and cert-manager, for a cluster that does not have them already.

They are installed by their charts, from archives on disk that charts/charts.lock pins. No `up` asks a chart repository.

The charts own the CustomResourceDefinitions. All three have them among their templates, so that an upgrade of the release
upgrades them; Helm installs what lies in a chart's directory `crds` once and never again. The charts also mark them to stay when
the release goes, because deleting one deletes every object of its kind, each database of the cluster too. Each release is
retained besides, so that no Pulumi command uninstalls it. A copy of the definitions in this program would be a second owner, and
would fall behind the operator. Contract tests check this of the pinned charts, and show on a real API server that Helm keeps what
is marked.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pulumi
import pulumi_kubernetes as k8s

from charts.archives import LockError, fault, read_lock
from settings.images import Images
from settings.model import OperatorsSettings
from settings.pods import PodsSettings

CNPG_NAMESPACE = "cnpg-system"
"""The namespace of the operator and of its plugin: the operator finds plugins in its own namespace only."""


@dataclass(frozen=True, kw_only=True)
class Installation:
    """One chart to install. Only `planned` makes one, and it checks the archive. `chart` is the release's name too."""

    chart: str
    archive: Path
    """Path relative to the project. It is stored in the state, and a checkout in another directory must change nothing."""

    namespace: str
    makes_namespace: bool
    values: dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class OperatorsArgs:
    installations: Sequence[Installation]
    namespace_labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class _Chart:
    """What one switch of the settings installs. `key` is the switch as a person writes it."""

    key: str
    wanted: Callable[[OperatorsSettings], bool]
    chart: str
    namespace: str
    makes_namespace: bool = True
    values: Callable[[Images], dict[str, Any]]
    pods: Callable[[PodsSettings], dict[str, Any]]
    """What the cluster asks of every Pod, as the chart's values say it."""


def _image(image: str) -> dict[str, str]:
    """The image in the parts that charts ask for. Its tag may carry a digest, as in `1.30.0@sha256:…`; the settings refuse an
    image without a tag, because the chart would put in its own."""
    path, _, digest = image.partition("@")
    repository, _, tag = path.rpartition(":")
    registry, _, rest = repository.partition("/")
    if not rest or not (set(".:") & set(registry) or registry == "localhost"):
        registry, rest = "docker.io", repository
    return {"registry": registry, "repository": rest, "tag": f"{tag}@{digest}" if digest else tag}


def _cert_manager(_: Images) -> dict[str, Any]:
    """Values of cert-manager: this chart keeps its CRDs only if it is told to. Its images are its own."""
    return {"crds": {"enabled": True, "keep": True}}


def _cloudnative_pg(images: Images) -> dict[str, Any]:
    """Values of CloudNativePG. The operator also puts its own image into every database instance."""
    image = _image(images.cloudnative_pg)
    return {
        "crds": {"create": True},
        "image": {"repository": f"{image['registry']}/{image['repository']}", "tag": image["tag"]},
    }


def _barman_cloud(images: Images) -> dict[str, Any]:
    """Values of the Barman Cloud plugin. Both images are newer than the chart's; charts/charts.lock says why."""
    return {
        "crds": {"create": True},
        "image": _image(images.barman_cloud_plugin),
        "sidecarImage": _image(images.barman_cloud_sidecar),
    }


def _of_one_pod(pods: PodsSettings) -> dict[str, Any]:
    """Values of both of CloudNativePG's charts, whose templates hand them to their one Pod. Only what somebody wrote: an
    empty value would be a change of each release."""
    found = {"imagePullSecrets": pods.pull_secrets(), **_of_a_template(pods)}
    return {key: value for key, value in found.items() if value}


def _of_cert_manager(pods: PodsSettings) -> dict[str, Any]:
    """Values of cert-manager, which has four Pods with values of their own."""
    each = {key: value for key, value in _of_a_template(pods).items() if value}
    found = {
        "global": {"imagePullSecrets": pods.pull_secrets()} if pods.image_pull_secrets else {},
        **each,
        **dict.fromkeys(("webhook", "cainjector", "startupapicheck"), each),
    }
    return {key: value for key, value in found.items() if value}


def _of_a_template(pods: PodsSettings) -> dict[str, Any]:
    return {"nodeSelector": pods.node_selector, "tolerations": pods.tolerated(), "podLabels": pods.labels}


_CHARTS = (
    _Chart(
        key="certManager",
        wanted=lambda settings: settings.cert_manager,
        chart="cert-manager",
        namespace="cert-manager",
        values=_cert_manager,
        pods=_of_cert_manager,
    ),
    _Chart(
        key="cloudnativePg",
        wanted=lambda settings: settings.cloudnative_pg,
        chart="cloudnative-pg",
        namespace=CNPG_NAMESPACE,
        values=_cloudnative_pg,
        pods=_of_one_pod,
    ),
    # The plugin comes last: cert-manager issues its certificates, and the operator, or whoever installed it, made the namespace.
    _Chart(
        key="barmanCloud",
        wanted=lambda settings: settings.barman_cloud,
        chart="plugin-barman-cloud",
        namespace=CNPG_NAMESPACE,
        makes_namespace=False,
        values=_barman_cloud,
        pods=_of_one_pod,
    ),
)


def planned(
    settings: OperatorsSettings, images: Images, charts: Path = Path("charts"), *, pods: PodsSettings | None = None
) -> list[Installation]:
    """The charts to install, in order, from the archives in the directory `charts`. Raises pulumi.RunError if one cannot be.

    So a missing or wrong archive, or an image without a tag, ends the program before it registers a resource. The provider would
    name one chart only, after half of the deployment.
    """
    wanted = [chart for chart in _CHARTS if chart.wanted(settings)]
    try:
        locked = read_lock() if wanted else {}
        installations = [
            Installation(
                chart=each.chart,
                archive=charts / locked[each.chart].file,
                namespace=each.namespace,
                makes_namespace=each.makes_namespace,
                values={**each.values(images), **each.pods(pods or PodsSettings())},
            )
            for each in wanted
        ]
    except LockError as error:
        raise pulumi.RunError(str(error)) from None
    faults = [
        f"{each.key} needs {charts / locked[each.chart].file}, which {reason}"
        for each in wanted
        if (reason := fault(locked[each.chart], charts))
    ]
    if faults:
        raise pulumi.RunError(f"k8s-dr:operators: {'; '.join(faults)}: run make charts, or set to false what the cluster has")
    return installations


class Operators(pulumi.ComponentResource):
    """The operators that databases need. The settings say of each whether it is installed here or the cluster has it already.

    For both regions alike, long before a failover: no value depends on `active`, so that a failover changes no release.
    """

    ready: list[pulumi.Resource]
    """What databases wait for: the releases of this program. The engine awaits each until it serves."""

    def __init__(self, name: str, args: OperatorsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("dr:operators:Operators", name, None, opts)
        self._stem, self._labels = name, dict(args.namespace_labels)
        self.ready = []
        namespaces: list[pulumi.Resource] = []
        for installation in args.installations:
            if installation.makes_namespace:
                namespaces.append(self._namespace(installation))
            self.ready.append(self._release(installation, after=[*namespaces, *self.ready]))
        self.register_outputs({})

    def _namespace(self, installation: Installation) -> pulumi.Resource:
        namespace: pulumi.Resource = k8s.core.v1.Namespace(
            f"{self._stem}-{installation.chart}-namespace",
            metadata={"name": installation.namespace, **({"labels": self._labels} if self._labels else {})},
            # Not protected: the engine would then refuse to drop the namespace from the stack when a switch goes back to false.
            opts=pulumi.ResourceOptions(parent=self, retain_on_delete=True),
        )
        return namespace

    def _release(self, installation: Installation, after: list[pulumi.Resource]) -> pulumi.Resource:
        archive = installation.archive
        release: pulumi.Resource = k8s.helm.v3.Release(
            f"{self._stem}-{installation.chart}",
            name=installation.chart,
            # With a dot in front this can only be a path, never a chart to look up in a repository.
            chart=str(archive) if archive.is_absolute() else f"./{archive.as_posix()}",
            namespace=installation.namespace,
            create_namespace=False,
            values=installation.values,
            # Awaited, because what comes next calls the operator's webhooks. Not atomic: an interrupted roll-back locks the
            # release, while a failed upgrade can be looked at, and the next `up` repeats it.
            skip_await=False,
            atomic=False,
            timeout=600,
            max_history=3,
            # Retained: a switch that is set to false says that the cluster has the operator already. It must not uninstall
            # the operator of a cluster with databases.
            opts=pulumi.ResourceOptions(parent=self, depends_on=after, retain_on_delete=True),
        )
        return release
