"""What the other stack's file says, where it must differ: two regions are two clusters.

The file lies beside this stack's own. A program cannot ask for another stack's configuration, and a stack whose file is elsewhere
is simply not compared: the live cluster is asked as well.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from settings.dns import Alias
from settings.explain import named
from settings.files import Files
from settings.load import ConfigurationError
from settings.model import Settings
from settings.roles import peer_of
from settings.shown import show

_DIFFER: dict[tuple[str, ...], str] = {
    ("endpoint",): "after a failover users would be sent to the other region; write this region's own load balancer",
    ("cluster", "oidcIssuer"): "two clusters have two issuers; write this cluster's own",
    ("delivery", "stateKeyArn"): "with its region dead, neither stack's secrets could be read; write a key of this region",
}
"""What the two stacks' files must not have in common, and why."""


def refuse_one_cluster_for_both(settings: Settings, directory: Path = Path()) -> None:
    """Raise ConfigurationError if the peer's file in `directory` names the cluster of this stack as its own, by `cluster.uid`.

    The directory is by default the current one, in which Pulumi runs the program.
    """
    peer = peer_of(settings.role)
    file = f"Pulumi.{peer}.yaml"
    own, theirs = Files(stack=settings.role, directory=directory).own(), Files(stack=peer, directory=directory).own()
    uid = settings.cluster.uid
    if uid is not None and uid == _at(theirs, ("cluster", "uid")):
        raise ConfigurationError(
            f"{named('cluster.uid')}: {uid} is the cluster of stack {peer} too, as {file} says; two regions are two clusters: "
            "write what this region's own answers to: kubectl get namespace kube-system -o jsonpath='{.metadata.uid}'"
        )
    for path, why in _DIFFER.items():
        value = _at(own, path)
        if value is not None and value == _at(theirs, path):
            raise ConfigurationError(f"{named('.'.join(path))}: {show(value)} is stack {peer}'s too, as {file} says; {why}")


def lines_of_what_should_be_the_same(settings: Settings, directory: Path = Path()) -> list[str]:
    """A line if the peer's file in `directory` says otherwise which addresses the load balancers have."""
    peer, endpoint = peer_of(settings.role), settings.endpoint
    theirs = Files(stack=peer, directory=directory).own().get("endpoint")
    if not isinstance(endpoint, Alias) or not isinstance(theirs, Mapping) or endpoint.ipv6 == (theirs.get("ipv6") is True):
        return []
    without = peer if endpoint.ipv6 else settings.role
    return [
        f"{named('endpoint.ipv6')}: is true in one stack alone, and not in {without}: clients with IPv6 do not follow when users "
        "move, or go to a dead region; write it in both, once both load balancers are dualstack, or in neither"
    ]


@dataclass(frozen=True, kw_only=True)
class PeerCluster:
    """The peer's cluster by its file. What is not there, or is no text, is None."""

    context: str | None = None
    name: str | None = None


def cluster_of_the_peer(settings: Settings, directory: Path = Path()) -> PeerCluster:
    """The kubeconfig context and the name of the peer's cluster, as its file in `directory` says."""
    own = Files(stack=peer_of(settings.role), directory=directory).own()
    context, name = (_at(own, ("cluster", key)) for key in ("context", "name"))
    return PeerCluster(context=context if isinstance(context, str) else None, name=name if isinstance(name, str) else None)


def refuse_dropped_parts(stack: str, directory: Path = Path()) -> None:
    """Raise ConfigurationError if the stack's own file in `directory` replaces a key of Pulumi.yaml and drops a part of it."""
    if lines := Files(stack=stack, directory=directory).lines_of_what_is_dropped():
        raise ConfigurationError("\n".join(lines))


def _at(values: Mapping[str, Any], path: Sequence[str]) -> Any:
    """The value at a path. None where a file has nothing of that kind."""
    found: Any = values
    for key in path:
        found = found.get(key) if isinstance(found, Mapping) else None
    return found
