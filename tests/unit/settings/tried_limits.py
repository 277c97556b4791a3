"""As `tried_harmful`, of times, sizes and places that no failover, restore or node has."""

from __future__ import annotations

import base64
from typing import Any

from tests.unit.settings.tried_parts import cluster, etcd

Row = tuple[str, dict[str, Any], str]


def encoded(text: str) -> dict[str, Any]:
    return cluster(kubeconfig=base64.b64encode(text.encode()).decode())


HARMFUL: list[Row] = [
    (
        "a kubeconfig in base64",
        encoded("apiVersion: v1\nkind: Config\nusers: [{user: {token: hunter2}}]\n"),
        "cluster.kubeconfig: is the contents of a kubeconfig in base64; write its path, as in /home/me/.kube/config",
    ),
    (
        "the beginning of a kubeconfig in base64",
        encoded("apiVersion: v1"),
        "cluster.kubeconfig: is the contents of a kubeconfig in base64; write its path, as in /home/me/.kube/config",
    ),
    (
        "another beginning of a kubeconfig in base64",
        encoded("kind: Config"),
        "cluster.kubeconfig: is the contents of a kubeconfig in base64; write its path, as in /home/me/.kube/config",
    ),
    (
        "a kubeconfig as JSON in base64",
        encoded('{"apiVersion":"v1"}'),
        "cluster.kubeconfig: is the contents of a kubeconfig in base64; write its path, as in /home/me/.kube/config",
    ),
    (
        "a kubeconfig in base64 without its padding",
        cluster(kubeconfig=encoded("apiVersion: v1")["cluster"]["kubeconfig"].rstrip("=")),
        "cluster.kubeconfig: is the contents of a kubeconfig in base64; write its path, as in /home/me/.kube/config",
    ),
    (
        "a kubeconfig at a URL",
        cluster(kubeconfig="https://user:hunter2@example.com/kubeconfig"),
        "cluster.kubeconfig: is a URL, which nobody fetches here; write the path of a kubeconfig, as in /home/me/.kube/config",
    ),
    (
        "a kubeconfig from a command",
        cluster(kubeconfig="$(terraform output kubeconfig)"),
        "cluster.kubeconfig: is a command of the shell, which nobody runs here; write the path of a kubeconfig, as in "
        "kubeconfig.yaml",
    ),
    (
        "data movers in a zone of one region",
        {"velero": {"dataMovers": {"nodes": {"topology.kubernetes.io/zone": "us-west-2a"}}}},
        "velero.dataMovers.nodes: has topology.kubernetes.io/zone, which nodes of one region alone have, and in the other"
        " no data mover would run; write a label of both regions' nodes, as in pool: storage",
    ),
    (
        "data movers in one region",
        {"velero": {"dataMovers": {"nodes": {"topology.kubernetes.io/region": "us-west-2"}}}},
        "velero.dataMovers.nodes: has topology.kubernetes.io/region, which nodes of one region alone have, and in the "
        "other no data mover would run; write a label of both regions' nodes, as in pool: storage",
    ),
    (
        "data movers on one node",
        {"velero": {"dataMovers": {"nodes": {"kubernetes.io/hostname": "ip-10-0-0-1"}}}},
        "velero.dataMovers.nodes: has kubernetes.io/hostname, which nodes of one region alone have, and in the other no "
        "data mover would run; write a label of both regions' nodes, as in pool: storage",
    ),
    (
        "a promotion in a second",
        {"failover": {"promote": "1s"}},
        "failover.promote: 1s is shorter than 30s, in which Kubernetes starts no Pod; write 30s or more",
    ),
    (
        "workloads available in 29 seconds",
        {"failover": {"scale": "29s"}},
        "failover.scale: 29s is shorter than 30s, in which Kubernetes starts no Pod; write 30s or more",
    ),
    (
        "checks in 5 seconds",
        {"failover": {"verify": "5s"}},
        "failover.verify: 5s is shorter than 30s, in which Kubernetes starts no Pod; write 30s or more",
    ),
    (
        "a database recovered in 9 minutes",
        {"failover": {"recover": "9m"}},
        "failover.recover: 9m is shorter than 10m, in which no archive is read back; write 10m or more",
    ),
    (
        "a restore in a second",
        {"failover": {"restore": "1s"}},
        "failover.restore: 1s is shorter than 1m, in which Velero restores nothing; write 1m or more",
    ),
    (
        "an etcd backup in 10 seconds",
        etcd(timeout="10s"),
        "etcd.timeout: 10s is shorter than 30s, in which no snapshot is taken and uploaded; write 30s or more",
    ),
    (
        "volumes moved in a minute",
        {"velero": {"moveTimeout": "1m"}},
        "velero.moveTimeout: 1m is shorter than 10m, in which few volumes are moved; write 10m or more",
    ),
    (
        "volumes ready in a second",
        {"velero": {"prepareTimeout": "1s"}},
        "velero.prepareTimeout: 1s is shorter than 1m, in which no node has a volume; write 1m or more",
    ),
    (
        "volumes that must be moved before they are ready",
        {"velero": {"moveTimeout": "20m"}},
        "velero.moveTimeout: 20m is shorter than prepareTimeout, 30m, so Velero would cancel before it says why a volume "
        "did not come; write 30m or more",
    ),
    (
        "a data mover with a megabyte",
        {"velero": {"dataMovers": {"memory": "1Mi", "memoryLimit": "1Mi"}}},
        "velero.dataMovers.memoryLimit: 1Mi is less than Velero starts with; write 128Mi or more",
    ),
    (
        "Velero's server with a megabyte",
        {"velero": {"resources": {"memory": "1Mi", "memoryLimit": "1Mi"}}},
        "velero.resources.memoryLimit: 1Mi is less than Velero starts with; write 128Mi or more",
    ),
    (
        "Velero's server with a hundredth of a CPU",
        {"velero": {"resources": {"cpu": "10m", "cpuLimit": "10m"}}},
        "velero.resources.cpuLimit: 10m is too slow for Velero's server to answer its own probes; write 100m or more",
    ),
    (
        "a guard that comes each night",
        {"guard": {"schedule": "0 3 * * *"}},
        "guard.schedule: 0 3 * * * leaves up to 24h between two looks, in which a region that comes back writes beside "
        "the other one; write * * * * *, or one that comes each hour or more often",
    ),
    (
        "a guard that rests on Sundays",
        {"guard": {"schedule": "* * * * 1-6"}},
        "guard.schedule: * * * * 1-6 leaves up to 24h1m between two looks, in which a region that comes back writes "
        "beside the other one; write * * * * *, or one that comes each hour or more often",
    ),
    (
        "true in place of an annotation's value",
        {"velero": {"counterparts": {"true": "false"}}},
        "velero.counterparts: replaces true in every annotation, whatever it switches; take it out, and write a rule of "
        "velero.modifiers for the annotation that is meant",
    ),
    (
        "snapshots by the driver of Amazon EFS",
        {"velero": {"snapshotClass": {"driver": "efs.csi.aws.com"}}},
        "velero.snapshotClass.driver: efs.csi.aws.com takes no snapshots; write one that does, as ebs.csi.aws.com, and "
        "see volumes.md for the others",
    ),
    (
        "the Pods' directory as the kubelet's",
        {"velero": {"kubeletRoot": "/var/lib/kubelet/pods"}},
        "velero.kubeletRoot: /var/lib/kubelet/pods is a directory within the kubelet's; write /var/lib/kubelet",
    ),
    (
        "the plugins' directory as the kubelet's",
        {"velero": {"kubeletRoot": "/var/lib/kubelet/plugins/"}},
        "velero.kubeletRoot: /var/lib/kubelet/plugins/ is a directory within the kubelet's; write /var/lib/kubelet",
    ),
    (
        "the kubelet's configuration as its directory",
        {"velero": {"kubeletRoot": "/etc/kubernetes"}},
        "velero.kubeletRoot: /etc/kubernetes is in /etc, where no kubelet keeps its volumes; write /var/lib/kubelet",
    ),
]

VALID: list[tuple[str, dict[str, Any]]] = [
    ("a kubeconfig whose name has letters of base64 alone", cluster(kubeconfig="kubeconfig")),
    ("a kubeconfig on Windows Subsystem for Linux", cluster(kubeconfig="/mnt/c/Users/me/.kube/config")),
    ("a step of 30 seconds", {"failover": {"promote": "30s", "verify": "30s"}}),
    ("a guard that comes each hour", {"guard": {"schedule": "0 * * * *"}}),
    ("data movers of a capacity type", {"velero": {"dataMovers": {"nodes": {"karpenter.sh/capacity-type": "on-demand"}}}}),
    ("memory of a data mover's least", {"velero": {"dataMovers": {"memory": "128Mi", "memoryLimit": "128Mi"}}}),
    ("the kubelet of k0s", {"velero": {"kubeletRoot": "/var/lib/k0s/kubelet"}}),
]
