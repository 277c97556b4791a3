"""The two regions: names, addresses and networks. The rest of the lab takes them from here."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Network


@dataclass(frozen=True, kw_only=True)
class RegionSpec:
    """One region: its addresses in the lab, and the AWS region that it represents."""

    name: str
    index: int
    aws_region: str
    address: str
    """Address of the region's only node on the WAN. API server, load balancer and cluster DNS answer here."""

    pod_network: str
    service_network: str
    storage_class: str
    """Name of the region's StorageClass for disks. Each region has one of its own, as two teams' clusters do."""

    context: str
    """Name of the region's context in the lab's kubeconfig."""

    @property
    def namespace(self) -> str:
        """Name of the region's network namespace and of its cgroup."""
        return f"drlab-{self.name}"

    @property
    def zone(self) -> str:
        """The availability zone of the region's only node, and so of its disks."""
        return f"{self.aws_region}a"

    @property
    def link(self) -> str:
        """Name of the network interface on the WAN that leads to this region."""
        return f"to-{self.name}"

    @property
    def api_server(self) -> str:
        return f"https://{self.address}:6443"

    @property
    def api_service_address(self) -> str:
        """The address at which pods reach the API server: by convention the first one of the service network."""
        return str(IPv4Network(self.service_network)[1])

    @property
    def networks(self) -> tuple[str, ...]:
        """All destination addresses of packets to this region."""
        return (self.address, self.pod_network, self.service_network)


def _region(name: str, index: int, aws_region: str, storage_class: str) -> RegionSpec:
    return RegionSpec(
        name=name,
        index=index,
        aws_region=aws_region,
        address=f"172.30.0.1{index}",
        pod_network=f"10.1{index}.0.0/16",
        service_network=f"10.11{index}.0.0/16",
        storage_class=storage_class,
        context=f"lab-{name}",
    )


PRIMARY = _region("primary", 1, "us-east-1", "gp3")
SECONDARY = _region("secondary", 2, "us-west-2", "gp3-west")
REGIONS = (PRIMARY, SECONDARY)


def named(name: str) -> RegionSpec:
    """The region called `name`. Raises KeyError if there is none."""
    return {spec.name: spec for spec in REGIONS}[name]
