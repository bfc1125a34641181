"""Sends again the deliveries that somebody picked from a list."""

from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db import transaction

from deliveries.models import Delivery
from deliveries.services.replay import begin_again
from subscriptions.errors import FieldError, Invalid
from subscriptions.models import Endpoint
from subscriptions.services import audit

PICKED_MOST = 200
# As many as a list shows at once; more is what recovering a time range is for.


@dataclass(frozen=True, slots=True)
class Resent:
    """How many were made due, and how many not: their endpoint is closed, or their contents were taken away."""

    sent: int
    passed_over: int


@transaction.atomic
def resend_many(*, delivery_ids: Collection[UUID], owner_id: UUID | None, actor: str, now: datetime) -> Resent:
    """Make the picked deliveries due now, as `replay.resend` does with one event's. Without an owner, anybody's.

    What the owner does not own is not there: it is left out without a word. Raises Invalid for none or too many.
    """
    if not 0 < len(set(delivery_ids)) <= PICKED_MOST:
        raise Invalid(FieldError("/deliveries", "wrong_number", f"Pick from one to {PICKED_MOST} deliveries."))
    rows = Delivery.objects.filter(id__in=delivery_ids).only("id", "endpoint_id", "owner_id")
    picked = list(rows if owner_id is None else rows.filter(owner_id=owner_id))
    is_open = _open_among({row.endpoint_id for row in picked})
    wanted = [row for row in picked if row.endpoint_id in is_open]
    endpoints = {row.endpoint_id for row in wanted}
    sent = begin_again(delivery_ids=[row.id for row in wanted], endpoint_ids=endpoints, now=now)
    _note([row for row in wanted if row.id in sent], actor=actor, now=now)
    return Resent(len(sent), len(picked) - len(sent))


def _open_among(endpoint_ids: Collection[UUID]) -> set[UUID]:
    return set(Endpoint.objects.filter(id__in=endpoint_ids, is_active=True).values_list("id", flat=True))


def _note(resent: Iterable[Delivery], *, actor: str, now: datetime) -> None:
    """One entry for each endpoint that gets something."""
    by_endpoint: defaultdict[tuple[UUID, UUID], list[str]] = defaultdict(list)
    for row in resent:
        by_endpoint[row.owner_id, row.endpoint_id].append(row.public_id)
    endpoints = Endpoint.objects.in_bulk([endpoint_id for _, endpoint_id in by_endpoint])
    for (owner_id, endpoint_id), deliveries in by_endpoint.items():
        audit.note(
            actor=actor,
            action="deliveries.resent",
            target=endpoints[endpoint_id].public_id,
            merchant_id=owner_id,
            detail={"deliveries": deliveries},
            now=now,
        )
