"""The slow side of failing: an endpoint that takes nothing for days is switched off, and its people are told before.

Source: the reliability design. Only failures for five days disable an endpoint; half-way there its members are warned.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from dispatcher.breaker import Tally

WARN_AT = 0.5
# Of the time after which it is disabled.
NOTICE = 0.25
# Of that time, which lies between the warning and the end at least: an endpoint that is sent something once a week
# fails for the second time when its time is long over.


class Verdict(StrEnum):
    NOTHING = "nothing"
    WARN = "warn"
    DISABLE = "disable"


@dataclass(frozen=True, slots=True)
class Streak:
    """Since when everything has failed; None while the last thing that was heard is a delivery."""

    failing_since: datetime | None = None
    warned_at: datetime | None = None


NONE = Streak()


def after(streak: Streak, group: Tally, *, now: datetime) -> Streak:
    """The streak after a group of attempts. One delivery in it ends the streak, in whatever order they came."""
    if group.delivered:
        return NONE
    if group.failed and streak.failing_since is None:
        return Streak(now)
    return streak


def judge(streak: Streak, group: Tally, *, limit: timedelta, now: datetime) -> Verdict:
    """What follows from a group that has just been counted in. Only a failure speaks: an endpoint that nothing is sent
    to is left alone, however long ago it failed last. A limit of 0 never disables."""
    if not group.failed or streak.failing_since is None or not limit:
        return Verdict.NOTHING
    failing_for = now - streak.failing_since
    if streak.warned_at is None:
        return Verdict.WARN if failing_for >= limit * WARN_AT else Verdict.NOTHING
    is_over = failing_for >= limit and now - streak.warned_at >= limit * NOTICE
    return Verdict.DISABLE if is_over else Verdict.NOTHING
