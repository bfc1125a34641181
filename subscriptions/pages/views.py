"""What the links in e-mails and SMS lead to. A GET only shows: mail scanners follow every link. The button acts.

The signed token in the address is all the authority there is, so there is no session and no CSRF cookie to check;
a mail program's one click (RFC 8058) could not send one.
"""

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods

from subscriptions.models import Endpoint
from subscriptions.services import address_checks
from subscriptions.services.endpoint_addresses import recipient
from subscriptions.services.endpoint_channels import UNSUBSCRIBED

HEADERS = {
    # The address is a key: no cache, no search engine and no other site shall come to know it.
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Robots-Tag": "noindex, nofollow",
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    ),
}

View = Callable[[HttpRequest, str], HttpResponse]


def _page(view: View) -> Callable[[HttpRequest, str], HttpResponse]:
    """Shown and posted to by anybody who has the link."""

    @wraps(view)
    def shown(request: HttpRequest, token: str) -> HttpResponse:
        response = view(request, token)
        for name, value in HEADERS.items():
            response.headers[name] = value
        return response

    made: Callable[[HttpRequest, str], HttpResponse] = csrf_exempt(require_http_methods(["GET", "HEAD", "POST"])(shown))
    return made


@_page
def unsubscribe(request: HttpRequest, token: str) -> HttpResponse:
    """`/u/<token>`"""
    if request.method == "POST":
        endpoint = address_checks.unsubscribe(token, now=timezone.now())
    else:
        endpoint = address_checks.find_subscribed(token)
    if endpoint is None:
        return _gone(request)
    is_done = endpoint.disabled_reason == UNSUBSCRIBED
    return _show(request, "unsubscribed" if is_done else "unsubscribe", endpoint)


@_page
def confirm(request: HttpRequest, token: str) -> HttpResponse:
    """`/confirm/<token>`"""
    now = timezone.now()
    if request.method == "POST":
        endpoint = address_checks.confirm_by_link(token, now=now)
        return _show(request, "confirmed", endpoint) if endpoint else _gone(request)
    question = address_checks.find_question(token, now=now)
    return _show(request, "confirm", question.endpoint) if question else _gone(request)


def _show(request: HttpRequest, name: str, endpoint: Endpoint) -> HttpResponse:
    shown: dict[str, Any] = {
        "merchant": endpoint.owner.name,
        "address": recipient(endpoint.target),
        "is_number": endpoint.channel == Endpoint.Channel.SMS,
    }
    return render(request, f"subscriptions/pages/{name}.html", shown)


def _gone(request: HttpRequest) -> HttpResponse:
    """Forged, replaced, used or too old: which of them is told to nobody."""
    return render(request, "subscriptions/pages/gone.html", status=404)
