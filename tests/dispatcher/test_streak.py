"""The streak of failures: when it begins and ends, and what follows from its length."""

from datetime import UTC, datetime, timedelta

import pytest

from dispatcher.breaker import Tally
from dispatcher.streak import NONE, Streak, Verdict, after, judge

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
LIMIT = timedelta(days=5)
FAILED, DELIVERED, BOTH, NOTHING = Tally(failed=1), Tally(delivered=1), Tally(1, 5), Tally()


def ago(**span: float) -> datetime:
    return NOW - timedelta(**span)


@pytest.mark.parametrize("group", [DELIVERED, BOTH])
def test_a_delivery_ends_it(group: Tally) -> None:
    assert after(Streak(ago(days=4), ago(days=1)), group, now=NOW) == NONE


def test_begins_with_the_first_failure_and_stays() -> None:
    assert after(NONE, FAILED, now=NOW) == Streak(NOW)
    assert after(NONE, NOTHING, now=NOW) == NONE
    for group in (FAILED, NOTHING):
        assert after(Streak(ago(days=4), ago(days=1)), group, now=NOW) == Streak(ago(days=4), ago(days=1))


@pytest.mark.parametrize(
    ("since", "warned_at", "verdict"),
    [
        (ago(days=2.4), None, Verdict.NOTHING),
        (ago(days=2.5), None, Verdict.WARN),
        (ago(days=2.5), ago(days=0), Verdict.NOTHING),
        (ago(days=4.9), ago(days=2.4), Verdict.NOTHING),
        (ago(days=5), ago(days=2.5), Verdict.DISABLE),
        # Where little is sent, the warning may come late; the end then waits for a quarter of the time.
        (ago(days=50), None, Verdict.WARN),
        (ago(days=50), ago(days=1.2), Verdict.NOTHING),
        (ago(days=50), ago(days=1.25), Verdict.DISABLE),
    ],
)
def test_warns_half_way_once_and_disables_at_the_end(
    since: datetime, warned_at: datetime | None, verdict: Verdict
) -> None:
    assert judge(Streak(since, warned_at), FAILED, limit=LIMIT, now=NOW) is verdict


def test_only_a_failure_speaks() -> None:
    old = Streak(ago(days=50))
    assert judge(old, NOTHING, limit=LIMIT, now=NOW) is Verdict.NOTHING
    assert judge(NONE, FAILED, limit=LIMIT, now=NOW) is Verdict.NOTHING
    assert judge(old, FAILED, limit=timedelta(), now=NOW) is Verdict.NOTHING
