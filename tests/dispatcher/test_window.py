"""The window of a lane: how it grows, falls and recovers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispatcher.outcomes import TIMEOUTS, UNCOUNTED, Reason
from dispatcher.window import ANSWERED, INITIAL, LIMITED, Tally, Window, after, ceiling_of, tally

QUICK_FAILURES = sorted(set(Reason) - ANSWERED - LIMITED - TIMEOUTS)


def test_a_new_lane_starts_small_and_trusted() -> None:
    assert Window(4, is_suspect=False) == INITIAL


@pytest.mark.parametrize(
    ("before", "group", "ceiling", "expected"),
    [
        (Window(4), Tally(answered=1), 50, Window(5)),
        (Window(4), Tally(answered=4), 50, Window(8)),
        (Window(40), Tally(answered=40), 50, Window(50)),
        (Window(50), Tally(answered=3), 50, Window(50)),
        (Window(50), Tally(answered=3), 10, Window(10)),
        (Window(1, is_suspect=True), Tally(answered=1), 50, Window(2)),
        (Window(4), Tally(timeouts=1), 50, Window(1, is_suspect=True)),
        (Window(50), Tally(timeouts=50), 50, Window(1, is_suspect=True)),
        (Window(1, is_suspect=True), Tally(timeouts=1), 50, Window(1, is_suspect=True)),
        (Window(50), Tally(answered=5, timeouts=5), 50, Window(1, is_suspect=True)),
        (Window(50), Tally(answered=6, timeouts=5), 50, Window(25)),
        (Window(50), Tally(answered=49, timeouts=1), 50, Window(25)),
        (Window(3, is_suspect=True), Tally(answered=2, timeouts=1), 50, Window(1)),
        (Window(50), Tally(answered=49, timeouts=1), 10, Window(10)),
        (Window(8), Tally(limited=8), 50, Window(8)),
        (Window(8), Tally(answered=2, limited=6), 50, Window(10)),
        (Window(1, is_suspect=True), Tally(limited=1), 50, Window(1)),
        (Window(8), Tally(limited=5, timeouts=4), 50, Window(4)),
        (Window(8), Tally(limited=4, timeouts=4), 50, Window(1, is_suspect=True)),
        (Window(8), Tally(), 50, Window(8)),
        (Window(1, is_suspect=True), Tally(), 50, Window(1, is_suspect=True)),
        (Window(4), Tally(answered=4), 1, Window(1)),
        (Window(4), Tally(), 1, Window(1)),
    ],
)
def test_the_window_after_a_group(before: Window, group: Tally, ceiling: int, expected: Window) -> None:
    assert after(before, group, ceiling=ceiling) == expected


def test_a_full_round_of_answers_doubles_it() -> None:
    window, sizes = INITIAL, [INITIAL.size]
    while window.size < 50:
        window = after(window, Tally(answered=window.size), ceiling=50)
        sizes.append(window.size)
    assert sizes == [4, 8, 16, 32, 50]


@pytest.mark.parametrize("reason", sorted(TIMEOUTS))
def test_every_timeout_shrinks_it(reason: Reason) -> None:
    assert after(Window(9), tally([reason]), ceiling=50) == Window(1, is_suspect=True)


@pytest.mark.parametrize("reason", sorted(ANSWERED))
def test_every_answer_grows_it_and_clears_suspicion(reason: Reason) -> None:
    assert after(Window(1, is_suspect=True), tally([reason]), ceiling=50) == Window(2)


@pytest.mark.parametrize("reason", QUICK_FAILURES)
@pytest.mark.parametrize("window", [Window(9), Window(1, is_suspect=True)])
def test_quick_failures_change_nothing(reason: Reason, window: Window) -> None:
    assert after(window, tally([reason] * 9), ceiling=50) == window


def test_what_is_ours_says_nothing_about_the_receiver() -> None:
    assert tally(UNCOUNTED) == Tally()


def test_a_group_is_counted_by_what_it_means() -> None:
    group = [
        *[Reason.DELIVERED, Reason.HTTP_SERVER_ERROR, Reason.ACK_MISSING],
        *[Reason.HTTP_RATE_LIMITED, Reason.RESPONSE_TIMEOUT, Reason.DNS_TIMEOUT],
        *[Reason.CONNECT_REFUSED, Reason.INTERRUPTED],
    ]
    assert tally(group) == Tally(answered=3, limited=1, timeouts=2)


def test_an_ordered_endpoint_has_one_in_flight() -> None:
    assert ceiling_of(max_in_flight=50, is_ordered=True) == 1
    assert ceiling_of(max_in_flight=50, is_ordered=False) == 50


@given(st.integers(1, 500), st.booleans(), st.lists(st.sampled_from(Reason)), st.integers(1, 500))
def test_it_stays_between_one_and_the_ceiling(size: int, suspect: bool, reasons: list[Reason], ceiling: int) -> None:
    window = after(Window(size, is_suspect=suspect), tally(reasons), ceiling=ceiling)
    assert 1 <= window.size <= ceiling
    assert not window.is_suspect or window.size == 1 or suspect
