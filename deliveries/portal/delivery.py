"""The pages of one delivery: the panel beside the log, each attempt's request and answer, and sending it again."""

from uuid import UUID

from django.contrib import messages
from django.http import HttpResponse
from django.urls import reverse

from deliveries.portal import panel, queries
from deliveries.portal.details import attempt_shown, panel_shown
from deliveries.services.resend_many import resend_many
from dispatcher.ids import Prefix
from subscriptions.errors import Conflict, NotFound
from subscriptions.portal.doors import PortalRequest, go_back, is_fragment, page, show


@page()
def delivery(request: PortalRequest, delivery: str) -> HttpResponse:
    """`/portal/<merchant>/log/<delivery>/`: for htmx the panel, else a page of its own."""
    found = panel.get(_id(delivery), owner_id=request.visitor.merchant.id)
    shown = panel_shown(found, request)
    return show(request, "portal/log/panel.html" if is_fragment(request) else "portal/log/delivery.html", shown)


@page()
def attempt(request: PortalRequest, delivery: str, number: int) -> HttpResponse:
    """`/portal/<merchant>/log/<delivery>/<number>`: what was sent and what came back."""
    row, tried, event = panel.get_attempt(_id(delivery), number, owner_id=request.visitor.merchant.id)
    shown = {"section": "log", "delivery": row, **attempt_shown(tried, event)}
    return show(request, "portal/log/attempt.html" if is_fragment(request) else "portal/log/attempt_page.html", shown)


@page()
def resend(request: PortalRequest, delivery: str) -> HttpResponse:
    """`POST /portal/<merchant>/log/<delivery>/resend`, then back to where it was asked for."""
    delivery_id = _id(delivery)
    if request.method != "POST" or delivery_id is None:
        raise NotFound("There is nothing to see here: a delivery is sent again by its button.")
    done = resend_many(
        delivery_ids=[delivery_id],
        owner_id=request.visitor.merchant.id,
        actor=request.visitor.actor,
        now=request.now,
    )
    if not done.sent and not done.passed_over:
        raise NotFound("There is no such delivery.")
    if not done.sent:
        raise Conflict("It was not sent: its endpoint is paused or deleted, or its contents were taken away.")
    messages.success(request, "The delivery is being sent again.")
    return go_back(request, reverse("portal-log", args=[request.visitor.merchant.public_id]))


def _id(text: str) -> UUID | None:
    return queries.ident(Prefix.DELIVERY, text)
