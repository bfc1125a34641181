"""Reads endpoints, always those of one merchant."""

from uuid import UUID

from django.db.models import QuerySet

from subscriptions.errors import NotFound
from subscriptions.models import Endpoint, Merchant, SigningSecret


def living(merchant: Merchant) -> QuerySet[Endpoint]:
    return Endpoint.objects.filter(owner=merchant, deleted_at=None)


def get(merchant: Merchant, endpoint_id: UUID) -> Endpoint:
    """Raises NotFound, also for another merchant's."""
    if endpoint := living(merchant).filter(id=endpoint_id).first():
        return endpoint
    raise NotFound("There is no such endpoint.")


def find_primary(merchant: Merchant) -> Endpoint | None:
    """The endpoint behind /config."""
    return living(merchant).filter(is_primary=True).first()


def signed_ids(endpoint_ids: list[UUID]) -> set[UUID]:
    """Those of the endpoints that have a current secret."""
    rows = SigningSecret.objects.filter(endpoint_id__in=endpoint_ids, expires_at=None)
    return set(rows.values_list("endpoint_id", flat=True))
