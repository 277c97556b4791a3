"""The lab's stand-in for AWS's load balancer controller: a process of each region.

A Service of type LoadBalancer is told that its load balancer is the region's node, where kube-proxy then serves it; on AWS the
controller would have made one and told its name.
"""

from __future__ import annotations

import sys
import time
from typing import Any

from kubernetes import client, config, watch
from urllib3.exceptions import HTTPError

_RETRY_AFTER = 1  # seconds: an API server that refuses is not asked all the time


def wanted_status(service: Any, address: str) -> dict[str, Any] | None:
    """What to patch into the status of `service`, None if nothing is to be done."""
    if service.spec.type != "LoadBalancer" or service.spec.load_balancer_class is not None:
        return None
    ingress = service.status.load_balancer.ingress or []
    if [entry.ip for entry in ingress] == [address]:
        return None
    return {"status": {"loadBalancer": {"ingress": [{"ip": address}]}}}


def follow(api: Any, address: str) -> None:
    """Serve every Service that there is or comes, until the API server ends the watch."""
    for event in watch.Watch().stream(api.list_service_for_all_namespaces, timeout_seconds=300):
        service = event["object"]
        if event["type"] in ("ADDED", "MODIFIED") and (status := wanted_status(service, address)) is not None:
            name, namespace = service.metadata.name, service.metadata.namespace
            api.patch_namespaced_service_status(name, namespace, status)
            print(f"{namespace}/{name} is served at {address}", flush=True)


def main(kubeconfig: str, address: str) -> None:
    config.load_kube_config(kubeconfig)
    api = client.CoreV1Api()
    while True:
        try:
            follow(api, address)
        except (client.ApiException, HTTPError) as error:
            # The API server is busy, or a Service was gone before it could be patched: begin the watch anew.
            print(f"watching Services: {error}", flush=True)
            time.sleep(_RETRY_AFTER)


if __name__ == "__main__":
    main(*sys.argv[1:])
