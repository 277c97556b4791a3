"""Reads the database of a volume that was set aside, as a person would: a Pod mounts its claim and starts PostgreSQL."""

from __future__ import annotations

import json
from typing import Any

from components.kube.kept import KEPT_OF
from lab import circle, databases
from lab.tools.images import POSTGRES
from lab.waiting import until
from lab.world import Lab, LabError

NAME = "reads-a-kept-volume"

_SCRIPT = """\
set -e
cd /tmp
data=/kept/pgdata
rm -f "$data/postmaster.pid"
chmod 0700 "$data"
echo 'local all all trust' > hba
: > ident
# What is in the data directory is the operator's: certificates, an archive command and a log that only its own Pods have.
pg_ctl start -w -t 120 -D "$data" -l /tmp/log -o "-c hba_file=/tmp/hba -c ident_file=/tmp/ident -c ssl=off -c archive_mode=off \
-c unix_socket_directories=/tmp -c listen_addresses= -c logging_collector=off -c log_destination=stderr \
-c shared_preload_libraries=" >/dev/null || { cat /tmp/log >&2; exit 1; }
psql -h /tmp -U postgres -d app -Atqc "$SQL"
pg_ctl stop -w -D "$data" >/dev/null
"""


def claims(lab: Lab, of: str) -> list[dict[str, Any]]:
    """The primary's claims of what is kept of an archive's database."""
    get = ("get", "pvc", "-n", databases.DATABASE_NAMESPACE, "-l", f"{KEPT_OF}={of}", "-o", "json")
    return list(json.loads(lab.kubectl("primary", *get))["items"])


def read(lab: Lab, claim: str, sql: str) -> str:
    """What the database on a kept claim of the primary answers to `sql`. Raises LabError, with PostgreSQL's log."""
    image = circle.cluster_of(lab, "primary")["spec"]["imageName"]
    here = ("-n", databases.DATABASE_NAMESPACE)
    lab.kubectl("primary", "apply", "-f", "-", stdin=json.dumps(_pod(claim, image, sql)))
    try:
        phase = ("get", "pod", NAME, *here, "-o", "jsonpath={.status.phase}")
        until("the kept volume to be read", lambda: lab.kubectl("primary", *phase) in ("Succeeded", "Failed"), timeout=240)
        ended, said = lab.kubectl("primary", *phase), lab.kubectl("primary", "logs", NAME, *here, check=False)
        if ended != "Succeeded":
            raise LabError(f"claim {claim} could not be read: {said.strip()}")
        return said.strip()
    finally:
        lab.kubectl("primary", "delete", "pod", NAME, *here, "--ignore-not-found", "--wait=true")


def _pod(claim: str, image: str, sql: str) -> dict[str, Any]:
    container = {
        "name": "postgres",
        "image": image,
        "command": ["/bin/sh", "-c", _SCRIPT],
        "env": [{"name": "SQL", "value": sql}],
        "volumeMounts": [{"name": "kept", "mountPath": "/kept"}],
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": NAME,
            "namespace": databases.DATABASE_NAMESPACE,
            "labels": {"velero.io/exclude-from-backup": "true"},
        },
        "spec": {
            "restartPolicy": "Never",
            "automountServiceAccountToken": False,
            "terminationGracePeriodSeconds": 1,
            "securityContext": {"runAsUser": POSTGRES, "runAsGroup": POSTGRES},
            "containers": [container],
            "volumes": [{"name": "kept", "persistentVolumeClaim": {"claimName": claim}}],
        },
    }
