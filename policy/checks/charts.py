"""No chart repository is needed at 3 a.m.: charts are archives in the repository of the program."""

from __future__ import annotations

from collections.abc import Iterator

from .model import Config, Policy, Resource

_RELEASES = {"kubernetes:helm.sh/v3:Release", "kubernetes:helm.sh/v3:Chart", "kubernetes:helm.sh/v4:Chart"}


def check(resource: Resource, config: Config) -> Iterator[str]:
    del config
    if resource.type not in _RELEASES:
        return
    chart = resource.get("chart")
    remote = isinstance(chart, str) and chart.startswith(("oci://", "https://", "http://"))
    if remote or resource.get("repositoryOpts", "repo"):
        yield (
            f"{resource.name} takes its chart from a repository, which every preview and every up then needs: vendor the archive "
            "(make charts), give its path as chart and leave repository_opts out"
        )


POLICY = Policy(
    name="vendored-charts",
    description="Helm charts come from archives on disk.",
    level="advisory",
    resource=check,
)
