"""What a search term means in the lists of the ledger. Only indexes are asked."""

from uuid import UUID

from deliveries.models import Event
from subscriptions.models import Merchant

EVENTS_OF_ONE_ID = 20
# A provider's id may come again once its key has expired; more than a few would be a provider's mistake.


def events_named(external_id: str) -> list[UUID]:
    """Those to which the provider gave this id, newest first."""
    rows = Event.objects.filter(external_id=external_id).order_by("-id")
    return list(rows.values_list("id", flat=True)[:EVENTS_OF_ONE_ID])


def merchants_named(reference: str) -> list[UUID]:
    """The living merchant with this reference, and deleted ones that had it."""
    return list(Merchant.objects.filter(reference=reference).values_list("id", flat=True))
