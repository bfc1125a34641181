"""The names of what ledger rows point at. They have no foreign keys, so the one query of a list brings the names."""

from typing import TYPE_CHECKING, TypedDict

from django.db.models import OuterRef, Subquery
from django.utils.safestring import SafeString

from deliveries.models import Delivery, Event, Lane, LaneEntry
from dispatcher.ids import Prefix, show
from subscriptions.admin.columns import ENDPOINT_PAGE, EVENT_PAGE, MERCHANT_PAGE, clipped, code, page_link, short_id
from subscriptions.models import Endpoint, Merchant

if TYPE_CHECKING:
    from uuid import UUID

    from django_stubs_ext import WithAnnotations

    class Names(TypedDict):
        endpoint_url: str | None
        merchant_name: str | None
        external_id: str | None

    class MerchantName(TypedDict):
        merchant_name: str | None

    class EndpointUrl(TypedDict):
        endpoint_url: str | None

    NamedDelivery = WithAnnotations[Delivery, Names]
    NamedEvent = WithAnnotations[Event, MerchantName]
    NamedLane = WithAnnotations[Lane, EndpointUrl]
    NamedLaneEntry = WithAnnotations[LaneEntry, EndpointUrl]

# Evaluated for the rows of the page only: they are what the index gives before LIMIT stops it.


def endpoint_url(column: str = "endpoint_id") -> Subquery:
    return Subquery(Endpoint.objects.filter(id=OuterRef(column)).values("target")[:1])


def merchant_name(column: str) -> Subquery:
    return Subquery(Merchant.objects.filter(id=OuterRef(column)).values("name")[:1])


def external_id() -> Subquery:
    return Subquery(Event.objects.filter(id=OuterRef("event_id")).values("external_id")[:1])


def endpoint_link(endpoint_id: "UUID", url: str | None) -> SafeString:
    return page_link(ENDPOINT_PAGE, endpoint_id, clipped(url) if url else short_id(show(Prefix.ENDPOINT, endpoint_id)))


def merchant_link(merchant_id: "UUID", name: str | None) -> SafeString:
    return page_link(MERCHANT_PAGE, merchant_id, name or show(Prefix.MERCHANT, merchant_id))


def event_link(event_id: "UUID", shown: str | None = None) -> SafeString:
    return page_link(EVENT_PAGE, event_id, clipped(shown) if shown else code(show(Prefix.EVENT, event_id)))
