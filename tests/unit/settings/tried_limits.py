"""As `tried_harmful`, of times, sizes and places that no failover, restore or node has."""

from __future__ import annotations

import base64
from typing import Any

from tests.unit.settings.tried_parts import cluster, connected, database, dns, etcd, topology, workload

Row = tuple[str, dict[str, Any], str]


def encoded(text: str) -> dict[str, Any]:
    return cluster(kubeconfig=base64.b64encode(text.encode()).decode())


HARMFUL: list[Row] = [
    (
        "a token in place of a kubeconfig",
        cluster(kubeconfig="eyJhbGciOiJSUzI1NiJ9.aHVudGVyMg.c2lnbmVk"),
        "cluster.kubeconfig: is not the path of a kubeconfig; write one as in /home/me/.kube/config",
    ),
    (
        "a certificate in place of a kubeconfig",
        cluster(kubeconfig="-----BEGIN CERTIFICATE-----hunter2"),
        "cluster.kubeconfig: is not the path of a kubeconfig; write one as in /home/me/.kube/config",
    ),
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
        "data movers in a zone of the other region",
        {"velero": {"dataMovers": {"nodes": {"topology.kubernetes.io/zone": "us-east-1a"}}}},
        "velero.dataMovers.nodes: has topology.kubernetes.io/zone: us-east-1a, which no node in us-west-2 has, so no data"
        " mover would run there; write it in the other stack's own file, with all else of velero, or take it out",
    ),
    (
        "data movers in the other region",
        {"velero": {"dataMovers": {"nodes": {"topology.kubernetes.io/region": "us-east-1"}}}},
        "velero.dataMovers.nodes: has topology.kubernetes.io/region: us-east-1, which no node in us-west-2 has, so no "
        "data mover would run there; write it in the other stack's own file, with all else of velero, or take it out",
    ),
    (
        "data movers on one node",
        {"velero": {"dataMovers": {"nodes": {"kubernetes.io/hostname": "ip-10-0-0-1"}}}},
        "velero.dataMovers.nodes: has kubernetes.io/hostname, by which no data mover runs once that node or zone is gone;"
        " write a label of several nodes, as in pool: storage",
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
        "velero.moveTimeout: 20m is shorter than prepareTimeout, 30m, and a volume is moved only once it is ready; write "
        "30m or more",
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
        "velero.resources.cpuLimit: 10m is too little for Velero's server; write 100m or more",
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
        "velero.counterparts: replaces true in each annotation of load balancers, whatever it means there; take it out, "
        "and write a rule of velero.modifiers for the annotation that is meant",
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
    (
        "a certificate of the dead region as a counterpart",
        {
            "velero": {
                "counterparts": {
                    "arn:aws:acm:us-east-1:123456789012:certificate/1": "arn:aws:acm:us-east-1:123456789012:certificate/2"
                }
            }
        },
        "velero.counterparts: puts arn:aws:acm:us-east-1:123456789012:certificate/2 in place of arn:aws:acm:us-"
        "east-1:123456789012:certificate/1, and that is in us-east-1 and not in us-west-2, the region that restores; "
        "write one of us-west-2",
    ),
    (
        "a certificate of a third region in a list",
        {"velero": {"counterparts": {"a": "sg-1,arn:aws:acm:eu-west-1:123456789012:certificate/1"}}},
        "velero.counterparts: puts arn:aws:acm:eu-west-1:123456789012:certificate/1 in place of a, and that is in eu-"
        "west-1 and not in us-west-2, the region that restores; write one of us-west-2",
    ),
    (
        "a user pool of the dead region in JSON",
        {"velero": {"counterparts": {"a": '{"userPoolARN":"arn:aws:cognito-idp:us-east-1:123456789012:userpool/1"}'}}},
        "velero.counterparts: puts arn:aws:cognito-idp:us-east-1:123456789012:userpool/1 in place of a, and that is in us-east-1 "
        "and not in us-west-2, the region that restores; write one of us-west-2",
    ),
    (
        "counterparts the wrong way round",
        {"velero": {"counterparts": {"arn:aws:acm:us-west-2:123456789012:certificate/1": "sg-1"}}},
        "velero.counterparts: replaces arn:aws:acm:us-west-2:123456789012:certificate/1, which is in us-west-2, the "
        "region that restores; write the primary region's value first",
    ),
    (
        "the class that EKS makes",
        {"storageClass": {"managed": True, "name": "gp2"}},
        "storageClass.name: gp2 is the class that EKS itself makes, so creating it fails; write another, as in gp3-encrypted",
    ),
    (
        "Python 3.10",
        {"images": {"python": "docker.io/library/python:3.10-slim"}},
        "images.python: docker.io/library/python:3.10-slim is older than what the program runs inside the cluster; write "
        "version 3.11 or newer",
    ),
    (
        "Velero's plugin in place of Velero",
        {"images": {"velero": "docker.io/velero/velero-plugin-for-aws:v1.14.3"}},
        "images.velero: docker.io/velero/velero-plugin-for-aws:v1.14.3 is a plugin of Velero and not Velero itself; write"
        " velero/velero with its tag",
    ),
    (
        "Velero in place of its plugin",
        {"images": {"veleroPluginForAws": "docker.io/velero/velero:v1.18.3"}},
        "images.veleroPluginForAws: docker.io/velero/velero:v1.18.3 is Velero and not its plugin; write velero/velero-"
        "plugin-for-aws with its tag",
    ),
    (
        "a name that users call, for the database",
        database(**connected(serviceAnnotations={"external-dns.alpha.kubernetes.io/hostname": "app.example.com"})),
        "databases[0].streaming.serviceAnnotations: gives app.example.com to the database by external-"
        "dns.alpha.kubernetes.io/hostname, and it is one of dns.names; write a name of the database's own",
    ),
    (
        "a service-linked role",
        cluster(veleroRoleArn="arn:aws:iam::123456789012:role/aws-service-role/backup.amazonaws.com/AWSServiceRoleForBackup"),
        "cluster.veleroRoleArn: arn:aws:iam::123456789012:role/aws-service-"
        "role/backup.amazonaws.com/AWSServiceRoleForBackup is a role in aws-service-role/, which AWS keeps for itself and"
        " no Pod may assume; write one of your own",
    ),
    (
        "a role of IAM Identity Center",
        cluster(veleroRoleArn="arn:aws:iam::123456789012:role/aws-reserved/sso.amazonaws.com/AWSReservedSSO_Admin_1"),
        "cluster.veleroRoleArn: arn:aws:iam::123456789012:role/aws-reserved/sso.amazonaws.com/AWSReservedSSO_Admin_1 is a"
        " role in aws-reserved/, which AWS keeps for itself and no Pod may assume; write one of your own",
    ),
    (
        "a stand-in for AWS that ends in a slash",
        {"aws": {"endpoint": "http://aws.example.com:5000/"}},
        "aws.endpoint: http://aws.example.com:5000/ is not a plain URL (scheme, host and port); write "
        "http://aws.example.com:5000",
    ),
    (
        "a name of a Service as one that users call",
        dns(names=["app.example.com", "web.production.svc.cluster.local"]),
        "dns.names[1]: web.production.svc.cluster.local is a name that only the cluster itself resolves; write a name "
        "that users call",
    ),
    (
        "the cluster's own domain as a name that users call",
        dns(names=["app.cluster.local"]),
        "dns.names[0]: app.cluster.local is a name that only the cluster itself resolves; write a name that users call",
    ),
    (
        "a namespace of 64 characters",
        workload(namespace="a" * 64),
        "workloads[0].namespace: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa is longer than 63 "
        "characters; shorten it by 1",
    ),
    (
        "a part of a name of 64 characters",
        dns(names=[f"{'a' * 64}.example.com"]),
        "dns.names[0]: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.example.com has "
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa between two dots, and 63 characters are the "
        "most there; write one as in app.example.com",
    ),
    (
        "a name of 316 characters",
        dns(names=[f"{('a' * 60 + '.') * 5}example.com"]),
        "dns.names[0]: a text of 316 characters is longer than the 253 characters of a host name; write one as in "
        "app.example.com",
    ),
    (
        "a path of 300 characters",
        workload(check={"service": "web", "path": "/" + "a" * 299}),
        "workloads[0].check.path: a text of 300 characters is longer than 255 characters; shorten it by 45",
    ),
    (
        "an organization of 25 characters",
        topology(organization="a" * 25),
        "topology.organization: aaaaaaaaaaaaaaaaaaaaaaaaa is longer than 20 characters; shorten it by 5",
    ),
    (
        "a number of bytes",
        database(storage=107374182400),
        'databases[0].storage: 107374182400 is a number; write it in quotes: "100Gi"',
    ),
    (
        "a number that is too small for bytes",
        database(storage="100"),
        "databases[0].storage: 100 has no unit; write 100Gi or 100Mi",
    ),
    (
        "a database with a space",
        database(database="my db"),
        "databases[0].database: my db is not a name of a PostgreSQL database (letters, digits, _ and -); write my_db",
    ),
    (
        "no CPU at all",
        database(resources={"cpu": ".0"}),
        'databases[0].resources.cpu: .0 is not a number of CPUs in quotes; write one as in "2" or "500m"',
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
    (
        "a counterpart that is of no region",
        {"velero": {"counterparts": {"arn:aws:iam::123456789012:role/a": "arn:aws:iam::123456789012:role/b"}}},
    ),
    (
        "a user pool as JSON",
        {
            "velero": {
                "counterparts": {
                    '{"userPoolARN":"arn:aws:cognito-idp:us-east-1:123456789012:userpool/1"}': (
                        '{"userPoolARN":"arn:aws:cognito-idp:us-west-2:123456789012:userpool/2"}'
                    )
                }
            }
        },
    ),
    ("a class gp2 that others made", {"storageClass": {"name": "gp2"}}),
    ("an image with Python and a version of its own", {"images": {"python": "registry.example.com/tools:1.4"}}),
    ("bytes, and a half CPU without its zero", database(storage="107374182400", resources={"memory": "8589934592", "cpu": ".5"})),
    ("Velero's server with a half CPU", {"velero": {"resources": {"cpu": ".25", "cpuLimit": ".5"}}}),
    ("a database with a hyphen", database(database="my-db")),
    ("a database with a capital", database(database="Orders")),
    ("a private zone with a probe of its own", {**dns(names=["app.corp.local"]), "failover": {"probe": "https://10.1.0.5/"}}),
]
