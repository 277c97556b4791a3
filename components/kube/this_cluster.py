"""This cluster and no other: a stack remembers which cluster it was deployed into, and refuses any other behind the same context.

Two clusters of a pair look alike: both have Velero, the program's namespace, databases of the same names. So a kubeconfig whose
context leads to the other one would show no difference until it has done harm. Kubernetes gives a cluster no identity of its own.
The UID of its namespace `kube-system` comes nearest, because it lives exactly as long as the data of the cluster's etcd.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_kubernetes as k8s

from components.kube.cluster_api import ClusterApi, ClusterUnreachableError
from components.kube.records import CLUSTER_RECORD
from settings.model import Settings
from settings.names import EXCLUDED_FROM_BACKUP, PROGRAM_NAMESPACE, Names
from settings.roles import peer_of

_INPUT = "clusterUid"
_ANNOTATION = f"{PROGRAM_NAMESPACE}/cluster-uid"
_OWN = "own"
"""The location of the region's own backups (components/velero/specs.py)."""

_NOTHING = "nothing was touched"
_REBUILT = "mend the kubeconfig, or, if the cluster was rebuilt, see docs/runbook.md#a-cluster-that-was-rebuilt"


class OtherClusterError(Exception):
    """The context leads to another cluster than the stack's own; the message says which, and what to do."""


@dataclass(frozen=True, kw_only=True)
class ThisCluster:
    """The cluster behind the stack's context, as the live cluster itself says.

    A component that carries `inputs` and `options` remembers the cluster: the engine keeps the UID in its state and asks the hook
    before each change of it, in previews too.
    """

    settings: Settings
    names: Names
    cluster: ClusterApi
    uid: str | None
    """UID of the namespace `kube-system`. None in a preview that reaches no cluster: such a preview changes nothing of what the
    stack remembers."""

    @property
    def inputs(self) -> dict[str, Any]:
        """The inputs of a component that remembers this cluster."""
        return {} if self.uid is None else {_INPUT: self.uid}

    @property
    def options(self) -> pulumi.ResourceOptions:
        """Options that go with `inputs`. Without a UID the engine keeps the one that it has."""
        return pulumi.ResourceOptions(ignore_changes=[_INPUT] if self.uid is None else [])

    def compare(self, asked: pulumi.ResourceHookArgs) -> None:
        """The body of a hook before creation and update. Raises OtherClusterError if this is not the stack's cluster.

        A stack that remembers no cluster learns this one: a new stack, or one that version 0.1.0 deployed. Where a cluster was
        rebuilt, a person says so with `cluster.uid`.
        """
        remembered, live = ((inputs or {}).get(_INPUT) for inputs in (asked.old_inputs, asked.new_inputs))
        if live is None or live == remembered:
            return
        try:
            self._refuse_the_peers(self._written_from_here())
        except ClusterUnreachableError as error:
            raise OtherClusterError(f"{error}; {_NOTHING}") from None
        if remembered is not None and self.settings.cluster.uid != live:
            raise OtherClusterError(
                f"{self._context} leads to another cluster than the one that this stack was deployed into (UID of its "
                f"kube-system: {live}, and not {remembered}); {_NOTHING}; {_REBUILT}"
            )

    @contextmanager
    def before_any_refusal(self) -> Iterator[None]:
        """Around what is read of the cluster before the engine's hook has compared it, and what is refused by it. Raises
        pulumi.RunError: a refusal by the state of another cluster would send people to mend what is well.

        The UID that the stack remembers is in the engine's state alone, so here the cluster is told by where its Velero writes.
        What is not refused goes on to the hook, and changes nothing before it.
        """
        try:
            yield
        except pulumi.RunError:
            try:
                self._refuse_anothers(self._written_from_here())
            except ClusterUnreachableError:
                pass  # then the refusal says the same
            except OtherClusterError as error:
                raise pulumi.RunError(str(error)) from None
            raise

    def surely_own(self) -> bool:
        """Whether this is known for the stack's own cluster before the engine's hook has compared it: by the same sign, that the
        region's own backups are written from here. Nothing that is not known is said to be."""
        try:
            written = self._written_from_here()
            self._refuse_anothers(written)
        except (ClusterUnreachableError, OtherClusterError):
            return False
        return any(name == _OWN for name, _ in written)

    def _written_from_here(self) -> list[tuple[str, Mapping[str, Any]]]:
        """The name of each location that Velero writes to, and its place."""
        locations = self.cluster.list_velero("backupstoragelocations") or []
        named = [(str(each["metadata"]["name"]), each.get("spec") or {}) for each in locations]
        return [(name, spec.get("objectStorage") or {}) for name, spec in named if spec.get("accessMode") != "ReadOnly"]

    def _refuse_anothers(self, written: Sequence[tuple[str, Mapping[str, Any]]]) -> None:
        """Raises OtherClusterError if this is the peer's cluster, or that of another pair."""
        self._refuse_the_peers(written)
        ours = {"bucket": self.names.bucket("velero"), "prefix": self.names.velero_prefix(self.names.role)}
        for name, place in written:
            if name == _OWN and not ours.items() <= place.items():
                raise OtherClusterError(
                    f"{self._context} leads to the cluster of another stack (its Velero writes to s3://{place.get('bucket')}/"
                    f"{place.get('prefix')}, and this stack's to s3://{ours['bucket']}/{ours['prefix']}); {_NOTHING}; mend the "
                    "kubeconfig or the context"
                )

    def _refuse_the_peers(self, written: Sequence[tuple[str, Mapping[str, Any]]]) -> None:
        """Raises OtherClusterError if the peer's Velero writes its backups from here: then this is the peer's cluster."""
        peer = peer_of(self.names.role)
        theirs = {"bucket": self.names.peer_bucket("velero"), "prefix": self.names.velero_prefix(peer)}
        for _, place in written:
            if theirs.items() <= place.items():
                raise OtherClusterError(
                    f"{self._context} leads to the cluster of the {peer} region (its Velero writes to "
                    f"s3://{theirs['bucket']}/{theirs['prefix']}); {_NOTHING}; mend the kubeconfig or the context"
                )

    @property
    def _context(self) -> str:
        return f"k8s-dr:cluster.context: {self.settings.cluster.context}"

    def record(self, name: str, opts: pulumi.ResourceOptions) -> None:
        """Keep the UID at an object of the cluster as well, which a refresh reads.

        So a state that was not read anew after its cluster was rebuilt, or that was read from another cluster, is found out.
        Without this object such a state calls everything unchanged, in a cluster that has nothing of it.
        """
        hooks = pulumi.ResourceHookBinding(
            before_update=[pulumi.ResourceHook(f"{name}-read", self._refuse_a_state_of_another, _ALWAYS)]
        )
        annotations = {} if self.uid is None else {"annotations": {_ANNOTATION: self.uid}}
        kept = ["metadata.annotations"] if self.uid is None else []
        k8s.core.v1.ConfigMap(
            name,
            metadata={
                "name": CLUSTER_RECORD,
                "namespace": PROGRAM_NAMESPACE,
                "labels": EXCLUDED_FROM_BACKUP,
                **annotations,
            },
            opts=pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(hooks=hooks, ignore_changes=kept)),
        )

    def _refuse_a_state_of_another(self, asked: pulumi.ResourceHookArgs) -> None:
        old, new = (_annotated(inputs or {}) for inputs in (asked.old_inputs, asked.new_inputs))
        if old and new and old != new:
            raise OtherClusterError(
                f"the state of stack {self.names.role} was read from another cluster (UID of kube-system: {old}, and not {new}); "
                f"{_NOTHING}; if this cluster was rebuilt, run: pulumi refresh -s {self.names.role}; else put the "
                "last good state back, see docs/state.md#when-the-state-is-damaged-or-gone"
            )


_ALWAYS = pulumi.ResourceHookOptions(on_dry_run=True)


def _annotated(inputs: Mapping[str, Any]) -> str | None:
    uid = ((inputs.get("metadata") or {}).get("annotations") or {}).get(_ANNOTATION)
    return None if uid is None else str(uid)


def find_this_cluster(settings: Settings, names: Names, cluster: ClusterApi) -> ThisCluster:
    """Ask the cluster who it is, before anything is registered.

    Raises pulumi.RunError if it is not the one that `cluster.uid` names, or if an `up` cannot ask it. A preview that cannot ask
    only warns: that of a pull request has no cluster.
    """
    try:
        uid = cluster.uid()
    except ClusterUnreachableError as error:
        if not pulumi.runtime.is_dry_run():
            raise pulumi.RunError(f"{error}; {_NOTHING}") from None
        pulumi.log.warn(f"{error}: whether this is the cluster that the stack was deployed into was not checked")
        return ThisCluster(settings=settings, names=names, cluster=cluster, uid=None)
    if settings.cluster.uid not in (None, uid):
        raise pulumi.RunError(
            f"k8s-dr:cluster.uid: {settings.cluster.uid} is not the cluster that context {settings.cluster.context} leads to "
            f"(UID of its kube-system: {uid}); {_NOTHING}; {_REBUILT}"
        )
    return ThisCluster(settings=settings, names=names, cluster=cluster, uid=uid)
