"""The list of a merchant's endpoints, each with how it did lately."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.http import HttpResponse
from django.utils.safestring import SafeString

from deliveries.portal import periods
from deliveries.portal.attention import state_of
from deliveries.selectors import endpoint_figures
from deliveries.selectors.endpoint_figures import EndpointFigures
from deliveries.selectors.failing import Failing, failing
from dispatcher.words import said
from subscriptions import charts
from subscriptions.models import Endpoint
from subscriptions.portal.doors import PortalRequest, page, show
from subscriptions.selectors import endpoints
from subscriptions.services.endpoints import MOST_ENDPOINTS

TYPES_SHOWN = 1
WEEK = periods.chosen("7d")


@dataclass(frozen=True, slots=True)
class Row:
    """One endpoint of the list; the figures are those of the last seven days."""

    endpoint: Endpoint
    state: str
    why: str
    types: str
    success_ratio: float | None
    sends: int
    spark: SafeString
    last_at: datetime | None


@page()
def endpoint_list(request: PortalRequest) -> HttpResponse:
    """`/portal/<merchant>/endpoints/`"""
    merchant = request.visitor.merchant
    living = list(endpoints.living(merchant).order_by("id"))
    found = {one.endpoint_id: one for one in failing(owner_id=merchant.id, now=request.now)}
    figures = endpoint_figures.read(
        owner_id=merchant.id, starts=WEEK.starts(request.now), until=WEEK.until(request.now)
    )
    newest = endpoint_figures.newest([endpoint.id for endpoint in living]) if living else {}
    shown = {
        "section": "endpoints",
        "rows": [_row(endpoint, found, figures, newest) for endpoint in living],
        "most": MOST_ENDPOINTS,
        "is_full": len(living) >= MOST_ENDPOINTS,
    }
    return show(request, "portal/endpoints/list.html", shown)


def _row(
    endpoint: Endpoint,
    found: Mapping[UUID, Failing],
    figures: Mapping[UUID, EndpointFigures],
    newest: Mapping[UUID, tuple[datetime | None, str]],
) -> Row:
    mine, trouble = figures.get(endpoint.id), found.get(endpoint.id)
    values: Sequence[float | None] = [step.delivered + step.failed for step in mine.buckets] if mine else [0, 0]
    return Row(
        endpoint,
        state_of(endpoint, found),
        said(trouble.reason, trouble.status) if trouble else "",
        wanted_types(endpoint),
        mine.totals.success_ratio if mine else None,
        mine.totals.delivered + mine.totals.failed if mine else 0,
        charts.sparkline(values, kind="failed" if trouble else "delivered"),
        newest.get(endpoint.id, (None, ""))[0],
    )


def wanted_types(endpoint: Endpoint) -> str:
    """What it hears, in a few words."""
    if endpoint.event_types is None:
        return "All events"
    more = len(endpoint.event_types) - TYPES_SHOWN
    named = ", ".join(endpoint.event_types[:TYPES_SHOWN])
    return f"{named} and {more} more" if more > 0 else named
