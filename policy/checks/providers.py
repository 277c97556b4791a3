"""Every resource has a provider that names its cluster or its region; whatever context is current decides nothing."""

from __future__ import annotations

from collections.abc import Iterator

from .model import Config, Policy, Resource

_REQUIRED = {
    "pulumi:providers:kubernetes": {
        "context": "whichever cluster is current would be changed",
        "clusterIdentifier": "a kubeconfig that is written anew would replace every object",
    },
    "pulumi:providers:aws": {"region": "whichever region is configured would be changed"},
}


def check(resource: Resource, config: Config) -> Iterator[str]:
    del config
    if resource.provider is not None and resource.provider.name.startswith("default"):
        yield (
            f"{resource.name} has the default provider: pass the region's own by ResourceOptions(parent=…) or (providers=[…]); "
            "and set pulumi:disable-default-providers"
        )
    for key, danger in _REQUIRED.get(resource.type, {}).items():
        if not resource.get(key):
            yield f"the provider {resource.name} has no {key}, and {danger}: set it"


POLICY = Policy(
    name="explicit-providers",
    description="No default providers; the Kubernetes provider names its context and its cluster, the AWS provider its region.",
    level="mandatory",
    resource=check,
)
