"""Stands in, for an hour, for pages that are being written."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from subscriptions.portal.doors import PortalRequest, page, show


@page()
def soon(request: PortalRequest, **named: str) -> HttpResponse:
    return show(request, "portal/frame.html", {})


def chooser(request: HttpRequest) -> HttpResponse:
    return render(request, "portal/card.html")
