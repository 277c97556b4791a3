"""What people practise by the calendar: on each date a workflow opens an issue with the checklist. docs/drills.md."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from itertools import takewhile
from typing import Annotated, Literal, get_args

from cronsim import CronSim
from pydantic import Field

from settings.fields import Cron, Form, Model, Switch, form_of
from settings.mistake import Mistake

PeoplesKind = Literal["tabletop", "partial", "full", "runbook-review"]
PEOPLES_KINDS: tuple[PeoplesKind, ...] = get_args(PeoplesKind)

MOVES: tuple[PeoplesKind, ...] = ("partial", "full")
"""Those in which the other region is asked to take over, so there must be one."""

GRACE = timedelta(days=30)
"""How long after its date a drill of people counts as overdue: it is prepared for a week, and takes days."""

_MOST_IN_A_YEAR = 53
_LEAP_YEAR = 2028
_CRON = form_of(Cron)


def dates(cron: str, first: date, last: date) -> list[date]:
    """The days from `first` to `last`, both included, that a cron line names in UTC."""
    days = f"0 0 {' '.join(cron.split()[2:])}"
    begin = datetime(first.year, first.month, first.day, tzinfo=UTC) - timedelta(minutes=1)
    return [each.date() for each in takewhile(lambda moment: moment.date() <= last, CronSim(days, begin))]


def missed(cron: str, *, last: date | None, begun: date, today: date) -> date | None:
    """The newest date that is over for a month, and since which nothing was filed; None if there is none. `last` is when the last
    record ended. Nothing is missed that was due before the drills have begun."""
    due = dates(cron, begun + timedelta(days=1), today - GRACE)
    return due[-1] if due and (last is None or last < due[-1]) else None


def _weekly_at_most(text: str) -> str:
    cron = _CRON.check(text)
    found = len(dates(cron, date(_LEAP_YEAR, 1, 1), date(_LEAP_YEAR, 12, 31)))
    if found > _MOST_IN_A_YEAR:
        text = "comes on {} days of a year, and each opens an issue; write one that comes once a week at most, as in {}"
        raise Mistake(text, str(found), '"0 8 15 6,12 *"')
    return cron


PeoplesCron = Annotated[
    str,
    Form(
        check=_weekly_at_most,
        name='a cron line of five fields that comes once a week at most, as in "0 8 15 6,12 *"',
        examples=("0 8 15 6,12 *", "0 8 15 3,6,9,12 *"),
        pattern=_CRON.pattern,
    ),
]
_WHEN = "the days on which its issue is opened: five fields, UTC, of which minute and hour are not looked at"


class Tabletop(Model):
    """People talk a failover through, around a table."""

    enabled: Switch = Field(default=True, description="false: nobody is reminded of it")
    cron: PeoplesCron = Field(default="0 8 20 1,7 *", description=_WHEN)


class PartialDrill(Model):
    """All of a failover but the moving of users."""

    enabled: Switch = Field(default=True, description="false: nobody is reminded of it")
    cron: PeoplesCron = Field(default="0 8 15 3,9 *", description=_WHEN)


class FullDrill(Model):
    """The planned way from A to B and back to A, with users."""

    enabled: Switch = Field(default=True, description="false: nobody is reminded of it")
    cron: PeoplesCron = Field(default="0 8 15 6,12 *", description=_WHEN)


class RunbookReview(Model):
    """The runbook is read, and put right by what the last drills have shown."""

    enabled: Switch = Field(default=True, description="false: nobody is reminded of it")
    cron: PeoplesCron = Field(default="0 8 20 6,12 *", description=_WHEN)


class People(Model):
    """What people practise: on each date the workflow `drills` opens one issue with the checklist."""

    enabled: Switch = Field(default=True, description="false: no issue is opened, whatever is written below")
    tabletop: Tabletop = Field(default_factory=Tabletop, description="a failover is talked through")
    partial: PartialDrill = Field(default_factory=PartialDrill, description="all of a failover but the moving of users")
    full: FullDrill = Field(default_factory=FullDrill, description="the planned way there and back, with users")
    runbook_review: RunbookReview = Field(
        default_factory=RunbookReview, description="the runbook is read, and put right by what was learnt"
    )

    def crons(self) -> Mapping[PeoplesKind, str]:
        """The cron line of each drill that is not switched off."""
        every: Mapping[PeoplesKind, Tabletop | PartialDrill | FullDrill | RunbookReview] = {
            "tabletop": self.tabletop,
            "partial": self.partial,
            "full": self.full,
            "runbook-review": self.runbook_review,
        }
        return {kind: drill.cron for kind, drill in every.items() if self.enabled and drill.enabled}
