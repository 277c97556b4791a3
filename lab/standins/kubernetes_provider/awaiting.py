"""Waits until an object is ready, has failed, or the time is up."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from lab.standins.kubernetes_provider import wait_for
from lab.standins.kubernetes_provider.cluster import ApiError, Cluster, NoMatchError, UnreachableError
from lab.standins.kubernetes_provider.manifests import Object, annotation, metadata
from lab.standins.kubernetes_provider.readiness import READY, Verdict, judge

DEFAULT_SECONDS = 600.0
DELETION_SECONDS = 300.0
_CREATION_SECONDS = 30.0
_FIRST_INTERVAL, _LONGEST_INTERVAL = 0.05, 1.0
_QUIET_SECONDS = 5.0
"""After how long an object is read again although its watch has told of no change."""


class NotReadyError(Exception):
    """The object exists as `live` but is not ready. `details` are the messages of its pods."""

    def __init__(self, live: Object, reason: str, details: list[str]) -> None:
        super().__init__(reason)
        self.live, self.details = live, details


def _until(timeout: float) -> Iterator[None]:
    """Yield at once, then at growing intervals, and for the last time after `timeout` seconds."""
    deadline, interval = time.monotonic() + timeout, _FIRST_INTERVAL
    yield
    while (left := deadline - time.monotonic()) > 0:
        time.sleep(min(interval, left))
        interval = min(interval * 2, _LONGEST_INTERVAL)
        yield


def seconds(timeout: float, inputs: Mapping[str, Any], default: float) -> float:
    """How long to wait: the resource's custom timeout, else its annotation, else `default`."""
    if timeout:
        return timeout
    text = annotation(inputs, "pulumi.com/timeoutSeconds")
    return float(text) if text.isdigit() else default


def verdict(cluster: Cluster, inputs: Mapping[str, Any], live: Object) -> Verdict:
    """Whether the object is ready: by the condition in its annotation if it has one, else by the rule for its kind."""
    if annotation(inputs, "pulumi.com/skipAwait") == "true":
        return READY
    if condition := annotation(inputs, "pulumi.com/waitFor"):
        missing = [wait.text for wait in wait_for.parse(condition) if not wait.holds(live)]
        return Verdict(state="waiting", reason=f"still waiting for {', '.join(missing)}") if missing else READY
    judged = judge(live)
    if judged.state == "waiting" and live.get("kind") == "PersistentVolumeClaim" and cluster.binds_late(live):
        return READY
    return judged


def until_ready(cluster: Cluster, inputs: Object, live: Object, *, timeout: float) -> Object:
    """The object once it is ready. Raises NotReadyError at once when it has failed, or after `timeout` seconds. Like the real
    provider it watches the object; where it cannot, it reads it again at growing intervals."""
    deadline, interval = time.monotonic() + timeout, _FIRST_INTERVAL
    while True:
        judged = verdict(cluster, inputs, live)
        if judged.state == "ready":
            return live
        if judged.state == "failed":
            raise NotReadyError(live, judged.reason, explain_pods(cluster, live))
        left = deadline - time.monotonic()
        if left <= 0:
            raise NotReadyError(live, "timed out waiting for the condition", [judged.reason, *explain_pods(cluster, live)])
        if not cluster.changed(live, min(_QUIET_SECONDS, left)):
            time.sleep(min(interval, left))
            interval = min(interval * 2, _LONGEST_INTERVAL)
        try:
            found = cluster.find(live)
        except (UnreachableError, ApiError):
            continue  # the server may be restarting; if it stays away, the timeout ends this
        if found is None:
            raise NotReadyError(live, "the object was deleted while Pulumi waited for it", [])
        live = found


def until_created(create: Callable[[], Object]) -> Object:
    """Create an object. Try again for a while if its kind or namespace does not exist: another resource may create it."""
    missing: Exception | None = None
    for _ in _until(_CREATION_SECONDS):
        try:
            return create()
        except NoMatchError as error:
            missing = error
        except ApiError as error:
            if not error.not_found:
                raise
            missing = error
    assert missing is not None
    raise missing


def until_gone(cluster: Cluster, obj: Object, name: str, *, timeout: float) -> bool:
    """Whether the object was gone within `timeout` seconds. A new object with the same name does not count."""
    uid = metadata(obj).get("uid")
    for _ in _until(timeout):
        live = cluster.find(obj, name)
        if live is None or metadata(live).get("uid") != uid:
            return True
    return False


def explain_pods(cluster: Cluster, obj: Object) -> list[str]:
    """The last messages of failed containers in a Job's pods, and the reasons of waiting ones."""
    if obj.get("kind") != "Job":
        return []
    meta = metadata(obj)
    try:
        pods = cluster.pods(meta["namespace"], f"job-name={meta['name']}")
    except (ApiError, UnreachableError):
        return []
    return [message for pod in pods for message in pod_messages(pod)]


def pod_messages(pod: Mapping[str, Any]) -> list[str]:
    messages = []
    status = pod.get("status") or {}
    for container in [*(status.get("initContainerStatuses") or []), *(status.get("containerStatuses") or [])]:
        state = container.get("state") or {}
        ended, waiting = state.get("terminated") or {}, state.get("waiting") or {}
        who = f"[Pod {metadata(pod)['name']}] container {container['name']}"
        if ended.get("exitCode"):
            said = str(ended.get("message") or ended.get("reason") or "it said nothing").strip()
            messages.append(f"{who} ended with exit code {ended['exitCode']}: {said}")
        elif waiting.get("reason") not in (None, "PodInitializing", "ContainerCreating"):
            messages.append(f"{who} waits: {waiting['reason']} {waiting.get('message', '')}".strip())
    return messages
