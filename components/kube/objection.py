"""A reason against a failover: whether `force` overrides it, and whether it may go away by itself."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from components.kube.cluster_api import ClusterUnreachableError
from settings.roles import Role

_AGE = re.compile(r"\d+ (?:d|h|min|s)\b")


@dataclass(frozen=True, kw_only=True)
class Objection:
    """Why a region must not take over now. As text it has the way on."""

    reason: str
    judgement: bool = False
    """Whether it is a matter of judgement, which `force` overrides. Else what it names cannot work."""

    passing: bool = False
    """Whether waiting may end it: something may still come, or start, or catch up."""

    stack: Role = "secondary"
    """Whose `force` overrides it: that of the region that is asked. Nearly all are of a failover."""

    def __str__(self) -> str:
        force = f"to go on all the same: pulumi config set force true -s {self.stack}"
        return f"{self.reason}; {force}" if self.judgement else self.reason

    @property
    def subject(self) -> str:
        """The reason without ages, which is the same when the objection is made again a moment later."""
        return _AGE.sub("", self.reason)


def judged(ask: Callable[[], Iterable[str]], *, passing: bool, told: tuple[type[Exception], ...] = ()) -> Iterator[Objection]:
    """What `ask` says, as matters of judgement.

    What goes wrong in it is one too, by the words of the errors `told`: a question that `force` passes over must not stop it. But
    where the cluster does not answer, nothing can be done there either.
    """
    try:
        reasons = list(ask())
    except ClusterUnreachableError:
        raise
    except told as error:
        reasons = [str(error)]
    except Exception as error:  # noqa: BLE001 - what an archive or a file holds may be anything
        reasons = [f"not all could be judged: {type(error).__name__}: {' '.join(str(error).split())}"]
    for reason in reasons:
        yield Objection(reason=reason, judgement=True, passing=passing)
