"""The configuration files of a region's daemons, except containerd's."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import yaml

from lab.addons import objects
from lab.regions import disks, pki
from lab.regions.layout import CONFIG, CONTAINERD_SOCKET, KUBELET, PKI, PODS_LOGS, VOLUMES
from lab.regions.network import WAN_ADDRESS
from lab.regions.spec import RegionSpec

STORAGE_CLASS = "gp3-encrypted"  # the same name as on the AWS clusters, so that the same manifests work
_STORAGE_NAMESPACE = "local-path-storage"
_DIRECTORIES = json.dumps({"nodePathMap": [{"node": "DEFAULT_PATH_FOR_NON_LISTED_NODES", "paths": [str(VOLUMES)]}]})


def kubeconfig(user: pki.User) -> str:
    """The path of a user's kubeconfig."""
    return str(CONFIG / f"{user.file}.kubeconfig")


def files(spec: RegionSpec, storage_helper: str, addons_authority: str, *, with_disks: bool = False) -> dict[str, str]:
    """The files in the region's configuration directory with their content, except kubeconfigs and containerd's file.

    `addons_authority` is the certificate, in PEM, of the authority of the add-ons' server.
    """
    addons = objects.documents(spec.address, addons_authority)
    cluster_objects = [*storage_objects(storage_helper), *(disks.documents(spec) if with_disks else []), *addons]
    return {
        "audit.yaml": _yaml(audit_policy()),
        "kubelet.yaml": _yaml(kubelet(spec)),
        "kube-proxy.yaml": _yaml(kube_proxy(spec)),
        "Corefile": corefile(spec),
        "storage.json": _DIRECTORIES,
        "objects.yaml": yaml.safe_dump_all(cluster_objects, sort_keys=False),
        "resolv.conf": f"nameserver {spec.address}\n",
    }


def audit_policy() -> dict[str, Any]:
    """Log all requests of people and pods, and all changes by the region's own parts.

    The reads of those parts and their leases, which they renew all the time, are left out.
    """
    parts = [pki.CONTROLLER_MANAGER, pki.SCHEDULER, pki.PROXY, pki.DNS, pki.STORAGE, pki.DISKS, pki.ADDONS, pki.SETUP]
    reading = ["get", "list", "watch"]
    return {
        "apiVersion": "audit.k8s.io/v1",
        "kind": "Policy",
        "omitStages": ["RequestReceived"],
        "rules": [
            {"level": "None", "users": ["system:apiserver", *(part.name for part in parts)], "verbs": reading},
            {"level": "None", "userGroups": ["system:nodes", "system:serviceaccounts:kube-system"], "verbs": reading},
            {"level": "None", "resources": [{"group": "coordination.k8s.io", "resources": ["leases"]}]},
            {"level": "Metadata"},
        ],
    }


def kubelet(spec: RegionSpec) -> dict[str, Any]:
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "failCgroupV1": False,
        "cgroupDriver": "cgroupfs",
        # Each region has its own root group. With a common one, each kubelet would remove the other's pods.
        "cgroupRoot": f"/{spec.namespace}",
        "cgroupsPerQOS": True,
        "enforceNodeAllocatable": [],
        "containerRuntimeEndpoint": f"unix://{CONTAINERD_SOCKET}",
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": str(PKI / "ca.crt")},
        },
        "authorization": {"mode": "Webhook"},
        "clusterDomain": "cluster.local",
        "clusterDNS": [spec.address],
        "resolvConf": str(CONFIG / "resolv.conf"),
        "failSwapOn": False,
        # The regions share the machine's disk. They must not lose pods or images unless it is really full.
        "evictionHard": {
            "memory.available": "100Mi",
            "nodefs.available": "1%",
            "nodefs.inodesFree": "1%",
            "imagefs.available": "1%",
        },
        "imageGCHighThresholdPercent": 100,
        "imageGCLowThresholdPercent": 99,
        "volumePluginDir": str(KUBELET / "volume-plugins"),
        "podLogsDir": str(PODS_LOGS),
        "registerNode": True,
        "maxPods": 60,
        "syncFrequency": "10s",
        "serializeImagePulls": False,
        "nodeStatusUpdateFrequency": "5s",
    }


def kube_proxy(spec: RegionSpec) -> dict[str, Any]:
    return {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": "nftables",
        "hostnameOverride": spec.name,
        "clientConnection": {"kubeconfig": kubeconfig(pki.PROXY)},
        "clusterCIDR": spec.pod_network,
        "detectLocalMode": "ClusterCIDR",
        # These settings are read-only in a network namespace. Zero means that kube-proxy does not change them.
        "conntrack": {"maxPerCore": 0, "min": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"},
        "healthzBindAddress": "127.0.0.1:10256",
        "metricsBindAddress": "127.0.0.1:10249",
        "nodePortAddresses": ["primary"],
    }


def corefile(spec: RegionSpec) -> str:
    """CoreDNS answers for the cluster's names from its API server, and asks the lab's name server for all others."""
    return f"""\
.:53 {{
  errors
  ready 127.0.0.1:8181
  kubernetes cluster.local in-addr.arpa ip6.arpa {{
    kubeconfig {kubeconfig(pki.DNS)} {spec.context}
    pods insecure
    fallthrough in-addr.arpa ip6.arpa
    ttl 5
  }}
  forward . {WAN_ADDRESS}
  cache 5
}}
"""


def storage_objects(helper_image: str) -> list[dict[str, Any]]:
    """The objects that local-path-provisioner needs in the cluster. It runs outside; each volume is a directory on the disk."""
    helper = {"name": "helper-pod", "image": helper_image, "imagePullPolicy": "IfNotPresent"}
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "helper-pod"},
        "spec": {"terminationGracePeriodSeconds": 0, "securityContext": {"runAsUser": 0}, "containers": [helper]},
    }
    account = {"name": "local-path-provisioner-service-account", "namespace": _STORAGE_NAMESPACE}
    default = {"storageclass.kubernetes.io/is-default-class": "true"}
    return [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": _STORAGE_NAMESPACE}},
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": account},
        {
            "apiVersion": "storage.k8s.io/v1",
            "kind": "StorageClass",
            "metadata": {"name": STORAGE_CLASS, "annotations": default},
            "provisioner": "rancher.io/local-path",
            "volumeBindingMode": "WaitForFirstConsumer",
            "reclaimPolicy": "Delete",
            "allowVolumeExpansion": True,
        },
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "local-path-config", "namespace": _STORAGE_NAMESPACE},
            "data": {
                "config.json": _DIRECTORIES,
                "setup": '#!/bin/sh\nset -eu\nmkdir -m 0777 -p "$VOL_DIR"\n',
                "teardown": '#!/bin/sh\nset -eu\nrm -rf "$VOL_DIR"\n',
                "helperPod.yaml": _yaml(pod),
            },
        },
    ]


def _yaml(document: Mapping[str, Any]) -> str:
    return yaml.safe_dump(dict(document), sort_keys=False)
