"""One delivery looked at closely: its event and the timeline of its attempts. Bodies are fetched when one is opened."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from uuid import UUID

from deliveries.models import Attempt, Delivery, Event
from dispatcher.outcomes import Reason
from dispatcher.words import ADVICE, said
from subscriptions.errors import NotFound
from subscriptions.models import Endpoint

ATTEMPTS_MOST = 100
# The newest that a timeline shows; a delivery has ten before somebody resends it.
BODIES = ("request_headers", "request_body", "response_headers", "response_body")
PHASES = (("dns", "DNS"), ("connect", "Connect"), ("tls", "TLS"), ("send", "Send"), ("wait", "Wait"))


@dataclass(frozen=True, slots=True)
class Phase:
    """One bar of the waterfall: where it begins and how long it is, in hundredths of the whole."""

    name: str
    ms: float
    start: float
    width: float


@dataclass(frozen=True, slots=True)
class Step:
    """One attempt of a timeline."""

    attempt: Attempt
    said: str
    advice: str
    state: str


@dataclass(frozen=True, slots=True)
class Panel:
    """All that the panel shows at first; `steps` newest first."""

    delivery: Delivery
    event: Event | None
    endpoint: Endpoint | None
    steps: Sequence[Step]

    @property
    def is_waiting(self) -> bool:
        return self.delivery.status == Delivery.Status.PENDING


def find(delivery_id: UUID, *, owner_id: UUID, known: Mapping[UUID, Endpoint] = MappingProxyType({})) -> Panel | None:
    """Four statements, three where its endpoint is among the `known`. None when the owner has no such delivery."""
    delivery = Delivery.objects.filter(id=delivery_id, owner_id=owner_id).first()
    if delivery is None:
        return None
    attempts = Attempt.objects.filter(delivery_id=delivery_id).defer(*BODIES).order_by("-number")[:ATTEMPTS_MOST]
    return Panel(
        delivery,
        Event.objects.filter(id=delivery.event_id).first(),
        known.get(delivery.endpoint_id) or Endpoint.objects.filter(id=delivery.endpoint_id, owner_id=owner_id).first(),
        [_step(attempt) for attempt in attempts],
    )


def get(delivery_id: UUID | None, *, owner_id: UUID) -> Panel:
    """As `find`, but raises NotFound."""
    found = find(delivery_id, owner_id=owner_id) if delivery_id else None
    if found is None:
        raise NotFound("There is no such delivery.")
    return found


def get_attempt(delivery_id: UUID | None, number: int, *, owner_id: UUID) -> tuple[Delivery, Attempt, Event | None]:
    """One attempt with its bodies. Raises NotFound."""
    delivery = Delivery.objects.filter(id=delivery_id, owner_id=owner_id).first() if delivery_id else None
    attempt = Attempt.objects.filter(delivery_id=delivery.id, number=number).first() if delivery else None
    if delivery is None or attempt is None:
        raise NotFound("There is no such attempt.")
    return delivery, attempt, Event.objects.filter(id=delivery.event_id).first()


def _step(attempt: Attempt) -> Step:
    is_delivered = attempt.reason == Reason.DELIVERED
    state = "delivered" if is_delivered else "failed" if attempt.is_counted else "held"
    return Step(attempt, said(attempt.reason, attempt.response_status), ADVICE.get(attempt.reason, ""), state)


def phases_of(attempt: Attempt) -> list[Phase]:
    """DNS to the end of the answer, one after the other; those that did not happen are left out."""
    total = attempt.total_ms or 0.0
    named = [(name, getattr(attempt, f"{column}_ms") or 0.0) for column, name in PHASES]
    spent = sum(ms for _, ms in named)
    if total > spent and attempt.response_status is not None:
        named.append(("Receive", total - spent))
    whole, start, bars = max(total, spent) or 1.0, 0.0, []
    for name, ms in named:
        if ms > 0:
            bars.append(Phase(name, ms, round(start / whole * 100, 2), round(max(ms / whole * 100, 0.4), 2)))
        start += ms
    return bars
