"""Enforces the cluster's NetworkPolicies with nftables, in the network namespace that is the region's only node.

Each pod has a link of its own to the node, so that the node forwards all that pods send and receive. What they exchange with the
node itself (API server, cluster DNS) passes its input. Traffic from the node to its pods is always admitted, as every cluster
does for kubelet's probes. A pod is isolated once its address is in its status; until then its traffic passes, as
with the Amazon VPC CNI in its standard mode.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

from lab.addons.kinds import Object, Snapshot
from lab.addons.labels import matches

TABLE = "lab-network-policies"
Direction = Literal["Ingress", "Egress"]
_RULES: Mapping[Direction, tuple[str, str]] = {"Ingress": ("ingress", "from"), "Egress": ("egress", "to")}


def ruleset(snapshot: Snapshot) -> str:
    """The nftables commands that replace the table of all policies. They are the same for the same policies and pods."""
    pods = sorted((pod for pod in snapshot["pods"] if _address(pod)), key=lambda pod: _address(pod) or "")
    chains: list[str] = []
    maps: dict[Direction, list[str]] = {"Ingress": [], "Egress": []}
    for direction in _RULES:
        for pod in pods:
            if policies := isolating(snapshot["networkpolicies"], pod, direction):
                address = _address(pod)
                name = f"{direction.lower()}-{address}".replace(".", "-")
                allowed = [rule for policy in policies for rule in _allowed(policy, pod, direction, pods, snapshot["namespaces"])]
                chains.append(_chain(name, [*dict.fromkeys(allowed), "counter drop"]))
                maps[direction].append(f"{address} : jump {name}")
    established = "ct state established,related accept"
    outgoing, incoming = _jumps("saddr", maps["Egress"]), _jumps("daddr", maps["Ingress"])
    hooks = [
        _chain("forward", ["type filter hook forward priority filter; policy accept;", established, *outgoing, *incoming]),
        _chain("input", ["type filter hook input priority filter; policy accept;", established, *outgoing]),
    ]
    body = "".join([*chains, *hooks])
    # Adding before deleting makes the deletion succeed the first time too. All of it is one transaction.
    return f"add table ip {TABLE}\ndelete table ip {TABLE}\ntable ip {TABLE} {{\n{body}}}\n"


def apply(rules: str) -> None:
    """Replace the table in this process's network namespace. Raises CalledProcessError with nft's words."""
    subprocess.run(["nft", "-f", "-"], input=rules, text=True, check=True, capture_output=True)


def isolating(policies: Sequence[Object], pod: Object, direction: Direction) -> list[Object]:
    """The policies that select the pod for this direction. If there are none, everything is admitted."""
    return [
        policy
        for policy in policies
        if policy["metadata"]["namespace"] == pod["metadata"]["namespace"]
        and direction in _types(policy["spec"])
        and matches(policy["spec"].get("podSelector") or {}, pod["metadata"].get("labels", {}))
    ]


def _types(spec: Mapping[str, Any]) -> Sequence[str]:
    return spec.get("policyTypes") or ["Ingress", *(["Egress"] if "egress" in spec else [])]


def _allowed(
    policy: Object, pod: Object, direction: Direction, pods: Sequence[Object], namespaces: Sequence[Object]
) -> Iterator[str]:
    rules, peers = _RULES[direction]
    side = "saddr" if direction == "Ingress" else "daddr"
    for rule in policy["spec"].get(rules) or ():
        ports = rule.get("ports") or ()
        if not rule.get(peers):
            # Named ports of egress to anywhere are those of all pods.
            targets = [pod] if direction == "Ingress" else pods
            yield from _accepted("", ports, targets)
            continue
        for peer in rule[peers]:
            if block := peer.get("ipBlock"):
                excepted = f" ip {side} != {_set(block['except'])}" if block.get("except") else ""
                yield from _accepted(f"ip {side} {block['cidr']}{excepted} ", ports, [pod] if direction == "Ingress" else ())
                continue
            chosen = [other for other in pods if _is_peer(peer, other, policy["metadata"]["namespace"], namespaces)]
            if direction == "Ingress" and chosen:
                yield from _accepted(f"ip {side} {_set([_address(other) or '' for other in chosen])} ", ports, [pod])
            elif direction == "Egress":
                # Each peer has its own named ports.
                for other in chosen:
                    yield from _accepted(f"ip {side} {_address(other)} ", ports, [other])


def _accepted(match: str, ports: Sequence[Mapping[str, Any]], targets: Sequence[Object]) -> Iterator[str]:
    """The rules that admit what `match` matches, on these ports of the targets. `return` leaves the other direction to judge."""
    if not ports:
        yield f"{match}return"
    for port in ports:
        protocol = port.get("protocol", "TCP").lower()
        wanted = port.get("port")
        if wanted is None:
            yield f"{match}meta l4proto {protocol} return"
        elif isinstance(wanted, int):
            last = f"-{port['endPort']}" if "endPort" in port else ""
            yield f"{match}{protocol} dport {wanted}{last} return"
        else:
            for number in sorted({number for target in targets for number in _named(target, wanted, protocol)}):
                yield f"{match}{protocol} dport {number} return"


def _named(pod: Object, name: str, protocol: str) -> Iterator[int]:
    for container in pod["spec"]["containers"]:
        for port in container.get("ports", ()):
            if port.get("name") == name and port.get("protocol", "TCP").lower() == protocol:
                yield port["containerPort"]


def _is_peer(peer: Mapping[str, Any], pod: Object, own: str, namespaces: Sequence[Object]) -> bool:
    namespace = pod["metadata"]["namespace"]
    if "namespaceSelector" in peer:
        known = {item["metadata"]["name"]: item["metadata"].get("labels", {}) for item in namespaces}
        if not matches(peer["namespaceSelector"] or {}, known.get(namespace, {})):
            return False
    elif namespace != own:
        return False
    return matches(peer.get("podSelector") or {}, pod["metadata"].get("labels", {}))


def _address(pod: Object) -> str | None:
    """The pod's own address. None for a pod that has none yet, uses its node's, or has given it back."""
    if pod["spec"].get("hostNetwork") or pod.get("status", {}).get("phase") in ("Succeeded", "Failed"):
        return None
    address: str | None = pod.get("status", {}).get("podIP")
    return address


def _jumps(side: str, entries: Sequence[str]) -> list[str]:
    return [f"ip {side} vmap {_set(entries)}"] if entries else []


def _set(entries: Sequence[str]) -> str:
    return f"{{ {', '.join(entries)} }}"


def _chain(name: str, rules: Sequence[str]) -> str:
    return f"  chain {name} {{\n" + "".join(f"    {rule}\n" for rule in rules) + "  }\n"
