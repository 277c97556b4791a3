"""The questions that a Pod of this cluster asks of servers, on the night and by day alike, and what their answers mean.

One Pod asks the primary and, as a control, something that answers whatever becomes of the primary. Private subnets without a way
out, egress policies and proxies look exactly like a dead primary: silence means something only if the control answered.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit

from components.failover.workloads import check_of
from components.kube.cluster_api import ClusterApi, ClusterRefusedError, NotAskedError
from components.kube.objection import Objection
from components.kube.runner.ask import Question
from components.kube.runner.endpoint import served
from components.kube.runner.verify import look_at
from settings.dns import callable_name
from settings.model import Settings

ANSWER_SECONDS = 6.0
"""How long a server may take to answer. A living one of the other region answers within a second; a resolver that has lost one
packet asks again after five, and a lost packet must not make a living primary a dead one."""

_USER_SECONDS = 5.0
"""How long this region's own endpoint may take. Whoever waits longer for a page has gone."""


def primary_question(settings: Settings) -> Question:
    """Whether the primary still answers."""
    return Question(url=settings.probe, seconds=ANSWER_SECONDS)


def control_question(settings: Settings) -> Question:
    """What must answer if the primary's silence shall mean anything.

    By default this region's own endpoint: a public load balancer, as the primary's is, so that the question takes the same way
    out of the cluster, and by the probe's scheme, port and users' name, for which egress rules may differ. S3 would not do: a
    gateway endpoint reaches it from subnets that have no other way out.
    """
    if settings.failover.control:
        return Question(url=settings.failover.control, seconds=ANSWER_SECONDS)
    probe = urlsplit(settings.probe)
    port = f":{probe.port}" if probe.port else ""
    url = f"{probe.scheme}://{settings.endpoint_host}{port}/"
    return Question(url=url, host=callable_name(settings.dns.names[0]), seconds=ANSWER_SECONDS)


def endpoint_questions(settings: Settings) -> list[Question]:
    """This region's own endpoint as users ask it, by each of their names; empty where it is not to be asked."""
    wanted, probe = settings.failover.endpoint, urlsplit(settings.probe)
    if not wanted.ask:
        return []
    scheme = wanted.scheme or probe.scheme
    port = wanted.port or (probe.port if scheme == probe.scheme else None)
    path = wanted.path or probe.path or "/"
    return [
        Question(
            url=f"{scheme}://{settings.endpoint_host}{f':{port}' if port else ''}{path}",
            host=callable_name(name),
            verify=wanted.certificate == "verify",
            seconds=_USER_SECONDS,
        )
        for name in settings.dns.names
    ]


@dataclass(frozen=True, kw_only=True)
class Primary:
    """What is known of the primary: whether it `answers`, and what stands against a promotion, None if it is silent."""

    answers: bool
    objection: Objection | None


def ask_primary(cluster: ClusterApi, settings: Settings) -> Primary:
    """Whether a database may be promoted. Not while the primary answers, nor where nobody can tell whether it does."""
    control, at = control_question(settings), f"the primary region still answers at {settings.probe}"
    try:
        primary, other = cluster.ask("primary-answers", [primary_question(settings), control])
    except (NotAskedError, ClusterRefusedError) as error:
        passing = isinstance(error, NotAskedError) and error.passing
        return _unknown(f"whether {at} could not be asked: {error}", passing=passing)
    if primary.of_a_living_server:
        reason = f"{at}, and two regions must never write at once; if it is to be given up all the same, stop it first"
        return Primary(answers=True, objection=Objection(reason=reason, judgement=True))
    if other.status is None:
        return _unknown(
            f"nobody can tell whether {at}: the same Pod got no answer from the control {control} either ({other.said}), so Pods "
            "may have no way out of this cluster"
        )
    return Primary(answers=False, objection=None)


def _unknown(why: str, *, passing: bool = False) -> Primary:
    reason = f"{why}; make sure by other means that the primary is dead"
    return Primary(answers=False, objection=Objection(reason=reason, judgement=True, passing=passing))


def primary_by_day(cluster: ClusterApi, settings: Settings, arriving: Callable[[], bool]) -> Iterator[str]:
    """What is wrong with the question to the primary, in a region that stands by. That the primary answers is the good case. One
    to which users are `arriving`, after a planned switchover, does not answer under their name before they are there."""
    control = control_question(settings)
    try:
        primary, other = cluster.ask("primary-answers", [primary_question(settings), control])
    except NotAskedError as error:
        yield f"whether the primary region answers could not be asked, and on the night a failover would stop: {error}"
        return
    if other.status is None:
        yield (
            f"the control {control} said {other.said}: on the night nobody could tell a dead primary from Pods without a way "
            "out, and a failover would stop; let Pods of namespace k8s-dr out, or write a URL that they reach by the same way to "
            "k8s-dr:failover.control"
        )
    if not primary.of_a_living_server and not arriving():
        means = "this region would take it for dead" if other.status is not None else "the question does not work"
        yield f"the primary said {primary.said} at {settings.probe}: {means}; see k8s-dr:failover.probe"


def endpoint_by_day(cluster: ClusterApi, settings: Settings) -> Iterator[str]:
    """What a user would meet at this region's own endpoint, where something runs behind it."""
    questions = endpoint_questions(settings)
    try:
        answers = cluster.ask("endpoint-answers", questions) if questions else []
    except NotAskedError as error:
        yield f"this region's own endpoint could not be asked: {error}"
        return
    for question, answer, good in zip(questions, answers, served(answers), strict=True):
        if not good:
            yield (
                f"this region's own endpoint, {question}, said {answer.said}: a failover that asks so would stop before users "
                "are moved; see k8s-dr:failover.endpoint"
            )


def checks_by_day(cluster: ClusterApi, settings: Settings) -> Iterator[str]:
    """Which workloads do not pass their check, in a region that serves."""
    checks = [check_of(workload, 0) for workload in settings.workloads if workload.check]
    by_pod = [check for check in checks if check.via == "pod"]
    try:
        answers = cluster.ask("workloads-answer", [check.question for check in by_pod]) if by_pod else []
    except NotAskedError as error:
        yield f"the checks of workloads could not be asked: {error}"
        answers, by_pod = [], []
    asked = list(zip(by_pod, answers, strict=True))
    asked += [(check, cluster.proxied(check.proxied)) for check in checks if check.via == "api-server"]
    for check, answer in asked:
        if not answer.success:
            yield f"the check of workloads {check} said {answer.said}: {look_at(check, answer.status)}"


def runs_something(settings: Settings, *, serves: bool) -> bool:
    """Whether something runs behind this region's endpoint: where it serves, and in a tier that keeps workloads running."""
    return serves or any(workload.standby_replicas for workload in settings.workloads)
