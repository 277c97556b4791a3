"""Snapshots of etcd, on clusters whose control plane the team runs itself."""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from typing import Annotated

from pydantic import Field, model_validator

from settings.fields import AbsolutePath, Cron, Duration, FileName, Form, Model, Switch, at_least, matching
from settings.hosts import can_be_a_host, port_is_usable, url_parts
from settings.mistake import Mistake

_URL = matching(
    re.compile(r"https?://[^/\s@,?#]+/?"), "the URL of one member of etcd", "https://127.0.0.1:2379", "https://10.0.0.1:2379"
)


_OF_OTHERS = {
    2380: "of etcd's peers",
    2381: "of etcd's metrics, as kubeadm sets it up",
    6443: "of Kubernetes' API server",
}
"""Ports beside etcd's own. etcd answers its clients on 2379 alone (etcd, listen-client-urls)."""

_DATA = ("/var/lib/etcd", "/var/lib/rancher/k3s/server/db", "/var/lib/rancher/rke2/server/db", "/var/lib/k0s/etcd")
"""Where kubeadm, k3s, RKE2 and k0s have etcd keep its data."""

_READ_BY_OTHERS = ("/etc", "/usr", "/bin", "/sbin", "/lib", "/boot", "/proc", "/sys", "/dev")
"""Directories of the system: the kubelet, for one, starts what it finds in /etc/kubernetes/manifests."""


def _one_member(text: str) -> str:
    """etcdctl snapshots one member: "snapshot must be requested to one selected node, not multiple" (etcd-io/etcd#10855)."""
    if re.search(r"[,;\s]\S", text):
        raise ValueError("names several members, and etcdctl snapshots one; write the node's own, as in https://127.0.0.1:2379")
    if ":/" not in text:
        raise Mistake("has no scheme; write {}", f"https://{text}" if ":" in text else f"https://{text}:2379")
    if not port_is_usable(text) and "[" not in text:
        raise ValueError("has a port that is no number from 1 to 65535; write one as in https://127.0.0.1:2379")
    parts = url_parts(_URL.check(text))
    if parts is None or parts.hostname is None or not can_be_a_host(parts.hostname):
        raise ValueError("is not the URL of one member of etcd; write one as in https://127.0.0.1:2379")
    if parts.port is None:  # grpc: "missing port in address"
        raise Mistake("has no port; write {}", f"{text.rstrip('/')}:2379")
    if parts.port in _OF_OTHERS:
        right = text.replace(f":{parts.port}", ":2379")
        raise Mistake(f"has the port {_OF_OTHERS[parts.port]}, where no snapshot is to be had; write {{}}", right)
    return text


_Endpoint = Annotated[str, Form(check=_one_member, name=_URL.name, examples=_URL.examples, pattern=_URL.pattern)]


class EtcdSettings(Model):
    """Snapshots of etcd, on clusters whose control plane the team runs itself."""

    enabled: Switch | None = Field(
        default=None,
        description="whether etcd snapshots are taken; by default true where cluster.distribution is self-managed, never on eks",
    )
    cron: Cron = Field(default="0 */6 * * *", description="when a snapshot is taken: five fields, UTC")
    keep_local: Duration = Field(default="168h", description="how long a copy of each snapshot stays on the control-plane node")
    directory: AbsolutePath = Field(default="/var/backups/etcd", description="directory of these copies")
    certificates: AbsolutePath = Field(
        default="/etc/kubernetes/pki/etcd", description="directory of etcd's certificates on the node"
    )
    ca: FileName = Field(default="ca.crt", description="file of etcd's certificate authority, in the directory of certificates")
    certificate: FileName = Field(
        default="healthcheck-client.crt", description="file of the client certificate, in the same directory"
    )
    key: FileName = Field(default="healthcheck-client.key", description="file of the client's key, in the same directory")
    endpoint: _Endpoint = Field(
        default="https://127.0.0.1:2379", description="URL by which the control-plane node reaches its own member of etcd"
    )
    timeout: Annotated[str, at_least("30s", "in which no snapshot is taken and uploaded", "1h")] = Field(
        default="30m", description="how long one backup may take"
    )

    @model_validator(mode="after")
    def _copies_are_in_a_directory_of_their_own(self) -> EtcdSettings:
        """The Job writes there as root, and deletes what is older than keepLocal."""
        directory = PurePosixPath(self.directory)
        for data in map(PurePosixPath, _DATA):
            if directory.is_relative_to(data) or data.is_relative_to(directory):
                where = "is" if directory == data else "is below" if directory.is_relative_to(data) else "holds"
                text = f"{{}} {where} the directory of etcd's own data, {{}}; write another, as in /var/backups/etcd"
                raise Mistake(text, self.directory, str(data), at=("directory",))
        for other in (*_READ_BY_OTHERS, self.certificates):
            if directory.is_relative_to(other):
                text = "{} is in {}, which is not for backups; write another, as in /var/backups/etcd"
                raise Mistake(text, self.directory, other, at=("directory",))
        return self
