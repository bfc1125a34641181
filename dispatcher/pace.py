"""Spaces an endpoint's deliveries so that no second, wherever it begins, holds more of them than its rate allows.

Source: RFC 2697's committed rate without its burst: time that was not used is lost, so nothing is saved up for later.
"""

from datetime import datetime, timedelta

SLICE_S = 0.05
# What the rate allows in this time leaves together, so that a fast lane costs at most twenty turns a second.
SPACING = 1.1
# Times the share of a second that a slice stands for. A second that begins just before a slice and ends just after
# another holds one slice more than it is long: 5 % of the rate. A late turn may be made up for (2 %), and requests
# leave some milliseconds after the moment that is written down: with this spacing they may be 25 ms late and the rate
# still holds (below 20 a second: 80 ms). The price is that a full lane goes at 91 % of its rate.
CATCH_UP_S = 0.02
# A drain looks for due lanes about so often: without it, each look that comes late would slow the lane down.


def slice_of(rate: int) -> int:
    """How many may leave together at `rate` deliveries a second."""
    return max(1, int(rate * SLICE_S))


def after(paced_until: datetime | None, *, sent: int, rate: int, at: datetime) -> datetime:
    """When the next slice may leave, after one of `sent` deliveries left `at` this moment."""
    earliest = at - timedelta(seconds=CATCH_UP_S)
    start = earliest if paced_until is None else max(paced_until, earliest)
    return start + timedelta(seconds=sent * SPACING / rate)
