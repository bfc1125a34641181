"""Rates: no second, wherever it begins, holds more than the rate, however the turns fall."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dispatcher import pace

START = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def most_in_a_second(sent: list[datetime]) -> int:
    """The fullest second of all. One that is fullest begins with a delivery."""
    sent = sorted(sent)
    most = first = 0
    for last, moment in enumerate(sent):
        while moment - sent[first] >= timedelta(seconds=1):
            first += 1
        most = max(most, last - first + 1)
    return most


@settings(max_examples=300, deadline=None)
@given(
    rate=st.integers(1, 1000),
    lateness=st.lists(st.floats(0, 0.2), min_size=5, max_size=80),
    slowness=st.lists(st.floats(0, 0.02), min_size=5, max_size=80),
    idle_at=st.integers(0, 60),
    idle_s=st.floats(0, 5),
)
def test_the_fullest_second_holds_no_more_than_the_rate(
    rate: int, lateness: list[float], slowness: list[float], idle_at: int, idle_s: float
) -> None:
    """`lateness`: turns come so much later than they might. `slowness`: requests leave so much after their turn."""
    now, paced_until, sent = START, None, []
    count = pace.slice_of(rate)
    for number in range(max(60, 3 * rate // count)):
        if paced_until is not None:
            now = max(now, paced_until)
        now += timedelta(seconds=lateness[number % len(lateness)] * (number % 3 == 0))
        if number == idle_at:
            now += timedelta(seconds=idle_s)
        delay = timedelta(seconds=slowness[number % len(slowness)])
        sent += [now + delay * (place + 1) / count for place in range(count)]
        paced_until = pace.after(paced_until, sent=count, rate=rate, at=now)
    assert most_in_a_second(sent) <= rate


@pytest.mark.parametrize(("rate", "count"), [(1, 1), (19, 1), (20, 1), (39, 1), (40, 2), (1000, 50)])
def test_a_slice_is_a_twentieth_of_a_second(rate: int, count: int) -> None:
    assert pace.slice_of(rate) == count


@pytest.mark.parametrize("rate", [1, 10, 20, 100, 1000])
def test_a_lane_that_is_always_looked_at_in_time_goes_at_ten_elevenths_of_its_rate(rate: int) -> None:
    now, paced_until, sent = START, None, 0
    while now < START + timedelta(seconds=100):
        count = pace.slice_of(rate)
        paced_until = pace.after(paced_until, sent=count, rate=rate, at=now)
        sent += count
        # A look comes up to 20 ms late, and that costs nothing.
        now = paced_until + timedelta(seconds=pace.CATCH_UP_S * (sent % 7) / 7)
    assert 0.90 * rate * 100 <= sent <= 0.92 * rate * 100 + 2 * count


def test_time_that_was_not_used_is_lost() -> None:
    long_ago = START - timedelta(hours=1)
    assert pace.after(long_ago, sent=1, rate=1, at=START) == START + timedelta(seconds=1.1 - pace.CATCH_UP_S)
