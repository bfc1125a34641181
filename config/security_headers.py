"""The headers that tell browsers what an answer may do: on every answer, whoever made it."""

from collections.abc import Callable
from typing import Protocol

from django.http import HttpRequest, HttpResponseBase

NOTHING = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
# JSON, problems, keys and files: were one of them taken for a page, it could load, run and send nothing.
PAGE = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; font-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
# Pages: their own files and nothing inline. Text that somebody got into a page is never run, styled or sent away.

SAME_FOR_ALL = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": (
        "accelerometer=(), camera=(), display-capture=(), geolocation=(), gyroscope=(), magnetometer=(), "
        "microphone=(), midi=(), payment=(), usb=()"
    ),
    "Cache-Control": "no-store",
}
# What is public says otherwise itself: static files and the published keys.


class Headers(Protocol):
    """Django's headers and plain dictionaries alike."""

    def setdefault(self, name: str, value: str, /) -> object: ...


def complete(headers: Headers, *, content_type: str) -> None:
    """Add what is missing. What a view has set, because it knows better, stays."""
    policy = PAGE if content_type.lower().startswith("text/html") else NOTHING
    for name, value in (SAME_FOR_ALL | {"Content-Security-Policy": policy}).items():
        headers.setdefault(name, value)


class SecurityHeadersMiddleware:
    """Outermost: answers of other middleware, static files and error pages get the headers too."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        response = self.get_response(request)
        complete(response.headers, content_type=response.headers.get("Content-Type", ""))
        return response
