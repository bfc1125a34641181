"""Says what happened in the made-up past: deliveries, their attempts and how long these took. Plain Python."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from random import Random
from secrets import randbits
from uuid import UUID

from deliveries.id_ranges import PLACES
from dispatcher.retry import DEFAULT_SCHEDULE

DAY_MS = 86_400_000
DELIVERED, FAILED, HELD, CANCELLED, PENDING = "delivered", "failed", "held", "cancelled", "pending"
FATES = (
    *((DELIVERED, 1, 940), (DELIVERED, 2, 25), (DELIVERED, 3, 10), (DELIVERED, 5, 5)),
    *((FAILED, len(DEFAULT_SCHEDULE) + 1, 10), (HELD, 0, 7), (CANCELLED, 2, 3)),
)
# How a delivery ended, after how many attempts, and how many of a thousand do. None waits still: nothing is ever sent.
FAILURES = (
    ("http_server_error", 503),
    ("http_client_error", 404),
    ("response_timeout", None),
    ("connect_refused", None),
)
MEDIAN_MS, SPREAD = 85.0, 0.8
# Of the log-normal time that a receiver takes to answer.
TIMEOUT_MS = 10_000.0
DIALS = 4_096
# Prepared draws of fates and times: the making must not be what takes the time.


@dataclass(frozen=True, slots=True)
class Recipient:
    """An endpoint with its merchant, and the types of event that it hears."""

    endpoint_id: UUID
    owner_id: UUID
    url: str


@dataclass(frozen=True, slots=True)
class PastAttempt:
    """One try; `after_ms` counts from the event."""

    number: int
    after_ms: int
    reason: str
    status: int | None
    leaves: str
    took_ms: float


@dataclass(frozen=True, slots=True)
class PastDelivery:
    recipient: Recipient
    status: str
    attempts: Sequence[PastAttempt]


@dataclass(frozen=True, slots=True)
class PastEvent:
    """`id` is as a publisher would have made it in the millisecond `at_ms`."""

    id: int
    at_ms: int
    number: int
    type: str
    owner_id: UUID
    deliveries: Sequence[PastDelivery]


def events_of_day(
    day: datetime,
    *,
    deliveries: int,
    owners: Sequence[Sequence[Recipient]],
    weights: Sequence[float],
    types: Sequence[str],
    random: Random,
) -> Iterator[PastEvent]:
    """Events spread evenly over a day until they make so many deliveries, in the order of their ids."""
    start = int(day.timestamp() * 1000)
    histories = [_attempts(random, *fate) for fate in _dealt(random)]
    made = number = 0
    while made < deliveries:
        heard = random.choices(owners, weights)[0][: deliveries - made]
        at_ms = start + made * DAY_MS // deliveries
        owed = [PastDelivery(one, *histories[random.randrange(DIALS)]) for one in heard]
        yield PastEvent(_event_id(at_ms, number), at_ms, number, types[number % len(types)], heard[0].owner_id, owed)
        made, number = made + len(heard), number + 1


def _event_id(at_ms: int, number: int) -> int:
    """A UUIDv7 whose bits behind the time count up. The last ones are the deliveries' places. The rest is left to
    chance whatever the seed: another history of the same seed may lie beside it."""
    entropy = (number << 40 | randbits(40)) & ((1 << 62) - 1)
    return at_ms << 80 | 7 << 76 | 2 << 62 | entropy & ~PLACES


def _dealt(random: Random) -> list[tuple[str, int]]:
    fates = [(status, attempts) for status, attempts, _ in FATES]
    return random.choices(fates, [weight for *_, weight in FATES], k=DIALS)


def _attempts(random: Random, status: str, count: int) -> tuple[str, list[PastAttempt]]:
    made, after_ms = [], 20
    reason, code = random.choice(FAILURES)
    for number in range(1, count + 1):
        is_last = number == count
        is_delivered = is_last and status == DELIVERED
        took_ms = TIMEOUT_MS if reason == "response_timeout" and not is_delivered else _took(random)
        leaves = status if is_last and status in {DELIVERED, FAILED} else PENDING
        outcome = ("delivered", 200) if is_delivered else (reason, code)
        made.append(PastAttempt(number, after_ms, *outcome, leaves, took_ms))
        if not is_last:
            after_ms += int(took_ms) + 1000 * DEFAULT_SCHEDULE[number - 1]
    return status, made


def _took(random: Random) -> float:
    return round(min(TIMEOUT_MS, MEDIAN_MS * random.lognormvariate(0, SPREAD)), 1)
