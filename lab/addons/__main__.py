"""The process of a region's add-ons: `python -m lab.addons API_SERVER ADDRESS AWS_REGION PKI`.

API_SERVER is a URL, ADDRESS the node's. PKI is the directory of the region's keys and certificates.
"""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

from urllib3.exceptions import HTTPError

from lab.addons import load_balancers, policies
from lab.addons.cluster import Api, ApiError, Cluster
from lab.addons.kinds import Snapshot
from lab.addons.objects import PORT
from lab.addons.server import Answers, Server

_RETRY_AFTER = 1.0  # seconds


def main(api_server: str, address: str, aws_region: str, pki: str) -> None:
    keys = Path(pki)
    own = {"certificate": keys / "addons.crt", "key": keys / "addons.key"}
    cluster = Cluster(Api(api_server, authority=keys / "ca.crt", **own))
    answers = Answers(cluster=cluster, aws_region=aws_region)
    Server((address, PORT), answers, certificate=keys / "addons/server.crt", key=keys / "addons/server.key").start()
    cluster.follow()
    enforce = Enforcer(policies.apply)
    while True:
        cluster.changed.wait()
        cluster.changed.clear()
        try:
            snapshot = cluster.snapshot()
            enforce(snapshot)
            load_balancers.reconcile(cluster, snapshot, aws_region=aws_region, address=address)
        except (ApiError, HTTPError, subprocess.CalledProcessError) as error:
            print(f"trying again in {_RETRY_AFTER:g} s: {_words(error)}", flush=True)
            threading.Timer(_RETRY_AFTER, cluster.changed.set).start()


class Enforcer:
    """Applies the rules of all network policies, unless they are what was applied last."""

    def __init__(self, apply: Callable[[str], None]) -> None:
        self._apply, self._applied = apply, ""

    def __call__(self, snapshot: Snapshot) -> None:
        if (rules := policies.ruleset(snapshot)) != self._applied:
            self._apply(rules)
            self._applied = rules


def _words(error: Exception) -> str:
    return f"{error}: {error.stderr}" if isinstance(error, subprocess.CalledProcessError) else str(error)


if __name__ == "__main__":
    main(*sys.argv[1:])
