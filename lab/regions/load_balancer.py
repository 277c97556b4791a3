"""The lab's stand-in for AWS's load balancer controller. Each region runs one as a process.

It writes the address of the region's node into the status of each Service of type LoadBalancer; kube-proxy then serves the
Service there. On AWS, the controller would create a load balancer and write its name.
"""

from __future__ import annotations

import sys
import time
from typing import Any

from kubernetes import client, config, watch
from urllib3.exceptions import HTTPError

_RETRY_AFTER = 1  # seconds to wait after an error of the API server


def wanted_status(service: Any, address: str) -> dict[str, Any] | None:
    """The patch for the status of `service`; None if nothing has to change."""
    if service.spec.type != "LoadBalancer" or service.spec.load_balancer_class is not None:
        return None
    ingress = service.status.load_balancer.ingress or []
    if [entry.ip for entry in ingress] == [address]:
        return None
    return {"status": {"loadBalancer": {"ingress": [{"ip": address}]}}}


def follow(api: Any, address: str) -> None:
    """Handle all existing and new Services until the API server ends the watch."""
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
            # The API server is busy, or a Service was deleted before its patch. Start the watch again.
            print(f"watching Services: {error}", flush=True)
            time.sleep(_RETRY_AFTER)


if __name__ == "__main__":
    main(*sys.argv[1:])
