"""The breaker: a pure function of what finished and when."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispatcher.breaker import CLOSED, HALF_WINDOW, Breaker, State, Tally, after, tally
from dispatcher.outcomes import UNCOUNTED, Reason

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def later(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def opened(seconds: int = 30, *, at: datetime = NOW) -> Breaker:
    return Breaker(open_s=seconds, open_until=at + timedelta(seconds=seconds))


def test_what_is_our_own_fault_says_nothing_of_the_receiver() -> None:
    assert tally([Reason.DELIVERED, Reason.HTTP_SERVER_ERROR, Reason.CONNECT_TIMEOUT, *UNCOUNTED]) == Tally(1, 2)
    assert after(CLOSED, tally(UNCOUNTED), now=NOW) == CLOSED


@pytest.mark.parametrize(
    ("delivered", "failed", "is_open"),
    [(0, 9, False), (0, 10, True), (3, 7, True), (4, 9, False), (30, 70, True), (31, 69, False), (100, 0, False)],
)
def test_opens_at_ten_attempts_of_which_seventy_percent_failed(delivered: int, failed: int, *, is_open: bool) -> None:
    breaker = after(CLOSED, Tally(delivered, failed), now=NOW)
    assert breaker == (opened() if is_open else Breaker(NOW, delivered + failed, failed))


def test_groups_add_up() -> None:
    breaker = CLOSED
    for second in range(9):
        breaker = after(breaker, Tally(failed=1), now=later(second))
        assert breaker.state(now=later(second)) is State.CLOSED
    assert after(breaker, Tally(failed=1), now=later(9)) == opened(at=later(9))


def test_the_half_before_counts_and_the_one_before_that_does_not() -> None:
    half = HALF_WINDOW.total_seconds()
    nine = after(CLOSED, Tally(failed=9), now=NOW)
    assert after(nine, Tally(failed=1), now=later(half)) == opened(at=later(half))
    assert after(nine, Tally(failed=1), now=later(2 * half - 0.001)) == opened(at=later(2 * half - 0.001))
    assert after(nine, Tally(failed=1), now=later(2 * half)) == Breaker(later(2 * half), 1, 1)


def test_is_open_until_its_time_and_then_probing() -> None:
    breaker = opened()
    assert [breaker.state(now=later(s)) for s in (0, 29.999, 30)] == [State.OPEN, State.OPEN, State.PROBING]
    assert CLOSED.state(now=NOW) is State.CLOSED


def test_a_failed_probe_doubles_the_wait_up_to_ten_minutes() -> None:
    breaker, now, waits = opened(), NOW, []
    for _ in range(6):
        assert breaker.open_until is not None
        now = breaker.open_until
        breaker = after(breaker, Tally(failed=1), now=now)
        waits.append(breaker.open_s)
    assert waits == [60, 120, 240, 480, 600, 600]
    assert breaker.open_until == now + timedelta(seconds=600)


def test_one_delivery_closes_it_with_a_clean_slate() -> None:
    assert after(opened(480), Tally(delivered=1, failed=3), now=later(500)) == CLOSED
    assert after(opened(), Tally(delivered=1), now=later(1)) == CLOSED


def test_stragglers_that_fail_while_it_is_open_change_nothing() -> None:
    assert after(opened(), Tally(failed=40), now=later(29)) == opened()
    assert after(opened(), Tally(), now=later(31)) == opened()


groups = st.builds(Tally, st.integers(0, 20), st.integers(0, 20))


@given(st.lists(st.tuples(st.floats(0, 400), groups), max_size=40))
def test_whatever_comes_its_numbers_make_sense(steps: list[tuple[float, Tally]]) -> None:
    breaker, now = CLOSED, NOW
    for seconds, group in steps:
        now += timedelta(seconds=seconds)
        breaker = after(breaker, group, now=now)
        assert 0 <= breaker.failures <= breaker.attempts
        assert 0 <= breaker.earlier_failures <= breaker.earlier_attempts
        assert (breaker.open_until is None) == (breaker.open_s == 0)
        assert breaker.open_s in (0, 30, 60, 120, 240, 480, 600)
        if breaker.half_started_at is not None:
            assert now - breaker.half_started_at < HALF_WINDOW
