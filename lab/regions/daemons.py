"""The command lines of a region's daemons, in the order in which they are started."""

from __future__ import annotations

import sys
from collections.abc import Mapping

from lab.regions import disks, pki
from lab.regions.configuration import kubeconfig
from lab.regions.layout import AUDIT_LOG, CONFIG, ETCD, ETCD_PKI, KUBELET, PKI
from lab.regions.spec import RegionSpec

ETCD_CLIENTS = "https://127.0.0.1:2379"
ETCD_PEERS = "https://127.0.0.1:2380"

Commands = dict[str, list[str]]
"""Daemons by name."""


def control_plane(spec: RegionSpec, tools: Mapping[str, str]) -> Commands:
    """The first daemons, which need no others. The rest can start once the API server answers."""
    return {
        "containerd": ["containerd", "--config", f"{CONFIG}/containerd.toml"],
        "etcd": _etcd(spec, tools["etcd"]),
        "kube-apiserver": _api_server(spec, tools["kube-apiserver"]),
        # In a cluster that comes back its webhooks are asked from the first moment on.
        "addons": [sys.executable, "-m", "lab.addons", spec.api_server, spec.address, spec.aws_region, str(PKI)],
    }


def controllers(tools: Mapping[str, str]) -> Commands:
    """What gives up after ten seconds where the API server is not ready, as on a busy machine."""
    return {
        "kube-controller-manager": _controller_manager(tools["kube-controller-manager"]),
        "kube-scheduler": [
            tools["kube-scheduler"],
            f"--kubeconfig={kubeconfig(pki.SCHEDULER)}",
            "--bind-address=127.0.0.1",
            "--leader-elect=false",
        ],
    }


def node(spec: RegionSpec, tools: Mapping[str, str], storage_helper: str) -> Commands:
    """The node and the services that run beside its pods."""
    return {
        "kubelet": [
            tools["kubelet"],
            f"--config={CONFIG}/kubelet.yaml",
            f"--kubeconfig={kubeconfig(pki.node(spec))}",
            f"--hostname-override={spec.name}",
            f"--node-ip={spec.address}",
            f"--root-dir={KUBELET}",
            f"--cert-dir={KUBELET}/pki",
        ],
        "kube-proxy": [tools["kube-proxy"], f"--config={CONFIG}/kube-proxy.yaml"],
        "coredns": [tools["coredns"], "-conf", f"{CONFIG}/Corefile"],
        "local-path-provisioner": [
            tools["local-path-provisioner"],
            "start",
            f"--kubeconfig={kubeconfig(pki.STORAGE)}",
            f"--config={CONFIG}/storage.json",
            f"--helper-image={storage_helper}",
        ],
        **disks.commands(spec, tools, kubeconfig(pki.DISKS)),
    }


def _etcd(spec: RegionSpec, program: str) -> list[str]:
    return [
        program,
        f"--name={spec.name}",
        f"--data-dir={ETCD}",
        f"--listen-client-urls={ETCD_CLIENTS}",
        f"--advertise-client-urls={ETCD_CLIENTS}",
        f"--listen-peer-urls={ETCD_PEERS}",
        f"--initial-advertise-peer-urls={ETCD_PEERS}",
        f"--initial-cluster={spec.name}={ETCD_PEERS}",
        f"--cert-file={ETCD_PKI}/server.crt",
        f"--key-file={ETCD_PKI}/server.key",
        f"--trusted-ca-file={ETCD_PKI}/ca.crt",
        "--client-cert-auth",
        f"--peer-cert-file={ETCD_PKI}/peer.crt",
        f"--peer-key-file={ETCD_PKI}/peer.key",
        f"--peer-trusted-ca-file={ETCD_PKI}/ca.crt",
        "--peer-client-cert-auth",
        # A killed region loses its processes, but the machine keeps its page cache. So all that etcd has written survives.
        "--unsafe-no-fsync",
    ]


def _api_server(spec: RegionSpec, program: str) -> list[str]:
    return [
        program,
        f"--etcd-servers={ETCD_CLIENTS}",
        f"--etcd-cafile={ETCD_PKI}/ca.crt",
        f"--etcd-certfile={ETCD_PKI}/{pki.ETCD_API_SERVER.file}.crt",
        f"--etcd-keyfile={ETCD_PKI}/{pki.ETCD_API_SERVER.file}.key",
        "--bind-address=0.0.0.0",
        "--secure-port=6443",
        f"--advertise-address={spec.address}",
        f"--client-ca-file={PKI}/ca.crt",
        f"--tls-cert-file={PKI}/api.crt",
        f"--tls-private-key-file={PKI}/api.key",
        "--service-account-issuer=https://kubernetes.default.svc",
        f"--service-account-key-file={PKI}/sa.key",
        f"--service-account-signing-key-file={PKI}/sa.key",
        "--authorization-mode=Node,RBAC",
        "--enable-admission-plugins=NodeRestriction",
        f"--service-cluster-ip-range={spec.service_network}",
        "--allow-privileged=true",
        f"--kubelet-client-certificate={PKI}/{pki.KUBELET_CLIENT.file}.crt",
        f"--kubelet-client-key={PKI}/{pki.KUBELET_CLIENT.file}.key",
        "--kubelet-preferred-address-types=InternalIP",
        f"--audit-policy-file={CONFIG}/audit.yaml",
        f"--audit-log-path={AUDIT_LOG}",
    ]


def _controller_manager(program: str) -> list[str]:
    return [
        program,
        f"--kubeconfig={kubeconfig(pki.CONTROLLER_MANAGER)}",
        f"--service-account-private-key-file={PKI}/sa.key",
        f"--root-ca-file={PKI}/ca.crt",
        "--bind-address=127.0.0.1",
        "--use-service-account-credentials=true",
        "--leader-elect=false",
        "--node-monitor-grace-period=20s",
    ]
