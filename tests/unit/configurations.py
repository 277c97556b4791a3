"""The program in every form that a configuration can give it: what it can register at all, for tests that look at everything."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

from pulumi.runtime import mocks

from settings.model import OperatorsSettings
from settings.roles import Role
from tests.examples import KEYS, PASSWORD, STATIC
from tests.unit.components.database.sides import STREAMING
from tests.unit.components.operators.installed import installed
from tests.unit.recorder import COMBINATIONS, Answers, Recorder, Seen, deployed, run_program

ACCOUNT = "123456789012"
KEY_ID = "1234abcd-12ab-34cd-56ef-1234567890ab"
_ISSUER = "oidc.example.com/id/EXAMPLED539D4633E53DE1B71EXAMPLE"
_REGION = "the-stacks-own-region"
"""Stands for the region of whichever stack has the configuration."""
_DATABASE: dict[str, Any] = {"name": "app-database", "namespace": "databases"}
_ALIAS = {"name": "lb.example.com", "zoneId": "Z35SXDOTRQ7X7K"}
_HOOK = "https://hooks.example.com/abc"
_CHECK = {"service": "web", "port": 8080, "path": "/ready"}


def _cluster(**changes: Any) -> dict[str, Any]:
    return {"cluster": {"context": "prod", "name": "prod", "distribution": "self-managed", **changes}}


def _dns(**changes: Any) -> dict[str, Any]:
    return {"dns": {"zoneId": "Z0123456789ABCDEFGHIJ", "names": ["app.example.com", "example.com"], **changes}}


def _delivery(**changes: Any) -> dict[str, Any]:
    return {"delivery": {"repository": "acme/k8s-dr", "stateBucket": "acme-pulumi-state", **changes}}


def _databases(*databases: dict[str, Any]) -> dict[str, Any]:
    return {"databases": list(databases), "databasePasswords": {database["name"]: PASSWORD for database in databases}}


CONFIGURATIONS: dict[str, dict[str, Any]] = {
    "as it is committed": {},
    "EKS with all that can be added": {
        **_cluster(distribution="eks", podIdentityAgent=True, veleroRoleArn=f"arn:aws:iam::{ACCOUNT}:role/velero"),
        **_delivery(clusterAccess=True, stateKeyArn=f"arn:aws:kms:{_REGION}:{ACCOUNT}:key/{KEY_ID}"),
        **_databases({**_DATABASE, **STREAMING, "parameters": {"max_connections": "200"}}, {**_DATABASE, "name": "orders"}),
        "tier": "pilot-light",
        "endpoint": _ALIAS,
        "peerReady": True,
        "backups": [
            {"name": "daily-full", "cron": "0 2 * * *", "keep": "720h", "restore": "everything", "pods": "all", "from": "older"},
            {"name": "hourly-critical", "cron": "0 * * * *", "keep": "168h", "include": ["shop"], "existing": "update"},
        ],
        "velero": {
            "counterparts": {"subnet-0a": "subnet-0b"},
            "storageClasses": {"gp3": "gp3-encrypted"},
            "modifiers": [{"conditions": {"groupResource": "deployments.apps"}, "mergePatches": [{"patchData": "{}"}]}],
        },
        "storage": {
            "objectLock": {"mode": "GOVERNANCE", "days": 30},
            "etcdSnapshotDays": 90,
            "accessLogs": True,
            "replicationTimeControl": True,
        },
        "storageClass": {"managed": True},
        "monitoring": {
            "enabled": True,
            "labels": {"release": "prometheus"},
            "regionLabel": "region",
            "replayWithin": "1h",
            "alarms": {
                "primary": "arn:aws:sns:us-east-1:123456789012:on-call",
                "secondary": "arn:aws:sns:us-west-2:123456789012:on-call",
            },
            "healthCheckAlarms": "arn:aws:sns:us-east-1:123456789012:on-call",
        },
        "receivers": {
            "heartbeats": {"guard": _HOOK, "watchdog": _HOOK, "schedules": {"hourly-critical": _HOOK}},
            "alerts": _HOOK,
            "statusPage": _HOOK,
        },
        "workloads": [
            {"namespace": "shop", "names": ["deployment/web", "statefulset/cart"], "replicas": 3, "check": _CHECK},
            {"namespace": "back-office", "replicas": 1},
        ],
    },
    "roles by the cluster's own issuer": {
        **_cluster(oidcIssuer=_ISSUER, kubeconfig="/etc/kubeconfig"),
        **_databases(
            {**_DATABASE, "instances": 1, "walStorage": None, "podMonitor": False, "source": "primary-bucket"},
            {**_DATABASE, "name": "orders", "namespace": "shop", "createNamespace": False, "antiAffinity": "preferred"},
        ),
        **_dns(mode="record", names=["app.example.com", "www.example.com"]),
        "identity": "irsa",
        "backups": [{"name": "all", "cron": "0 3 * * *", "keep": "24h"}],
        "peerReady": True,
        "storage": {"replicationMetrics": True},
    },
    "access keys, at an endpoint of its own": {
        **_cluster(),
        **_delivery(createProvider=False),
        **_dns(mode="record"),
        **STATIC,
        "staticCredentials": {
            "velero": KEYS,
            "database": KEYS,
            "etcd": KEYS,
            "freshness": KEYS,
            "guard": KEYS,
            "drills": KEYS,
            "drillDatabase": KEYS,
        },
        "aws": {"endpoint": "http://s3.example.com:5000", "profile": "dr"},
        "endpoint": _ALIAS,
        "peerReady": True,
    },
    "the nodes' role": {
        **_cluster(nodeRole="nodes"),
        **_delivery(),
        "identity": "instance-profile",
        "aws": {"endpoint": "https://s3.example.com"},
        "peerReady": True,
        "storage": {"objectLock": {"mode": "COMPLIANCE", "days": 7}},
    },
    "nothing in the region that stands by, and Velero that somebody else installed": {
        "tier": "backup-restore",
        "velero": {"managed": False},
        "peerReady": True,
    },
    "both regions serve": {
        **_databases({**_DATABASE, **STREAMING}),
        **_dns(check={"protocol": "http", "path": "/health"}, names=["app.example.com", "www.example.com"]),
        "tier": "active-active",
        "failover": {"probe": "https://primary.example.com/"},
        "peerReady": True,
    },
    "both regions serve, at the top of a zone": {
        **_databases(),
        **_dns(),
        "tier": "active-active",
        "endpoint": _ALIAS,
        "peerReady": True,
    },
}
"""As changes to the committed stacks, by what is special about each."""


class _Aws(Answers):
    """Answers with ids and ARNs of keys in the form that AWS gives them, for they are inputs of others."""

    def new_resource(self, args: mocks.MockResourceArgs) -> tuple[str, dict[str, Any]]:
        identifier, outputs = super().new_resource(args)
        if args.typ == "aws:kms/key:Key":
            outputs |= {"keyId": KEY_ID, "arn": f"arn:aws:kms:us-east-1:{ACCOUNT}:key/{KEY_ID}"}
        return identifier, outputs


def of_the_stack(stack: Role, changes: dict[str, Any]) -> dict[str, Any]:
    """The changes with the stack's own region in them."""
    region = {"primary": "us-east-1", "secondary": "us-west-2"}[stack]
    return dict(json.loads(json.dumps(changes).replace(_REGION, region)))


@cache
def every_program() -> dict[str, Recorder]:
    """Each configuration in each of the four combinations of stack and serving region, and the operators alone, for the program
    looks for their charts on disk. By words that say which it is. Shared by all tests of a process: read, change nothing."""
    programs = {
        f"{name}, {stack} while {serving} serves": run_program(
            stack, {**deployed(serving), **of_the_stack(stack, changes)}, answers=_Aws()
        )
        for name, changes in CONFIGURATIONS.items()
        for stack, serving in COMBINATIONS
    }
    gives_up = {"active": "secondary", "handover": "planned", "peerReady": True}
    programs["as it is committed, primary that gives up by plan"] = run_program("primary", gives_up, answers=_Aws())
    settings = OperatorsSettings(cert_manager=True, cloudnative_pg=True, barman_cloud=True)
    return {**programs, "operators": installed(settings)}


_NAMES = ("name", "bucket", "clusterName", "namespace", "serviceAccount", "addonName", "setIdentifier", "url")
"""Inputs that are a resource's name outside the state: the provider replaces a resource in which one of them changes."""


def ledger_of_today(*, aliases: bool) -> set[str]:
    """What the program registers in any configuration: how a state knows it, and what it is called outside the state.

    One line each: `<parent's type>$<type>::<name>`, then the names outside the state. A Job has none, for it is made anew by
    design; nor has the runner's ConfigMap, whose name follows its content. With `aliases` a resource has a line for each name
    that a state may know it by; a release saves those without.
    """
    everything = [seen for program in every_program().values() for seen in program.seen if seen.type != "pulumi:pulumi:Stack"]
    return {
        " ".join([known, *_outside(seen)]) for seen in everything for known in (seen.known_as if aliases else (seen.identity,))
    }


def _outside(seen: Seen) -> list[str]:
    if not seen.custom or seen.kind == "Job" or seen.name == "job-runner-code":
        return []
    metadata = seen.inputs.get("metadata") or {}
    names = {
        **{key: seen.inputs[key] for key in _NAMES if isinstance(seen.inputs.get(key), str)},
        **{f"metadata.{key}": metadata[key] for key in ("name", "namespace") if key in metadata},
    }
    return [f"{key}={value}" for key, value in sorted(names.items())]
