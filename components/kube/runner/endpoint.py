"""Asks the region's own endpoint as a user would ask, as the last thing before users are sent to it.

What stands between users and workloads is tried by nothing else: targets of the load balancer, its rules for the names that users
call, security groups, the certificate of this region.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .ask import Answer, Question, put_all
from .failure import StepFailedError

_PAUSE = 0.5
"""Seconds between two questions."""

_NOT_REQUIRED = 10.0
"""Seconds at most where the answer is not required: whoever has said so waits for users, not for this."""


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """The task. `questions` have the fields of Question, one for each name that users call.

    The first name must answer with success. For every other any answer of a living server will do: its start page is not known.
    `seconds` is how long they may take until they do; without `required` the step succeeds although they do not.
    """

    questions: Sequence[Mapping[str, Any]]
    seconds: float
    required: bool


def run(task: Mapping[str, Any]) -> str:
    """Ask until every name is answered as it must. Returns the answers. Raises StepFailedError after the task's `seconds`."""
    endpoint = Endpoint(**task)
    questions = [Question(**each) for each in endpoint.questions]
    seconds = endpoint.seconds if endpoint.required else min(endpoint.seconds, _NOT_REQUIRED)
    deadline = time.monotonic() + seconds
    while True:
        answers = put_all(questions)
        told = [f"{question} said {answer.said}" for question, answer in zip(questions, answers, strict=True)]
        wrong = [line for line, good in zip(told, served(answers), strict=True) if not good]
        if not wrong:
            return "; ".join(told)
        if time.monotonic() >= deadline:
            reason = f"{'; '.join(wrong)}, after {seconds:g} s of asking"
            if not endpoint.required:
                return f"{reason} (not required: force is set, or users are here already)"
            raise StepFailedError(
                f"{reason}; no user was sent here; put the load balancer, its rules or its certificate right and run the same "
                "pulumi up; if users reach it all the same: pulumi config set force true -s secondary, or see "
                "k8s-dr:failover.endpoint"
            )
        print(f"{'; '.join(wrong)}; asking again", flush=True)
        time.sleep(_PAUSE)


def served(answers: Sequence[Answer]) -> list[bool]:
    """Whether each name is answered as it must, in the order of the questions."""
    return [answer.success if place == 0 else answer.of_a_living_server for place, answer in enumerate(answers)]
