"""As `tried_harmful`, in the words that people bring from other tools: each line says what to write."""

from __future__ import annotations

from typing import Any

from tests.examples import PASSWORD, STATIC
from tests.unit.settings.tried_parts import backup, cluster, connected, database, delivery, dns, topology, workload

Row = tuple[str, dict[str, Any], str]

HARMFUL: list[Row] = [
    (
        "an issuer with its scheme",
        {"identity": "irsa", **cluster(oidcIssuer="https://oidc.eks.us-west-2.amazonaws.com/id/EXAMPLE")},
        "cluster.oidcIssuer: https://oidc.eks.us-west-2.amazonaws.com/id/EXAMPLE is not an issuer without https://; "
        "write oidc.eks.us-west-2.amazonaws.com/id/EXAMPLE",
    ),
    (
        "a session in place of its role",
        cluster(veleroRoleArn="arn:aws:sts::123456789012:assumed-role/velero/me"),
        "cluster.veleroRoleArn: arn:aws:sts::123456789012:assumed-role/velero/me is not the ARN of a role; write "
        "arn:aws:iam::123456789012:role/velero",
    ),
    (
        "a role of GovCloud",
        cluster(veleroRoleArn="arn:aws-us-gov:iam::123456789012:role/velero"),
        "cluster.veleroRoleArn: arn:aws-us-gov:iam::123456789012:role/velero is of the partition aws-us-gov, and "
        "this program works in the commercial partition of AWS alone (docs/limits.md); write one as in "
        "arn:aws:iam::123456789012:role/velero",
    ),
    (
        "GovCloud",
        topology(regions={"primary": "us-gov-east-1", "secondary": "us-gov-west-1"}),
        "topology.regions.primary: us-gov-east-1 is in GovCloud, and this program works in the commercial partition "
        "of AWS alone (docs/limits.md); write one as in us-west-2",
    ),
    (
        "China",
        topology(regions={"primary": "cn-north-1", "secondary": "cn-northwest-1"}),
        "topology.regions.primary: cn-north-1 is in China, and this program works in the commercial partition of AWS "
        "alone (docs/limits.md); write one as in us-west-2",
    ),
    (
        "a load balancer in China",
        {"endpoint": "lb.cn-north-1.elb.amazonaws.com.cn"},
        "endpoint: lb.cn-north-1.elb.amazonaws.com.cn is in cn-north-1, and this stack's region is us-west-2; write "
        "the load balancer of stack secondary's own cluster",
    ),
    (
        "a load balancer in GovCloud",
        {"endpoint": "lb.us-gov-west-1.elb.amazonaws.com"},
        "endpoint: lb.us-gov-west-1.elb.amazonaws.com is in us-gov-west-1, and this stack's region is us-west-2; "
        "write the load balancer of stack secondary's own cluster",
    ),
    (
        "an availability zone",
        topology(regions={"primary": "us-east-1a", "secondary": "us-west-2"}),
        "topology.regions.primary: us-east-1a is not a commercial AWS region; write us-east-1",
    ),
    (
        "a region in capitals",
        topology(regions={"primary": "US-EAST-1", "secondary": "us-west-2"}),
        "topology.regions.primary: US-EAST-1 is not a commercial AWS region; write us-east-1",
    ),
    (
        "an account as the console writes it",
        topology(accountId="1234-5678-9012"),
        'topology.accountId: 1234-5678-9012 is not an AWS account id in quotes; write "123456789012"',
    ),
    (
        "an account whose zero YAML took away",
        topology(accountId=12345678901),
        'topology.accountId: 12345678901 is a number; write it in quotes: "012345678901"',
    ),
    (
        "a kubeconfig by a variable of the shell",
        cluster(kubeconfig="$HOME/.kube/config"),
        "cluster.kubeconfig: begins with a variable of the shell, which nobody expands here; write ~/.kube/config, "
        "or the whole path",
    ),
    (
        "a profile that ends in a space",
        {"aws": {"profile": "dr "}},
        'aws.profile: "dr " begins or ends with a space; take it out',
    ),
    (
        "a tag that AWS keeps for itself",
        {"aws": {"tags": {"aws:cost": "4711"}}},
        "aws.tags: aws:cost begins with aws:, which AWS keeps for itself; write one as in CostCenter",
    ),
    (
        "a tag of the program's in another case",
        {"aws": {"tags": {"Owner": "platform"}}},
        "aws.tags: Owner is the program's own tag owner, and AWS tells keys apart by more than case; take it out",
    ),
    (
        "two tags that IAM takes for one",
        {"aws": {"tags": {"CostCenter": "4711", "costcenter": "4711"}}},
        "aws: tags has CostCenter and costcenter, which IAM takes for one key; take one out",
    ),
    (
        "a tag's value with a character that no service takes",
        {"aws": {"tags": {"CostCenter": "4711;4712"}}},
        "aws.tags.CostCenter: 4711;4712 is not the value of a tag (letters, digits, spaces and _.:/=+-@, 256 at most); write one "
        "as in 4711",
    ),
    (
        "a role in the place of a boundary",
        {"aws": {"permissionsBoundary": "arn:aws:iam::123456789012:role/boundary"}},
        "aws.permissionsBoundary: arn:aws:iam::123456789012:role/boundary is not the ARN of a managed policy; write one as in "
        "arn:aws:iam::123456789012:policy/boundary",
    ),
    (
        "a boundary of another account",
        {"aws": {"permissionsBoundary": "arn:aws:iam::210987654321:policy/boundary"}},
        "aws.permissionsBoundary: arn:aws:iam::210987654321:policy/boundary is of another account than topology.accountId, "
        "123456789012, and IAM takes none such; write one of 123456789012",
    ),
    (
        "a stand-in for AWS without a scheme",
        {"aws": {"endpoint": "localhost:4566"}},
        "aws.endpoint: localhost:4566 is not a plain URL (scheme, host and port); write http://localhost:4566",
    ),
    (
        "a key that ends in a line break",
        {
            **STATIC,
            "staticCredentials": {
                p: {"accessKeyId": "AKIAIOSFODNN7EXAMPLE", "secretAccessKey": "x" * 40 + "\n"}
                for p in ("velero", "database", "freshness")
            },
        },
        "staticCredentials.velero.secretAccessKey: has a space or a line break, as a file or a pasted text does; "
        "run, and type it: pulumi config set --secret --path staticCredentials.velero.secretAccessKey -s secondary",
    ),
    (
        "an endpoint with its port",
        {"endpoint": "lb.us-west-2.elb.amazonaws.com:443"},
        "endpoint: lb.us-west-2.elb.amazonaws.com:443 is not a host name; write lb.us-west-2.elb.amazonaws.com",
    ),
    (
        "a zone as Route 53's tools write it",
        dns(zoneId="/hostedzone/Z0123456789ABCDEFGHIJ"),
        "dns.zoneId: /hostedzone/Z0123456789ABCDEFGHIJ is not a Route 53 hosted zone id; write Z0123456789ABCDEFGHIJ",
    ),
    (
        "a name with a path",
        dns(names=["app.example.com/login"]),
        "dns.names[0]: app.example.com/login is not a host name; write app.example.com",
    ),
    (
        "an asterisk within a name",
        dns(names=["app.*.example.com"]),
        "dns.names[0]: app.*.example.com has an asterisk elsewhere than for its leftmost label; write one as in "
        "*.apps.example.com",
    ),
    (
        "seconds with their unit",
        dns(ttl="60s"),
        "dns.ttl: 60s is not a whole number; write 60",
    ),
    (
        "a probe without a scheme",
        {"failover": {"probe": "app.example.com"}},
        "failover.probe: app.example.com is not a URL; write https://app.example.com/",
    ),
    (
        "a region in place of the stack",
        {"active": "us-west-2"},
        "active: us-west-2 is the region of stack secondary; write secondary",
    ),
    (
        "a database with an underscore",
        {"databases": [{"name": "app_db", "namespace": "databases"}], "databasePasswords": {"app_db": PASSWORD}},
        "databases[0].name: app_db is not a name of lower case letters, digits and -, which begins with a letter; write app-db",
    ),
    (
        "an owner with a hyphen",
        database(owner="app-owner"),
        "databases[0].owner: app-owner is not a PostgreSQL name in lower case; write app_owner",
    ),
    (
        "hours in a recovery window",
        database(retention="720h"),
        "databases[0].retention: 720h is not a recovery window in days, weeks or months; write 30d",
    ),
    (
        "a year in a recovery window",
        database(retention="1y"),
        "databases[0].retention: 1y is not a recovery window in days, weeks or months; write 12m",
    ),
    (
        "a host with its port",
        database(**connected(hosts={"primary": "pg.example.com:5432", "secondary": "10.2.0.5"})),
        "databases[0].streaming.hosts.primary: pg.example.com:5432 is not a host name; write pg.example.com",
    ),
    (
        "a network in place of an address",
        database(**connected(hosts={"primary": "10.1.0.5/32", "secondary": "10.2.0.5"})),
        "databases[0].streaming.hosts.primary: 10.1.0.5/32 is not a host name; write 10.1.0.5",
    ),
    (
        "base backups that count from a start",
        database(backupCron="@every 12h"),
        "databases[0].backupCron: @every 12h counts from when its controller started, which nobody can foresee; "
        'write "0 0 */12 * * *"',
    ),
    (
        "a cron line with its time zone",
        backup(cron="CRON_TZ=Europe/Berlin 0 2 * * *"),
        "backups[0].cron: CRON_TZ=Europe/Berlin 0 2 * * * has a time zone, and schedules here are in UTC alone; "
        'write "0 2 * * *", moved to UTC',
    ),
    (
        "backups that count from a start",
        backup(cron="@every 6h"),
        'backups[0].cron: @every 6h counts from when its controller started, which nobody can foresee; write "0 */6 * * *"',
    ),
    (
        "namespaces by an asterisk",
        backup(exclude=[], include=["team-*"]),
        "backups[0].include[0]: team-* stands for several namespaces, and a failover must know each; write each by its name",
    ),
    (
        "all namespaces by an asterisk",
        backup(exclude=[], include=["*"]),
        "backups[0].include[0]: * stands for all namespaces, and all are backed up where neither include nor exclude "
        "is written; take it out",
    ),
    (
        "a kind with its version",
        backup(excludeResources=["deployments.v1.apps"]),
        "backups[0].excludeResources[0]: deployments.v1.apps has a version, which Velero takes for a part of the "
        "group; write deployments.apps",
    ),
    (
        "a workload by kubectl's short name",
        workload(names=["deploy/web"]),
        "workloads[0].names[0]: deploy/web is not a workload; write deployment/web",
    ),
    (
        "a DaemonSet",
        workload(names=["daemonset/agent"]),
        "workloads[0].names[0]: daemonset/agent has no replicas that could be set; take it out, for a restore brings "
        "it by itself",
    ),
    (
        "a namespace with a capital",
        workload(namespace="Back_Office"),
        "workloads[0].namespace: Back_Office is not a Kubernetes name (lower case letters, digits and -); write back-office",
    ),
    (
        "a Service by its DNS name",
        workload(check={"service": "web.production.svc", "port": 80}),
        "workloads[0].check.service: web.production.svc is not a Kubernetes name (lower case letters, digits and -); write web",
    ),
    (
        "a port by its name",
        workload(check={"service": "web", "port": "http"}),
        "workloads[0].check.port: http is not a whole number; write one as in 80",
    ),
    (
        "a URL in place of a path",
        workload(check={"service": "web", "path": "https://app.example.com/healthz"}),
        "workloads[0].check.path: https://app.example.com/healthz is not a path; write /healthz",
    ),
    (
        "snapshots of Amazon EFS",
        {"velero": {"volumes": [{"driver": "efs.csi.aws.com", "action": "snapshot"}]}},
        "velero.volumes[0]: asks for snapshots of efs.csi.aws.com, which takes none; write action: fs-backup or skip",
    ),
    (
        "an etcd without etcdutl",
        {"images": {"etcd": "quay.io/coreos/etcd:v3.4.30"}},
        "images.etcd: quay.io/coreos/etcd:v3.4.30 has no etcdutl, which verifies snapshots; write version 3.5 or newer",
    ),
    (
        "a plugin that cannot promote",
        {"images": {"barmanCloudPlugin": "ghcr.io/cloudnative-pg/plugin-barman-cloud:v0.9.0"}},
        "images.barmanCloudPlugin: ghcr.io/cloudnative-pg/plugin-barman-cloud:v0.9.0 cannot promote: it reads WAL "
        "from the wrong archive; write version 0.14 or newer",
    ),
    (
        "an image with a scheme",
        {"images": {"python": "https://registry.example.com/python:3.13"}},
        "images.python: https://registry.example.com/python:3.13 is not an image; write registry.example.com/python:3.13",
    ),
    (
        "an image with capitals",
        {"images": {"python": "Registry.example.com/Library/Python:3.13"}},
        "images.python: Registry.example.com/Library/Python:3.13 is not an image; write registry.example.com/library/python:3.13",
    ),
    (
        "a repository by its URL",
        delivery(repository="https://github.com/acme/k8s-dr.git"),
        "delivery.repository: https://github.com/acme/k8s-dr.git is not owner/name, without .git; write acme/k8s-dr",
    ),
    (
        "a bucket by its URL",
        delivery(stateBucket="s3://acme-pulumi-us-west-2"),
        "delivery.stateBucket: s3://acme-pulumi-us-west-2 is not a bucket; write acme-pulumi-us-west-2",
    ),
    (
        "an alias in place of a key",
        delivery(stateKeyArn="arn:aws:kms:us-west-2:123456789012:alias/pulumi"),
        "delivery.stateKeyArn: arn:aws:kms:us-west-2:123456789012:alias/pulumi is the ARN of an alias; write the "
        "key's own: aws kms describe-key --key-id alias/… --query KeyMetadata.Arn",
    ),
]

VALID: list[tuple[str, dict[str, Any]]] = [
    ("a kubeconfig in the home directory", cluster(kubeconfig="~/.kube/config")),
    ("a moving tag beside a digest", {"images": {"python": "docker.io/library/python:latest@sha256:" + "a" * 64}}),
    ("a GitHub environment with capitals", delivery(environment="Production-EU")),
    ("a wildcard beside a name that it means", dns(names=["*.example.com", "app.example.com"])),
    (
        "two databases in one namespace",
        {
            "databases": [{"name": name, "namespace": "databases"} for name in ("app-database", "orders")],
            "databasePasswords": {"app-database": PASSWORD, "orders": PASSWORD},
        },
    ),
    ("a custom resource of any group", backup(excludeResources=["widgets.example.com"])),
]
