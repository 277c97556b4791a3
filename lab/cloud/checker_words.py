"""Lets moto's Route 53 say what its health checkers see (GetHealthCheckStatus).

moto itself answers that every endpoint is healthy. Here one observation is made at the time of the call, as the name server's
checkers make theirs. Route 53 documents no exact words; those here have the form that its answers have.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from moto.core.responses import ActionResult
from moto.core.utils import utcnow
from moto.route53.exceptions import Route53ClientError
from moto.route53.responses import Route53 as Responses

from lab.cloud.moto_state import health_check
from lab.cloud.records import HealthCheck


def tell(observe: Callable[[HealthCheck], tuple[bool, str]]) -> None:
    """From now on, answer with what `observe` sees: whether a check succeeded, and the reason in a few words."""

    def get_health_check_status(response: Any) -> ActionResult:
        check = health_check(response.backend.get_health_check(response._get_param("HealthCheckId")))
        if check.type == "CALCULATED":
            raise Route53ClientError("InvalidInput", "the status of a calculated health check cannot be asked for")
        report = {"Status": words(*observe(check)), "CheckedTime": utcnow()}
        observation = {"Region": "us-west-1", "IPAddress": "15.177.0.1", "StatusReport": report}
        return ActionResult({"HealthCheckObservations": [observation]})

    responses: Any = Responses
    responses.get_health_check_status = get_health_check_status


def words(ok: bool, reason: str) -> str:
    """What a checker reports of one observation."""
    return f"{'Success' if ok else 'Failure'}: {reason.replace('HTTP ', 'HTTP Status Code ', 1)}"
