"""Marks endpoints that need a secret which no key opens, where merchants and operators see it, and takes the mark off.

Senders come here: they are who opens secrets. An endpoint is marked, and audited, once however many of them stumble.
"""

from collections.abc import Collection
from datetime import datetime
from uuid import UUID

from django.db import transaction

from subscriptions.models import Endpoint
from subscriptions.services import audit


@transaction.atomic
def mark(endpoint_ids: Collection[UUID], *, now: datetime) -> None:
    """Nothing is sent to these from now on: every attempt is an `internal_error`, and at last their deliveries are
    held."""
    for endpoint in _lock(endpoint_ids, is_marked=False):
        _set(endpoint, since=now, action="endpoint.unreadable", now=now)


@transaction.atomic
def unmark(endpoint_ids: Collection[UUID], *, now: datetime) -> None:
    """Their secrets open: rotated since, or the missing key is back in the ring."""
    for endpoint in _lock(endpoint_ids, is_marked=True):
        _set(endpoint, since=None, action="endpoint.readable", now=now)


def _lock(endpoint_ids: Collection[UUID], *, is_marked: bool) -> list[Endpoint]:
    """A row that is being changed is left out, for a sender waits for nobody: it is looked at again in its next
    version."""
    rows = Endpoint.objects.select_for_update(no_key=True, skip_locked=True).order_by("id")
    return list(rows.filter(id__in=endpoint_ids, deleted_at=None, unreadable_since__isnull=not is_marked))


def _set(endpoint: Endpoint, *, since: datetime | None, action: str, now: datetime) -> None:
    """No new version: what senders have prepared stays as it is."""
    endpoint.unreadable_since = since
    endpoint.save(update_fields=["unreadable_since"])
    audit.note(actor="system", action=action, target=endpoint.public_id, merchant_id=endpoint.owner_id, now=now)
