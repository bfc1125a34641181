"""Counts how long attempts took in a few classes, and reads percentiles from the counts: a pure function of numbers.

A class holds what is at least its lower bound and less than its upper one. A percentile is known as exactly as its
class, for the estimate and the true value lie in the same one: from 1 ms on neither is more than 1.5 times the other,
below they differ by less than 1 ms, and of what took 10 s or longer only that is known.
"""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from math import ceil, exp, log

LATENCY_BOUNDS_MS = (
    *(1, 1.5, 2.2, 3.3, 4.7, 6.8),
    *(10, 15, 22, 33, 47, 68),
    *(100, 150, 220, 330, 470, 680),
    *(1000, 1500, 2200, 3300, 4700, 6800),
    10_000,
)  # fmt: skip
# Six a decade (the E6 series of IEC 60063), each at most 1.5 times the one before: receivers differ by factors, not by
# milliseconds. From what a receiver next door takes to the time that an attempt has by default. Stored counts are
# positions in this list: it never changes.
CLASSES = len(LATENCY_BOUNDS_MS) + 1


def class_of(latency_ms: float) -> int:
    """The class of one attempt, from 0 to CLASSES - 1; Postgres says the same as width_bucket(latency, bounds)."""
    return bisect_right(LATENCY_BOUNDS_MS, latency_ms)


def count_in_classes(latencies_ms: Iterable[float]) -> list[int]:
    counts = [0] * CLASSES
    for latency_ms in latencies_ms:
        counts[class_of(latency_ms)] += 1
    return counts


def percentile(counts: Sequence[int], percent: float) -> float | None:
    """What so many percent of the counted attempts took at most, in milliseconds; None when nothing was counted.

    1. The attempt at the nearest rank, `ceil(percent of all)`, lies in one class.
    2. The attempts of a class are thought to lie evenly in it: by their logarithms, in the lowest by themselves.
    3. The last class has no upper bound; its lower one stands for all of it.
    """
    total = sum(counts)
    if not total:
        return None
    rank = max(1, ceil(total * percent / 100))
    before = 0
    for position, count in enumerate(counts):
        if before + count >= rank:
            return _within(position, (rank - before - 0.5) / count)
        before += count
    raise AssertionError("the rank is at most the total")


def _within(position: int, share: float) -> float:
    if position == 0:
        return LATENCY_BOUNDS_MS[0] * share
    low = LATENCY_BOUNDS_MS[position - 1]
    if position == CLASSES - 1:
        return float(low)
    return low * exp(share * log(LATENCY_BOUNDS_MS[position] / low))
