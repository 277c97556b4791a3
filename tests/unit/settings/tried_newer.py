"""As `tried_harmful`, of newer keys: what is asked, watched, tried by the calendar and handed over."""

from __future__ import annotations

from typing import Any

from tests.unit.settings.tried_parts import cluster, database, delivery, workload

Row = tuple[str, dict[str, Any], str]

TOPIC = "arn:aws:sns:us-west-2:123456789012:on-call"


def drilled(**probe: Any) -> dict[str, Any]:
    """A drill of a namespace in which Pods run and are asked."""
    return {"drills": {"namespace": {"replicas": 1, "probe": probe}}}


HARMFUL: list[Row] = [
    (
        "a probe that asks https on the port of http",
        {"failover": {"probe": "https://app.example.com:80/"}},
        "failover.probe: https://app.example.com:80/ asks https on port 80, which is the port of http; write "
        "http://, or another port",
    ),
    (
        "a control that asks https on the port of http",
        {"failover": {"control": "HTTPS://status.example.net:80/"}},
        "failover.control: HTTPS://status.example.net:80/ asks https on port 80, which is the port of http; write "
        "http://, or another port",
    ),
    (
        "an endpoint that is asked by the probe's https on the port of http",
        {"failover": {"endpoint": {"port": 80}}},
        "failover.endpoint: asks https on port 80, which is the port of http; write scheme: http, or another port",
    ),
    (
        "a drill that asks https on the port of http",
        drilled(service="web", scheme="https", port=80),
        "drills.namespace.probe: asks https on port 80, which is the port of http; write scheme: http, or another port",
    ),
    (
        "a drill that asks a path of no Service",
        drilled(path="/healthz"),
        "drills.namespace.probe: has path and no service, so nothing is asked; write service too, or take path out",
    ),
    (
        "a drill that asks a port of no Service",
        drilled(ready=["deployment/web"], port=8080),
        "drills.namespace.probe: has port and no service, so nothing is asked; write service too, or take port out",
    ),
    (
        "a drill's workload by kubectl's short name",
        drilled(ready=["deploy/web"]),
        "drills.namespace.probe.ready[0]: deploy/web is not a workload; write deployment/web",
    ),
    (
        "a point in time with a capital",
        {"drills": {"database": {"pointInTime": "Latest"}}},
        "drills.database.pointInTime: Latest is not a duration; write latest",
    ),
    (
        "drills that are false",
        {"drills": False},
        "drills: false is not an object; write {enabled: false}",
    ),
    (
        "a guard's schedule by another name",
        {"guard": {"cron": "*/5 * * * *"}},
        "guard.cron: unknown key, did you mean schedule?",
    ),
    (
        "a key by its name alone",
        {"regions": {"primary": "us-east-1", "secondary": "us-west-2"}},
        "regions: unknown key here, did you mean topology.regions?; to remove it run: pulumi config rm regions -s secondary",
    ),
    (
        "a key that is at two places",
        {"alerts": True},
        "alerts: unknown key here, did you mean monitoring.alerts or receivers.alerts?; to remove it run: pulumi config rm "
        "alerts -s secondary",
    ),
    (
        "an image where a chart has it",
        {"velero": {"image": "docker.io/velero/velero:v1.18.3"}},
        "velero.image: unknown key here, did you mean images.velero?",
    ),
    (
        "modifiers as Velero calls them",
        {"velero": {"resourceModifiers": []}},
        "velero.resourceModifiers: unknown key, did you mean modifiers?",
    ),
    (
        "a number with its thousands apart",
        {"velero": {"clientQps": "1,000"}},
        "velero.clientQps: 1,000 is not a whole number; write 1000",
    ),
    (
        "weeks in a number of days",
        {"drills": {"keepDays": "60w"}},
        "drills.keepDays: 60w is not a whole number; write 420",
    ),
    (
        "a year in a number of days",
        {"storage": {"accessLogDays": "1y"}},
        "storage.accessLogDays: 1y is not a whole number; write 365",
    ),
    (
        "hours in a number of days",
        {"storage": {"noncurrentDays": "36h"}},
        "storage.noncurrentDays: 36h is not a whole number; write one as in 60",
    ),
    (
        "monitoring that is true",
        {"monitoring": True},
        "monitoring: true is not an object; write {enabled: true}",
    ),
    (
        "runbooks in a hidden directory, with a slash at the end",
        {"monitoring": {"enabled": True, "runbooks": "./.github/docs/"}},
        "monitoring.runbooks: ./.github/docs/ is not where the pages of docs/ are, without a slash at its end; "
        "write ./.github/docs",
    ),
    (
        "runbooks without a scheme",
        {"monitoring": {"enabled": True, "runbooks": "github.com/acme/k8s-dr/blob/main/docs/"}},
        "monitoring.runbooks: github.com/acme/k8s-dr/blob/main/docs/ is not where the pages of docs/ are, without "
        "a slash at its end; write https://github.com/acme/k8s-dr/blob/main/docs",
    ),
    (
        "runbooks with another scheme",
        {"monitoring": {"enabled": True, "runbooks": "ftp://wiki.example.com/dr"}},
        "monitoring.runbooks: ftp://wiki.example.com/dr is not where the pages of docs/ are, without a slash at "
        "its end; write one as in https://github.com/acme/k8s-dr/blob/main/docs",
    ),
    (
        "topics by region",
        {"storage": {"replicationMetrics": True}, "monitoring": {"alarms": {"us-east-1": TOPIC, "secondary": TOPIC}}},
        "monitoring.alarms.us-east-1: unknown key, for regions are named by their role here; write primary",
    ),
    (
        "generations by region",
        database(generations={"us-west-2": 2}),
        "databases[0].generations.us-west-2: unknown key, for regions are named by their role here; write secondary",
    ),
    (
        "heartbeats that are one URL",
        {"receivers": {"heartbeats": "https://hooks.example.com/hush"}},
        "receivers.heartbeats: the secret is not an object; for each of its parts run: pulumi config set --secret "
        "--path 'receivers.heartbeats.JOB' -s secondary",
    ),
    (
        "heartbeats of drills that are one URL",
        {"receivers": {"heartbeats": {"drills": "https://hooks.example.com/hush"}}},
        "receivers.heartbeats.drills: the secret is not an object; for each of its parts run: pulumi config set "
        "--secret --path 'receivers.heartbeats.drills.DRILL' -s secondary",
    ),
    (
        "heartbeats of schedules that are a list",
        {"receivers": {"heartbeats": {"schedules": ["https://hooks.example.com/hush"]}}},
        "receivers.heartbeats.schedules: the secret is not an object; for each of its parts run: pulumi config set"
        " --secret --path 'receivers.heartbeats.schedules[\"NAME\"]' -s secondary",
    ),
    (
        "heartbeats of databases that are empty",
        {"receivers": {"heartbeats": {"databases": None}}},
        "receivers.heartbeats.databases: is empty; run: pulumi config set --secret --path "
        "'receivers.heartbeats.databases[\"NAME\"]' -s secondary",
    ),
    (
        "planned with a capital",
        {"handover": "Planned"},
        "handover: Planned is not written as it is read; write planned",
    ),
    (
        "planned as a file ends",
        {"handover": "planned\n"},
        'handover: "planned\\n" is not written as it is read; write planned',
    ),
    (
        "a token of a command that failed",
        {"handover": ""},
        'handover: "" is empty, as where the command before it failed; run: pulumi stack output handover -s STACK,'
        " with the other stack's name; or, for no handover: pulumi config rm handover",
    ),
    (
        "what a stack prints that gives nothing",
        {"handover": "none"},
        "handover: none is what a stack prints that gives nothing: it has not given up, or not taken over, yet; "
        "run pulumi up there first, and take what it prints then",
    ),
    (
        "archives as a list",
        {"rejoin": ["app-database-secondary-g1", "orders-secondary-g2"]},
        'rejoin: ["app-database-secondary-g1", "orders-secondary-g2"] is not a list of archives\' names, with '
        "commas between them; write app-database-secondary-g1,orders-secondary-g2",
    ),
    (
        "archives with spaces between them",
        {"rejoin": "app-database-secondary-g1 orders-secondary-g2"},
        "rejoin: app-database-secondary-g1 orders-secondary-g2 is not a list of archives' names, with commas "
        "between them; write app-database-secondary-g1,orders-secondary-g2",
    ),
    (
        "a node role by its ARN",
        {"identity": "instance-profile", **cluster(nodeRole="arn:aws:iam::123456789012:role/eks/nodes")},
        "cluster.nodeRole: arn:aws:iam::123456789012:role/eks/nodes is not the name of a role; write nodes",
    ),
    (
        "an issuer by the ARN of its provider",
        {
            "identity": "irsa",
            **cluster(oidcIssuer="arn:aws:iam::123456789012:oidc-provider/oidc.eks.us-west-2.amazonaws.com/id/EXAMPLE"),
        },
        "cluster.oidcIssuer: arn:aws:iam::123456789012:oidc-provider/oidc.eks.us-west-2.amazonaws.com/id/EXAMPLE is not an "
        "issuer without https://; write oidc.eks.us-west-2.amazonaws.com/id/EXAMPLE",
    ),
    (
        "a branch as git shows it",
        delivery(branch="origin/main"),
        "delivery.branch: origin/main is not the name of a branch, without refs/heads/; write main",
    ),
    (
        "a tag in place of a branch",
        delivery(branch="refs/tags/v1"),
        "delivery.branch: refs/tags/v1 is not the name of a branch, without refs/heads/; write one as in main",
    ),
    (
        "every key of the account",
        delivery(stateKeyArn="arn:aws:kms:us-west-2:123456789012:key/*"),
        "delivery.stateKeyArn: arn:aws:kms:us-west-2:123456789012:key/* is not the ARN of a key; write one as in "
        "arn:aws:kms:us-east-1:123456789012:key/1234abcd",
    ),
    (
        "a key as a secrets provider",
        delivery(stateKeyArn="awskms:///arn:aws:kms:us-west-2:123456789012:key/1234abcd?region=us-west-2"),
        "delivery.stateKeyArn: awskms:///arn:aws:kms:us-west-2:123456789012:key/1234abcd?region=us-west-2 is not "
        "the ARN of a key; write arn:aws:kms:us-west-2:123456789012:key/1234abcd",
    ),
]

VALID: list[tuple[str, dict[str, Any]]] = [
    ("a probe that names the port of its scheme", {"failover": {"probe": "http://app.example.com:80/"}}),
    ("an endpoint that is asked by http, as no probe is", {"failover": {"endpoint": {"scheme": "http"}}}),
    ("an endpoint that nobody asks", {"failover": {"endpoint": {"ask": False, "port": 80}}}),
    ("a drill that asks by https", drilled(service="web", scheme="https", port=8443, path="/ready")),
    ("a drill that looks at workloads alone", drilled(ready=["deployment/web", "statefulset/cart"])),
    ("runbooks in a hidden directory", {"monitoring": {"enabled": True, "runbooks": ".github/docs"}}),
    ("a drill of a Service behind a load balancer that ends TLS", drilled(service="web", scheme="http", port=443)),
    (
        "a check of a Service behind a load balancer that ends TLS",
        workload(check={"service": "web", "scheme": "http", "port": 443}),
    ),
    ("runbooks beside the program", {"monitoring": {"enabled": True, "runbooks": "./docs/v1.2/pages"}}),
    (
        "replay that is watched less often than WAL comes",
        {"monitoring": {"enabled": True, "replayWithin": "20m"}, "targets": {"rpo": "30m"}, **database(archiveTimeout="15m")},
    ),
    (
        "a list of subnets with spaces, as the load balancer controller's pages have it",
        {"velero": {"counterparts": {"subnet-0a, subnet-0b": "subnet-1a, subnet-1b"}}},
    ),
    ("a branch below another name", delivery(branch="feature/origin/new")),
    ("a key of both regions", delivery(stateKeyArn="arn:aws:kms:us-west-2:123456789012:key/mrk-1234abcd")),
]
