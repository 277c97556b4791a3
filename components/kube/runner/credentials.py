"""Asks whether this Pod got credentials for AWS when it was admitted.

They come at admission or never, and for some seconds after a role was given to an account they do not come. So a Pod that has
none fails, and its Job makes another one: that is a new admission.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from .failure import StepFailedError


def run(task: Mapping[str, Any], environment: Mapping[str, str] = os.environ) -> str:
    """Look for the `variable` that admission adds. Raises StepFailedError, with the task's `missing`, if it is not there."""
    variable, account = task["variable"], task["account"]
    if not environment.get(variable):
        raise StepFailedError(f"Pods of {account} get no credentials for AWS: {variable} is not set; {task['missing']}")
    return f"{variable} is set"
