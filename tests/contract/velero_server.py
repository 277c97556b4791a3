"""Real Velero beside a real API server and moto's S3, in a network of their own. It runs no Pod and moves no volume."""

from __future__ import annotations

import itertools
import json
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import urllib3
import yaml

from components.kube.cluster_api import LiveCluster
from components.velero.specs import PEER, VELERO_NAMESPACE
from lab.waiting import until
from settings.cluster import Cluster
from tests.api_server import ApiServer, alive, process
from tests.ports import free_port

BUCKET = "velero"
_ENDED = ("Completed", "PartiallyFailed", "Failed", "FailedValidation")


class VeleroServer:
    """Velero's objects by name, and the program's own client of that cluster."""

    def __init__(self, api: ApiServer, kubeconfig: Path, store: str, metrics: str) -> None:
        """`store` is the URL of moto's S3, and `metrics` that of Velero's metrics."""
        self.api, self.store, self.metrics = api, store, metrics
        self.cluster = LiveCluster(
            Cluster(context="test", name="test", distribution="self-managed", kubeconfig=str(kubeconfig)), "unused"
        )
        self._numbers = itertools.count()

    def made(self, kind: str, spec: dict[str, Any], **metadata: Any) -> dict[str, Any]:
        """Make a Backup or a Restore, wait until it has ended, and return it."""
        name = f"{kind.lower()}-{next(self._numbers)}"
        item = {
            "apiVersion": "velero.io/v1",
            "kind": kind,
            "metadata": {"name": name, "namespace": VELERO_NAMESPACE, **metadata},
            "spec": spec,
        }
        answer = self.api.apply(item)
        assert answer.status in (200, 201), answer

        def ended() -> dict[str, Any] | None:
            found = self.api.read(item)
            return found if found and (found.get("status") or {}).get("phase") in _ENDED else None

        return until(f"{kind} {name} to end", ended, timeout=120)


@contextmanager
def running(
    programs: Path, api: ApiServer, directory: Path, crds: Sequence[dict[str, Any]], *more: str
) -> Iterator[VeleroServer]:
    """Velero on `api`, until the block ends. `programs` has its server and its AWS plugin; `more` are arguments of the
    server. Its one location has the name of the peer's, and can be written to: the test's backups are made in it."""
    plugins = directory / "plugins"
    plugins.mkdir()
    (plugins / "velero-plugin-for-aws").symlink_to(programs / "velero-plugin-for-aws")
    config = directory / "kubeconfig"
    config.write_text(yaml.safe_dump(api.kubeconfig()))
    port, metrics = free_port(), f"127.0.0.1:{free_port()}"
    store = f"http://127.0.0.1:{port}"
    aws = {
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_REQUEST_CHECKSUM_CALCULATION": "when_required",
    }
    moto = [*api.place.prefix, sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    server = [
        *api.place.prefix,
        programs / "velero",
        "server",
        f"--kubeconfig={config}",
        f"--namespace={VELERO_NAMESPACE}",
        f"--plugin-dir={plugins}",
        f"--metrics-address={metrics}",
        "--profiler-address=",
        f"--default-backup-storage-location={PEER}",
        "--store-validation-frequency=5s",
        "--log-format=json",
        *more,
    ]
    log, store_log = directory / "velero.log", directory / "moto.log"
    api.define(crds)
    for item in _prerequisites(store):
        answer = api.apply(item)
        assert answer.status in (200, 201), answer
    environment = {"PATH": os.environ["PATH"], "HOME": str(directory), "TMPDIR": str(directory), **aws}
    with process(moto, store_log) as bucket, api.place.entered():

        def made() -> bool:
            assert alive(bucket, store_log)
            return urllib3.request("PUT", f"{store}/{BUCKET}", retries=False, timeout=5).status == 200

        until("the bucket to be there", made, timeout=60)
        with process(server, log, environment) as velero:
            at = location(store)

            def available() -> bool:
                assert alive(velero, log)
                return ((api.read(at) or {}).get("status") or {}).get("phase") == "Available"

            until("Velero to reach its location", available, timeout=60)
            yield VeleroServer(api, config, store, f"http://{metrics}/metrics")


def location(store: str, name: str = PEER, bucket: str = BUCKET) -> dict[str, Any]:
    return {
        "apiVersion": "velero.io/v1",
        "kind": "BackupStorageLocation",
        "metadata": {"name": name, "namespace": VELERO_NAMESPACE},
        "spec": {
            "provider": "aws",
            "default": name == PEER,
            "objectStorage": {"bucket": bucket, "prefix": "velero/primary"},
            "config": {"region": "us-east-1", "s3Url": store, "s3ForcePathStyle": "true", "checksumAlgorithm": ""},
        },
    }


def _prerequisites(store: str) -> list[dict[str, Any]]:
    """The namespace, the location, and the Deployment without Pods that Velero looks for in every restore."""
    pod = {"containers": [{"name": "velero", "image": "velero"}]}
    labels = {"deploy": "velero"}
    return [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": VELERO_NAMESPACE}},
        location(store),
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": "velero", "namespace": VELERO_NAMESPACE},
            "spec": {
                "replicas": 0,
                "selector": {"matchLabels": labels},
                "template": {"metadata": {"labels": labels}, "spec": pod},
            },
        },
    ]


def text(item: dict[str, Any]) -> str:
    """The object as one line, for the message of a test that fails."""
    return json.dumps(item.get("status") or {}, sort_keys=True)
