"""The receiver behind the demo's endpoints: verifies everything, counts it, and has trouble at one of them."""

import hashlib
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import quantiles
from threading import Lock, Thread

from deliveries.demo.cast import ENDPOINTS, TROUBLED_SCHEDULE_S
from deliveries.receiver import Behaviour, Received, Receiver, Verdict
from dispatcher.ids import InvalidId, Prefix, parse

TROUBLED_PATHS = frozenset(planned.path for planned in ENDPOINTS if planned.is_troubled)
TROUBLE_PERCENT = 15
TROUBLE_STATUSES = (500, 503)
LASTING_ONE_IN = 80
# Events that the troubled endpoint refuses until the schedule is used up, so that the log shows failed deliveries too.
# Sent again by hand they are accepted.
LASTING_ATTEMPTS = len(TROUBLED_SCHEDULE_S) + 1
LATENCY_WINDOW_S = 10.0
SAMPLES_MOST = 20_000
UUID7_TIME_SHIFT = 80
# A UUIDv7 begins with the milliseconds since 1970, before 80 bits of others. Source: RFC 9562, section 5.7.


@dataclass(frozen=True, slots=True)
class Seen:
    """What came in so far. `retried`: attempts after the first. Times are milliseconds, None without a delivery."""

    verified: int = 0
    verified_after_retry: int = 0
    unverified: int = 0
    retried: int = 0
    refused: int = 0
    bad_signatures: int = 0
    p50_ms: float | None = None
    p95_ms: float | None = None


class Tally:
    """Counts deliveries of events that were published after `since`, a Unix time; and every bad signature."""

    def __init__(self, *, since: float) -> None:
        self._since_ms = since * 1000
        self._lock = Lock()
        self._counts = dict.fromkeys(("verified", "verified_after_retry", "unverified", "retried", "refused"), 0)
        self._bad_signatures = 0
        self._latencies: deque[tuple[float, float]] = deque(maxlen=SAMPLES_MOST)

    def note(self, received: Received, *, at: float) -> None:
        published_ms = _published_ms(received.event_id)
        with self._lock:
            self._bad_signatures += not received.is_genuine
            if published_ms is not None and published_ms >= self._since_ms and received.is_genuine:
                self._count(received)
                if received.status < 300:
                    self._latencies.append((at, max(0.0, at * 1000 - published_ms)))

    def _count(self, received: Received) -> None:
        is_retry = received.attempt not in {"1", "-"}
        self._counts["retried"] += is_retry
        if received.status >= 300:
            self._counts["refused"] += 1
        elif received.hex_verdict is Verdict.GOOD:
            self._counts["verified"] += 1
            self._counts["verified_after_retry"] += is_retry
        else:
            self._counts["unverified"] += 1

    def read(self, *, now: float) -> Seen:
        with self._lock:
            while self._latencies and self._latencies[0][0] < now - LATENCY_WINDOW_S:
                self._latencies.popleft()
            recent = [latency for _, latency in self._latencies]
            counts, bad_signatures = dict(self._counts), self._bad_signatures
        p50, p95 = _percentiles(recent)
        return Seen(**counts, bad_signatures=bad_signatures, p50_ms=p50, p95_ms=p95)


class DemoReceiver(Receiver):
    """`check_with` before `start`: what has waited since the last run comes at once."""

    def __init__(self, *, port: int, tally: Tally) -> None:
        super().__init__(port=port, report=lambda received: tally.note(received, at=time.time()))
        self._thread = Thread(target=self.serve, name="receiver", daemon=True)

    def check_with(self, secrets: Mapping[str, str | None]) -> None:
        """From now on the secrets are these. Behind a troubled path stands one for each way in which it fails."""
        troubled = [(path, status) for path in TROUBLED_PATHS for status in TROUBLE_STATUSES]
        self.paths = {path: Behaviour(secret) for path, secret in secrets.items()} | {
            _with_trouble(path, status): Behaviour(secrets.get(path), status) for path, status in troubled
        }

    def start(self) -> None:
        self._thread.start()

    def end(self) -> None:
        if self._thread.is_alive():
            self.stop()
        self.close()

    def receive(self, path: str, headers: Mapping[str, str], body: bytes) -> Received:
        if path in TROUBLED_PATHS:
            attempt = headers.get("x-webhook-attempt", "")
            status = trouble(headers.get("x-webhook-id", ""), int(attempt) if attempt.isdecimal() else 1)
            path = _with_trouble(path, status) if status else path
        return super().receive(path, headers, body)


def trouble(event_id: str, attempt: int) -> int | None:
    """The status that the troubled endpoint answers to this attempt, always the same one; None: it takes it."""
    if _draw(event_id) % LASTING_ONE_IN == 0 and attempt <= LASTING_ATTEMPTS:
        return TROUBLE_STATUSES[0]
    draw = _draw(f"{event_id} {attempt}")
    return TROUBLE_STATUSES[draw // 100 % len(TROUBLE_STATUSES)] if draw % 100 < TROUBLE_PERCENT else None


def _draw(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")


def _with_trouble(path: str, status: int) -> str:
    return f"{path}?{status}"


def _published_ms(event_id: str) -> float | None:
    """None for an id that the provider chose."""
    try:
        return float(parse(Prefix.EVENT, event_id).int >> UUID7_TIME_SHIFT)
    except InvalidId:
        return None


def _percentiles(values: list[float]) -> tuple[float | None, float | None]:
    if len(values) < 2:
        return (values[0], values[0]) if values else (None, None)
    cuts = quantiles(values, n=20, method="inclusive")
    return cuts[9], cuts[18]
