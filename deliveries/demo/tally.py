"""Counts what the receivers saw, system by system."""

import time
from collections import Counter, OrderedDict, deque
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import quantiles
from threading import Lock

LATENCY_WINDOW_S = 10.0
SAMPLES_MOST = 20_000
REMEMBERED_MOST = 100_000
# Events whose moment of publishing is known, and deliveries that were seen before. What is older has no latency, and
# comes for the first time.


@dataclass(frozen=True, slots=True)
class Seen:
    """What came in so far. `retried`: attempts after the first. Times are those of first attempts, in milliseconds
    from publishing to the verified arrival; None without one."""

    verified: int = 0
    verified_after_retry: int = 0
    unverified: int = 0
    retried: int = 0
    refused: int = 0
    bad_signatures: int = 0
    p50_ms: float | None = None
    p95_ms: float | None = None


@dataclass(frozen=True, slots=True)
class Taken:
    """What a receiver did with one attempt. `is_good` is None where it could not check, `key` empty where not read."""

    system: str
    key: str
    attempt: int
    is_good: bool | None
    is_accepted: bool


class Journal:
    """When each event was published, by its system and key. The oldest are forgotten."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._moments: OrderedDict[tuple[str, str], float] = OrderedDict()

    def note(self, system: str, key: str, *, at: float) -> None:
        with self._lock:
            self._moments[system, key] = at
            if len(self._moments) > REMEMBERED_MOST:
                self._moments.popitem(last=False)

    def find(self, system: str, key: str) -> float | None:
        with self._lock:
            return self._moments.get((system, key))


class Attempts:
    """Counts how often each delivery has come, as a merchant must who wants to act on an event only once."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._counts: OrderedDict[tuple[str, str], int] = OrderedDict()

    def count(self, path: str, key: str) -> int:
        """1 when it comes for the first time."""
        with self._lock:
            count = self._counts.pop((path, key), 0) + 1
            self._counts[path, key] = count
            if len(self._counts) > REMEMBERED_MOST:
                self._counts.popitem(last=False)
            return count


class Tally:
    """Counts every delivery, also of what somebody else published; times are of the events in the journal."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._lock = Lock()
        self._counts: dict[str, Counter[str]] = {}
        self._latencies: deque[tuple[float, str, float]] = deque(maxlen=SAMPLES_MOST)

    def note(self, taken: Taken, *, at: float) -> None:
        published_at = self._journal.find(taken.system, taken.key)
        with self._lock:
            counts = self._counts.setdefault(taken.system, Counter())
            if taken.is_good is False:
                counts["bad_signatures"] += 1
                return
            _count(counts, taken)
            if taken.is_accepted and taken.attempt == 1 and published_at is not None:
                self._latencies.append((at, taken.system, max(0.0, at - published_at) * 1000))

    def read(self, *, now: float) -> dict[str, Seen]:
        """By system, and all together under the empty name."""
        with self._lock:
            while self._latencies and self._latencies[0][0] < now - LATENCY_WINDOW_S:
                self._latencies.popleft()
            counts = {system: Counter(counted) for system, counted in self._counts.items()}
            recent = [(system, latency) for _, system, latency in self._latencies]
        counts[""] = sum(counts.values(), Counter())
        return {system: _seen(counted, recent, system) for system, counted in counts.items()}


def now_s() -> float:
    """The clock of journal and tally: seconds that no adjustment of the time moves."""
    return time.monotonic()


def _count(counts: Counter[str], taken: Taken) -> None:
    is_retry = taken.attempt > 1
    counts["retried"] += is_retry
    if not taken.is_accepted:
        counts["refused"] += 1
    elif taken.is_good:
        counts["verified"] += 1
        counts["verified_after_retry"] += is_retry
    else:
        counts["unverified"] += 1


def _seen(counts: Mapping[str, int], recent: list[tuple[str, float]], system: str) -> Seen:
    p50, p95 = _percentiles([latency for name, latency in recent if system in {"", name}])
    return Seen(**counts, p50_ms=p50, p95_ms=p95)


def _percentiles(values: list[float]) -> tuple[float | None, float | None]:
    if len(values) < 2:
        return (values[0], values[0]) if values else (None, None)
    cuts = quantiles(values, n=20, method="inclusive")
    return cuts[9], cuts[18]
