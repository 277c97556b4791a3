"""The executable `pulumi-resource-kubernetes`."""

from lab.standins.kubernetes_provider.provider import KubernetesProvider
from lab.standins.provider import serve_provider

serve_provider(KubernetesProvider)
