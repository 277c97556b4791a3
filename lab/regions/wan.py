"""Packet counters on the WAN: which namespace tried to reach which region, even a dead one.

The sender's namespace counts packets before it resolves the hardware address of the destination. So packets to a dead or
disconnected region count too. The counters are in a separate nftables table; kube-proxy only changes its own.
"""

from __future__ import annotations

import json
from collections.abc import Iterable

from lab.regions.commands import attempt, run
from lab.regions.namespaces import OPS, WAN, inside
from lab.regions.spec import REGIONS, RegionSpec

TABLE = "drlab"


def start_counting() -> None:
    """Start counting from zero in each namespace that can send packets to a region."""
    for namespace, rules in rulesets().items():
        run([*inside(namespace), "nft", "-f", "-"], text=rules)


def is_counting() -> bool:
    """Whether all namespaces that can send packets to a region have their counters."""
    return all(attempt([*inside(name), "nft", "list", "table", "ip", TABLE]).returncode == 0 for name in rulesets())


def wan_packets() -> dict[str, dict[str, int]]:
    """Packets sent since the last reset: {sending namespace: {destination region: packets}}."""
    return {namespace: _parse(_nft(namespace, "list")) for namespace in rulesets()}


def reset_wan_packets() -> None:
    """Set all counters to zero."""
    for namespace in rulesets():
        _nft(namespace, "reset")


def rulesets() -> dict[str, str]:
    """The nftables rules of each namespace that sends packets to a region.

    A region forwards the packets of its pods. So it counts after routing, and only packets that leave for the WAN.
    """
    sends_itself = {name: _ruleset("output", "", REGIONS) for name in (WAN, OPS)}
    forwards = {
        spec.namespace: _ruleset("postrouting", 'oifname "eth0" ', [other for other in REGIONS if other != spec])
        for spec in REGIONS
    }
    return {**sends_itself, **forwards}


def _ruleset(hook: str, condition: str, destinations: Iterable[RegionSpec]) -> str:
    counters = [f"  counter {spec.name} {{ }}" for spec in destinations]
    rules = [f"    {condition}ip daddr {{ {', '.join(spec.networks)} }} counter name {spec.name}" for spec in destinations]
    return "\n".join(
        [
            f"table ip {TABLE} {{",
            *counters,
            "  chain wan {",
            f"    type filter hook {hook} priority 0; policy accept;",
            *rules,
            "  }",
            "}",
            "",
        ]
    )


def _nft(namespace: str, verb: str) -> str:
    return run([*inside(namespace), "nft", "--json", verb, "counters", "table", "ip", TABLE])


def _parse(output: str) -> dict[str, int]:
    objects = [entry["counter"] for entry in json.loads(output)["nftables"] if "counter" in entry]
    return {counter["name"]: counter["packets"] for counter in objects}
