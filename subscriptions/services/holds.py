"""Holding: an operator stops what is sent to an endpoint or a merchant; its events are kept until it is released.

A held endpoint is a disabled one with a reason of its own, so that all that is true of disabled endpoints is true of
it: what comes meanwhile is held, and whoever may enable it can let it go, its merchant included.
"""

from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import transaction

from subscriptions.errors import Conflict
from subscriptions.models import Endpoint, Merchant
from subscriptions.services import audit, endpoints
from subscriptions.services.locks import lock_merchant

HELD = "held_by_provider"
# The `disabled_reason` by which a release knows what it may enable again. Why it is held stands in the audit log.


@transaction.atomic
def hold_endpoint(*, endpoint_id: UUID, reason: str, now: datetime, actor: str) -> None:
    """Raises Conflict for an endpoint that is off or gone already: what switched it off stays as it is."""
    if not endpoints.disable(endpoint_id=endpoint_id, reason=HELD, now=now, actor=actor):
        raise Conflict("The endpoint is disabled or deleted already.", code="endpoint_closed")
    endpoint = Endpoint.objects.get(id=endpoint_id)
    _note("endpoint.held", endpoint.public_id, endpoint.owner_id, {"reason": reason}, now=now, actor=actor)


@transaction.atomic
def hold_merchant(*, merchant: Merchant, reason: str, now: datetime, actor: str) -> list[UUID]:
    """Hold all active endpoints of the merchant, and return their ids. Those that it makes later are not held, nor are
    those of merchants above or below it. Raises NotFound, or Conflict when none is active."""
    lock_merchant(merchant.id)
    rows = Endpoint.objects.filter(owner=merchant, is_active=True).order_by("id")
    held = [
        endpoint_id
        for endpoint_id in rows.values_list("id", flat=True)
        if endpoints.disable(endpoint_id=endpoint_id, reason=HELD, now=now, actor=actor)
    ]
    if not held:
        raise Conflict("None of its endpoints is active.", code="endpoint_closed")
    detail = {"reason": reason, "endpoints": len(held)}
    _note("merchant.held", merchant.public_id, merchant.id, detail, now=now, actor=actor)
    return held


@transaction.atomic
def let_go(*, merchant: Merchant, now: datetime, actor: str, endpoint_id: UUID | None = None) -> list[Endpoint]:
    """Enable the merchant's held endpoints, or the one that is named, and return them. Raises NotFound, or Conflict
    when nothing is held. What waits for them is not sent by this."""
    lock_merchant(merchant.id)
    rows = Endpoint.objects.filter(owner=merchant, is_active=False, deleted_at=None, disabled_reason=HELD)
    if endpoint_id is not None:
        rows = rows.filter(id=endpoint_id)
    held = list(rows.order_by("id").values_list("id", flat=True))
    if not held:
        raise Conflict("Nothing of it is held.", code="not_held")
    enabled = [endpoints.enable(merchant=merchant, endpoint_id=row_id, now=now, actor=actor) for row_id in held]
    if endpoint_id is None:
        detail = {"endpoints": len(enabled)}
        _note("merchant.released", merchant.public_id, merchant.id, detail, now=now, actor=actor)
    return enabled


def _note(action: str, target: str, merchant_id: UUID, detail: dict[str, Any], *, now: datetime, actor: str) -> None:
    audit.note(actor=actor, action=action, target=target, merchant_id=merchant_id, detail=detail, now=now)
