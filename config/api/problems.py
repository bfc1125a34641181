"""Turns every refusal and failure into an RFC 9457 problem answer."""

from collections.abc import Callable, Iterable, Mapping
from http import HTTPStatus
from typing import Any

from django.core.exceptions import PermissionDenied
from django.db import InterfaceError, OperationalError
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, JsonResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.csrf import csrf_failure as html_csrf_failure
from django.views.defaults import page_not_found
from rest_framework.exceptions import APIException
from rest_framework.response import Response

from config.api.request_id import current_request_id
from subscriptions import errors
from subscriptions.errors import FieldError, Invalid, Refusal

CONTENT_TYPE = "application/problem+json"
API_PATHS = ("/api/", "/paisr/", "/.well-known/")
PORTAL = "/portal/"
RETRY_AFTER_S = 5
# A restarted Postgres answers again within seconds.

STATUS_OF_REFUSAL: Mapping[type[Refusal], int] = {
    errors.NotFound: 404,
    errors.Forbidden: 403,
    errors.Conflict: 409,
    errors.Stale: 412,
    errors.TooLarge: 413,
    # Before the wider one: the first that fits counts.
    errors.Overloaded: 503,
    errors.TooMany: 429,
    errors.Invalid: 422,
}
CODE_OF_STATUS = {
    400: "bad_request",
    401: "unauthenticated",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    429: "too_many_requests",
    500: "internal_error",
    503: "unavailable",
}
DETAIL_OF_STATUS = {
    400: "The request could not be read.",
    403: "You may not do this.",
    404: "There is nothing here.",
    500: "Something went wrong on our side. It has been logged under the request id.",
    503: "The database does not answer. Try again shortly.",
}


def problem(
    request: HttpRequest, *, status: int, code: str = "", detail: str = "", field_errors: Iterable[FieldError] = ()
) -> dict[str, Any]:
    """The members of a problem answer. Source: RFC 9457; `code`, `request_id` and `errors` are our extensions."""
    title = HTTPStatus(status).phrase
    made: dict[str, Any] = {
        "type": "about:blank",
        "title": title,
        "status": status,
        "detail": detail or DETAIL_OF_STATUS.get(status, f"{title}."),
        "instance": request.path,
        "code": code or CODE_OF_STATUS.get(status, "error"),
        "request_id": current_request_id(),
    }
    wrong = [{"pointer": item.pointer, "code": item.code, "message": item.message} for item in field_errors]
    return made | {"errors": wrong} if wrong else made


def handle(exc: Exception, context: dict[str, Any]) -> Response | None:
    """DRF's exception handler. None for what nobody foresaw: Django logs that and answers 500."""
    request: HttpRequest = context["request"]
    headers: dict[str, str] = {}
    match exc:
        case Invalid():
            made = problem(request, status=422, code=exc.code, detail=exc.detail, field_errors=exc.errors)
        case Refusal():
            status = next(status for kind, status in STATUS_OF_REFUSAL.items() if isinstance(exc, kind))
            made = problem(request, status=status, code=exc.code, detail=exc.detail)
            if isinstance(exc, errors.TooMany):
                headers["Retry-After"] = str(exc.retry_after_s)
        case APIException():
            made, headers = _of_framework(request, exc)
        case Http404():
            made = problem(request, status=404)
        case PermissionDenied():
            made = problem(request, status=403)
        case OperationalError() | InterfaceError():
            made, headers = problem(request, status=503), {"Retry-After": str(RETRY_AFTER_S)}
        case _:
            return None
    return Response(made, status=made["status"], headers=headers, content_type=CONTENT_TYPE)


def _of_framework(request: HttpRequest, exc: APIException) -> tuple[dict[str, Any], dict[str, str]]:
    codes = exc.get_codes()
    code = codes if isinstance(codes, str) else ""
    if code in {"not_authenticated", "authentication_failed"}:
        code = "unauthenticated"
    headers = {}
    if challenge := getattr(exc, "auth_header", None):
        headers["WWW-Authenticate"] = str(challenge)
    if (wait_s := getattr(exc, "wait", None)) is not None:
        headers["Retry-After"] = str(wait_s)
    return problem(request, status=exc.status_code, code=code, detail=str(exc.detail)), headers


class ProblemMiddleware:
    """The net below the views: unknown routes, malformed hosts and crashes answer with a problem, too.

    Django's own error pages, its debug pages included, are replaced on API paths, and where no view was found unless a
    browser asked. Pages of portal and admin keep theirs.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        response = self.get_response(request)
        if response.status_code < 400 or response.headers.get("Content-Type", "").startswith(CONTENT_TYPE):
            return response
        if _is_api(request) or (request.resolver_match is None and not wants_html(request)):
            return _answer(request, status=response.status_code, instead_of=response)
        return response


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponseBase:
    """Django's CSRF_FAILURE_VIEW."""
    if request.path.startswith(PORTAL) and wants_html(request):
        return render(request, "portal/csrf.html", {"back": _page_of(request)}, status=403)
    if not _is_api(request) and wants_html(request):
        return html_csrf_failure(request, reason=reason)
    return _answer(request, status=403, code="csrf_failed", detail="The CSRF check failed.")


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Django's handler404: the portal's own page below its address."""
    if request.path.startswith(PORTAL):
        return render(request, "portal/missing.html", status=404)
    return page_not_found(request, exception)


def _page_of(request: HttpRequest) -> str:
    """The page whose form was posted, if the browser says so and it is ours."""
    referer = request.headers.get("Referer", "")
    is_here = url_has_allowed_host_and_scheme(
        referer, allowed_hosts={request.get_host()}, require_https=request.is_secure()
    )
    return referer if is_here else reverse("portal")


def _answer(
    request: HttpRequest, *, status: int, code: str = "", detail: str = "", instead_of: HttpResponseBase | None = None
) -> HttpResponse:
    made = problem(request, status=status, code=code, detail=detail)
    answer = JsonResponse(made, status=status, content_type=CONTENT_TYPE)
    for name in ("Allow", "Retry-After", "WWW-Authenticate"):
        if instead_of is not None and instead_of.has_header(name):
            answer.headers[name] = instead_of.headers[name]
    return answer


def _is_api(request: HttpRequest) -> bool:
    return request.path.startswith(API_PATHS)


def wants_html(request: HttpRequest) -> bool:
    return "text/html" in request.headers.get("Accept", "") or "HX-Request" in request.headers
