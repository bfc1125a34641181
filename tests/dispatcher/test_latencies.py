"""Latencies in classes: every one in the class that Postgres would say, every percentile within its error."""

import random
from itertools import pairwise
from math import ceil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispatcher.latencies import CLASSES, LATENCY_BOUNDS_MS, class_of, count_in_classes, percentile


def test_the_classes_span_what_an_attempt_may_take() -> None:
    """And never change: stored counts are positions among them."""
    assert (LATENCY_BOUNDS_MS[0], LATENCY_BOUNDS_MS[-1], CLASSES) == (1, 10_000, 26)
    steps = [high / low for low, high in pairwise(LATENCY_BOUNDS_MS)]
    assert (round(min(steps), 3), round(max(steps), 3)) == (1.424, 1.5)


@pytest.mark.parametrize(
    ("latency_ms", "position"),
    [
        (0, 0),
        (0.999, 0),
        (1, 1),
        (1.499, 1),
        (1.5, 2),
        (9.999, 6),
        (10, 7),
        (99.9, 12),
        (1000, 19),
        (9999.9, 24),
        (10_000, 25),
        (1e9, 25),
    ],
)
def test_a_bound_belongs_to_the_class_above_it(latency_ms: float, position: int) -> None:
    assert class_of(latency_ms) == position


def classes(**counts: int) -> list[int]:
    """`c7=2`: two in class 7."""
    return [counts.get(f"c{position}", 0) for position in range(CLASSES)]


@pytest.mark.parametrize(
    ("counts", "percent", "expected"),
    [
        (classes(), 50, None),
        # One alone is thought to lie in the middle of its class: 10 to 15 ms, by logarithms.
        (classes(c7=1), 50, 12.247),
        (classes(c7=1), 99, 12.247),
        # The lowest class begins at nothing, which has no logarithm.
        (classes(c0=1), 50, 0.5),
        (classes(c0=4), 100, 0.875),
        # The last one has no end.
        (classes(c25=3), 50, 10_000),
        (classes(c1=99, c25=1), 99, 1.497),
        (classes(c1=98, c25=2), 99, 10_000),
        # The nearest rank: half of four is the second, 95 % of four the fourth.
        (classes(c1=2, c13=2), 50, 1.355),
        (classes(c1=2, c13=2), 51, 110.668),
        (classes(c1=2, c13=2), 95, 135.540),
        (classes(c1=1, c13=1), 0, 1.225),
    ],
)
def test_percentiles(counts: list[int], percent: float, expected: float | None) -> None:
    found = percentile(counts, percent)
    assert (found if found is None else round(found, 3)) == expected


LATENCIES = st.lists(st.floats(min_value=0, max_value=9_999), min_size=1, max_size=200)


@given(latencies=LATENCIES, percent=st.floats(min_value=0.1, max_value=100))
def test_the_error_is_bounded(latencies: list[float], percent: float) -> None:
    rank = max(1, ceil(len(latencies) * percent / 100))
    true = sorted(latencies)[rank - 1]
    found = percentile(count_in_classes(latencies), percent)
    assert found is not None
    if true < 1:
        assert abs(found - true) < 1
    else:
        assert 1 / 1.5 < found / true < 1.5


@given(latencies=LATENCIES)
def test_a_higher_percentile_is_no_shorter(latencies: list[float]) -> None:
    counts = count_in_classes(latencies)
    found = [percentile(counts, percent) or 0 for percent in range(1, 101)]
    assert found == sorted(found)


def test_of_many_that_are_spread_evenly_it_is_smaller() -> None:
    dice = random.Random(7)
    latencies = [dice.lognormvariate(4, 0.5) for _ in range(10_000)]
    counts = count_in_classes(latencies)
    for percent in (50, 95, 99):
        true = sorted(latencies)[percent * 100 - 1]
        assert percentile(counts, percent) == pytest.approx(true, rel=0.1)
