"""Snapshots of etcd, on clusters whose control plane the team runs itself."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import Field

from settings.fields import AbsolutePath, Cron, Duration, FileName, Form, Model, Switch, matching
from settings.hosts import url_parts

_URL = matching(
    re.compile(r"https?://[^/\s@,?#]+/?"), "the URL of one member of etcd", "https://127.0.0.1:2379", "https://10.0.0.1:2379"
)


def _one_member(text: str) -> str:
    """etcdctl snapshots one member: "snapshot must be requested to one selected node, not multiple" (etcd-io/etcd#10855)."""
    if "," in text:
        raise ValueError("names several members, and etcdctl snapshots one; write the node's own, as in https://127.0.0.1:2379")
    if url_parts(_URL.check(text)) is None:
        raise ValueError("is not the URL of one member of etcd; write one as in https://127.0.0.1:2379")
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
    timeout: Duration = Field(default="30m", description="how long one backup may take")
