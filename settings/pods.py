"""What this cluster asks of every Pod that the program makes: where images come from, which nodes take them, and what admission
policies want to see on them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import Field, field_validator

from settings.fields import Model, SecretName, all_different
from settings.labels import LabelKey, LabelValue
from settings.mistake import Mistake
from settings.sizes import Size, bytes_in
from settings.volumes import Cpus, Toleration, cpus_in, refuse_labels_of_one_node

OS = "kubernetes.io/os"

_OF_THE_PROGRAM = (
    "app.kubernetes.io/component",
    "app.kubernetes.io/name",
    "app.kubernetes.io/part-of",
    "component",
    "deploy",
    "job",
    "job-name",
    "name",
    "role",
)
_PREFIXES_OF_THE_PROGRAM = (
    "k8s-dr/",
    "velero.io/",
    "cnpg.io/",
    "batch.kubernetes.io/",
    "sidecar.istio.io/",
    "istio.io/",
    "kuma.io/",
    "admission.datadoghq.com/",
)
"""Labels by which the program, its operators and Kubernetes find their Pods, or injectors of sidecars leave them alone."""

_OF_A_NAMESPACE = ("app.kubernetes.io/component", "app.kubernetes.io/name", "app.kubernetes.io/part-of", "component")
_PREFIXES_OF_A_NAMESPACE = ("k8s-dr/", "velero.io/")
"""Labels that the program itself gives to its namespaces. An injector may be told of a namespace: Pods that it must leave alone
say so themselves."""

_POD_SECURITY = "pod-security.kubernetes.io/"
_OF_KUBERNETES = "kubernetes.io/metadata.name"


class PodRequests(Model):
    """The least that a container requests, where a LimitRange has a `min`."""

    cpu: Cpus | None = Field(default=None, description="CPUs that each container requests at least", examples=["50m", "100m"])
    memory: Size | None = Field(
        default=None, description="memory that each container requests at least", examples=["64Mi", "128Mi"]
    )

    def raised(self, resources: Mapping[str, Mapping[str, str]]) -> dict[str, dict[str, str]]:
        """A container's `resources` with requests that are no smaller than these, and limits no smaller than its requests."""
        found = {kind: dict(amounts) for kind, amounts in resources.items()}
        for what, least, measure in (("cpu", self.cpu, cpus_in), ("memory", self.memory, bytes_in)):
            for amounts in found.values():
                if least and what in amounts and measure(amounts[what]) < measure(least):
                    amounts[what] = least
        return found


class PodsSettings(Model):
    """What every Pod that the program makes has besides its own: pull secrets, tolerations, labels, and least requests."""

    image_pull_secrets: list[SecretName] = Field(
        default=[],
        description="Secrets by which images are pulled, where the registry asks for a login. You make each of them, of type "
        "kubernetes.io/dockerconfigjson, in every namespace in which the program's Pods run (pods.md has the list)",
        examples=[["harbor"], ["harbor", "artifactory.example.com"]],
    )
    tolerations: list[Toleration] = Field(
        default=[],
        description="taints on which every Pod of the program runs all the same, those of Velero and of databases too",
        examples=[
            [{"key": "CriticalAddonsOnly", "operator": "Exists"}],
            [{"key": "dedicated", "value": "system", "effect": "NoSchedule"}],
        ],
    )
    node_selector: dict[LabelKey, LabelValue] = Field(
        default={},
        description="labels of the nodes on which the program's Pods run; by default every node with Linux. It does not hold for "
        "Velero's node agent, which runs on each node, nor for etcd's backup, which runs on the control plane",
        examples=[{"pool": "system"}, {"eks.amazonaws.com/nodegroup": "system"}],
    )
    requests: PodRequests = Field(
        default_factory=PodRequests, description="the least that each container of the program's requests, for a LimitRange"
    )
    labels: dict[LabelKey, LabelValue] = Field(
        default={},
        description="labels of every Pod that the program makes, for policies that demand some",
        examples=[{"team": "platform"}, {"cost-centre": "4711", "team": "platform"}],
    )
    namespace_labels: dict[LabelKey, LabelValue] = Field(
        default={},
        description="labels of every namespace that the program makes, for policies that demand some (Gatekeeper's "
        "K8sRequiredLabels)",
        examples=[{"team": "platform"}, {"cost-centre": "4711", "team": "platform"}],
    )

    @field_validator("image_pull_secrets")
    @classmethod
    def _secrets_differ(cls, names: list[str]) -> list[str]:
        return all_different(names, "Secret")

    @field_validator("node_selector")
    @classmethod
    def _some_node_may_have_the_labels(cls, nodes: dict[str, str]) -> dict[str, str]:
        if nodes.get(OS, "linux") != "linux":
            raise Mistake(f"has {OS}: {{}}, and every image of the program is for Linux; take it out", nodes[OS])
        return refuse_labels_of_one_node(nodes, "no Pod of the program")

    @field_validator("labels")
    @classmethod
    def _nobody_knows_a_pod_by_them(cls, labels: dict[str, str]) -> dict[str, str]:
        for label in labels:
            if label in _OF_THE_PROGRAM or label.startswith(_PREFIXES_OF_THE_PROGRAM):
                text = "has {}, by which the program, an operator or an injector knows its Pods; write another key, as in team"
                raise Mistake(text, label)
        return labels

    @field_validator("namespace_labels")
    @classmethod
    def _they_are_not_what_a_namespace_has_already(cls, labels: dict[str, str]) -> dict[str, str]:
        """As to pod security, Velero's node agent needs the level `privileged`, a drill's namespace `baseline`."""
        for label in labels:
            if label in _OF_A_NAMESPACE or label.startswith(_PREFIXES_OF_A_NAMESPACE):
                raise Mistake("has {}, which the program itself gives to its namespaces; write another key, as in team", label)
            if label.startswith(_POD_SECURITY):
                text = "has {}, and Velero's node agent needs another level than others; take it out, and label k8s-dr by hand"
                raise Mistake(text, label)
            if label == _OF_KUBERNETES:
                raise Mistake("has {}, which Kubernetes itself sets; take it out", label)
        return labels

    def pull_secrets(self) -> list[dict[str, str]]:
        """As a Pod's or an account's `imagePullSecrets` lists them."""
        return [{"name": name} for name in self.image_pull_secrets]

    def tolerated(self, *more: Iterable[Toleration]) -> list[dict[str, Any]]:
        """These tolerations and `more`, each once, as Kubernetes reads them."""
        found: list[dict[str, Any]] = []
        for each in (*self.tolerations, *(toleration for others in more for toleration in others)):
            written = each.as_kubernetes_reads_it()
            if written not in found:
                found.append(written)
        return found
