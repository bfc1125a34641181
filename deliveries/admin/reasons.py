"""Reasons in groups, and the colours of what came of them."""

from collections.abc import Mapping

from deliveries.models import Attempt, Delivery
from dispatcher.outcomes import TIMEOUTS, UNCOUNTED, Reason
from dispatcher.words import WORDS
from subscriptions.admin.columns import Colour

GROUPS: Mapping[str, frozenset[Reason]] = {
    "delivered": frozenset({Reason.DELIVERED}),
    "http": frozenset(reason for reason in Reason if reason.startswith("http_")) | {Reason.ACK_MISSING},
    "dns": frozenset(reason for reason in Reason if reason.startswith("dns_")) | {Reason.BLOCKED_ADDRESS},
    "connection": frozenset(reason for reason in Reason if reason.startswith(("connect", "network_"))),
    "tls": frozenset(reason for reason in Reason if reason.startswith("tls_")),
    "letters": frozenset({Reason.RECIPIENT_REFUSED, Reason.GATEWAY_REFUSED}),
    "timeout": TIMEOUTS,
    "ours": UNCOUNTED,
}
# They overlap: a timeout belongs to its phase too.

COLOUR_OF_STATUS: Mapping[str, Colour] = {
    Delivery.Status.DELIVERED: Colour.GREEN,
    Delivery.Status.FAILED: Colour.RED,
    Delivery.Status.PENDING: Colour.AMBER,
    Delivery.Status.HELD: Colour.GREY,
    Delivery.Status.CANCELLED: Colour.GREY,
}


def in_words(reason: str | None) -> str:
    return WORDS.get(reason, reason) if reason else ""


def colour_of(attempt: Attempt) -> Colour:
    if attempt.reason == Reason.DELIVERED:
        return Colour.GREEN
    return Colour.RED if attempt.is_counted else Colour.GREY
