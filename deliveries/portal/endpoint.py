"""The page of one endpoint, and its end."""

from django.contrib import messages
from django.http import HttpResponse, HttpResponseRedirect
from django.urls import reverse

from deliveries.portal.endpoint_tabs import endpoint_page, week_of
from deliveries.selectors import statistics
from deliveries.selectors.statistics import Bucket
from subscriptions.portal.doors import PortalRequest, page, show
from subscriptions.portal.endpoints import find
from subscriptions.services import endpoints


@page()
def endpoint(request: PortalRequest, endpoint: str) -> HttpResponse:
    """`/portal/<merchant>/endpoints/<endpoint>/?tab=health|signing|test|again|settings`"""
    row = find(request, endpoint)
    return endpoint_page(request, row, tab=request.GET.get("tab", ""))


@page(needs="developer")
def delete(request: PortalRequest, endpoint: str) -> HttpResponse:
    """`/portal/<merchant>/endpoints/<endpoint>/delete`: what happens to what, then the deed."""
    row = find(request, endpoint)
    if request.method != "POST":
        waiting = statistics.read(week_of(row, request), bucket=Bucket.DAY)
        shown = {"section": "endpoints", "endpoint": row, "pending": waiting.pending, "held": waiting.held}
        return show(request, "portal/endpoints/delete.html", shown)
    endpoints.delete(
        merchant=request.visitor.merchant, endpoint_id=row.id, now=request.now, actor=request.visitor.actor
    )
    messages.success(request, f"{row.target} was deleted. Its log stays.")
    response = HttpResponseRedirect(reverse("portal-endpoints", args=[request.visitor.merchant.public_id]))
    response.status_code = 303
    return response
