"""Whether the Secrets are there by which images are pulled: people make them, in each namespace of the program's Pods."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from components.kube.cluster_api import ClusterApi, ClusterUnreachableError


def missing(cluster: ClusterApi, secrets: Sequence[str], namespaces: Collection[str]) -> list[str]:
    """Which of the Secrets which of the namespaces lack, a line for each Secret. It never raises: what cannot be asked is a line.

    No contents of a Secret are read.
    """
    try:
        return [
            f"Secret {name} of pods.imagePullSecrets is not in namespace {', '.join(without)}, so that a node which has not "
            "pulled an image yet starts no Pod of this program there: make it, as in: kubectl create secret docker-registry "
            f"{name} -n {without[0]} --docker-server=HOST --docker-username=USER --docker-password=PASSWORD"
            for name in secrets
            if (without := [each for each in namespaces if not cluster.has(f"/api/v1/namespaces/{each}/secrets/{name}")])
        ]
    except ClusterUnreachableError as error:
        return [f"whether the Secrets of pods.imagePullSecrets are there is not known: {error}"]
