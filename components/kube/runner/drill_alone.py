"""Whether another run of the same drill is at work. Two would delete what each other made, for each begins by cleaning up.

The CronJob forbids only its own Jobs to run side by side, and not one that a person made of it.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

from .api import Api, Object
from .drill_record import LABEL
from .failure import StepFailedError

_PODS = "/api/v1/namespaces/k8s-dr/pods"


def refuse_beside_another(api: Api, kind: str, environment: Mapping[str, str] = os.environ) -> None:
    """Raise StepFailedError if a Pod of this drill that was made before this one has not ended. So of two that begin together one
    goes on."""
    found = [each for each in api.list(_PODS, f"{LABEL}={kind}") if phase_of(each) in ("Pending", "Running")]
    own = next((_age(each) for each in found if each["metadata"].get("uid") == environment.get("POD_UID")), None)
    before = [each for each in found if own is None or _age(each) < own]
    if before:
        name = min(before, key=_age)["metadata"]["name"]
        raise StepFailedError(
            f"another run of this drill is at work, Pod {name}, and two would delete what each other made: nothing was done; run "
            "it again once that one has ended"
        )


def phase_of(pod: Object) -> str:
    return str((pod.get("status") or {}).get("phase", "Pending"))


def _age(pod: Object) -> tuple[str, str]:
    return str(pod["metadata"].get("creationTimestamp", "")), str(pod["metadata"]["name"])
