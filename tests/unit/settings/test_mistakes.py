"""Every mistake is one line, before anything is registered: the key, its value, and what to do."""

from __future__ import annotations

import json
from collections.abc import Collection
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from settings import ConfigurationError, load
from settings.load import SECRETS
from tests.examples import REMOVED, example

COMMITTED = {key: json.loads(text) for key, text in example("secondary").items() if text.startswith(("{", "["))}


def part(key: str, **changes: Any) -> dict[str, Any]:
    """`key` with parts of it changed: for a list, parts of its first entry."""
    value = COMMITTED[key]
    return {key: [{**value[0], **changes}, *value[1:]] if isinstance(value, list) else {**value, **changes}}


def entries(*changes: dict[str, Any]) -> dict[str, Any]:
    """Several entries of one namespace."""
    return {"workloads": [{"namespace": "production", "replicas": 3, **each} for each in changes]}


def topology(**changes: Any) -> dict[str, Any]:
    return part("topology", **changes)


def regions(primary: str, secondary: str) -> dict[str, Any]:
    return {"primary": primary, "secondary": secondary}


DURATION = "is not a duration; write hours, minutes or seconds as in 720h, 1h30m or 90s"
FIVE = 'fields, a schedule has five (minute hour day month weekday); as in "0 2 * * *"'
REPLACED = (
    "and replaces all that Pulumi.yaml says of {0}; write all of it, or, where only a part was meant, set with "
    "--path, run: pulumi config rm {0} -s secondary"
)
SHORT = "the secret is shorter than 12 characters, and whoever reads the bucket can try it; choose a longer one"
KNOWN = (
    "active, aws, backupEncryptionPassword, backups, cluster, databasePasswords, databases, delivery, dns, drills, "
    "endpoint, etcd, failover, force, guard, handover, hold, identity, images, monitoring, operators, peerReady, "
    "pods, receivers, rejoin, staticCredentials, storage, storageClass, targets, tier, topology, velero, workloads"
)
FITS = "with the region's it is the value of a Kubernetes label, which has 63 characters at most"
LONG = "xx-a-region-with-a-very-long-name-indeed-1"

MISTAKES: list[tuple[dict[str, Any], str]] = [
    # The mistakes of a night on call.
    (
        {"active=secondary": ""},
        "active=secondary: 'pulumi config set active=secondary' stored a key of that name and changed nothing; run: "
        "pulumi config rm 'active=secondary' -s secondary && pulumi config set active secondary -s secondary",
    ),
    ({"active": "both"}, "active: both is not one of 'primary', 'secondary'; write one of them"),
    ({"active": "Secondary"}, "active: Secondary is not one of 'primary', 'secondary'; did you mean secondary?"),
    ({"active": "secon\ndary"}, "active: \"secon\\ndary\" is not one of 'primary', 'secondary'; did you mean secondary?"),
    # Typing slips.
    ({"traffic": "both"}, f"traffic: unknown key (known: {KNOWN}); to remove it run: pulumi config rm traffic -s secondary"),
    ({"actve": "secondary"}, "actve: unknown key, did you mean active?; to remove it run: pulumi config rm actve -s secondary"),
    (
        {"peerready": True},
        "peerready: unknown key, did you mean peerReady?; to remove it run: pulumi config rm peerready -s secondary",
    ),
    (
        {"backup-encryption-password": "x"},
        "backup-encryption-password: unknown key, did you mean backupEncryptionPassword?; to remove it run: "
        "pulumi config rm backup-encryption-password -s secondary",
    ),
    (
        {"workloads": [{"namespace": "production", "replicas": 3, "standby_replicas": 1}]},
        "workloads[0].standby_replicas: unknown key, did you mean standbyReplicas?",
    ),
    (part("dns", TTL=60), "dns.TTL: unknown key, did you mean ttl?"),
    (part("cluster", distribtion="eks"), "cluster.distribtion: unknown key, did you mean distribution?"),
    ({"storage": {"objectlock": None}}, "storage.objectlock: unknown key, did you mean objectLock?"),
    ({"color": "red"}, f"color: unknown key (known: {KNOWN}); to remove it run: pulumi config rm color -s secondary"),
    ({"role": "primary"}, f"role: unknown key (known: {KNOWN}); to remove it run: pulumi config rm role -s secondary"),
    (part("workloads", replica=3), "workloads[0].replica: unknown key, did you mean replicas?"),
    (part("backups", inclde=["production"]), "backups[0].inclde: unknown key, did you mean include?"),
    (part("cluster", contxt="prod"), "cluster.contxt: unknown key, did you mean context?"),
    ({"aws": {"region": "us-west-2"}}, "aws.region: unknown key (known: endpoint, permissionsBoundary, profile, tags)"),
    ({"images": {"velro": "velero:1"}}, "images.velro: unknown key, did you mean velero?"),
    # What both regions share, replaced by a part of it.
    (
        {"topology": {"organization": "acme"}},
        f'topology: {{"organization": "acme"}} lacks topology.accountId, topology.regions, {REPLACED.format("topology")}',
    ),
    (
        {"dns": {"names": ["app.example.com"]}},
        f'dns: {{"names": ["app.example.com"]}} lacks dns.zoneId, {REPLACED.format("dns")}',
    ),
    # Topology.
    (
        {"topology": REMOVED},
        "topology: is missing; add it to Pulumi.yaml: your organization, its AWS account and the two regions",
    ),
    (topology(accountId="1234"), 'topology.accountId: 1234 is not an AWS account id in quotes; write one as in "123456789012"'),
    (topology(accountId=123456789012), 'topology.accountId: 123456789012 is a number; write it in quotes: "123456789012"'),
    ({"topology": 5}, "topology: 5 is not an object; write {organization: …, accountId: …, regions: …}"),
    (
        topology(organization="Acme"),
        "topology.organization: Acme is not a short lower-case name (20 letters, digits and - at most); write acme",
    ),
    (
        topology(regions=regions("us-east-1", "us-east-1")),
        "topology.regions.secondary: us-east-1 is the primary region too; a region cannot stand in for itself, choose another",
    ),
    (
        topology(regions=regions("us-east1", "us-west-2")),
        "topology.regions.primary: us-east1 is not a commercial AWS region; write one as in us-west-2",
    ),
    (
        topology(regions=regions("us-east-1", "us-gov-east-1")),
        "topology.regions.secondary: us-gov-east-1 is in GovCloud, and this program works in the commercial "
        "partition of AWS alone "
        "(docs/limits.md); write one as in us-west-2",
    ),
    (
        topology(regions=regions("us-east-1", LONG)),
        f"topology: gives the bucket name acme-database-{LONG}-123456789012 of 69 characters, S3 allows 63; shorten organization",
    ),
    # Volumes.
    (
        {"failover": {"restore": "30m"}},
        "failover.restore: 30m is no longer than velero.prepareTimeout, 30m, so the failover would end before Velero says why a "
        "volume did not come; write more than 30m, or a shorter velero.prepareTimeout",
    ),
    (
        {"velero": {"volumes": [{"driver": "efs.csi.aws.com", "action": "fs-backup"}]}},
        "velero.volumes[0].action: fs-backup reads files through the Pods that mount them, and these entries of backups leave "
        "Pods out: daily-full, hourly-critical; write pods: all to them, or action: skip or snapshot here",
    ),
    (
        {"velero": {"volumes": [{"action": "skip"}]}},
        "velero.volumes[0]: says of no volume that it is meant; write one of driver, classes, smallest, largest, labels",
    ),
    (
        {"velero": {"tolerations": [{"key": "dedicated", "operator": "Exists", "value": "app"}]}},
        "velero.tolerations[0]: has a value, which Exists does not compare; take value out, or write operator: Equal",
    ),
    ({"velero": {"dataMovers": {"concurrency": 0}}}, "velero.dataMovers.concurrency: 0 is less than 1; write 1 or more"),
    # Names and traffic.
    (part("dns", names=["app"]), "dns.names[0]: app is not a host name; write one as in app.example.com"),
    (part("dns", names=["a.example.com", "a.example.com"]), "dns.names: names the name a.example.com twice; keep one"),
    (part("dns", names=[]), "dns.names: is empty; write at least one: the names that users call"),
    (part("dns", names="app.example.com"), "dns.names: app.example.com is not a list; write [app.example.com]"),
    (part("dns", ttl=0), "dns.ttl: 0 is less than 1; write 1 or more"),
    (part("dns", ttl=86401), "dns.ttl: 86401 is more than 86400; write 86400 or less"),
    (part("dns", ttl="60"), "dns.ttl: 60 is text; write it without quotes"),
    (part("dns", ttl=1.5), "dns.ttl: 1.5 is not a whole number; write one as in 60"),
    (
        part("dns", mode="weighted"),
        "dns.mode: weighted is not one of 'standby-takes-over', 'record', 'both-regions'; write one of them",
    ),
    (
        part("dns", zoneId="example.com"),
        "dns.zoneId: example.com is not a Route 53 hosted zone id; write one as in Z0123456789ABCDEFGHIJ",
    ),
    (
        {"endpoint": "https://lb.example.com"},
        "endpoint: https://lb.example.com is a URL and not a host name; write lb.example.com",
    ),
    ({"endpoint": {"name": "lb.example.com"}}, "endpoint.zoneId: is missing; add it: the load balancer's own hosted zone id"),
    (
        {"endpoint": {"name": "lb.example.com", "zoneId": "use1"}},
        "endpoint.zoneId: use1 is not a Route 53 hosted zone id; write one as in Z0123456789ABCDEFGHIJ",
    ),
    # Schedules.
    (part("backups", cron="0 2 * *"), f"backups[0].cron: 0 2 * * has 4 {FIVE}"),
    (part("backups", cron="0 0 2 * * *"), f"backups[0].cron: 0 0 2 * * * has 6 {FIVE}"),
    (
        part("backups", cron="60 2 * * *"),
        'backups[0].cron: 60 2 * * * is not a cron line (Bad minute); write one as in "0 2 * * *"',
    ),
    (
        part("backups", cron="0 2 * * 7"),
        'backups[0].cron: 0 2 * * 7 uses L, W, # or 7 for Sunday, which Velero does not know; write one as in "0 2 * * 0"',
    ),
    (part("backups", keep="30"), f"backups[0].keep: 30 {DURATION}"),
    (part("backups", keep="720"), f"backups[0].keep: 720 {DURATION}"),
    (part("backups", keep="0h"), "backups[0].keep: 0h is no time at all; write a duration above zero, as in 720h"),
    (
        part("backups", include=["production"]),
        "backups[0]: has both include and exclude; keep include for some namespaces or exclude for all but some",
    ),
    (
        part("backups", name="Daily"),
        "backups[0].name: Daily is not a Kubernetes name (lower case letters, digits and -); write daily",
    ),
    (part("backups", name="a" * 54), f"backups[0].name: {'a' * 54} is too long: {FITS}; shorten it by 1"),
    (
        part("backups", restore="no"),
        "backups[0].restore: no is not one of true, false, everything; write one of them, true and false without quotes",
    ),
    ({"backups": [COMMITTED["backups"][0]] * 2}, "backups: names the backup daily-full twice; keep one"),
    # Workloads.
    (part("workloads", replicas=0), "workloads[0].replicas: 0 serves nobody while this region is active; set 1 or more"),
    (part("workloads", standbyReplicas=-1), "workloads[0].standbyReplicas: -1 is less than 0; write 0 or more"),
    (part("workloads", replicas=True), "workloads[0].replicas: true is not a whole number; write one as in 3"),
    (part("workloads", namespace=2026), 'workloads[0].namespace: 2026 is a number; write it in quotes: "2026"'),
    (part("workloads", namespace=True), "workloads[0].namespace: true is not text; write it in quotes"),
    (part("workloads", namespace={"a": "b"}), 'workloads[0].namespace: {"a": "b"} is not text; write one value'),
    ({"workloads": ["production"]}, "workloads[0]: production is not an object; write {namespace: …, replicas: …}"),
    ({"workloads": {}}, "workloads: {} is not a list; write [{namespace: …, replicas: …}]"),
    (
        part("workloads", names=["web"]),
        "workloads[0].names[0]: web is not a workload; write one as in deployment/web or statefulset/queue",
    ),
    (part("workloads", names=["deployment/web"] * 2), "workloads[0].names: names the workload deployment/web twice; keep one"),
    (
        part("workloads", check={"service": "web", "path": "healthz"}),
        "workloads[0].check.path: healthz is not a path; write /healthz",
    ),
    (
        {"images": {"kubectl": "registry.example.com/kubectl:v1.37.2"}},
        "images.kubectl: registry.example.com/kubectl:v1.37.2 is run by nothing any more: take images.kubectl out, and write "
        "images.python with your registry's copy of docker.io/library/python:3.13.12-slim",
    ),
    (part("workloads", check={"port": 80}), "workloads[0].check.service: is missing; add it: the Service to ask"),
    (
        part("workloads", check={"service": "web", "scheme": "tcp"}),
        "workloads[0].check.scheme: tcp is not one of 'http', 'https'; write one of them",
    ),
    (
        part("workloads", check={"service": "web", "host": "https://app.example.com"}),
        "workloads[0].check.host: https://app.example.com is a URL and not a host name; write app.example.com",
    ),
    (
        {"workloads": COMMITTED["workloads"] * 2},
        "workloads[1].namespace: workloads[0] has the namespace production and no names, too; keep one, or give one of them "
        "names",
    ),
    (
        entries({"names": ["deployment/web"]}, {}, {"names": ["statefulset/queue", "deployment/web"]}),
        "workloads[2].names: names deployment/web of namespace production, which workloads[0] names too; keep one",
    ),
    (
        entries({"cronJobs": "leave"}, {"names": ["deployment/web"], "cronJobs": "suspend"}),
        "workloads[1].cronJobs: suspend contradicts workloads[0], which says leave for namespace production; write it in one of "
        "them",
    ),
    (
        entries({"beforeDatabases": True}, {"names": ["deployment/web"]}),
        "workloads[1].beforeDatabases: differs from workloads[0].beforeDatabases, and one Job scales all of namespace "
        "production; write true in each of its entries, or in none",
    ),
    (part("workloads", cronJobs="stop"), "workloads[0].cronJobs: stop is not one of 'suspend', 'leave'; write one of them"),
    (part("workloads", required="no"), "workloads[0].required: no is neither true nor false; write one of them, without quotes"),
    (
        part("workloads", required=False, check={"service": "web"}),
        "workloads[0].check: must succeed before a failover moves the traffic, and required is false; take one of the two out",
    ),
    (
        {"workloads": [{"namespace": "production"}]},
        "workloads[0].replicas: is missing; add it: the least number of replicas of each workload while this region is active: "
        "what runs with more, or is switched off, stays as it is (docs/scaling.md)",
    ),
    (
        {"workloads": "- a\n- b"},
        'workloads: "- a\\n- b" cannot be read; write it as YAML in Pulumi.yaml: [{namespace: …, replicas: …}]',
    ),
    # This region's own.
    ({"cluster": REMOVED}, "cluster: is missing; add it to Pulumi.secondary.yaml: this region's cluster"),
    (part("cluster", distribution="gke"), "cluster.distribution: gke is not one of 'eks', 'self-managed'; write one of them"),
    ({"peerReady": "yes"}, "peerReady: yes is neither true nor false; write one of them"),
    (
        {"aws": {"endpoint": "minio:9000"}},
        "aws.endpoint: minio:9000 is not a plain URL (scheme, host and port); write one as in http://aws.example.com:5000",
    ),
    (
        {"storage": {"objectLock": {"mode": "governance", "days": 30}}},
        "storage.objectLock.mode: governance is not one of 'GOVERNANCE', 'COMPLIANCE'; did you mean GOVERNANCE?",
    ),
    ({"failover": {"restore": "half an hour"}}, f"failover.restore: half an hour {DURATION}"),
    ({"aws": []}, "aws: [] is not an object; write {endpoint: …, profile: …, tags: …, permissionsBoundary: …}"),
    (part("cluster", context=""), "cluster.context: is empty; write it: the kubeconfig context; the program uses no other"),
    (part("cluster", context=None), "cluster.context: is empty; write it: the kubeconfig context; the program uses no other"),
    # Secrets.
    (
        {"backupEncryptionPassword": REMOVED},
        "backupEncryptionPassword: is missing (encrypts volume backups; must be the same in both regions, and must never "
        "change); run: pulumi config set --secret backupEncryptionPassword -s secondary",
    ),
    ({"backupEncryptionPassword": "hunter2"}, f"backupEncryptionPassword: {SHORT}"),
    (
        {"backupEncryptionPassword=hunter2hunter2": ""},
        "backupEncryptionPassword=…: 'pulumi config set backupEncryptionPassword=…' stored a key of that name and changed "
        "nothing; run: pulumi config rm 'backupEncryptionPassword=…' -s secondary && "
        "pulumi config set --secret backupEncryptionPassword -s secondary",
    ),
]


def complaint(stack: str, raw: dict[str, str], secrets: Collection[str] = SECRETS) -> str:
    """What a person is told; nothing if the configuration can be used. Anything else that is raised fails the test."""
    try:
        load(stack, raw, secrets)
    except ConfigurationError as error:
        return str(error)
    return ""


@pytest.mark.parametrize(("changes", "message"), MISTAKES, ids=[message.split(":")[0] for _, message in MISTAKES])
def test_a_mistake_is_one_line_with_key_value_and_fix(changes: dict[str, Any], message: str) -> None:
    told = complaint("secondary", example("secondary", changes))
    assert told == f"k8s-dr:{message}"
    assert "\n" not in told


def test_secrets_in_clear_text_are_refused_each_with_its_command() -> None:
    keys = {"velero": {"accessKeyId": "AKIAEXAMPLE", "secretAccessKey": "wJalrXUtnFEMI"}}
    urls = {"alerts": "https://hooks.example.com/abc"}
    told = complaint("primary", example("primary", {"staticCredentials": keys, "receivers": urls}), ())
    stored_by = {
        "backupEncryptionPassword": "backupEncryptionPassword",
        "staticCredentials": "--path 'staticCredentials.PART.accessKeyId'",
        "databasePasswords": "--path 'databasePasswords[\"NAME\"]'",
        "receivers": "--path 'receivers.heartbeats.JOB'",
    }
    assert told.splitlines() == [
        f"k8s-dr:{key}: is stored in clear text; run: pulumi config set --secret {stored_by[key]} -s primary" for key in SECRETS
    ]


def test_several_mistakes_are_told_at_once_one_line_each() -> None:
    changes = part("workloads", replicas=0) | part("dns", ttl=0)
    told = complaint("primary", example("primary", changes))
    assert [line.split(":")[1] for line in told.splitlines()] == ["dns.ttl", "workloads[0].replicas"]


def test_a_literal_assignment_is_not_also_called_an_unknown_key() -> None:
    told = complaint("primary", example("primary", {"active=secondary": "", "actve": "x"}))
    assert len(told.splitlines()) == 1


@pytest.mark.parametrize("stack", ["dev", "prod", "Primary", ""])
def test_a_stack_of_another_name_has_no_role(stack: str) -> None:
    told = complaint(stack, example("primary"))
    assert told == (
        f"stack {stack}: a stack is called primary or secondary, for its name is its role; run: pulumi stack select primary"
    )


@given(st.dictionaries(st.text(min_size=1), st.text(), max_size=3))
def test_whatever_a_person_stores_is_settings_or_a_configuration_error(stored: dict[str, str]) -> None:
    told = complaint("primary", {**example("primary"), **stored})
    assert told == "" or told.startswith("k8s-dr:")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@given(key=st.sampled_from(sorted({*COMMITTED, "endpoint", "aws", "images", "storage", "failover", "velero"})), value=json_values)
def test_a_value_of_any_shape_is_settings_or_a_configuration_error(key: str, value: Any) -> None:
    told = complaint("primary", {**example("primary"), key: json.dumps(value)})
    assert told == "" or told.startswith("k8s-dr:")


def test_a_command_that_is_printed_is_safe_to_copy() -> None:
    (line,) = complaint("primary", example("primary", {"active=secondary; rm -rf ~": ""})).splitlines()
    assert line.endswith(
        "pulumi config rm 'active=secondary; rm -rf ~' -s primary && pulumi config set active 'secondary; rm -rf ~' -s primary"
    )


def test_a_value_that_is_nested_too_deeply_is_one_line() -> None:
    (line,) = complaint("primary", {**example("primary"), "workloads": "[" * 200_000}).splitlines()
    assert line.startswith("k8s-dr:workloads: a text of 200000 characters cannot be read; ")
