"""What becomes of a Pod that runs a step of the program's runner.

No step runs here. But what a kubelet would wait for, and what the step would refuse, ends as it does in a cluster: modules that
are not there, and a task that the step cannot read. Servers of the cluster's own region answer; users' names, which lead to the
other region, do not.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal
from urllib.parse import urlsplit

from components.kube.runner.ask import Answer, Question
from components.kube.runner.endpoint import Endpoint
from components.kube.runner.inventory import entries_of
from components.kube.runner.rights import Right
from components.kube.runner.verify import Check

_SILENCE = Answer(status=None, said="nothing within 3 s")
_SUCCESS = Answer(status=200, said="HTTP 200 OK")
_OWN = (".svc", ".lab.internal")
"""How the names of servers of the cluster's own region end: Services, and load balancers."""


@dataclass(frozen=True, kw_only=True)
class End:
    """How the Pod ends, with its container's last message. A Pod that is Pending waits for ever."""

    phase: Literal["Succeeded", "Failed", "Pending"]
    message: str


def end_of(spec: Mapping[str, Any], config_map: Callable[[str], Mapping[str, Any] | None]) -> End | None:
    """The end of a Pod with this spec; None if it runs something else. `config_map` finds one of the Pod's namespace by name."""
    container = spec["containers"][-1] if spec.get("containers") else {}
    *program, step = container.get("command") or [""]
    if program != ["python3", "-m", "runner"]:
        return None
    names = [volume["configMap"]["name"] for volume in spec.get("volumes") or () if "configMap" in volume]
    found = {name: config_map(name) for name in names}
    if missing := [name for name, each in found.items() if each is None]:
        return End(phase="Pending", message=f"ConfigMap {', '.join(missing)} is not there")
    if not any(f"{step}.py" in ((each or {}).get("data") or {}) for each in found.values()):
        return End(phase="Failed", message=f"{step} is not a step of this version of the runner")
    task = next((each["value"] for each in container.get("env") or () if each["name"] == "TASK"), "")
    try:
        return End(phase="Succeeded", message=_read(step, json.loads(task)))
    except (KeyError, TypeError, ValueError) as error:
        return End(phase="Failed", message=f"the runner itself failed: {type(error).__name__}: {error}")


def _read(step: str, task: Mapping[str, Any]) -> str:
    """Read the task as the step does, and return what the step would say. Raises what the step would raise."""
    if step == "ask":
        return json.dumps([asdict(_answer(Question(**each))) for each in task["questions"]])
    if step == "endpoint":
        return "; ".join(f"{Question(**each)} said {_SUCCESS.said}" for each in Endpoint(**task).questions)
    if step == "verify":
        return f"{Check(**task).url} said {_SUCCESS.said}"
    if step == "rights":
        return f"may {', '.join(str(Right(**each)) for each in task['rights'])}"
    if step in ("scale", "stand_by"):
        return f"{task['namespace']}: {len(entries_of(task))} entries, CronJobs: {task['cronJobs']}, {task['seconds']} s"
    return ""


def _answer(question: Question) -> Answer:
    return _SUCCESS if (urlsplit(question.url).hostname or "").endswith(_OWN) else _SILENCE
