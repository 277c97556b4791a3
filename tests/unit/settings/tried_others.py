"""Configurations whose refusal was a riddle, each with the line that it gets now, and valid ones that were refused."""

from __future__ import annotations

from typing import Any

from tests.examples import REMOVED
from tests.unit.settings.test_mistakes import COMMITTED
from tests.unit.settings.tried_parts import (
    STREAMED,
    backup,
    cluster,
    connected,
    database,
    dns,
    etcd,
    topology,
    workload,
)

Row = tuple[str, dict[str, Any], str]

UNCLEAR: list[Row] = [
    (
        "a tier with an underscore",
        {"tier": "warm_standby"},
        "tier: warm_standby is not one of 'backup-restore', 'pilot-light', 'warm-standby', 'active-active'; "
        "did you mean warm-standby?",
    ),
    (
        "a mode without its s",
        dns(mode="standby-take-over"),
        "dns.mode: standby-take-over is not one of 'standby-takes-over', 'record', 'both-regions'; did you "
        "mean standby-takes-over?",
    ),
    ("Velero's word for keep", backup(ttl="720h"), "backups[0].ttl: unknown key, did you mean keep?"),
    (
        "British spelling: organisation",
        {"topology": {"organisation": "acme", "accountId": "123456789012", "regions": COMMITTED["topology"]["regions"]}},
        "topology.organisation: unknown key, did you mean organization?",
    ),
    (
        "accountID",
        {"topology": {"organization": "acme", "accountID": "123456789012", "regions": COMMITTED["topology"]["regions"]}},
        "topology.accountID: unknown key, did you mean accountId?",
    ),
    (
        "regions.standby",
        topology(regions={"primary": "us-east-1", "standby": "us-west-2"}),
        "topology.regions.standby: unknown key here, and topology.regions.secondary is missing; did you mean secondary?",
    ),
    (
        "regions one level too high",
        {"topology": {"organization": "acme", "accountId": "123456789012", "primary": "us-east-1", "secondary": "us-west-2"}},
        "topology.primary: unknown key here, and topology.regions is missing; did you mean topology.regions.primary?",
    ),
    (
        "--path into a list of Pulumi.yaml (workloads)",
        {"workloads": [{"replicas": 5}]},
        'workloads: [{"replicas": 5}] lacks workloads[0].namespace, and replaces all that Pulumi.yaml says of '
        "workloads; write all of it, or, where only a part was meant, set with --path, run: pulumi config rm "
        "workloads -s secondary",
    ),
    (
        "--path into a list of Pulumi.yaml (databases)",
        {"databases": [{"storage": "200Gi"}]},
        'databases: [{"storage": "200Gi"}] lacks databases[0].name, databases[0].namespace, and replaces all '
        "that Pulumi.yaml says of databases; write all of it, or, where only a part was meant, set with "
        "--path, run: pulumi config rm databases -s secondary",
    ),
    (
        "trailing space in endpoint",
        {"endpoint": "lb-secondary.us-west-2.elb.amazonaws.com "},
        'endpoint: "lb-secondary.us-west-2.elb.amazonaws.com " begins or ends with a space; take it out',
    ),
    (
        "trailing space in a quoted namespace",
        workload(namespace="production "),
        'workloads[0].namespace: "production " begins or ends with a space; take it out',
    ),
    (
        "a duration as a number",
        {"failover": {"restore": 30}},
        "failover.restore: 30 is a number without a unit; write 30s, 30m or 30h",
    ),
    (
        "archiveTimeout as a number",
        database(archiveTimeout=60),
        "databases[0].archiveTimeout: 60 is a number without a unit; write 60s, 60m or 60h",
    ),
    (
        "peerReady True by the CLI",
        {"peerReady": "True"},
        "peerReady: True is neither true nor false; write one of them",
    ),
    (
        "force: on",
        {"force": "on"},
        "force: on is neither true nor false; write one of them",
    ),
    (
        "a numeric database password",
        {"databasePasswords": {"app-database": 12345678}},
        "databasePasswords.app-database: the secret is a number; run, and type it when asked: pulumi config "
        "set --secret --path 'databasePasswords[\"app-database\"]' -s secondary",
    ),
    (
        "an optional object with nothing in it",
        {"targets": ""},
        "targets: is empty; take it out of Pulumi.yaml, or write it: {rpo: …, rto: …}",
    ),
    (
        "unbalanced IPv6 bracket in the probe, both-regions",
        {
            "tier": "active-active",
            "failover": {"probe": "https://[::1/"},
            "databases": [{**COMMITTED["databases"][0], **STREAMED}],
        },
        "failover.probe: https://[::1/ is not a URL; write one as in https://app.example.com/",
    ),
    (
        "a duration in words",
        backup(keep="30 days"),
        "backups[0].keep: 30 days is not a duration; write 720h",
    ),
    (
        "a fraction of an hour",
        {"targets": {"rto": "1.5h"}},
        "targets.rto: 1.5h is not a duration; write 1h30m",
    ),
    (
        "a duration of ISO 8601",
        {"targets": {"rpo": "PT5M"}},
        "targets.rpo: PT5M is not a duration; write 5m",
    ),
    (
        "months, which are no minutes",
        backup(keep="P3M"),
        "backups[0].keep: P3M is not a duration; write hours, minutes or seconds as in 720h, 1h30m or 90s",
    ),
    (
        "minutes in a number of seconds",
        dns(ttl="5m"),
        "dns.ttl: 5m is not a whole number; write 300",
    ),
    (
        "a load balancer's ARN",
        {"endpoint": "arn:aws:elasticloadbalancing:us-west-2:123456789012:loadbalancer/app/shop/1"},
        "endpoint: arn:aws:elasticloadbalancing:us-west-2:123456789012:loadbalancer/app/shop/1 is an ARN and not a"
        " host name; write its DNSName: aws elbv2 describe-load-balancers",
    ),
    (
        "several etcd endpoints with a semicolon",
        etcd(endpoint="https://10.0.0.1:2379;https://10.0.0.2:2379"),
        "etcd.endpoint: https://10.0.0.1:2379;https://10.0.0.2:2379 names several members, and etcdctl snapshots "
        "one; write the node's own, as in https://127.0.0.1:2379",
    ),
    (
        "several etcd endpoints with a space",
        etcd(endpoint="https://10.0.0.1:2379 https://10.0.0.2:2379"),
        "etcd.endpoint: https://10.0.0.1:2379 https://10.0.0.2:2379 names several members, and etcdctl snapshots "
        "one; write the node's own, as in https://127.0.0.1:2379",
    ),
    (
        "a backup every 24 hours",
        backup(cron="@every 24h"),
        'backups[0].cron: @every 24h counts from when its controller started, which nobody can foresee; write "0 0 * * *"',
    ),
    (
        "a UID in capitals",
        cluster(uid="3F0C7A52-6F0E-4F6E-9C2B-0D6A3A1F7C11"),
        "cluster.uid: 3F0C7A52-6F0E-4F6E-9C2B-0D6A3A1F7C11 is not the UID of a cluster's namespace kube-system; "
        "write 3f0c7a52-6f0e-4f6e-9c2b-0d6a3a1f7c11",
    ),
    (
        "backends by region",
        topology(backends={"us-east-1": "s3://a", "us-west-2": "s3://b"}),
        "topology.backends.us-east-1: unknown key, for regions are named by their role here; write primary",
    ),
]

VALID: list[tuple[str, dict[str, Any]]] = [
    ("a cron line by name", backup(cron="@daily")),
    ("base backups by name", database(backupCron="@weekly")),
    ("? for any day", backup(cron="0 2 ? * *")),
    ("a host name with an underscore", {"endpoint": "lb_eks.example.com"}),
    (
        "PostgreSQL image by tag and digest",
        database(image="ghcr.io/cloudnative-pg/postgresql:18.4-system-trixie@sha256:" + "a" * 64),
    ),
    ("a load balancer's name with capitals", {"endpoint": "My-ALB-1234567890.us-west-2.elb.amazonaws.com"}),
    (
        "Secrets with dots (cert-manager's custom)",
        database(
            **connected(certificates={"server": "pg.example.com-tls", "serverCa": "b", "clientCa": "c", "replication": "d"})
        ),
    ),
    ("StorageClass with a dot", database(storageClass="ebs.gp3-encrypted")),
    (
        "two workloads of one namespace, other replicas",
        {
            "workloads": [
                {"namespace": "production", "names": ["deployment/a"], "replicas": 3},
                {"namespace": "production", "replicas": 5},
            ]
        },
    ),
    ("wildcard name", dns(names=["*.apps.example.com"])),
    ("health path with a query", workload(check={"service": "web", "path": "/healthz?full=1"})),
    ("probe with an upper-case scheme", {"failover": {"probe": "HTTPS://lb-primary.us-east-1.elb.amazonaws.com/"}}),
    ("databases alone", {"workloads": REMOVED}),
    ("databases alone, an empty list", {"workloads": []}),
    ("streaming by address", database(**connected(hosts={"primary": "10.1.0.5", "secondary": "10.2.0.5"}))),
]
