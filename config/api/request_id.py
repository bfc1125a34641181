"""Gives every request an id that its answer, its problems and its log lines carry."""

import re
from collections.abc import Callable, Sequence
from contextvars import ContextVar

from django.http import HttpRequest, HttpResponseBase

from dispatcher.ids import new_id

HEADER = "X-Request-Id"
_TAKEN_OVER = re.compile(r"[A-Za-z0-9_.-]{1,64}")
# A caller's own id goes into logs and headers, so it may hold nothing that either would misread.

_current: ContextVar[str] = ContextVar("request_id", default="")


def is_taken_over(given: str) -> bool:
    """Whether a caller's own id becomes the request's."""
    return _TAKEN_OVER.fullmatch(given) is not None


def of_header(values: Sequence[str]) -> str:
    """The id of a request that carries the header so: its caller's own, or a new one."""
    return values[0] if len(values) == 1 and is_taken_over(values[0]) else new_id().hex


def current_request_id() -> str:
    """The id of the request that this thread is answering; empty outside of one."""
    return _current.get()


class RequestIdMiddleware:
    """Outermost, so that answers made by other middleware carry the header too."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        request_id = of_header([request.headers.get(HEADER, "")])
        token = _current.set(request_id)
        try:
            response = self.get_response(request)
        finally:
            _current.reset(token)
        response.headers[HEADER] = request_id
        return response
