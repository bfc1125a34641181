"""Writes the made-up past as COPY reads it: a line a row, with exactly the columns that drains and publishers fill."""

import json
from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from uuid import uuid4

from deliveries.history.model import CANCELLED, DELIVERED, FAILED, PastAttempt, PastDelivery, PastEvent
from dispatcher.latencies import CLASSES, class_of

HOUR_MS = 3_600_000
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
PADDING = "x" * 420
# Makes a payload of about half a kilobyte.
REQUEST_HEADERS = (
    r"Content-Type: application/json\nUser-Agent: Signet/1\nX-Webhook-Event: {type}\nX-Webhook-Id: evt_{id:032x}"
    r"\nX-Webhook-Attempt: {number}\nX-Webhook-Signature: {id:064x}\nwebhook-id: evt_{id:032x}"
    r"\nwebhook-timestamp: {at}\nwebhook-signature: v1,{id:043x}="
)
ANSWER_HEADERS = r"Content-Type: application/json\nServer: receiver\nDate: Thu, 01 Jan 1970 00:00:00 GMT"
ANSWERS = {True: b'{"received": true}'.hex(), False: b'{"error": "The service is not available."}'.hex()}
IS_FINAL = frozenset({DELIVERED, FAILED, CANCELLED})

COPY_EVENTS = """COPY deliveries_event
(id, merchant_id, type, payload, is_test, is_live, occurred_at, created_at) FROM STDIN"""
COPY_DELIVERIES = """COPY deliveries_delivery
(id, event_id, endpoint_id, owner_id, event_type, status, attempts_made, attempts_counted, attempts_uncounted,
last_reason, last_status, last_attempt_at, finished_at, created_at) FROM STDIN"""
COPY_ATTEMPTS = """COPY deliveries_attempt
(id, delivery_id, number, trigger, is_counted, reason, leaves, url, request_headers, response_status, response_headers,
response_body, is_response_truncated, body_error, detail, peer, dns_ms, connect_ms, tls_ms, send_ms, wait_ms, total_ms,
started_at) FROM STDIN"""
COPY_COUNTS = """COPY deliveries_hourlycount
(id, hour, endpoint_id, owner_id, event_type, attempts, delivered, failed, latencies) FROM STDIN"""

CountKey = tuple[int, str, str, str]
# The hour since 1970, the endpoint, its owner, the type of event.


class Rows:
    """The lines of a chunk, and the hourly counts of all chunks so far."""

    def __init__(self) -> None:
        self.events: list[str] = []
        self.deliveries: list[str] = []
        self.attempts: list[str] = []
        self._counts: defaultdict[CountKey, list[int]] = defaultdict(lambda: [0] * (3 + CLASSES))

    def add(self, event: PastEvent) -> None:
        at = _moment(event.at_ms)
        said = {"id": f"inv_{event.number}", "total": event.number % 10_000, "memo": PADDING, "at": at}
        payload = json.dumps(said).encode().hex()
        self.events.append(f"{event.id:032x}\t{event.owner_id}\t{event.type}\t\\\\x{payload}\tf\tt\t{at}\t{at}\n")
        for place, delivery in enumerate(event.deliveries, start=1):
            self._add_delivery(event, event.id | place, delivery, at)

    def take(self) -> tuple[list[str], list[str], list[str]]:
        """The lines since the last time: of events, deliveries and attempts."""
        taken = self.events, self.deliveries, self.attempts
        self.events, self.deliveries, self.attempts = [], [], []
        return taken

    def counts(self, *, before_ms: int | None) -> Iterator[str]:
        """The counts of the hours that ended by then, or of all; each is given once."""
        done = [key for key in self._counts if before_ms is None or (key[0] + 1) * HOUR_MS <= before_ms]
        for key in done:
            attempts, delivered, failed, *latencies = self._counts.pop(key)
            hour, *who = key
            numbers = ",".join(map(str, latencies))
            head = "\t".join((uuid4().hex, _moment(hour * HOUR_MS), *who))
            yield f"{head}\t{attempts}\t{delivered}\t{failed}\t{{{numbers}}}\n"

    def _add_delivery(self, event: PastEvent, row_id: int, delivery: PastDelivery, at: str) -> None:
        made, to = delivery.attempts, delivery.recipient
        last = made[-1] if made else None
        tried_at = _moment(event.at_ms + last.after_ms) if last else r"\N"
        ended_ms = event.at_ms + (last.after_ms + int(last.took_ms) if last else 0)
        ended_at = _moment(ended_ms) if delivery.status in IS_FINAL else r"\N"
        reason, code = (last.reason, _or_null(last.status)) if last else (r"\N", r"\N")
        self.deliveries.append(
            f"{row_id:032x}\t{event.id:032x}\t{to.endpoint_id}\t{to.owner_id}\t{event.type}\t{delivery.status}"
            f"\t{len(made)}\t{len(made)}\t0\t{reason}\t{code}\t{tried_at}\t{ended_at}\t{at}\n"
        )
        for attempt in made:
            self._add_attempt(event, row_id, delivery, attempt)

    def _add_attempt(self, event: PastEvent, row_id: int, delivery: PastDelivery, attempt: PastAttempt) -> None:
        at_ms, to = event.at_ms + attempt.after_ms, delivery.recipient
        is_delivered = attempt.leaves == DELIVERED
        sent = REQUEST_HEADERS.format(type=event.type, id=row_id, number=attempt.number, at=at_ms // 1000)
        answered = attempt.status is not None
        headers, body = (ANSWER_HEADERS, ANSWERS[is_delivered]) if answered else ("", "")
        # As the id of its delivery, but in its own time.
        attempt_id = at_ms << 80 | row_id & ((1 << 80) - 1)
        took = attempt.took_ms
        self.attempts.append(
            f"{attempt_id:032x}\t{row_id:032x}\t{attempt.number}\t{'event' if attempt.number == 1 else 'retry'}\tt"
            f"\t{attempt.reason}\t{attempt.leaves}\t{to.url}\t{sent}\t{_or_null(attempt.status)}\t{headers}"
            f"\t\\\\x{body}\tf\t\t\t192.0.2.1\t0.2\t0.4\t\\N\t0.1\t{took}\t{took}\t{_moment(at_ms)}\n"
        )
        count = self._counts[at_ms // HOUR_MS, str(to.endpoint_id), str(to.owner_id), event.type]
        count[0] += 1
        count[1] += is_delivered
        count[2] += attempt.leaves == FAILED
        if is_delivered:
            count[3 + class_of(took)] += 1


def _moment(at_ms: int) -> str:
    return (EPOCH + timedelta(milliseconds=at_ms)).isoformat()


def _or_null(value: int | None) -> str:
    return r"\N" if value is None else str(value)
