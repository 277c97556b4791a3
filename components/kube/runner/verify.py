"""Asks a workload's Service for a success, as the last step before users are sent to it."""

from __future__ import annotations

import http.client
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .api import Api
from .ask import Answer, Question, put
from .failure import StepFailedError

_PATIENCE = 5.0
"""Seconds that one answer may take. Whoever waits longer for a page has gone."""

_PAUSE = 0.2
"""Seconds between two questions."""


@dataclass(frozen=True, kw_only=True)
class Check:
    """The request that must succeed: GET `path` of port `port` of a Service, by `scheme` (http or https).

    `host` is the Host header and, over TLS, the SNI; by default, the Service's name in the cluster. `seconds` is how long the
    workload may take until it answers with success. `via` says who asks: this Pod (pod), or the API server (api-server).
    """

    namespace: str
    service: str
    port: int
    path: str
    scheme: str
    host: str | None
    seconds: float
    via: str = "pod"

    def __str__(self) -> str:
        return f"{self.url} (through the API server)" if self.via == "api-server" else str(self.question)

    @property
    def proxied(self) -> str:
        """The path of the API server that leads to the Service."""
        return f"/api/v1/namespaces/{self.namespace}/services/{self.scheme}:{self.service}:{self.port}/proxy{self.path}"

    @property
    def url(self) -> str:
        """The Service by the name that every Pod can resolve, whatever the cluster's domain is."""
        return f"{self.scheme}://{self.service}.{self.namespace}.svc:{self.port}{self.path}"

    @property
    def question(self) -> Question:
        return Question(url=self.url, host=self.host, seconds=_PATIENCE)


def run(task: Mapping[str, Any]) -> str:
    """Ask until the answer is a success, 2xx or 3xx. Returns that answer. Raises StepFailedError after the check's `seconds`."""
    check = Check(**task)
    api = Api.in_cluster() if check.via == "api-server" else None
    deadline = time.monotonic() + check.seconds
    while True:
        # The last question has its whole time too: cut short, it would hide what the workload says.
        answer = _through(api, check) if api else put(check.question)
        if answer.success:
            return f"{check} said {answer.said}"
        if time.monotonic() >= deadline:
            look = look_at(check, answer.status)
            raise StepFailedError(f"{check} said {answer.said}, after {check.seconds:g} s of asking; {look}")
        print(f"{check} said {answer.said}; asking again", flush=True)
        time.sleep(_PAUSE)


def _through(api: Api, check: Check) -> Answer:
    try:
        return proxied_answer(*api.status(check.proxied))
    except (OSError, http.client.HTTPException) as error:
        return Answer(status=None, said=f"nothing: {error or type(error).__name__}")


def proxied_answer(status: int, text: str) -> Answer:
    """What a workload answered through the API server, or what that says of the way to it."""
    return Answer(status=status, said=f"HTTP {status}" if status < 400 else text[:200])


def look_at(check: Check, status: int | None) -> str:
    """What to look at: the workload where it answers, and what is in between where nothing does."""
    if status is not None:
        return f"see the logs of what serves Service {check.service} in namespace {check.namespace}"
    return (
        f"see: kubectl get service,endpointslices -n {check.namespace}; where a NetworkPolicy of {check.namespace} refuses by "
        "default, let Pods of namespace k8s-dr in (docs/pods.md)"
    )
