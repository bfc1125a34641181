"""Decides what becomes of a delivery after an attempt: a pure function of the outcome and what went before.

Sources: the decision rule of the reliability design; RFC 9110, sections 5.6.7 (dates) and 10.2.3 (Retry-After).
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from dispatcher.outcomes import UNCOUNTED, Outcome, Reason

DEFAULT_SCHEDULE = (10, 40, 160, 640, 2560, 10_240, 28_800, 28_800, 28_800)
# Seconds: 10 s * 4^(n-1), at most 8 h. Nine waits, so ten attempts, over about 28 hours.

JITTER = 0.1
# Share of a wait. Spreads deliveries that failed together, and keeps each near the time that the log announced.

RETRY_AFTER_STATUSES = frozenset({429, 503})

Status = Literal["delivered", "pending", "failed", "held"]


@dataclass(frozen=True, slots=True)
class Decision:
    """What becomes of the delivery.

    `wait_s` is set exactly when `status` is `pending`. `is_counted` says whether the attempt used up one of the
    schedule's tries. `disable_reason` is set when the endpoint must be disabled as well.
    """

    status: Status
    wait_s: float | None
    is_counted: bool
    disable_reason: Literal["", "http_gone"] = ""


DELIVERED = Decision("delivered", None, is_counted=True)
FAILED = Decision("failed", None, is_counted=True)
GONE = Decision("failed", None, is_counted=True, disable_reason="http_gone")
HELD = Decision("held", None, is_counted=False)
AT_ONCE = Decision("pending", 0.0, is_counted=False)


def decide(
    outcome: Outcome,
    *,
    attempts_counted: int,
    attempts_made: int,
    schedule: Sequence[int],
    now: datetime,
    jitter: float,
    stop_statuses: frozenset[int] = frozenset(),
) -> Decision:
    """The decision after one attempt. Both numbers of attempts are those before it.

    1. Received, or told to stop (410, or a status at which the profile stops): final.
    2. Ours (`UNCOUNTED`): not the receiver's fault, so it uses up nothing.
    3. Otherwise wait as the schedule says, or fail when it is used up. An empty schedule means one attempt.

    `schedule` holds seconds; `jitter` in [-1, 1] stretches a wait by up to ±10 %.
    """
    if outcome.reason is Reason.DELIVERED:
        return DELIVERED
    if outcome.reason in UNCOUNTED:
        return _after_our_own_failure(outcome.reason, attempts_made, schedule, jitter)
    if outcome.reason is Reason.HTTP_GONE:
        return GONE
    if outcome.reason is Reason.RECIPIENT_REFUSED:
        return FAILED
    if outcome.status in stop_statuses or attempts_counted >= len(schedule):
        return FAILED
    wait_s = _stretched(schedule[attempts_counted], jitter)
    asked_s = _retry_after_s(outcome, now)
    return Decision("pending", max(wait_s, min(asked_s, max(schedule))), is_counted=True)


def _after_our_own_failure(reason: Reason, attempts_made: int, schedule: Sequence[int], jitter: float) -> Decision:
    if reason is not Reason.INTERNAL_ERROR:
        return AT_ONCE
    # A row that we cannot send is set aside where people see it, instead of being tried for ever.
    if attempts_made >= len(schedule):
        return HELD
    return Decision("pending", _stretched(schedule[attempts_made], jitter), is_counted=False)


def _stretched(seconds: int, jitter: float) -> float:
    return seconds * (1 + JITTER * jitter)


def _retry_after_s(outcome: Outcome, now: datetime) -> float:
    """The seconds that the receiver asked for; 0 when it asked for none that can be read."""
    if outcome.status not in RETRY_AFTER_STATUSES:
        return 0.0
    value = _first_value(outcome.headers, "retry-after")
    if _SECONDS.fullmatch(value):
        return float(value)
    moment = parse_http_date(value, now=now)
    return max(0.0, (moment - now).total_seconds()) if moment else 0.0


def _first_value(headers: str, name: str) -> str:
    for line in headers.split("\r\n"):
        found, _, value = line.partition(":")
        if found.lower() == name:
            return value.strip(" \t")
    return ""


_SECONDS = re.compile(r"[0-9]{1,9}")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_MONTH = rf"(?P<month>{'|'.join(_MONTHS)})"
_CLOCK = r"(?P<hour>[0-9]{2}):(?P<minute>[0-9]{2}):(?P<second>[0-9]{2})"
_SHORT_DAY = "(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)"
_LONG_DAY = "(?:Mon|Tues|Wednes|Thurs|Fri|Satur|Sun)day"
_DATES = (
    re.compile(rf"{_SHORT_DAY}, (?P<day>[0-9]{{2}}) {_MONTH} (?P<year>[0-9]{{4}}) {_CLOCK} GMT"),
    re.compile(rf"{_LONG_DAY}, (?P<day>[0-9]{{2}})-{_MONTH}-(?P<year>[0-9]{{2}}) {_CLOCK} GMT"),
    re.compile(rf"{_SHORT_DAY} {_MONTH} (?P<day>[0-9 ][0-9]) {_CLOCK} (?P<year>[0-9]{{4}})"),
)
# The preferred form and the two obsolete ones (RFC 850, asctime) that a recipient must still read.


def parse_http_date(text: str, *, now: datetime) -> datetime | None:
    """The moment that an HTTP-date names; None when it is not one. `now` settles the century of two-digit years."""
    for form in _DATES:
        if match := form.fullmatch(text):
            return _moment(match, now)
    return None


def _moment(match: re.Match[str], now: datetime) -> datetime | None:
    year = int(match["year"])
    if len(match["year"]) == 2:
        year = _full_year(year, now)
    # A leap second (60) is legal in the form, but not in a datetime.
    second = min(int(match["second"]), 59)
    month = _MONTHS.index(match["month"]) + 1
    try:
        return datetime(year, month, int(match["day"]), int(match["hour"]), int(match["minute"]), second, tzinfo=UTC)
    except ValueError:
        return None


def _full_year(two_digits: int, now: datetime) -> int:
    # More than 50 years ahead means the past century.
    year = now.year - now.year % 100 + two_digits
    return year - 100 if year > now.year + 50 else year
