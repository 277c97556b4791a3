"""The runbook with a deployment's own names in place of those of the example: `docs/runbook.md` as text, and a pure function."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from settings.model import Settings
from settings.peer_file import PeerCluster
from settings.roles import ROLES, Role, peer_of

PAGE = Path(__file__).resolve().parents[2] / "docs" / "runbook.md"

MOST = 900 * 1024
"""Bytes of a rendered page. A ConfigMap holds 1 MiB with everything in it."""

_CONTEXTS: Mapping[Role, str] = {"primary": "prod-use1", "secondary": "prod-usw2"}
_REGIONS: Mapping[Role, str] = {"primary": "us-east-1", "secondary": "us-west-2"}
_BACKENDS: Mapping[Role, str] = {role: f"s3://acme-pulumi-{region}?region={region}" for role, region in _REGIONS.items()}
_ORGANIZATION, _ACCOUNT, _NAME, _DATABASE = "acme", "123456789012", "app.example.com", "app-database"
_IN_NAMESPACE = ("-n ", "--namespace ", '"namespace": "')
"""What stands before the example's namespace `databases`: alone it is a word of the language."""


@cache
def page() -> str:
    return PAGE.read_text()


def rendered(text: str, settings: Settings, peer: PeerCluster) -> str:
    """The page with this deployment's names. `peer` is the other cluster, as far as its stack file is here.

    Where there are several databases or names, the example's stand for each of them, and the head says so.
    """
    return f"{_head(settings, peer.context)}\n{_replaced(text, _own_names(settings, peer))}"


def _own_names(settings: Settings, peer: PeerCluster) -> dict[str, str]:
    """What is written for what the example says."""
    topology, role = settings.topology, settings.role
    contexts = {role: settings.cluster.context, peer_of(role): peer.context or _CONTEXTS[peer_of(role)]}
    names = {role: settings.cluster.name, peer_of(role): peer.name or contexts[peer_of(role)]}
    own = {f"--name {_CONTEXTS[each]}": f"--name {names[each]}" for each in ROLES}
    for each in ROLES:
        own[_CONTEXTS[each]], own[_REGIONS[each]] = contexts[each], topology.region(each)
        if topology.backends is not None:
            own[_BACKENDS[each]] = getattr(topology.backends, each)
    own |= {f"{_ORGANIZATION}-": f"{topology.organization}-", _ACCOUNT: topology.account_id, _NAME: settings.dns.names[0]}
    if len(settings.databases) == 1:
        [database] = settings.databases
        own[_DATABASE] = database.name
        own |= {f"{before}databases": f"{before}{database.namespace}" for before in _IN_NAMESPACE}
    return own


def _replaced(text: str, own: Mapping[str, str]) -> str:
    """All of it at once, the longest first: what has taken the place of one name is never taken for another."""
    whole = (re.escape(name) + ("" if name.endswith("-") else r"(?![A-Za-z0-9])") for name in sorted(own, key=len, reverse=True))
    return re.sub(rf"(?<![A-Za-z0-9])(?:{'|'.join(whole)})", lambda found: own[found[0]], text)


def _head(settings: Settings, peer_context: str | None) -> str:
    topology, role = settings.topology, settings.role
    other = f"that of the {peer_of(role)} `{peer_context}`." if peer_context else "the other's name is the example's."
    lines = [
        f"> This is the runbook of {topology.organization}, with the names of this deployment. {topology.regions.primary} is "
        f"region A, {topology.regions.secondary} is region B.",
        f"> Users call {', '.join(settings.dns.names)}. The cluster of the {role} is `{settings.cluster.context}` in the "
        f"kubeconfig, {other}",
    ]
    if len(settings.databases) > 1:
        each = ", ".join(f"`{database.name}` in `{database.namespace}`" for database in settings.databases)
        lines.append(f"> `{_DATABASE}` in `databases` stands for each of: {each}.")
    if topology.backends is None:
        lines.append("> The backends are not written down (`topology.backends`): set PULUMI_BACKEND_URL to your own.")
    lines.append("> Links lead to the pages in `docs/` of the repository.")
    return "\n".join(lines) + "\n"
