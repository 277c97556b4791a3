"""Configurations that were accepted once, and would have failed or done harm later; each with the line that refuses it now."""

from __future__ import annotations

from typing import Any

from tests.examples import REMOVED, STATIC
from tests.unit.settings.test_mistakes import COMMITTED
from tests.unit.settings.tried_parts import (
    STREAMED,
    backup,
    cluster,
    connected,
    database,
    delivery,
    dns,
    workload,
)

Row = tuple[str, dict[str, Any], str]

HARMFUL: list[Row] = [
    (
        "endpoint in EC2 of the other region",
        {"endpoint": "ec2-1-2-3-4.compute-1.amazonaws.com"},
        "endpoint: ec2-1-2-3-4.compute-1.amazonaws.com is in us-east-1, and this stack's region is "
        "us-west-2; write the load balancer of stack secondary's own cluster",
    ),
    (
        "endpoint of the other region's S3 website",
        {"endpoint": "acme.s3-website-us-east-1.amazonaws.com"},
        "endpoint: acme.s3-website-us-east-1.amazonaws.com is in us-east-1, and this stack's region is "
        "us-west-2; write the load balancer of stack secondary's own cluster",
    ),
    (
        "endpoint of the other region's VPC endpoint",
        {"endpoint": "vpce-1.vpce-svc-1.us-east-1.vpce.amazonaws.com"},
        "endpoint: vpce-1.vpce-svc-1.us-east-1.vpce.amazonaws.com is in us-east-1, and this stack's region "
        "is us-west-2; write the load balancer of stack secondary's own cluster",
    ),
    (
        "probe at a link-local address",
        {"failover": {"probe": "https://169.254.169.254/"}},
        "failover.probe: asks 169.254.169.254, which is another host in each cluster, so the primary would "
        "never be asked; write a name that users call",
    ),
    (
        "probe inside the cluster with a last dot",
        {"failover": {"probe": "https://web.shop.svc.cluster.local./"}},
        "failover.probe: asks web.shop.svc.cluster.local, which is another host in each cluster, so the "
        "primary would never be asked; write a name that users call",
    ),
    (
        "probe at a wildcard",
        {"failover": {"probe": "https://*.example.com/"}},
        "failover.probe: https://*.example.com/ is not a URL; write one as in https://app.example.com/",
    ),
    (
        "control inside the cluster",
        {"failover": {"control": "https://kubernetes.default.svc/"}},
        "failover.control: asks kubernetes.default.svc, which is in the cluster itself and always answers, "
        "whatever way to the primary is cut; write one outside",
    ),
    (
        "control that is the probe",
        {"failover": {"control": "https://a.example.net/", "probe": "https://a.example.net/"}},
        "failover.control: asks a.example.net, which is silent when the primary region, us-east-1, is; write "
        "one that answers then too, or take it out",
    ),
    (
        "a namespace excluded twice",
        backup(exclude=["dev", "dev"]),
        "backups[0]: names the namespace of exclude dev twice; keep one",
    ),
    (
        "memory requested above its limit",
        {"velero": {"resources": {"memory": "2Gi"}}},
        "velero.resources.memory: 2Gi is more than memoryLimit, 1Gi, which Kubernetes refuses of a Pod; "
        "write less, or more there",
    ),
    (
        "CPUs requested above their limit",
        {"velero": {"resources": {"cpu": "1500m"}}},
        "velero.resources.cpu: 1500m is more than cpuLimit, 1, which Kubernetes refuses of a Pod; write less, or more there",
    ),
    (
        "memory of data movers above its limit",
        {"velero": {"dataMovers": {"memory": "2Gi", "memoryLimit": "1Gi"}}},
        "velero.dataMovers.memory: 2Gi is more than memoryLimit, 1Gi, which Kubernetes refuses of a Pod; "
        "write less, or more there",
    ),
    (
        "a role's ARN with an asterisk",
        cluster(veleroRoleArn="arn:aws:iam::123456789012:role/*"),
        "cluster.veleroRoleArn: arn:aws:iam::123456789012:role/* is not the ARN of a role; write one as in "
        "arn:aws:iam::123456789012:role/velero",
    ),
    (
        "a bucket's name that S3 keeps",
        delivery(stateBucket="acme-s3alias"),
        "delivery.stateBucket: acme-s3alias is not a bucket; write one as in acme-pulumi-us-east-1",
    ),
    (
        "max_wal_senders: 0",
        database(parameters={"max_wal_senders": "0"}),
        "databases[0].parameters: sets max_wal_senders to 0, and a failover then cannot work; take it out",
    ),
    (
        "streaming to an IPv4 loopback in IPv6",
        database(**connected(hosts={"primary": "::ffff:127.0.0.1", "secondary": "10.2.0.5"})),
        "databases[0].streaming.hosts.primary: ::ffff:127.0.0.1 is no address of another machine; write one "
        "that the other region reaches, as in 10.1.0.5",
    ),
    (
        "days in a duration",
        backup(keep="30d"),
        "backups[0].keep: 30d is in days or weeks, and a duration has hours, minutes or seconds; write 720h",
    ),
    (
        "backup that includes kube-system",
        backup(exclude=[], include=["kube-system"]),
        "backups[0].include[0]: kube-system belongs to the cluster or to this program, and a restore would put "
        "the other region's over it; take it out, or write restore: false for this backup",
    ),
    (
        "backup that includes velero",
        backup(exclude=[], include=["velero"]),
        "backups[0].include[0]: velero belongs to the cluster or to this program, and a restore would put the "
        "other region's over it; take it out, or write restore: false for this backup",
    ),
    (
        "backup that includes k8s-dr",
        backup(exclude=[], include=["k8s-dr"]),
        "backups[0].include[0]: k8s-dr belongs to the cluster or to this program, and a restore would put the "
        "other region's over it; take it out, or write restore: false for this backup",
    ),
    (
        "weekly backup kept for a day",
        backup(cron="0 2 * * 0", keep="24h"),
        "backups[0].keep: 24h is shorter than the 168h that cron 0 2 * * 0 may leave between two backups, and "
        "in between there is none; write 168h or more",
    ),
    (
        "720s instead of 720h",
        backup(keep="720s"),
        "backups[0].keep: 720s is shorter than the 24h that cron 0 2 * * * may leave between two backups, and "
        "in between there is none; write 24h or more",
    ),
    (
        "monthly backup kept 720h",
        backup(cron="0 2 1 * *", keep="720h"),
        "backups[0].keep: 720h is shorter than the 744h that cron 0 2 1 * * may leave between two backups, and "
        "in between there is none; write 744h or more",
    ),
    (
        "backup-restore with weekly backups and no database",
        {
            "tier": "backup-restore",
            "databases": REMOVED,
            "databasePasswords": REMOVED,
            "backups": [{"name": "weekly", "cron": "0 2 * * 0", "keep": "720h"}],
        },
        "tier: backup-restore has an RPO of 24h, and the newest backup of workloads[0], namespace production, "
        "may be 168h old; write a cron that comes every 24h or more often, or a targets.rpo of 168h or more",
    ),
    (
        "workloads of kube-system",
        workload(namespace="kube-system"),
        "workloads[0].namespace: kube-system belongs to the cluster or to this program, and a region that "
        "stands by would scale what runs there to standbyReplicas; take it out",
    ),
    (
        "workloads of velero",
        workload(namespace="velero"),
        "workloads[0].namespace: velero belongs to the cluster or to this program, and a region that stands by "
        "would scale what runs there to standbyReplicas; take it out",
    ),
    (
        "workloads of cnpg-system",
        workload(namespace="cnpg-system"),
        "workloads[0].namespace: cnpg-system belongs to the cluster or to this program, and a region that "
        "stands by would scale what runs there to standbyReplicas; take it out",
    ),
    (
        "endpoint of the other region",
        {"endpoint": "lb-primary.us-east-1.elb.amazonaws.com"},
        "endpoint: lb-primary.us-east-1.elb.amazonaws.com is in us-east-1, and this stack's region is "
        "us-west-2; write the load balancer of stack secondary's own cluster",
    ),
    (
        "endpoint is the users' own name",
        {"endpoint": "app.example.com"},
        "endpoint: app.example.com is one of dns.names, whose record would point to itself; write the load balancer's own name",
    ),
    (
        "alias with the users' zone id",
        {"endpoint": {"name": "lb.us-west-2.elb.amazonaws.com", "zoneId": "Z0123456789ABCDEFGHIJ"}},
        "endpoint.zoneId: Z0123456789ABCDEFGHIJ is dns.zoneId too, and the load balancer "
        "lb.us-west-2.elb.amazonaws.com is not in that zone; write the load balancer's own, "
        "CanonicalHostedZoneId in: aws elbv2 describe-load-balancers",
    ),
    (
        "names of two zones",
        dns(names=["app.example.com", "app.example.org"]),
        "dns.names[1]: app.example.org and app.example.com are in no zone together, and dns.zoneId is one "
        "zone; take one of them out",
    ),
    (
        "RTO below check and TTL",
        {"targets": {"rto": "30s"}},
        "dns.ttl: 60 s, and 30 s of health checks before, are more than the RTO of 30 s (targets.rto 30s): "
        "users would arrive after it; write a targets.rto of 90s or more",
    ),
    (
        "https asked on port 80",
        {
            "tier": "active-active",
            "failover": {"probe": "https://x.us-east-1.elb.amazonaws.com/"},
            "databases": [{**COMMITTED["databases"][0], **STREAMED}],
            **dns(check={"port": 80}),
        },
        "dns.check: asks https on port 80, which is the port of http; write protocol: http, or another port",
    ),
    (
        "probe with a port that is none",
        {"failover": {"probe": "https://app.example.com:https"}},
        "failover.probe: https://app.example.com:https has a port that is no number from 1 to 65535; write "
        "one as in https://app.example.com:8443/",
    ),
    (
        "probe with port 99999",
        {"failover": {"probe": "https://app.example.com:99999"}},
        "failover.probe: https://app.example.com:99999 has a port that is no number from 1 to 65535; write "
        "one as in https://app.example.com:8443/",
    ),
    (
        "probe at region B's load balancer",
        {"failover": {"probe": "https://lb-secondary.us-west-2.elb.amazonaws.com/"}},
        "failover.probe: asks lb-secondary.us-west-2.elb.amazonaws.com, which is in the secondary region "
        "us-west-2, so the primary would never be asked; write one of us-east-1",
    ),
    (
        "unbalanced bracket in the probe",
        {"failover": {"probe": "https://[::1/"}},
        "failover.probe: https://[::1/ is not a URL; write one as in https://app.example.com/",
    ),
    (
        "cluster.name as kubeconfig's context has it (an ARN)",
        cluster(name="arn:aws:eks:us-west-2:123456789012:cluster/prod"),
        "cluster.name: arn:aws:eks:us-west-2:123456789012:cluster/prod is no name of a cluster on EKS "
        "(letters, digits, - and _, 100 at most); write prod",
    ),
    (
        "contents of a kubeconfig instead of its path",
        cluster(kubeconfig="apiVersion: v1\nkind: Config\nusers: [{token: x}]"),
        "cluster.kubeconfig: is not the path of a kubeconfig; write one as in /home/me/.kube/config",
    ),
    (
        "one line of a kubeconfig",
        cluster(kubeconfig="apiVersion: v1"),
        "cluster.kubeconfig: is not the path of a kubeconfig; write one as in /home/me/.kube/config",
    ),
    (
        "role of another account with pod identity",
        cluster(veleroRoleArn="arn:aws:iam::999999999999:role/velero"),
        "cluster.veleroRoleArn: arn:aws:iam::999999999999:role/velero is of another account than "
        "topology.accountId, 123456789012, and pod identity takes none such; write identity: irsa, or a role "
        "of 123456789012",
    ),
    (
        "OIDC issuer of the other region's cluster",
        {"identity": "irsa", **cluster(oidcIssuer="oidc.eks.us-east-1.amazonaws.com/id/EXAMPLED539D4633E53DE1B71EXAMPLE")},
        "cluster.oidcIssuer: oidc.eks.us-east-1.amazonaws.com/id/EXAMPLED539D4633E53DE1B71EXAMPLE is of a "
        "cluster in us-east-1, and this stack's region is us-west-2; write this cluster's: aws eks "
        "describe-cluster --name NAME",
    ),
    (
        "nodeRole without identity: instance-profile",
        cluster(nodeRole="nodes"),
        "cluster.nodeRole: nodes is used with identity instance-profile alone, and identity is pod-identity; "
        "write identity: instance-profile, or take it out",
    ),
    (
        "node role in French",
        {"identity": "instance-profile", **cluster(nodeRole="nœuds-usw2")},
        "cluster.nodeRole: nœuds-usw2 is not the name of a role; write one as in nodes-use1",
    ),
    (
        "temporary credentials as static ones",
        {
            **STATIC,
            "staticCredentials": {
                p: {"accessKeyId": "ASIAIOSFODNN7EXAMPLE", "secretAccessKey": "x" * 40}
                for p in ("velero", "database", "freshness", "guard")
            },
        },
        "staticCredentials.velero.accessKeyId: is of temporary credentials, which end within hours; make one "
        "of an IAM user, which begins with AKIA, and run, and the same for secretAccessKey: pulumi config set "
        "--secret --path staticCredentials.velero.accessKeyId -s secondary",
    ),
]
