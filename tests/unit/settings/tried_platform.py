"""As `tried_harmful`, of etcd, names and load balancers, and what a database is given."""

from __future__ import annotations

from typing import Any

from tests.unit.settings.tried_parts import alias, database, dns, etcd

Row = tuple[str, dict[str, Any], str]

HARMFUL: list[Row] = [
    (
        "an AWS CLI from before Pod Identity",
        {"images": {"awsCli": "public.ecr.aws/aws-cli/aws-cli:2.13.0"}},
        "images.awsCli: public.ecr.aws/aws-cli/aws-cli:2.13.0 does not know EKS Pod Identity, by which Pods ask AWS; write 2.18 "
        "or newer",
    ),
    (
        "a pull secret that is named twice",
        {"pods": {"imagePullSecrets": ["harbor", "harbor"]}},
        "pods.imagePullSecrets: names the Secret harbor twice; keep one",
    ),
    (
        "a pull secret as a Pod's spec lists it",
        {"pods": {"imagePullSecrets": ["Harbor"]}},
        "pods.imagePullSecrets[0]: Harbor is not the name of a Secret; write one as in app-database-server",
    ),
    (
        "nodes with another system than the images",
        {"pods": {"nodeSelector": {"kubernetes.io/os": "windows"}}},
        "pods.nodeSelector: has kubernetes.io/os: windows, and every image of the program is for Linux; take it out",
    ),
    (
        "one node for all Pods of the program",
        {"pods": {"nodeSelector": {"kubernetes.io/hostname": "ip-10-0-0-1"}}},
        "pods.nodeSelector: has kubernetes.io/hostname, by which no Pod of the program runs once that node or zone is gone; "
        "write a label of several nodes, as in pool: storage",
    ),
    (
        "a zone of the other region for all Pods of the program",
        {"pods": {"nodeSelector": {"topology.kubernetes.io/zone": "us-east-1a"}}},
        "pods.nodeSelector: has topology.kubernetes.io/zone: us-east-1a, which no node in us-west-2 has, so no Pod of the "
        "program would run there; write it in the other stack's own file, with all else of pods, or take it out",
    ),
    (
        "a zone of the other region for a database",
        database(nodeSelector={"topology.kubernetes.io/zone": "us-east-1a"}),
        "databases[0].nodeSelector: has topology.kubernetes.io/zone: us-east-1a, which no node in us-west-2 has, so no instance "
        "would run there; write it in the other stack's own file, with all of databases, or take it out",
    ),
    (
        "a toleration of all Pods with a value that nobody compares",
        {"pods": {"tolerations": [{"key": "dedicated", "operator": "Exists", "value": "system"}]}},
        "pods.tolerations[0]: has a value, which Exists does not compare; take value out, or write operator: Equal",
    ),
    (
        "a label by which the program knows its Pods",
        {"pods": {"labels": {"app.kubernetes.io/part-of": "platform"}}},
        "pods.labels: has app.kubernetes.io/part-of, by which the program, an operator or an injector knows its Pods; write "
        "another key, as in team",
    ),
    (
        "a label that the program gives to its namespaces",
        {"pods": {"namespaceLabels": {"app.kubernetes.io/part-of": "platform"}}},
        "pods.namespaceLabels: has app.kubernetes.io/part-of, which the program itself gives to its namespaces; write another "
        "key, as in team",
    ),
    (
        "a level of Pod Security for every namespace",
        {"pods": {"namespaceLabels": {"pod-security.kubernetes.io/enforce": "restricted"}}},
        "pods.namespaceLabels: has pod-security.kubernetes.io/enforce, and Velero's node agent needs another level than others; "
        "take it out, and label k8s-dr by hand",
    ),
    (
        "a request without a unit",
        {"pods": {"requests": {"memory": "64"}}},
        "pods.requests.memory: 64 has no unit; write 64Gi or 64Mi",
    ),
    (
        "alarms whose topic is in the other region",
        {
            "storage": {"replicationMetrics": True},
            "monitoring": {
                "alarms": {
                    "primary": "arn:aws:sns:us-west-2:123456789012:on-call",
                    "secondary": "arn:aws:sns:us-west-2:123456789012:on-call",
                }
            },
        },
        "monitoring.alarms.primary: arn:aws:sns:us-west-2:123456789012:on-call is not in us-east-1, whose alarms tell no topic "
        "of another region; write one of us-east-1",
    ),
    (
        "alarms without metrics",
        {
            "monitoring": {
                "alarms": {
                    "primary": "arn:aws:sns:us-east-1:123456789012:on-call",
                    "secondary": "arn:aws:sns:us-west-2:123456789012:on-call",
                }
            }
        },
        "monitoring.alarms: asks for alarms on copies between the regions, and S3 publishes no metrics of them; write storage: "
        "{replicationMetrics: true}, or take alarms out",
    ),
    (
        "runbooks with a slash at the end",
        {"monitoring": {"enabled": True, "runbooks": "https://wiki.example.com/dr/"}},
        "monitoring.runbooks: https://wiki.example.com/dr/ is not where the pages of docs/ are, without a slash at its end; "
        "write https://wiki.example.com/dr",
    ),
    (
        "a standby that should replay each minute",
        {"monitoring": {"enabled": True, "replayWithin": "1m"}},
        "monitoring.replayWithin: 1m is shorter than 5m, in which a commit is archived, copied and replayed; write 5m or more",
    ),
    (
        "snapshots in etcd's own directory",
        etcd(directory="/var/lib/etcd"),
        "etcd.directory: /var/lib/etcd is the directory of etcd's own data, /var/lib/etcd; write another, as in "
        "/var/backups/etcd",
    ),
    (
        "snapshots below etcd's own directory",
        etcd(directory="/var/lib/etcd/member/snap"),
        "etcd.directory: /var/lib/etcd/member/snap is below the directory of etcd's own data, /var/lib/etcd; write "
        "another, as in /var/backups/etcd",
    ),
    (
        "snapshots above etcd's own directory",
        etcd(directory="/var/lib"),
        "etcd.directory: /var/lib holds the directory of etcd's own data, /var/lib/etcd; write another, as in /var/backups/etcd",
    ),
    (
        "snapshots in the data of k3s",
        etcd(directory="/var/lib/rancher/k3s/server/db/snapshots"),
        "etcd.directory: /var/lib/rancher/k3s/server/db/snapshots is below the directory of etcd's own data, "
        "/var/lib/rancher/k3s/server/db; write another, as in /var/backups/etcd",
    ),
    (
        "snapshots where the kubelet reads",
        etcd(directory="/etc/kubernetes/manifests"),
        "etcd.directory: /etc/kubernetes/manifests is in /etc, which is not for backups; write another, as in /var/backups/etcd",
    ),
    (
        "etcd's port for its peers",
        etcd(endpoint="https://127.0.0.1:2380"),
        "etcd.endpoint: https://127.0.0.1:2380 has the port of etcd's peers, where no snapshot is to be had; write "
        "https://127.0.0.1:2379",
    ),
    (
        "etcd's port for metrics",
        etcd(endpoint="http://127.0.0.1:2381"),
        "etcd.endpoint: http://127.0.0.1:2381 has the port of etcd's metrics, as kubeadm sets it up, where no "
        "snapshot is to be had; write http://127.0.0.1:2379",
    ),
    (
        "the API server's port",
        etcd(endpoint="https://127.0.0.1:6443"),
        "etcd.endpoint: https://127.0.0.1:6443 has the port of Kubernetes' API server, where no snapshot is to be "
        "had; write https://127.0.0.1:2379",
    ),
    (
        "an endpoint without a port",
        etcd(endpoint="https://127.0.0.1"),
        "etcd.endpoint: https://127.0.0.1 has no port; write https://127.0.0.1:2379",
    ),
    (
        "an endpoint without a scheme",
        etcd(endpoint="127.0.0.1:2379"),
        "etcd.endpoint: 127.0.0.1:2379 has no scheme; write https://127.0.0.1:2379",
    ),
    (
        "an endpoint with a path",
        etcd(endpoint="https://127.0.0.1:2379/v3"),
        "etcd.endpoint: https://127.0.0.1:2379/v3 is not the URL of one member of etcd; write one as in https://127.0.0.1:2379",
    ),
    (
        "an endpoint with a port that is none",
        etcd(endpoint="https://127.0.0.1:23790000"),
        "etcd.endpoint: https://127.0.0.1:23790000 has a port that is no number from 1 to 65535; write one as in "
        "https://127.0.0.1:2379",
    ),
    (
        "an endpoint with half a bracket",
        etcd(endpoint="https://[::1:2379"),
        "etcd.endpoint: https://[::1:2379 is not the URL of one member of etcd; write one as in https://127.0.0.1:2379",
    ),
    (
        "an endpoint at an address that is none",
        etcd(endpoint="https://10.0.0.999:2379"),
        "etcd.endpoint: https://10.0.0.999:2379 is not the URL of one member of etcd; write one as in https://127.0.0.1:2379",
    ),
    (
        "a registry's name",
        dns(names=["co.uk"]),
        "dns.names[0]: co.uk is a registry's, and in no zone of yours; write one as in app.example.co.uk",
    ),
    (
        "every name of a registry",
        dns(names=["*.com.au"]),
        "dns.names[0]: *.com.au is a registry's, and in no zone of yours; write one as in app.example.com.au",
    ),
    (
        "a load balancer as a name that users call",
        dns(names=["lb-1.us-east-1.elb.amazonaws.com"]),
        "dns.names[0]: lb-1.us-east-1.elb.amazonaws.com is a name of AWS, and a record of it in no zone of yours; "
        "write a name that users call, and the load balancer in endpoint",
    ),
    (
        "the domain of AWS's load balancers",
        dns(names=["elb.amazonaws.com"]),
        "dns.names[0]: elb.amazonaws.com is a name of AWS, and a record of it in no zone of yours; write a name that "
        "users call, and the load balancer in endpoint",
    ),
    (
        "the top of a zone below a registry of two labels",
        dns(names=["example.co.uk"]),
        "endpoint: lb-secondary.us-west-2.elb.amazonaws.com is a name, and example.co.uk of dns.names is the top of "
        "its zone, where Route 53 takes no CNAME; write {name: lb-secondary.us-west-2.elb.amazonaws.com, zoneId: "
        "Z1H1FL5HABSF5}",
    ),
    (
        "names of two zones below one registry",
        dns(names=["app.one.co.uk", "app.two.co.uk"]),
        "dns.names[1]: app.two.co.uk and app.one.co.uk are in no zone together, and dns.zoneId is one zone; take one of them out",
    ),
    (
        "an alias with the zone of the other region",
        alias("lb-1.us-west-2.elb.amazonaws.com", "Z35SXDOTRQ7X7K"),
        "endpoint.zoneId: Z35SXDOTRQ7X7K is not the zone of lb-1.us-west-2.elb.amazonaws.com, so Route 53 would "
        "refuse the alias; write Z1H1FL5HABSF5",
    ),
    (
        "an alias of an ALB with the zone of NLBs",
        alias("lb-1.us-west-2.elb.amazonaws.com", "Z18D5FSROUN65G"),
        "endpoint.zoneId: Z18D5FSROUN65G is not the zone of lb-1.us-west-2.elb.amazonaws.com, so Route 53 would "
        "refuse the alias; write Z1H1FL5HABSF5",
    ),
    (
        "an alias of an NLB with the zone of ALBs",
        alias("lb-1.elb.us-west-2.amazonaws.com", "Z1H1FL5HABSF5"),
        "endpoint.zoneId: Z1H1FL5HABSF5 is not the zone of lb-1.elb.us-west-2.amazonaws.com, so Route 53 would "
        "refuse the alias; write Z18D5FSROUN65G",
    ),
    (
        "a parameter that PostgreSQL reports",
        database(parameters={"wal_segment_size": "64MB"}),
        "databases[0].parameters: sets wal_segment_size, which PostgreSQL only reports, and would not start with; take it out",
    ),
    (
        "a parameter that initdb sets",
        database(parameters={"data_checksums": "on"}),
        "databases[0].parameters: sets data_checksums, which PostgreSQL only reports, and would not start with; take it out",
    ),
    (
        "a parameter that PostgreSQL reports, in capitals",
        database(parameters={"Server_Version": "18"}),
        "databases[0].parameters: sets Server_Version, which PostgreSQL only reports, and would not start with; take it out",
    ),
    (
        "an archive library beside CloudNativePG's command",
        database(parameters={"archive_library": "basic_archive"}),
        "databases[0].parameters: sets archive_library to basic_archive, which PostgreSQL takes in place of "
        "archive_command, and CloudNativePG sets that; take it out",
    ),
    (
        "huge pages in a Pod without",
        database(parameters={"huge_pages": "on"}),
        "databases[0].parameters: sets huge_pages to on, and the database's Pods have no huge pages, without which "
        "PostgreSQL would not start; write try",
    ),
    (
        "fewer connections than are reserved",
        database(parameters={"max_connections": "3"}),
        "databases[0].parameters: has max_connections 3, of which 3 are reserved, and PostgreSQL would not start; "
        "write 100 or more",
    ),
    (
        "more reserved connections than there are",
        database(parameters={"reserved_connections": "100"}),
        "databases[0].parameters: has max_connections 100, of which 103 are reserved, and PostgreSQL would not "
        "start; write 123 or more",
    ),
    (
        "fewer WAL senders than instances",
        database(parameters={"max_wal_senders": "2"}),
        "databases[0].parameters: sets max_wal_senders to 2, and 3 instances and the other region need 5; write that "
        "or more, or take it out",
    ),
    (
        "fewer replication slots than instances",
        database(parameters={"max_replication_slots": "2"}),
        "databases[0].parameters: sets max_replication_slots to 2, and 3 instances and the other region need 3; "
        "write that or more, or take it out",
    ),
    (
        "megabytes in place of gigabytes",
        database(storage="10Mi"),
        "databases[0].storage: 10Mi is less than an empty PostgreSQL takes; write 10Gi, or 1Gi at least",
    ),
    (
        "a volume for WAL that holds no WAL",
        database(walStorage="64Mi"),
        "databases[0].walStorage: 64Mi has no room for the WAL that PostgreSQL always keeps (min_wal_size, 80MB); "
        "write 64Gi, or 1Gi at least",
    ),
    (
        "no room for WAL beside the data",
        database(storage="128Mi", walStorage=None),
        "databases[0].storage: 128Mi has no room for the WAL that PostgreSQL always keeps (min_wal_size, 80MB); "
        "write 128Gi, or 1Gi at least",
    ),
]

VALID: list[tuple[str, dict[str, Any]]] = [
    ("an AWS CLI of version 1", {"images": {"awsCli": "registry.example.com/tools/aws-cli:1.46.3"}}),
    (
        "what policies and meshes want to see on a namespace",
        {"pods": {"namespaceLabels": {"name": "disaster-recovery", "istio.io/rev": "stable", "kuma.io/mesh": "default"}}},
    ),
    ("a directory that ends in a slash", etcd(directory="/var/backups/etcd/")),
    ("a directory beside etcd's own", etcd(directory="/var/lib/etcd-backup")),
    ("etcd at an IPv6 address", etcd(endpoint="https://[::1]:2379")),
    ("etcd by a name, on a port of its own", etcd(endpoint="https://etcd-0.example.com:23790")),
    ("a name below a registry of two labels", dns(names=["app.example.co.uk"])),
    ("an alias of an ALB", alias("dualstack.lb-1.us-west-2.elb.amazonaws.com", "Z1H1FL5HABSF5")),
    ("an alias of an NLB", alias("lb-1.elb.us-west-2.amazonaws.com", "Z18D5FSROUN65G")),
    ("an alias of what is no load balancer", alias("a1.awsglobalaccelerator.com", "Z2BJ6XQ5FK7U4H")),
    ("decimal gigabytes", database(storage="100G")),
    ("a fraction of a size", database(storage="1.5Ti")),
    ("a large size", database(storage="1Pi")),
    ("a fraction of memory", database(resources={"memory": "1.5Gi"})),
    ("huge pages where there are some", database(parameters={"huge_pages": "try"})),
    ("no archive library", database(parameters={"archive_library": ""})),
]
