"""What the guard keeps in its record, the ConfigMap `guard`, beside the other keys that the program writes there.

`seen`: when the newest flag was written that was here. `stopped` and `at`: by which flag the guard has stopped the region, and
when it did so last. `overruled`, which the program writes: no flag that is this old stops the region any more. Each is a time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

from .api import Api, ApiError, Object
from .failure import StepFailedError
from .inventory import Item, Namespace

NAMESPACE, RECORD = "k8s-dr", "guard"
_PATH = f"/api/v1/namespaces/{NAMESPACE}/configmaps/{RECORD}"
_AHEAD = timedelta(hours=1)
"""How far the clocks of this node and of S3 may differ."""

GONE = f"the ConfigMap {RECORD} is gone, so nobody knows how old the flag may be: pulumi up --refresh --run-program"


@dataclass(frozen=True, kw_only=True)
class Known:
    """What the record says, and what is wrong with it, though it holds up nothing: it is gone, or cannot be changed."""

    stopped: str | None = None
    overruled: datetime | None = None
    complaint: str | None = None


def remember(api: Api, written: datetime, now: datetime) -> Known:
    """Keep when the newest flag was written. Raises StepFailedError if this one is older than one that was here before, or if
    nobody can tell, and ApiError if the record cannot be read."""
    body = api.find(_PATH)
    if body is None:
        return Known(complaint=GONE)
    known = Known()

    def decide(data: Mapping[str, str]) -> dict[str, str] | None:
        nonlocal known
        newest = _time(data, "seen")
        known = Known(stopped=data.get("stopped"), overruled=_time(data, "overruled"))
        if newest is not None and newest > written:
            if newest > now + _AHEAD:
                raise StepFailedError(
                    f"the ConfigMap {RECORD} says seen: {text(newest)}, which is still to come (it is {text(now)} here): the "
                    f"record is wrong, and not the flag of {text(written)}; nothing was stopped; {_take_out('seen')}"
                )
            raise StepFailedError(
                f"the traffic flag is of {text(written)}, and one of {text(newest)} was here before: somebody has put an old "
                "version back; nothing was stopped; write the flag anew (docs/traffic.md)"
            )
        return None if newest == written else {"seen": text(written)}

    try:
        _change(api, body, decide)
    except ApiError as error:
        return Known(
            stopped=known.stopped, overruled=known.overruled, complaint=f"the ConfigMap {RECORD} cannot be changed: {error}"
        )
    return known


def announce(api: Api, written: datetime, now: datetime) -> None:
    """Write that the region is stopped by the flag of this time. Raises ApiError, or StepFailedError if the record is gone."""
    body = api.find(_PATH)
    if body is None:
        raise StepFailedError(GONE)
    _change(api, body, lambda _: {"stopped": text(written), "at": text(now)})


def _change(api: Api, body: Object, decide: Callable[[Mapping[str, str]], dict[str, str] | None]) -> None:
    def patch(seen: Item) -> Object | None:
        changed = decide(seen.body.get("data") or {})
        return None if changed is None else {"data": changed}

    Namespace(api, NAMESPACE).change(Item(kind="configmap", path=_PATH, body=body), patch)


def _time(data: Mapping[str, str], key: str) -> datetime | None:
    try:
        return moment(data[key]) if key in data else None
    except ValueError:
        raise StepFailedError(
            f"the ConfigMap {RECORD} says {key}: {data[key]!r}, which is no time; nothing was stopped; {_take_out(key)}"
        ) from None


def _take_out(key: str) -> str:
    patch = f'{{"data":{{"{key}":null}}}}'
    return f"take the key out: kubectl patch configmap {RECORD} -n {NAMESPACE} --type merge -p '{patch}'"


def moment(written: str) -> datetime:
    """A time as version 2 of the AWS CLI writes it, or as version 1 does. Raises ValueError."""
    try:
        parsed = datetime.fromisoformat(written)
    except ValueError:
        parsed = parsedate_to_datetime(written)
    return (parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).replace(microsecond=0)


def text(time: datetime) -> str:
    """As in 2026-03-01T12:00:00Z."""
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
