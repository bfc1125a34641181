"""Rows of the tables on event and delivery pages."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from django.utils.safestring import SafeString

from deliveries.admin.naming import endpoint_link
from deliveries.admin.reasons import COLOUR_OF_STATUS, colour_of, in_words
from deliveries.models import Attempt, Delivery
from subscriptions.admin.columns import ATTEMPT_PAGE, DELIVERY_PAGE, EMPTY, dot, moment, page_link, short_id

if TYPE_CHECKING:
    from deliveries.admin.naming import NamedDelivery


@dataclass(frozen=True, slots=True)
class DeliveryRow:
    link: SafeString
    status: SafeString
    endpoint: SafeString
    attempts: int
    last: str
    next_at: SafeString | str


@dataclass(frozen=True, slots=True)
class AttemptRow:
    number: SafeString
    started: SafeString | str
    trigger: str
    reason: SafeString
    status: int | str
    total: str
    phases: str
    is_counted: bool


def delivery_rows(rows: "Iterable[NamedDelivery]") -> list[DeliveryRow]:
    return [
        DeliveryRow(
            link=page_link(DELIVERY_PAGE, row.id, short_id(row.public_id)),
            status=delivery_status(row),
            endpoint=endpoint_link(row.endpoint_id, row.endpoint_url),
            attempts=row.attempts_made,
            last=last_result(row),
            next_at=moment(row.next_attempt_at),
        )
        for row in rows
    ]


def attempt_rows(rows: Iterable[Attempt]) -> list[AttemptRow]:
    return [
        AttemptRow(
            number=page_link(ATTEMPT_PAGE, row.id, row.number),
            started=moment(row.started_at),
            trigger=row.get_trigger_display(),
            reason=dot(colour_of(row), in_words(row.reason)),
            status=row.response_status or EMPTY,
            total=milliseconds(row.total_ms),
            phases=phases(row),
            is_counted=row.is_counted,
        )
        for row in rows
    ]


def delivery_status(delivery: Delivery) -> SafeString:
    return dot(COLOUR_OF_STATUS[delivery.status], delivery.get_status_display())


def last_result(delivery: Delivery) -> str:
    """What came of the last attempt, e.g. `The receiver failed (503)`."""
    if not delivery.last_reason:
        return EMPTY
    status = f" ({delivery.last_status})" if delivery.last_status else ""
    return in_words(delivery.last_reason) + status


def milliseconds(value: float | None) -> str:
    return EMPTY if value is None else f"{value:,.1f} ms"


def phases(attempt: Attempt) -> str:
    """Those that were reached, in their order."""
    taken = {
        "DNS": attempt.dns_ms,
        "connect": attempt.connect_ms,
        "TLS": attempt.tls_ms,
        "send": attempt.send_ms,
        "wait": attempt.wait_ms,
    }
    return " · ".join(f"{name} {value:,.1f}" for name, value in taken.items() if value is not None) or EMPTY
