"""A line and a number for each request: method, route, status, how long it took, whose it was."""

import logging
import time
from collections.abc import Callable

import structlog
from django.http import HttpRequest, HttpResponseBase

from config.api.request_id import current_request_id
from deliveries import metrics, tracing

logger = logging.getLogger("signet.requests")

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
# Others come from callers' imagination, and each would be a series for ever.
BUSY_ROUTES = frozenset({"api/v2/events", "api/v2/events/batch"})
# Where a provider publishes. At hundreds of requests a second a line for each that went well costs what it tells.
NO_ROUTE = "none"


class RequestLogMiddleware:
    """Inside of the request id, outside of everything that can fail."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        # What the thread's last request was about.
        structlog.contextvars.clear_contextvars()
        began = time.perf_counter()
        try:
            response = self._traced(request) if tracing.is_on() else self.get_response(request)
            _tell(request, response.status_code, time.perf_counter() - began)
        finally:
            structlog.contextvars.clear_contextvars()
        return response

    def _traced(self, request: HttpRequest) -> HttpResponseBase:
        method = _method(request)
        with tracing.request(method, request.headers) as span:
            structlog.contextvars.bind_contextvars(trace_id=f"{span.get_span_context().trace_id:032x}")
            response = self.get_response(request)
            span.update_name(f"{method} {_route(request)}")
            span.set_attributes(
                {
                    "http.request.method": method,
                    "http.route": _route(request),
                    "http.response.status_code": response.status_code,
                    "signet.request_id": current_request_id(),
                }
            )
        return response


def is_said_of_all() -> bool:
    """Whether somebody wants a line also for each publish that went well."""
    return logger.isEnabledFor(logging.DEBUG)


def _tell(request: HttpRequest, status: int, seconds: float) -> None:
    method, route = _method(request), _route(request)
    metrics.REQUESTS.labels(method, route, str(status)).inc()
    metrics.REQUEST_SECONDS.labels(route).observe(seconds)
    level = _level(route, status)
    if logger.isEnabledFor(level):
        fields = {"method": method, "route": route, "status": status, "ms": round(seconds * 1000, 1)}
        logger.log(level, "request", extra=fields)


def _method(request: HttpRequest) -> str:
    return request.method if request.method in METHODS else "other"


def _route(request: HttpRequest) -> str:
    return request.resolver_match.route if request.resolver_match else NO_ROUTE


def _level(route: str, status: int) -> int:
    if status >= 500:
        return logging.WARNING
    return logging.DEBUG if route in BUSY_ROUTES and status < 300 else logging.INFO
