"""Reads the access keys of the lab's pods, and tries calls to AWS with them."""

from __future__ import annotations

import base64
import configparser
import json
import os
import subprocess
import sys
from collections.abc import Sequence

from components.database import freshness
from components.database.specs import CREDENTIALS
from components.drills import pods as drill_pods
from components.etcd import backup as etcd
from components.failover import guard_specs
from lab import databases
from lab.cloud.access_keys import AccessKey
from lab.paths import CHECKOUT
from lab.regions import namespaces
from lab.world import Lab
from settings.names import DRILLS_NAMESPACE, PROGRAM_NAMESPACE
from settings.parts import Part
from settings.roles import Role
from tests.permissions import Call, dump


def key_of(lab: Lab, role: Role, part: Part) -> AccessKey:
    """The access key in the Secret that the part's pods read in the region `role`."""
    match part:
        case "velero":
            profile = configparser.ConfigParser()
            profile.read_string(_secret(lab, role, "velero", "cloud-credentials")["cloud"])
            section = profile["default"]
            return AccessKey(identifier=section["aws_access_key_id"], secret=section["aws_secret_access_key"])
        case "database":
            keys = _secret(lab, role, databases.DATABASE_NAMESPACE, CREDENTIALS)
        case "freshness":
            keys = _secret(lab, role, PROGRAM_NAMESPACE, freshness.CREDENTIALS)
        case "guard":
            keys = _secret(lab, role, PROGRAM_NAMESPACE, guard_specs.CREDENTIALS)
        case "drills":
            keys = _secret(lab, role, PROGRAM_NAMESPACE, drill_pods.CREDENTIALS)
        case "drill-database":
            keys = _secret(lab, role, DRILLS_NAMESPACE, drill_pods.CLUSTER_CREDENTIALS)
        case "etcd":
            keys = _secret(lab, role, etcd.ETCD_NAMESPACE, etcd.CREDENTIALS)
    return AccessKey(identifier=keys["accessKeyId"], secret=keys["secretAccessKey"])


def _secret(lab: Lab, role: Role, namespace: str, name: str) -> dict[str, str]:
    found = json.loads(lab.kubectl(role, "get", "secret", name, "-n", namespace, "-o", "json"))
    return {field: base64.b64decode(value).decode() for field, value in found["data"].items()}


def outcomes(lab: Lab, calls: Sequence[Call], key: AccessKey) -> dict[str, str]:
    """The outcome of each call, made with `key` in the network that reaches the lab's AWS."""
    command = [*namespaces.inside(namespaces.WAN), sys.executable, "-m", "tests.permissions", lab.cloud.endpoint_url]
    environment = {**os.environ, **key.environment}
    ran = subprocess.run(command, input=dump(calls), capture_output=True, text=True, check=False, env=environment, cwd=CHECKOUT)
    assert ran.returncode == 0, ran.stderr
    return dict(zip(map(str, calls), json.loads(ran.stdout), strict=True))
