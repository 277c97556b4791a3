"""Configurations that are accepted with a warning, each with the beginning of its line."""

from __future__ import annotations

from typing import Any

from tests.unit.settings.tried_parts import connected, database, delivery, dns, etcd, modifier, topology, workload

WARNED: list[tuple[str, dict[str, Any], str]] = [
    (
        "an image of PostgreSQL that only the other region has",
        database(image="123456789012.dkr.ecr.us-east-1.amazonaws.com/postgresql:18.4"),
        "databases[0].image: 123456789012.dkr.ecr.us-east-1.amazonaws.com/postgresql:18.4 is kept in us-east-1, and with that "
        "region dead no instance starts here",
    ),
    (
        "a field that is removed and that hardly any object has",
        modifier(patches=[{"operation": "remove", "path": "/spec/paused"}]),
        "velero.modifiers[0].patches[0].path: /spec/paused is removed, and each object without it is an error, so that the "
        "restore ends PartiallyFailed; write mergePatches, in which the field is null, or, for an entry of a list, a test of it",
    ),
    (
        "a field that is removed after a test of another",
        modifier(
            patches=[
                {"operation": "test", "path": "/spec/pausedBy", "value": "me"},
                {"operation": "remove", "path": "/spec/paused"},
            ],
            matches=[{"path": "/spec", "value": "{}"}],
        ),
        "velero.modifiers[0].patches[1].path: /spec/paused is removed",
    ),
    (
        "a field that is removed on the way back",
        {"velero": {"modifiersBack": modifier(patches=[{"operation": "remove", "path": "/spec/paused"}])["velero"]["modifiers"]}},
        "velero.modifiersBack[0].patches[0].path: /spec/paused is removed",
    ),
    (
        "Velero by the tag of its main branch",
        {"images": {"velero": "docker.io/velero/velero:main"}},
        "images.velero: docker.io/velero/velero:main names no version, and where that tag moves nodes keep different",
    ),
    (
        "buffers of sessions above all memory",
        database(parameters={"temp_buffers": "16GB"}),
        "databases[0].parameters: sets temp_buffers to 16GB, and resources.memory is 8Gi: once they are full the kernel kills",
    ),
    (
        "shared buffers that take all memory",
        database(parameters={"shared_buffers": "8GB"}),
        "databases[0].parameters: sets shared_buffers to 8GB, and resources.memory is 8Gi: once they are full the kernel kills",
    ),
    (
        "a probe that asks http on the port of https",
        {"failover": {"probe": "HTTP://app.example.com:443/"}},
        "failover.probe: http://app.example.com:443/ asks http on port 443, which is the port of https; write "
        "https://app.example.com:443/, unless it forwards that port to plain HTTP",
    ),
    (
        "a control that asks http on the port of https",
        {"failover": {"control": "http://status.example.net:443/"}},
        "failover.control: http://status.example.net:443/ asks http on port 443, which is the port of https; write",
    ),
    (
        "an endpoint that is asked http on the port of https",
        {"failover": {"endpoint": {"scheme": "http", "port": 443}}},
        "failover.endpoint: asks http on port 443, which is the port of https; write scheme: https, unless it forwards",
    ),
    (
        "replay that is watched more often than WAL comes where little is written",
        {"monitoring": {"enabled": True, "replayWithin": "5m"}, "targets": {"rpo": "30m"}, **database(archiveTimeout="15m")},
        "monitoring.replayWithin: 5m is no longer than archiveTimeout of app-database, 15m: where it writes little a commit "
        "waits as long, and the alert fires; write more than 15m",
    ),
    (
        "alerts of which none says that WAL stopped coming",
        {"monitoring": {"enabled": True}},
        "monitoring: watches app-database, and no alert of this region says that the other one's WAL has stopped coming; set "
        "monitoring.regionLabel where one Prometheus has the metrics of both regions, or monitoring.replayWithin where users "
        "always commit",
    ),
    (
        "an access entry for a cluster that is not EKS",
        {**etcd(), **delivery(clusterAccess=True)},
        "delivery.clusterAccess: is read by nobody, because this cluster is not EKS",
    ),
    (
        "a promotion that may take longer than the outage",
        {"targets": {"rto": "5m"}, "failover": {"promote": "10m"}},
        "failover.promote: 10m is more than targets.rto, 5m: this step alone may take longer than the whole outage",
    ),
    (
        "a guard that comes each quarter of an hour",
        {"guard": {"schedule": "*/15 * * * *"}},
        "guard.schedule: */15 * * * * leaves up to 15m in which a region that comes back serves beside the other one",
    ),
    (
        "a timeout of statements for every session",
        database(parameters={"statement_timeout": "5s"}),
        "databases[0].parameters: sets statement_timeout to 5s for every session, migrations and dumps among them; set it on the "
        "role: ALTER ROLE app SET statement_timeout = '5s'",
    ),
    (
        "commits that are not written",
        database(parameters={"synchronous_commit": "off"}),
        "databases[0].parameters: sets synchronous_commit to off, and a crash of one instance then loses committed rows",
    ),
    (
        "base backups every ten minutes by day",
        database(backupCron="0 */10 9-17 * * *"),
        "databases[0].backupCron: 0 */10 9-17 * * * copies the whole database to S3 more often than hourly",
    ),
    (
        "base backups each month",
        database(backupCron="0 0 3 1 * *"),
        "databases[0].backupCron: 0 0 3 1 * * leaves up to 744h of WAL that a recovery replays",
    ),
    (
        "a Velero that is older than what was tried",
        {"images": {"velero": "docker.io/velero/velero:v1.15.0"}},
        "images.velero: docker.io/velero/velero:v1.15.0 is older than 1.18, the oldest that was tried",
    ),
    (
        "a plugin that is older than what was tried",
        {"images": {"veleroPluginForAws": "docker.io/velero/velero-plugin-for-aws:v1.9.0"}},
        "images.veleroPluginForAws: docker.io/velero/velero-plugin-for-aws:v1.9.0 is older than 1.14",
    ),
    (
        "an operator that is older than what was tried",
        {"operators": {"cloudnativePg": True}, "images": {"cloudnativePg": "ghcr.io/cloudnative-pg/cloudnative-pg:1.25.0"}},
        "images.cloudnativePg: ghcr.io/cloudnative-pg/cloudnative-pg:1.25.0 is older than 1.30",
    ),
    (
        "an operator by the tag of its release",
        {"operators": {"cloudnativePg": True}, "images": {"cloudnativePg": "ghcr.io/cloudnative-pg/cloudnative-pg:v1.30.0"}},
        "images.cloudnativePg: ghcr.io/cloudnative-pg/cloudnative-pg:v1.30.0 has a v in its tag",
    ),
    (
        "an endpoint below a wildcard of one's own",
        {**dns(names=["*.apps.example.com"]), "endpoint": "lb.apps.example.com"},
        "endpoint: lb.apps.example.com is below *.apps.example.com of dns.names",
    ),
    (
        "a lock of ten years that nobody lifts",
        {"storage": {"noncurrentDays": 3650, "objectLock": {"mode": "COMPLIANCE", "days": 3650}}},
        "storage.objectLock.days: 3650 is more than the 30 days for which anything is kept",
    ),
    (
        "a size from which nothing is cached",
        {"velero": {"dataMovers": {"cacheFrom": "1Gi"}}},
        "velero.dataMovers.cacheFrom: is read by nobody, because velero.dataMovers.cacheClass is not set",
    ),
    (
        "an AWS CLI that may overwrite a record",
        {"images": {"awsCli": "public.ecr.aws/aws-cli/aws-cli:2.17.0"}},
        "images.awsCli: public.ecr.aws/aws-cli/aws-cli:2.17.0 may not know put-object --if-none-match, by which drills write",
    ),
    (
        "a probe at CloudFront",
        {"failover": {"probe": "https://d111111abcdef8.cloudfront.net/"}},
        "failover.probe: asks d111111abcdef8.cloudfront.net, and CloudFront may answer although the primary is dead",
    ),
    (
        "a probe at an accelerator",
        {"failover": {"probe": "https://a1b2c3.awsglobalaccelerator.com/"}},
        "failover.probe: asks a1b2c3.awsglobalaccelerator.com, and Global Accelerator may answer although the primary is dead",
    ),
    (
        "a probe below a wildcard that both regions answer",
        {
            "tier": "active-active",
            **dns(mode="both-regions", names=["*.apps.example.com"]),
            **database(**connected()),
            "failover": {"probe": "https://shop.apps.example.com/"},
        },
        "failover.probe: asks shop.apps.example.com, which *.apps.example.com answers for where it has no record of its own, in",
    ),
    (
        "a control below a wildcard that moves",
        {**dns(names=["*.apps.example.com"]), "failover": {"control": "https://shop.apps.example.com/"}},
        "failover.control: asks shop.apps.example.com, which *.apps.example.com answers for where it has no record of its own,",
    ),
    (
        "a workload whose kind no backup brings",
        {
            "backups": [{"name": "daily", "cron": "0 2 * * *", "keep": "720h", "excludeResources": ["deployments.apps"]}],
            **workload(names=["deployment/web"]),
        },
        "workloads[0].namespace: production: deployments.apps is in excludeResources of every backup that brings it",
    ),
    (
        "a weekly backup that is over when the next begins",
        {"backups": [{"name": "full", "cron": "0 2 * * 0", "keep": "168h"}]},
        "backups[0].keep: 168h is over before a second backup of cron 0 2 * * 0 ends, so one that fails or is late leaves none; "
        "write 336h or more",
    ),
    (
        "a state in a bucket that has the other region in its name",
        topology(backends={"primary": "s3://acme-pulumi-us-west-2", "secondary": "s3://acme-pulumi-us-east-1"}),
        "topology.backends.secondary: acme-pulumi-us-east-1 has us-east-1 in its name, and the secondary region is us-west-2:",
    ),
    (
        "the pipelines' bucket of the other stack",
        delivery(stateBucket="acme-pulumi-us-east-1"),
        "delivery.stateBucket: acme-pulumi-us-east-1 has us-east-1 in its name, and the secondary region is us-west-2: with",
    ),
]
