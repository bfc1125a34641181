"""The event log: what was owed to a merchant's endpoints, newest first, and what became of it."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from django.contrib import messages
from django.db.models import F
from django.http import HttpResponse
from django.shortcuts import redirect
from django.urls import reverse

from deliveries.models import Delivery
from deliveries.portal import panel, queries
from deliveries.portal.addresses import export_address
from deliveries.portal.details import panel_shown
from deliveries.portal.states import result_of, state_of
from deliveries.selectors import log_pages, log_search
from deliveries.selectors.log_pages import Page
from deliveries.services.resend_many import resend_many
from dispatcher.ids import Prefix
from dispatcher.ids import show as show_id
from subscriptions.models import Endpoint
from subscriptions.portal.doors import PortalRequest, go_back, is_fragment, page, show
from subscriptions.selectors import event_types

NAMES_MOST = 100
# Endpoints offered for the filter: the living are 20 at the most, but there is no end to the deleted.
TYPES_MOST = 500
# Names offered for the filter. A catalogue is smaller; the address takes any.


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the log, as it is shown."""

    delivery: Delivery
    id: str
    event_id: str
    endpoint: str
    result: str
    state: str

    @property
    def print(self) -> str:
        """What of it may change."""
        return f"{self.id} {self.delivery.status} {self.delivery.attempts_made} {self.delivery.next_attempt_at}"


@page()
def log(request: PortalRequest) -> HttpResponse:
    """`/portal/<merchant>/log/`: the whole page, or for htmx the part that changes."""
    owner_id = request.visitor.merchant.id
    query = queries.read_log(request.GET, now=request.now)
    found = _read(query, owner_id=owner_id)
    endpoints = _endpoints(owner_id, found.rows)
    names = {endpoint.id: endpoint.target.removeprefix("https://") for endpoint in endpoints.values()}
    rows = rows_of(found.rows, names)
    version = _version(rows)
    if is_fragment(request) and request.GET.get("v") == version:
        return HttpResponse(status=204)
    shown = {
        "section": "log",
        "rows": rows,
        "page": found,
        "query": query,
        "next_before": show_id(Prefix.DELIVERY, found.next_before) if found.next_before else "",
        "version": version,
        "is_first_page": query.before is None,
        "open_id": request.GET.get("open", ""),
        "export": export_address(request.visitor.merchant.public_id, since=query.where.since, until=query.where.until),
    }
    if is_fragment(request):
        target = request.headers.get("HX-Target", "")
        return show(request, "portal/log/rows.html" if target == "log-rows" else "portal/log/list.html", shown)
    opened = queries.ident(Prefix.DELIVERY, request.GET.get("open"))
    more = {
        "endpoints": sorted(names.items(), key=lambda item: item[1]),
        "types": list(event_types.on_offer().order_by("name").values_list("name", flat=True)[:TYPES_MOST]),
        "statuses": Delivery.Status.choices,
        "ranges": [("1h", "1 h"), ("24h", "24 h"), ("7d", "7 d"), ("30d", "30 d"), ("", "All")],
    }
    beside = panel.find(opened, owner_id=owner_id, known=endpoints) if opened else None
    return show(request, "portal/log/page.html", shown | more | (panel_shown(beside, request) if beside else {}))


@page()
def resend_picked(request: PortalRequest) -> HttpResponse:
    """`POST /portal/<merchant>/log/resend` with `delivery` as often as were picked, and `back`."""
    if request.method != "POST":
        return redirect("portal-log", request.visitor.merchant.public_id)
    named = (queries.ident(Prefix.DELIVERY, text) for text in request.POST.getlist("delivery"))
    done = resend_many(
        delivery_ids=[delivery_id for delivery_id in named if delivery_id],
        owner_id=request.visitor.merchant.id,
        actor=request.visitor.actor,
        now=request.now,
    )
    sent = f"{done.sent} {'delivery is' if done.sent == 1 else 'deliveries are'} being sent again."
    over = (
        f" {done.passed_over} not: the endpoint is paused, or the contents were taken away." if done.passed_over else ""
    )
    messages.success(request, sent + over)
    return go_back(request, reverse("portal-log", args=[request.visitor.merchant.public_id]))


def _read(query: queries.LogQuery, *, owner_id: UUID) -> Page:
    if query.text:
        return log_pages.read_these(owner_id=owner_id, ids=log_search.find(query.text, owner_id=owner_id))
    return log_pages.read(owner_id=owner_id, where=query.where, before=query.before)


def _endpoints(owner_id: UUID, found: Sequence[Delivery]) -> dict[UUID, Endpoint]:
    """Those to choose from: the living, then the deleted lately; and those of the deliveries that are shown."""
    rows = Endpoint.objects.filter(owner_id=owner_id).only("id", "target", "is_active", "deleted_at")
    offered = rows.order_by(F("deleted_at").desc(nulls_first=True), "id")[:NAMES_MOST]
    known = {endpoint.id: endpoint for endpoint in offered}
    if missing := {delivery.endpoint_id for delivery in found} - known.keys():
        known |= {endpoint.id: endpoint for endpoint in rows.filter(id__in=missing)}
    return known


def rows_of(found: Sequence[Delivery], names: dict[UUID, str]) -> list[Row]:
    """As the log shows them; `names` are those of the endpoints."""
    external = log_pages.external_ids(found) if found else {}
    return [
        Row(
            delivery,
            delivery.public_id,
            external.get(delivery.event_id) or show_id(Prefix.EVENT, delivery.event_id),
            names.get(delivery.endpoint_id, ""),
            result_of(delivery),
            state_of(delivery),
        )
        for delivery in found
    ]


def _version(rows: Sequence[Row]) -> str:
    """Equal for a list that shows the same."""
    return hashlib.sha256("\n".join(row.print for row in rows).encode()).hexdigest()[:16]
