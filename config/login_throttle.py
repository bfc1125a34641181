"""Stands before every login form: too many tries are answered 429, whether or not the password would be right."""

import logging
from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponseBase, JsonResponse
from django.shortcuts import render
from django.utils import timezone

from config.api.problems import CONTENT_TYPE, PORTAL, problem, wants_html
from subscriptions.errors import TooMany
from subscriptions.services import login_tries
from subscriptions.services.login_tries import Try

logger = logging.getLogger(__name__)

LOGIN_VIEWS = frozenset({"admin:login", "portal-login", "portal-password"})
# The forms that take a password, and the one that mails a link for a forgotten one: it could be asked for names, too.
NAME_FIELDS = ("username", "email")


class LoginThrottleMiddleware:
    """Below the CSRF check, so that no foreign page can use up its visitors' tries."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        response = self.get_response(request)
        tried: Try | None = getattr(request, "login_try", None)
        if tried is None:
            return response
        if response.status_code == 302 and request.user.is_authenticated:
            login_tries.succeed(tried, user_name=request.user.get_username(), now=timezone.now())
        else:
            logger.warning("a login from %s failed, or a password was forgotten there", tried.address)
        return response

    def process_view(self, request: HttpRequest, *_: Any) -> HttpResponseBase | None:
        match = request.resolver_match
        if request.method != "POST" or match is None or match.view_name not in LOGIN_VIEWS:
            return None
        try:
            request.login_try = login_tries.begin(  # type: ignore[attr-defined] # carried to the answer
                name=_name(request), address=address_of(request), now=timezone.now()
            )
        except TooMany as refusal:
            logger.warning("a login from %s has to wait %d s", address_of(request), refusal.retry_after_s)
            return _refused(request, refusal)
        return None


def address_of(request: HttpRequest) -> str:
    """The caller's. Behind a proxy the last entry of X-Forwarded-For is what the proxy itself saw; those before it are
    what the caller says."""
    direct = str(request.META.get("REMOTE_ADDR", ""))
    if not settings.BEHIND_TLS_PROXY:
        return direct
    return str(request.headers.get("X-Forwarded-For", "")).rpartition(",")[2].strip() or direct


def _name(request: HttpRequest) -> str:
    return next((str(request.POST[name]) for name in NAME_FIELDS if name in request.POST), "")


def _refused(request: HttpRequest, refusal: TooMany) -> HttpResponseBase:
    response: HttpResponseBase
    if wants_html(request):
        shown = {"wait_s": refusal.retry_after_s}
        page = "portal/slow_down.html" if request.path.startswith(PORTAL) else "subscriptions/pages/slow_down.html"
        response = render(request, page, shown, status=429)
    else:
        made = problem(request, status=429, code=refusal.code, detail=refusal.detail)
        response = JsonResponse(made, status=429, content_type=CONTENT_TYPE)
    response.headers["Retry-After"] = str(refusal.retry_after_s)
    return response
